"""Whatever the order in which events arrive, the live tower ends with the alerts of a backtest on the same events.

    python tests/faults/order_campaign.py --traces 2000 [--orders 3]

A trace is the history of a deal and of its account, under ten drawn rules, half of which wait (`for`). Each order is
another life: every event is delivered five times, in an order of its own; half of the sources have clocks that are
wrong by up to seven days. What lies more than five minutes ahead of the tower's clock is set aside, and must not be
taken before; it comes again once its time has come. Alerts are compared by (rule, record, since, until).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oracles.fields import CALENDARS, SCHEMA
from oracles.grammar import Grammar
from oracles.histories import draw_history
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import Event, parse_event
from watchtower.flow.backtest import duckdb_engine, held_between
from watchtower.flow.history import fold_history
from watchtower.flow.intake import FUTURE
from watchtower.rulebook import load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.spans import shift
from watchtower.settings import Settings
from watchtower.store import embedded
from watchtower.store.database import open_database

ZONE = "Europe/Rome"
INFO = ZoneInfo(ZONE)
FIRST, END = datetime(1990, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
COPIES = 5
SKEW = timedelta(days=7)
BATCH = 400
"""Deliveries of a batch, at the most."""

Alert = tuple[str, str, datetime, datetime | None]
"""(rule, record, since, until); None: it stands."""


@dataclass
class Lived:
    """What came of one order of arrival."""

    alerts: set[Alert]
    doubled: int
    """Alerts more than different ones."""
    verdicts: dict[str, int]
    ahead: int
    """Deliveries that lay more than five minutes ahead."""
    let_in: list[str] = field(default_factory=list)
    """Events that were taken although they lay more than five minutes ahead."""


def rulebook(seed: int, folder: Path) -> Path:
    rng = random.Random(f"{seed}/rules")
    grammar = Grammar(rng, ZONE)
    rules = [
        {"id": f"r{n}", "object": "deal", "when": grammar.rule().text("rule")}
        | ({"for": rng.choice(("2 hours", "36 hours", "1 month"))} if n % 2 else {})
        for n in range(10)
    ]
    objects = {name: {"fields": fields} for name, fields in SCHEMA.items()}
    path = folder / "rules.json.yaml"
    path.write_text(
        json.dumps({"name": "order", "timezone": ZONE, "rules": rules, "objects": objects, "calendars": CALENDARS})
    )
    return path


def traces(count: int, seed: int) -> list[Event]:
    """The events of `count` deals and their accounts. No two events of a record bear the same time: which of them came
    last would matter, and rightly so."""
    events: list[Event] = []
    for number in range(count):
        taken: set[tuple[str, datetime]] = set()
        for raw in draw_history(random.Random(f"{seed}/{number}"), ZONE, deals=1).events:
            name, _, record = raw["subject"].partition("/")
            fields = raw["data"].get("fields", {})
            if fields.get("account"):
                fields["account"] = f"{fields['account']}.{number}"
            event = parse_event(raw | {"id": f"{number}.{raw['id']}", "subject": f"{name}/{record}.{number}"})
            at = event.time
            while (event.subject, at) in taken:
                at += timedelta(microseconds=7)
            taken.add((event.subject, at))
            events.append(
                Event(
                    id=event.id, source=event.source, type=event.type, subject=event.subject, time=at, data=event.data
                )
            )
    return events


def expected(program: Program, events: list[Event]) -> set[Alert]:
    """What a backtest says must have been told by END."""
    history = fold_history(program, events)
    assert not history.problems, history.problems[:3]
    delays = {compiled.rule.id: compiled.delay for compiled in program.rules}
    with duckdb_engine(history.versions) as engine:
        held = held_between(engine, program, FIRST, END)
    found: set[Alert] = set()
    for interval in held:
        opens = shift(interval.since, delays[interval.rule], INFO) if delays[interval.rule] else interval.since
        if opens < interval.until:
            until = None if interval.until == END else interval.until
            found.add((interval.rule, interval.record, interval.since, until))
    return found


def deliveries(events: list[Event], rng: random.Random) -> list[tuple[datetime, Event]]:
    """When each event comes, five times over; from sources with wrong clocks also before its own time."""
    found: list[tuple[datetime, int, Event]] = []
    for number, event in enumerate(events):
        wrong = rng.random() < 0.5
        for _ in range(COPIES):
            low, high = (-SKEW, SKEW) if wrong else (timedelta(0), 60 * SKEW)
            at = event.time + low + (high - low) * rng.random()
            found.append((at, number, event))
            if event.time > at + FUTURE:  # it is told that it was not taken, and sends it again
                found.append((event.time, number, event))
    found.sort(key=lambda delivery: (delivery[0], rng.random()))
    return [(at, event) for at, _, event in found]


def lived(url: str, book: Path, events: list[Event], rng: random.Random) -> Lived:
    """One life of a tower: one order of arrival, batch by batch, ticks in between."""
    clock = [FIRST]
    done = Lived(set(), 0, {}, 0)
    coming = deliveries(events, rng)
    settings = Settings(data=book.parent, database_url=SecretStr(url))
    with build(settings, rulebook=book, clock=lambda: clock[0]) as tower:
        position, most = 0, max(10, min(BATCH, len(coming) // 60))
        while position < len(coming):
            size = rng.randrange(1, most)
            batch = coming[position : position + size]
            position += size
            # The clock stands at the first delivery of a batch, so that none is later than it says.
            clock[0] = max(clock[0], batch[0][0])
            for (_, event), verdict in zip(batch, tower.take_events([event for _, event in batch]), strict=True):
                done.verdicts[verdict.status] = done.verdicts.get(verdict.status, 0) + 1
                if event.time > clock[0] + FUTURE:
                    done.ahead += 1
                    if verdict.status == "accepted":
                        done.let_in.append(event.id)
            if rng.random() < 0.3:
                tower.tick()
        # What lay ahead of the batch's clock by its place in the batch alone comes a last time.
        clock[0] = END
        for start in range(0, len(events), BATCH):
            tower.take_events(events[start : start + BATCH])
        tower.tick()
        found = alerts(tower)
    done.alerts, done.doubled = set(found), len(found) - len(set(found))
    return done


def alerts(tower: Tower) -> list[Alert]:
    with tower.database.read() as conn:
        rows = conn.execute(text(
            "select rule, object || '/' || record, since, resolved_at from alert "
            "where coalesce(resolution, '') not like 'withdrawn%'"
        ))  # fmt: skip
        return [tuple(row) for row in rows]


def run(count: int, orders: int, seed: int, say: Any = print) -> int:
    """How many orders went wrong."""
    bad = 0
    with tempfile.TemporaryDirectory(prefix="watchtower-order-") as name:
        folder = Path(name)
        book = rulebook(seed, folder)
        events = traces(count, seed)
        want = expected(compile_rulebook(load(book)), events)
        with embedded.start(folder / "server") as server:
            database = open_database(server.url)
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                conn.execute(text("alter system set fsync = off"))
                conn.execute(text("select pg_reload_conf()"))
                for order in range(orders):
                    conn.execute(text(f"create database order_{order}"))
            database.close()
            for order in range(orders):
                began = time.perf_counter()
                url = server.url.replace("@/watchtower?", f"@/order_{order}?")
                done = lived(url, book, events, random.Random(f"{seed}/order/{order}"))
                same = done.alerts == want and not done.doubled and not done.let_in
                bad += not same
                say(
                    f"order {order}: {count} traces, {len(events)} events, {done.verdicts}, {done.ahead} lay ahead and "
                    f"{len(done.let_in)} of them got in; {len(done.alerts)} alerts, {len(want)} by the backtest: "
                    f"{'the same' if same else 'DIFFERENT'} ({time.perf_counter() - began:.0f} s)"
                )
                for alert in sorted(done.alerts ^ want, key=str)[:5]:
                    say("  " + ("only live: " if alert in done.alerts else "only backtest: ") + str(alert))
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=2000)
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    sys.exit(1 if run(options.traces, options.orders, options.seed) else 0)
