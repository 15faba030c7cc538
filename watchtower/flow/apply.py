"""From new journal entries to records, spans and decisions, within the transaction that wrote the entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from watchtower.contract import Document, Event, format_time
from watchtower.flow.gathered import gathered_values, refer_to
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.fold import FIELD_ACCEPTED, SIGNAL_ADMITTED, ObjectFold, Record, build_folds
from watchtower.rules.spans import FOREVER, shift
from watchtower.rules.spans_kept import RawSpan, Span, revise
from watchtower.store import journal, records
from watchtower.store import spans as span_store
from watchtower.store.database import Connection
from watchtower.store.records import NewLink, NewRecord, NewVersion
from watchtower.store.rows import RecordRow


@dataclass(frozen=True)
class Engine:
    """A program, its folds, and its queries as they are first needed: what applying events needs of the rulebook."""

    program: Program
    folds: Mapping[str, ObjectFold]
    queries: dict[tuple[str, ...], span_store.Query] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program) -> Engine:
        return cls(program, build_folds(program, trace=True))

    @property
    def rules(self) -> Mapping[str, CompiledRule]:
        return self.program.by_id

    def query(self, objects: Iterable[str]) -> span_store.Query:
        """The SQL of all rules on these objects, written once: it is long, and every batch of events needs it."""
        key = tuple(sorted(objects))
        if key not in self.queries:
            self.queries[key] = span_store.query(self.program, key)
        return self.queries[key]


@dataclass
class Applied:
    """Spans whose told alerts were told wrongly, as is known now."""

    withdrawn: list[Span] = field(default_factory=list)
    reopened: list[Span] = field(default_factory=list)


def folded(entry_type: str, layer: str) -> bool:
    """Whether a journal entry changes a record: what sources and people say, and the rule layer's acceptances."""
    return layer == "core" or entry_type in (FIELD_ACCEPTED, SIGNAL_ADMITTED)


def apply_events(conn: Connection, engine: Engine, events: Sequence[Event]) -> Applied:
    """Fold new entries into their records, in order of time and arrival, and evaluate what they touch."""
    touched: dict[str, dict[str, datetime]] = {}
    by_object: dict[str, dict[str, list[Event]]] = {}
    for event in events:
        name, _, record = event.subject.partition("/")
        by_object.setdefault(name, {}).setdefault(record, []).append(event)
    made_records: list[NewRecord] = []
    made_versions: list[NewVersion] = []
    documents: list[tuple[str, str, Document]] = []
    for name, groups in by_object.items():
        fold = engine.folds[name]
        stored = records.load(conn, name, list(groups))
        late = [
            record
            for record, new in groups.items()
            if record in stored and min(event.time for event in new) < stored[record].changed_at
        ]
        past: dict[str, list[Event]] = {record: [] for record in late}
        for _, event, layer in journal.events_of(conn, name, late) if late else ():
            if folded(event.type, layer):
                past[event.record_id].append(event)
        for record, new in groups.items():
            begin = stored.get(record)
            start = min(event.time for event in new)
            sequence: Iterable[Event] = past[record] if record in past else sorted(new, key=lambda e: e.time)
            late_news = record in past
            _fold_record(
                fold, name, record, None if late_news else begin, sequence, start, made_records, made_versions,
                rebuilt=late_news,
            )  # fmt: skip
            touched.setdefault(name, {})[record] = start
            documents += [(name, record, doc) for event in new if (doc := _document(event)) is not None]
    records.save(conn, made_records, made_versions, _links(engine.program, made_versions))
    records.save_documents(conn, documents)
    _look_through(conn, engine.program, touched)
    return evaluate(conn, engine, touched)


def rebuild_records(conn: Connection, engine: Engine, known: Sequence[tuple[str, str, datetime]]) -> None:
    """Fold records from the journal anew, from their first event on: a rulebook has changed."""
    touched: dict[str, dict[str, datetime]] = {}
    for name, record, created in known:
        touched.setdefault(name, {})[record] = created
    made_records: list[NewRecord] = []
    made_versions: list[NewVersion] = []
    for name, starts in touched.items():
        histories: dict[str, list[Event]] = {record: [] for record in starts}
        for _, event, layer in journal.events_of(conn, name, list(starts)):
            if folded(event.type, layer):
                histories[event.record_id].append(event)
        for record, events in histories.items():
            start = starts[record]
            _fold_record(
                engine.folds[name], name, record, None, events, start, made_records, made_versions, rebuilt=True
            )
    records.save(conn, made_records, made_versions, _links(engine.program, made_versions))


def evaluate_records(conn: Connection, engine: Engine, known: Sequence[tuple[str, str, datetime]]) -> Applied:
    """Evaluate records from their first event on."""
    touched: dict[str, dict[str, datetime]] = {}
    for name, record, created in known:
        touched.setdefault(name, {})[record] = created
    return evaluate(conn, engine, touched)


def _links(program: Program, versions: Sequence[NewVersion]) -> list[NewLink]:
    """Who refers to whom, where a rule looks through."""
    refs = {name: _refs(program, name) for name in {version.object for version in versions}}
    found = {
        (target, value, version.object, ref, version.id)
        for version in versions
        for target, ref in refs[version.object]
        if isinstance(value := version.state.get(ref), str)
    }
    return [NewLink(target_object=a, target=b, object=c, ref=d, record=e) for a, b, c, d, e in sorted(found)]


def _refs(program: Program, name: str) -> list[tuple[str, str]]:
    looked = {
        (target, ref) for target, lookers in program.looking_through.items() for who, ref in lookers if who == name
    }
    return sorted(looked | {(rollup.object, rollup.via) for rollup in program.gathering[name]})


def _fold_record(
    fold: ObjectFold,
    name: str,
    record: str,
    begin: RecordRow | None,
    events: Iterable[Event],
    start: datetime,
    made_records: list[NewRecord],
    made_versions: list[NewVersion],
    *,
    rebuilt: bool,
) -> None:
    """The record after its events, and its versions from `start` on. `rebuilt`: earlier ones may go beyond it."""
    now = Record()
    if begin is not None:
        now = Record(alive=begin.deleted_at is None, state=dict(begin.state), who=dict(begin.provenance))
    created = begin.created_at if begin is not None else None
    deleted = begin.deleted_at if begin is not None else None
    last = begin.changed_at if begin is not None else start
    # The version that the new ones follow on began with the last event before them: there is one while it lives.
    meets = begin is not None and begin.changed_at == start
    closes = format_time(begin.changed_at) if begin is not None and now.alive and not meets else None
    open_version = -1
    for time, after in fold.versions(events, now):
        last = time
        created = created or time
        deleted = None if after.alive else deleted or time
        if time < start:
            continue
        at = format_time(time)
        if open_version >= 0:
            made_versions[open_version] = _closed(made_versions[open_version], at)
            open_version = -1
        if after.alive:
            open_version = len(made_versions)
            made_versions.append(
                NewVersion(object=name, id=record, valid_from=at, valid_to=None, state=dict(after.state))
            )
    made_records.append(
        NewRecord(
            object=name, id=record, state=now.state, provenance=now.who, created_at=format_time(created or start),
            changed_at=format_time(last), deleted_at=format_time(deleted) if deleted else None,
            begun=format_time(start), closes=closes, rebuilt=rebuilt or meets,
        )
    )  # fmt: skip


def _closed(version: NewVersion, at: str) -> NewVersion:
    return NewVersion(
        object=version.object, id=version.id, valid_from=version.valid_from, valid_to=at, state=version.state
    )


def _document(event: Event) -> Document | None:
    if event.type != "document.added":
        return None
    data = event.data
    return Document(
        id=str(data["document"]),
        kind=str(data.get("kind", "file")),
        text=str(data["text"]),
        url=str(data.get("url", "")),
        added_at=event.time,
    )


def _look_through(conn: Connection, program: Program, touched: dict[str, dict[str, datetime]]) -> None:
    """Records whose rules read a touched one are touched from the same instant on: first those that gather it."""
    for name in [name for name in touched if program.gathering[name]]:
        starts = touched[name]
        vias = sorted({(rollup.object, rollup.via) for rollup in program.gathering[name]})
        for record, parent, target in records.gathered_by(conn, name, list(starts), vias):
            mine = touched.setdefault(parent, {})
            mine[target] = min(mine.get(target, starts[record]), starts[record])
    for name in [name for name in touched if program.looking_through[name]]:
        starts = touched[name]
        for target, looker, record in records.looking_through(conn, name, list(starts)):
            mine = touched.setdefault(looker, {})
            mine[record] = min(mine.get(record, starts[target]), starts[target])


def evaluate(conn: Connection, engine: Engine, touched: Mapping[str, Mapping[str, datetime]]) -> Applied:
    """Bring the kept spans of the touched records up to what the rules say from the given instants on."""
    program, applied = engine.program, Applied()
    raw: dict[tuple[str, str, str], list[RawSpan]] = {}
    ruled = {name: records for name, records in touched.items() if records and program.of_object(name)}
    for fresh in span_store.evaluate(conn, engine.query(ruled), ruled) if ruled else ():
        raw.setdefault((fresh.rule, engine.rules[fresh.rule].rule.object, fresh.record), []).append(fresh)
    kept: dict[tuple[str, str, str], list[Span]] = {}
    for old in span_store.spans_of(conn, touched):
        kept.setdefault((old.rule, old.object, old.record), []).append(old)
    gone: list[Span] = []
    made: list[Span] = []
    for key in raw.keys() | kept.keys():
        rule, name, record = key
        if rule not in engine.rules:
            continue
        delay = engine.rules[rule].delay
        change = revise(
            kept.get(key, ()), raw.get(key, ()), touched[name][record], rule=rule, subject=(name, record),
            opens=lambda since, delay=delay: _opens(since, delay, program),  # type: ignore[misc]
        )  # fmt: skip
        gone += change.gone
        made += change.made
        applied.withdrawn += change.withdrawn
        applied.reopened += change.reopened
    span_store.replace(conn, sorted(gone), sorted(made))
    applied.withdrawn.sort()
    applied.reopened.sort()
    return applied


def _opens(since: datetime, delay: Any, program: Program) -> datetime:
    try:
        return shift(since, delay, program.book.zone) if delay else since
    except OverflowError:
        return FOREVER


Moment = tuple[str, str, datetime]
"""(object, record, instant)"""


def moments(conn: Connection, engine: Engine, wanted: Iterable[Moment]) -> dict[Moment, Record]:
    """Records as they were at instants, with who set what, and what rollups over other records were then."""
    asked = list(wanted)
    found = _own_moments(conn, engine, asked)
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
        kids = _own_moments(conn, engine, [kid for listed in kid_moments.values() for kid in listed])
        by_parent = [
            {
                over: refer_to(rollups, number, moment[1], over, [kids[k] for k in kid_moments[moment] if k[0] == over])
                for over in {rollup.over for rollup in rollups}
            }
            for number, moment in enumerate(mine)
        ]
        for moment, values in zip(mine, gathered_values(engine.program, rollups, by_parent), strict=True):
            known = found[moment]
            given = {field: value for field, value in values.items() if value is not None and known.alive}
            found[moment] = Record(known.alive, {**known.state, **given}, known.who)
    return found


def _own_moments(conn: Connection, engine: Engine, wanted: Iterable[Moment]) -> dict[Moment, Record]:
    """From the records' rows where nothing has changed since, else folded from the journal."""
    found: dict[Moment, Record] = {}
    by_object: dict[str, dict[str, list[datetime]]] = {}
    for name, record, at in sorted(set(wanted)):
        by_object.setdefault(name, {}).setdefault(record, []).append(at)
    for name, groups in by_object.items():
        stored = records.load(conn, name, list(groups))
        past: dict[str, list[datetime]] = {}
        for record, instants in groups.items():
            row = stored.get(record)
            for at in instants:
                if row is not None and row.changed_at <= at:
                    found[name, record, at] = Record(row.deleted_at is None, row.state, row.provenance)
                elif row is not None and row.created_at <= at:
                    past.setdefault(record, []).append(at)
                else:
                    found[name, record, at] = Record()
        histories: dict[str, list[Event]] = {record: [] for record in past}
        for _, event, layer in journal.events_of(conn, name, list(past)) if past else ():
            if folded(event.type, layer):
                histories[event.record_id].append(event)
        for record, instants in past.items():
            _replay(engine.folds[name], name, record, histories[record], instants, found)
    return found


def _replay(
    fold: ObjectFold,
    name: str,
    record: str,
    events: list[Event],
    instants: list[datetime],
    found: dict[Moment, Record],
) -> None:
    now, position = Record(), 0
    for at in instants:
        while position < len(events) and events[position].time <= at:
            fold.apply(now, events[position])
            position += 1
        found[name, record, at] = Record(now.alive, dict(now.state), dict(now.who))
