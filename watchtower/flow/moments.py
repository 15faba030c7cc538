"""Records as they were at instants: for what an alert has read, for explanations, for handoffs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from watchtower.contract import Event
from watchtower.flow.apply import Engine, Recent
from watchtower.flow.gathered import gathered_values, refer_to
from watchtower.flow.streams import streams
from watchtower.rules.fold import ObjectFold, Record
from watchtower.store import records
from watchtower.store.database import Connection
from watchtower.store.rows import RecordRow

Moment = tuple[str, str, datetime]
"""(object, record, instant)"""
Known = Mapping[tuple[str, str], Recent]
"""By object and id, what the transaction has folded last, and nothing since has changed."""


def moments(
    conn: Connection, engine: Engine, wanted: Iterable[Moment], known: Known | None = None
) -> dict[Moment, Record]:
    """Records as they were at instants, with who set what, and what rollups over other records were then.

    Of those that are `known` the database is not asked: an alert mostly opens on what came just now.
    """
    asked = list(wanted)
    found = _own_moments(conn, engine, asked, known or {})
    for name in {name for name, _, _ in asked}:
        rollups = engine.program.gathered_on(name)
        mine = sorted(moment for moment in found if moment[0] == name)
        if not rollups or not mine:
            continue
        vias = sorted({(rollup.over, rollup.via) for rollup in rollups})
        referring = records.referring(conn, name, sorted({record for _, record, _ in mine}), vias)
        kid_moments = {
            moment: [(over, kid, moment[2]) for over, kid in referring.get(moment[1], ())] for moment in mine
        }
        kids = _own_moments(conn, engine, [kid for listed in kid_moments.values() for kid in listed], {})
        by_parent = [
            {
                over: refer_to(rollups, number, moment[1], over, [kids[k] for k in kid_moments[moment] if k[0] == over])
                for over in {rollup.over for rollup in rollups}
            }
            for number, moment in enumerate(mine)
        ]
        for moment, values in zip(mine, gathered_values(engine.program, rollups, by_parent), strict=True):
            own = found[moment]
            given = {field: value for field, value in values.items() if value is not None and own.alive}
            found[moment] = Record(own.alive, {**own.state, **given}, own.who)
    return found


def _own_moments(conn: Connection, engine: Engine, wanted: Iterable[Moment], known: Known) -> dict[Moment, Record]:
    """From what was folded just now, or the records' rows where nothing has changed since, else from the journal."""
    found: dict[Moment, Record] = {}
    by_object: dict[str, dict[str, list[datetime]]] = {}
    for name, record, at in sorted(set(wanted)):
        by_object.setdefault(name, {}).setdefault(record, []).append(at)
    for name, groups in by_object.items():
        fold = engine.folds[name]
        asked: dict[str, list[datetime]] = {}
        for record, instants in groups.items():
            recent = known.get((name, record))
            if recent is None or (recent.begin is not None and instants[0] < recent.begin.changed_at):
                asked[record] = instants
            else:
                _replay(fold, record, recent, instants, found)
        stored = records.load(conn, name, list(asked)) if asked else {}
        past: dict[str, list[datetime]] = {}
        for record, instants in asked.items():
            row = stored.get(record)
            for at in instants:
                if row is not None and row.changed_at <= at:
                    found[name, record, at] = _of(row)
                elif row is not None and row.created_at <= at:
                    past.setdefault(record, []).append(at)
                else:
                    found[name, record, at] = Record()
        histories = streams(conn, engine.folds, name, sorted(past))
        for record, instants in past.items():
            _replay(fold, record, Recent(None, histories[record]), instants, found)
    return found


def _of(row: RecordRow | None) -> Record:
    return Record() if row is None else Record(row.deleted_at is None, dict(row.state), dict(row.provenance))


def _replay(
    fold: ObjectFold, record: str, recent: Recent, instants: Sequence[datetime], found: dict[Moment, Record]
) -> None:
    now, position = _of(recent.begin), 0
    events: Sequence[Event] = recent.events
    for at in instants:
        while position < len(events) and events[position].time <= at:
            fold.apply(now, events[position])
            position += 1
        found[fold.name, record, at] = Record(now.alive, dict(now.state), dict(now.who))
