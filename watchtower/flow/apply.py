"""From new journal entries to records, spans and decisions, within the transaction that wrote the entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from watchtower.contract import Document, Event, format_time
from watchtower.flow.streams import Rejoined, concerned, led, streams
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.fold import FIELD_WITHDRAWN, ObjectFold, Record, build_folds
from watchtower.rules.spans import FOREVER, shift
from watchtower.rules.spans_kept import RawSpan, Span, revise
from watchtower.store import records
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


class Recent(NamedTuple):
    """The last stretch of a record's history, as it was folded just now."""

    begin: RecordRow | None
    """The record before it; None: the stretch is all there is."""
    events: Sequence[Event]


@dataclass
class Applied:
    """Spans whose told alerts were told wrongly, as is known now; and what was folded, by object and id."""

    withdrawn: list[Span] = field(default_factory=list)
    reopened: list[Span] = field(default_factory=list)
    recent: dict[tuple[str, str], Recent] = field(default_factory=dict)


def apply_events(conn: Connection, engine: Engine, events: Sequence[Event]) -> Applied:
    """Fold new entries into their records, in order of time and arrival, and evaluate what they touch."""
    touched: dict[str, dict[str, datetime]] = {}
    by_object: dict[str, dict[str, list[Event]]] = {}
    for event in events:
        name, _, record = event.subject.partition("/")
        by_object.setdefault(name, {}).setdefault(record, []).append(event)
    documents = [(event.object, event.record_id, doc) for event in events if (doc := _document(event)) is not None]
    histories: list[_History] = []
    referring = led(conn, events)
    known, merged = records.stored(conn, by_object)
    for found in concerned(conn, engine.folds, by_object, referring) if merged else ():
        histories.append(_again(found))
        touched.setdefault(found.object, {})[found.id] = found.start
    for name, groups in by_object.items():
        stored = known[name]
        late = [
            record
            for record, new in groups.items()
            if record in stored
            and (
                min(event.time for event in new) < stored[record].changed_at
                or any(event.type == FIELD_WITHDRAWN for event in new)
            )
        ]
        past = streams(conn, engine.folds, name, late)
        for record, new in groups.items():
            new.sort(key=attrgetter("time"))
            start = new[0].time
            if record in past:
                histories.append(_History(name, record, start, past[record], rebuilt=True))
            else:
                histories.append(_History(name, record, start, new, begin=stored.get(record)))
            touched.setdefault(name, {})[record] = start
    _fold(conn, engine, histories)
    records.save_documents(conn, documents)
    _look_through(conn, engine.program, touched)
    applied = evaluate(conn, engine, touched)
    applied.recent = {(one.object, one.id): Recent(one.begin, one.events) for one in histories}
    return applied


def rebuild_records(conn: Connection, engine: Engine, known: Sequence[tuple[str, str, datetime]]) -> None:
    """Fold records from the journal anew, from their first event on: a rulebook has changed."""
    by_object: dict[str, dict[str, datetime]] = {}
    for name, record, created in known:
        by_object.setdefault(name, {})[record] = created
    histories = [
        _History(name, record, starts[record], events, rebuilt=True)
        for name, starts in by_object.items()
        for record, events in streams(conn, engine.folds, name, list(starts)).items()
    ]
    _fold(conn, engine, histories)


def apply_rejoined(conn: Connection, engine: Engine, found: Sequence[Rejoined]) -> Applied:
    """Fold records anew that were merged, or are two again, or refer to such a one, and evaluate what they touch."""
    _fold(conn, engine, [_again(one) for one in found])
    touched: dict[str, dict[str, datetime]] = {}
    for one in found:
        touched.setdefault(one.object, {})[one.id] = one.start
    _look_through(conn, engine.program, touched)
    return evaluate(conn, engine, touched)


def _again(found: Rejoined) -> _History:
    return _History(found.object, found.id, found.start, found.events, rebuilt=True)


def evaluate_records(conn: Connection, engine: Engine, known: Sequence[tuple[str, str, datetime]]) -> Applied:
    """Evaluate records from their first event on."""
    touched: dict[str, dict[str, datetime]] = {}
    for name, record, created in known:
        touched.setdefault(name, {})[record] = created
    return evaluate(conn, engine, touched)


@dataclass
class _History:
    """What a record is to be folded from, and what came of it."""

    object: str
    id: str
    start: datetime
    """Versions from here on are new."""
    events: list[Event]
    begin: RecordRow | None = None
    """The record before them; None: they are all there is of it."""
    rebuilt: bool = False
    """Earlier versions may go beyond `start`."""
    made: NewRecord | None = None

    @property
    def meets(self) -> bool:
        """Whether the last event before these bears the same time: its version is replaced."""
        return self.begin is not None and self.begin.changed_at == self.start

    @property
    def bounds(self) -> records.Bounds:
        # The version that the new ones follow on began with the last event before them: there is one while it lives.
        follows = self.begin is not None and self.begin.deleted_at is None and not self.meets
        closes = format_time(self.begin.changed_at) if follows and self.begin is not None else None
        start = format_time(self.start)
        return records.Bounds(
            object=self.object, id=self.id, begun=start, closes=closes, rebuilt=self.rebuilt or self.meets
        )


def _fold(conn: Connection, engine: Engine, histories: Sequence[_History]) -> None:
    """Fold each history, and write what comes of it."""
    if not histories:
        return
    refs = {name: engine.program.references_of(name) for name in {history.object for history in histories}}
    links: set[tuple[str, str, str, str, str]] = set()

    def versions() -> Iterator[NewVersion]:
        for history in histories:
            mine = refs[history.object]
            for version in _versions(engine.folds[history.object], history):
                for target, ref in mine:
                    if isinstance(value := version.state.get(ref), str):
                        links.add((target, value, history.object, ref, history.id))
                yield version

    def made() -> tuple[list[NewRecord], list[NewLink]]:
        return (
            [history.made for history in histories if history.made is not None],
            [NewLink(target_object=a, target=b, object=c, ref=d, record=e) for a, b, c, d, e in sorted(links)],
        )

    bounds = [history.bounds for history in histories]
    records.write(conn, bounds, versions(), made, many=sum(len(history.events) for history in histories))


def _versions(fold: ObjectFold, history: _History) -> Iterator[NewVersion]:
    """The record's versions from `start` on; `made` is the record after the last of its events."""
    now, begin, start = Record(), history.begin, history.start
    if begin is not None:
        now = Record(alive=begin.deleted_at is None, state=dict(begin.state), who=dict(begin.provenance))
    created = begin.created_at if begin is not None else None
    deleted = begin.deleted_at if begin is not None else None
    last, since, state = start, "", None
    for time, after in fold.versions(history.events, now):
        last = time
        created = created or time
        deleted = None if after.alive else deleted or time
        if time < start:
            continue
        at = format_time(time)
        if state is not None:
            yield NewVersion(object=history.object, id=history.id, valid_from=since, valid_to=at, state=state)
        since, state = at, dict(after.state) if after.alive else None
    if state is not None:
        yield NewVersion(object=history.object, id=history.id, valid_from=since, valid_to=None, state=state)
    history.made = NewRecord(
        object=history.object, id=history.id, state=now.state, provenance=now.who,
        created_at=format_time(created or start), changed_at=format_time(last),
        deleted_at=format_time(deleted) if deleted else None,
    )  # fmt: skip


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
    found, known = span_store.evaluate(conn, engine.query(ruled) if ruled else None, ruled, touched)
    for fresh in found:
        raw.setdefault((fresh.rule, engine.rules[fresh.rule].rule.object, fresh.record), []).append(fresh)
    kept: dict[tuple[str, str, str], list[Span]] = {}
    for old in known:
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
