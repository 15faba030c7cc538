"""What must be true after a campaign, worked out apart from the code that was under fire.

The journal is the truth. What was acknowledged is in it; records are its fold, alerts are the intervals that a
backtest on DuckDB finds in it, and every decision has reached every receiver that was to hear of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from campaign_load import BOOK, Receiver, Source

from watchtower.bootstrap import Tower
from watchtower.contract import Event, format_time, parse_event
from watchtower.flow.backtest import duckdb_engine, held_between
from watchtower.flow.history import fold_history
from watchtower.flow.streams import folded
from watchtower.rules.fold import Record, build_folds
from watchtower.rules.spans import shift
from watchtower.store import journal

Faults = list[str]


def check(
    tower: Tower, url: str, at: datetime, sources: Sequence[Source], receiver: Receiver, cuts: Mapping[str, int]
) -> tuple[Faults, dict[str, Any]]:
    """Every promise that was broken, and the figures. `at`: the last tick. `cuts`: how often a delivery was cut off,
    per lane at most."""
    faults = [flaw for source in sources for flaw in source.flaws] + receiver.flaws
    with tower.database.read() as conn:
        entries = journal.tail(conn, 0, 10**9)
    figures: dict[str, Any] = {"journal": len(entries)}
    faults += _kept(entries, sources, figures)
    told = [event for _, event, layer in entries if folded(event.type, layer)]
    with psycopg.connect(url) as sql:
        faults += _applied(tower, sql, told)
        faults += _alerts(tower, sql, told, at, figures)
        faults += _once(sql, figures)
        faults += _notified(sql, receiver, cuts, figures)
    return faults, figures


def _kept(entries: Iterable[tuple[int, Event, str]], sources: Sequence[Source], figures: dict[str, Any]) -> Faults:
    """Each acknowledged event is in the journal once, as it was sent; nothing else is."""
    core = Counter((event.source, event.id) for _, event, layer in entries if layer == "core")
    bodies = {(event.source, event.id): event for _, event, layer in entries if layer == "core"}
    faults = [f"{key} stands {count} times in the journal" for key, count in core.items() if count > 1]
    lost = 0
    for source in sources:
        for id_, raw in source.acknowledged.items():
            found = bodies.get((source.source, id_))
            if found is None:
                lost += 1
                faults.append(f"lost: {source.source} {id_} was acknowledged and is not in the journal")
            elif found != parse_event(raw):
                faults.append(f"{id_}: the journal has {found}, sent was {raw}")
    known = {(source.source, id_) for source in sources for id_ in source.sent}
    faults += [f"{key}: nobody sent it" for key in bodies if key not in known]
    figures["acknowledged"] = sum(len(source.acknowledged) for source in sources)
    figures["lost"] = lost
    figures["in doubt, and in"] = len(bodies) - figures["acknowledged"]
    return faults


def _applied(tower: Tower, sql: psycopg.Connection[Any], told: Sequence[Event]) -> Faults:
    """Each record is the fold of its events."""
    folds = build_folds(tower.program)
    by_record: dict[str, list[Event]] = {}
    for event in told:
        by_record.setdefault(event.subject, []).append(event)
    stored = {f"{o}/{i}": state for o, i, state in sql.execute("select object, id, state from record")}
    faults = [f"record {name}: not there" for name in by_record if name not in stored]
    faults += [f"record {name}: no event made it" for name in stored if name not in by_record]
    for name, events in by_record.items():
        record = Record()
        for event in sorted(events, key=lambda event: event.time):
            folds[name.partition("/")[0]].apply(record, event)
        if name in stored and record.state != stored[name]:
            faults.append(f"record {name}: is {stored[name]}, its events make {record.state}")
    return faults


def _alerts(
    tower: Tower, sql: psycopg.Connection[Any], told: Sequence[Event], at: datetime, figures: dict[str, Any]
) -> Faults:
    """Alerts, but for those withdrawn since, are the intervals that another engine finds in the journal."""
    program = tower.program
    history = fold_history(program, told)
    end = at + timedelta(microseconds=1)
    with duckdb_engine(history.versions) as engine:
        held = held_between(engine, program, at - timedelta(days=1), end)
    expected = set()
    for interval in held:
        opens = shift(interval.since, program.by_id[interval.rule].delay, program.book.zone)
        if opens <= at and opens < interval.until:
            until = None if interval.until == end else interval.until
            expected.add((interval.rule, interval.record, interval.since, until))
    rows = sql.execute(
        "select rule, object || '/' || record, since, resolved_at from alert "
        "where coalesce(resolution, '') not like 'withdrawn%'"
    ).fetchall()
    found = {(rule, record, _utc(since), _utc(until) if until else None) for rule, record, since, until in rows}
    figures["alerts"], figures["alerts still open"] = len(found), sum(until is None for *_, until in found)
    return [f"alert that should be: {_words(a)}" for a in sorted(expected - found, key=str)] + [
        f"alert that should not be: {_words(a)}" for a in sorted(found - expected, key=str)
    ]


def _once(sql: psycopg.Connection[Any], figures: dict[str, Any]) -> Faults:
    """No alert was opened while it stood, or ended while it did not: the journal and the history agree on it."""
    faults, double = [], 0
    stories: dict[str, list[str]] = {}
    for alert, kind, data in sql.execute(
        "select data ->> 'alert', type, data from journal where type like 'alert.%' and layer = 'decision' order by seq"
    ):
        stories.setdefault(alert, []).append("ends" if "resolution" in data else "opens" if data else kind)
    for alert, story in stories.items():
        for before, after in zip([None, *story], story, strict=False):
            # A correction may end what has ended by the facts: it says that it never was.
            if after == "opens" and before == "opens" or after == "ends" and before is None:
                double += 1
                faults.append(f"alert {alert}: {' '.join(story)}")
    written = dict(
        sql.execute(
            "select alert, count(*) from action where verb in ('opened', 'resolved', 'corrected') group by alert"
        ).fetchall()
    )
    faults += [f"alert {a}: {written.get(a, 0)} lines of history, {len(s)} decisions" for a, s in stories.items()
               if written.get(a, 0) != len(s)]  # fmt: skip
    figures["doubled alerts"] = double
    return faults


def _notified(
    sql: psycopg.Connection[Any], receiver: Receiver, cuts: Mapping[str, int], figures: dict[str, Any]
) -> Faults:
    """Every message arrived, and at most once more for each time that a delivery was cut off."""
    faults: Faults = []
    rows = sql.execute("select receiver, id, state, ai_informed, event from outbox").fetchall()
    expected = sql.execute(
        "select j.id, a.queue from journal j join alert a on a.id = j.data ->> 'alert' "
        "where j.layer = 'decision' and j.type like 'alert.%' and cardinality(a.inhibitors) = 0"
    ).fetchall()
    written = {(who, event) for who, _, _, _, event in rows}
    for event, queue in expected:
        for who in ("all", "sales"):
            if (who == "all" or queue == "sales") and (who, event) not in written:
                faults.append(f"decision {event}: {who} was never to be told")
    again: Counter[tuple[str, bool]] = Counter()
    lost = 0
    for who, id_, state, ai_informed, _ in rows:
        times = receiver.got[who, id_]
        if state == "delivered" and times == 0:
            lost += 1
            faults.append(f"message {id_} for {who}: noted as delivered, never arrived")
        elif state not in ("delivered", "waiting", "withheld"):
            faults.append(f"message {id_} for {who}: still {state}")
        elif state != "delivered" and times:
            faults.append(f"message {id_} for {who}: {state}, and yet it arrived")
        again[who, ai_informed] += max(times - 1, 0)
    known = {(who, id_) for who, id_, *_ in rows}
    faults += [f"message {key} arrived and is not in the outbox" for key in receiver.got if key not in known]
    for lane, count in again.items():
        if count > cuts["each lane"]:
            faults.append(f"lane {lane}: {count} messages came again, after {cuts['each lane']} cuts")
    figures["notifications"] = sum(1 for row in rows if row[2] == "delivered")
    figures["notifications cut off on the way"] = receiver.cut_off
    figures["notifications lost"], figures["notifications sent again"] = lost, sum(again.values())
    return faults


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _words(alert: tuple[str, str, datetime, datetime | None]) -> str:
    rule, record, since, until = alert
    return f"{rule} on {record} from {format_time(since)} to {format_time(until) if until else '...'}"


def book(port: int, variable: str) -> str:
    """The rulebook of a campaign, telling a receiver at this port."""
    return BOOK.replace("PORT", str(port)).replace("VARIABLE", variable)


def as_json(figures: Mapping[str, Any]) -> str:
    return json.dumps(figures, default=str)
