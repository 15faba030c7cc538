"""The fold: what a record is after an event. A pure function, the same for the live store and for backtests.

A record exists from its first event until `record.deleted` (or `record.merged`); a later event begins it anew,
empty (where the rule layer merged it, later events are the survivor's: rules.merging; where its source did, who refers
to it refers to the survivor, all the same). `record.updated`, and the
fields of a handoff, patch fields; rollups count any core event. Decisions of the rule layer set what it accepted from
workers; the workers' own events never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, Protocol

import msgspec

from watchtower.contract import CORE_SOURCE, Event, format_time, parse_time
from watchtower.rulebook import Rulebook
from watchtower.rulebook.duties import HANDOFF_STATUS
from watchtower.rulebook.model import Rollup
from watchtower.rules.business import OpenHours, Pauses
from watchtower.rules.compile import Program
from watchtower.rules.filter import compile_filter
from watchtower.rules.merging import ENDS as _ENDS
from watchtower.rules.merging import Absorbed, Redirected
from watchtower.rules.schema import Column
from watchtower.rules.spans import FOREVER
from watchtower.rules.values import Parser, parser

FIELD_ACCEPTED, SIGNAL_ADMITTED = "field.accepted", "signal.admitted"
FIELD_WITHDRAWN = "field.withdrawn"
"""A person takes back that a person accepted a proposal: the field goes back to what it was before. That follows from
the record's history alone, so such an event is folded together with all that came before it."""
_HANDOFFS = {f"handoff.{status}": status for status in HANDOFF_STATUS}
_DECISIONS = (FIELD_ACCEPTED, FIELD_WITHDRAWN, SIGNAL_ADMITTED)
HEARD = "tower.heard"
"""The rule layer's word that a source spoke, or a job ran: it sets `last_event_at` of a built-in record."""
_DECIDED = frozenset({*_DECISIONS, HEARD})
_PATCHES = ("record.updated", "handoff.offered", "handoff.accepted", "handoff.rejected", HEARD)

Step = Callable[[dict[str, Any], Event, str], None]
"""(state, event, the event's time as text)"""
Rolling = tuple[str, Callable[[dict[str, Any]], Any] | None, Step]
"""A rollup: its field, what an event's data must fulfil, and the step."""
Follow = Callable[[dict[str, Any], Any, Any, Event, str], Any]
"""(state, the field's new value, the one before, event, the event's time as text) -> the derived value"""


@dataclass
class Record:
    """A record while it is folded. `state` holds JSON values by column; `who` says who set each field."""

    alive: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    who: dict[str, dict[str, str]] = field(default_factory=dict)
    before: dict[str, dict[str, tuple[Any, dict[str, str]]]] = field(default_factory=dict, compare=False, repr=False)
    """By acceptance of a person: the columns it set, with their values and marks before it."""


class Spoken(Protocol):
    """An event, or its row in the journal."""

    @property
    def type(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def data(self) -> Any: ...


def speaker(event: Spoken) -> str:
    """`person`, `ai` or the system's name: what `source_of` says of a field this event sets."""
    if event.type in (FIELD_ACCEPTED, FIELD_WITHDRAWN):
        return str(event.data.get("by", "ai"))
    if event.source == "person" or event.source.startswith("person:"):
        return "person"
    return event.source


def may_set(ranks: Mapping[str, int], source: str, held: Any, held_by: str) -> bool:
    """Whether a source may set or clear a field: it is listed, and nobody above it holds a value there now."""
    rank = ranks.get(source)
    return rank is not None and (held is None or rank <= ranks.get(held_by, rank))


class ObjectFold:
    """How events change records of one object."""

    def __init__(
        self,
        book: Rulebook,
        name: str,
        columns: Iterable[str],
        *,
        trace: bool = False,
        refs: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.name = name
        self.refs = {ref: target for target, ref in refs}
        """Of the references that rules read: to which object."""
        self._trace = trace
        model = book.objects[name]
        self.parsers: dict[str, Parser] = {
            key: parser(key, spec) for key, spec in model.fields.items() if spec.rollup is None
        }
        self.earlier = {old: key for key, spec in model.fields.items() for old in spec.renamed_from}
        # Of fields that say where a value may come from: the rank of each source, 0 the highest.
        self.ranks: dict[str, dict[str, int]] = {
            key: {source: rank for rank, source in enumerate(spec.sources)}
            for key, spec in model.fields.items()
            if spec.sources
        }
        self.zeros: list[str] = []
        by_kind: dict[str, list[Rolling]] = {"*": []}
        for key, spec in model.fields.items():
            if spec.rollup is None or spec.rollup.over:
                continue
            accepts = compile_filter(spec.rollup.where) if spec.rollup.where else None
            rolling = (key, accepts, _rollup(key, spec.rollup, parser(key, spec)))
            if spec.rollup.op == "count":
                self.zeros.append(key)
            for kind in spec.rollup.of:
                by_kind.setdefault(kind, []).append(rolling)
        self._every = by_kind.pop("*")
        self._rollups = {kind: mine + self._every for kind, mine in by_kind.items()}
        self.handoffs = frozenset(key for key, handoff in book.handoffs.items() if handoff.object == name)
        self.tracked: dict[str, list[tuple[str, Follow]]] = {}
        # Of fields that are read as if AI had never filled them: the column that keeps that value.
        self.verified: dict[str, str] = {}
        for column in columns:
            self._track(book, column)
        # Rollups change with many events: who changed them is kept only where somebody will ask (`trace`).
        rolled = [key for key, spec in model.fields.items() if spec.rollup is not None and not spec.rollup.over]
        self._rolled = frozenset(key for key in rolled if trace or key in self.tracked)

    def _track(self, book: Rulebook, column: str) -> None:
        """Columns that follow a field: changed_at, previous, source_of, and business-time instants."""
        kind, bracket, rest = column.partition("(")
        if not bracket:
            return
        target, *arguments = rest.rstrip(")").split(",")
        if kind == "verified":
            self.verified[target] = column
            return
        if kind == "changed_at":
            follow: Follow = lambda state, value, old, event, time: time  # noqa: E731
        elif kind == "previous":
            follow = lambda state, value, old, event, time: old  # noqa: E731
        elif kind == "source_of":
            follow = lambda state, value, old, event, time: speaker(event)  # noqa: E731
        else:
            hours = OpenHours(book.calendars[arguments[0]], book.zone)
            if len(arguments) == 3:
                self._track_pause(hours, column, kind, target, int(arguments[1]), arguments[2])
                return
            reach = hours.first if kind == "business_first" else hours.last
            follow = _business(reach, int(arguments[1]), target)
        self.tracked.setdefault(self._source(target), []).append((column, follow))

    def _source(self, target: str) -> str:
        """The field that a column follows: of `changed_at(stage)`, stage, whose changes are then kept, too."""
        field = target.removeprefix("changed_at(").removesuffix(")")
        mine = self.tracked.setdefault(field, [])
        if field != target and not any(name == target for name, _ in mine):
            mine.insert(0, (target, lambda state, value, old, event, time: time))
        return field

    def _track_pause(self, hours: OpenHours, column: str, kind: str, target: str, length: int, paused: str) -> None:
        """Business time that stands while a field is true: it follows that field, too, whose pauses are kept."""
        kept = f"pauses({paused})"
        follow = _paused(hours.paused_first if kind == "business_first" else hours.paused_last, length, target, kept)
        mine = self.tracked.setdefault(paused, [])
        if not any(name == kept for name, _ in mine):
            mine.insert(0, (kept, _pauses(kept)))
        mine.append((column, follow))
        self.tracked.setdefault(self._source(target), []).append((column, follow))

    def check(self, event: Event) -> None:
        """ValueError where a field of the event has a value the rulebook does not allow, or a source decides."""
        if event.type in _DECIDED and event.source != CORE_SOURCE:
            raise ValueError(f"type: {event.type!r} is spoken by the rule layer only, not by {event.source!r:.80}")
        if event.type in _PATCHES:
            for key, value in self._said(event):
                if value is not None:
                    self.parsers[key](value)
        elif event.type == "record.merged":
            into = event.data.get("into")
            if not isinstance(into, str) or not into.removeprefix(f"{event.object}/"):
                raise ValueError(f"data.into: {into!r:.60} is not the id of the record that it became")

    def misfits(self, event: Event) -> Iterator[tuple[str, Any, str]]:
        """(field, value, why) of what an event that was taken once says, and the rulebook no longer allows."""
        said: Iterable[tuple[str, Any]] = ()
        if event.type in _PATCHES:
            said = self._said(event)
        elif event.type == FIELD_ACCEPTED:
            key = self.earlier.get(event.data["field"], event.data["field"])
            said = [(key, event.data["value"])] if key in self.parsers else ()
        for key, value in said:
            if value is not None:
                try:
                    self.parsers[key](value)
                except ValueError as error:
                    yield key, value, str(error)

    def _said(self, event: Event) -> Iterable[tuple[str, Any]]:
        """(field, value as it came) of the fields that the rulebook knows, under their present or an earlier name."""
        fields = event.data.get("fields", {})
        if not isinstance(fields, dict):
            raise ValueError(f"data.fields: {fields!r:.60} is not a JSON object")
        if not self.earlier:
            return [(key, value) for key, value in fields.items() if key in self.parsers]
        # Where an event says both, the present name counts.
        named = ((self.earlier.get(key, key), key, value) for key, value in fields.items())
        return [
            (key, value) for key, name, value in named if key in self.parsers and (key == name or key not in fields)
        ]

    def apply(self, record: Record, event: Event) -> None:
        """Change `record` by one event that comes after all it has seen."""
        if type(event) is not Event:
            self._rejoin(record, event)
            return
        kind, time = event.type, format_time(event.time)
        if kind in _DECISIONS:
            if record.alive:
                self._decide(record, event, time)
            return
        if kind in _ENDS:
            record.alive, record.state, record.who, record.before = False, {}, {}, {}
            return
        if not record.alive:
            record.alive = True
            record.state = dict.fromkeys(self.zeros, 0)
        if kind in _PATCHES:
            ranks = self.ranks
            for key, said in self._said(event):
                try:
                    value = None if said is None else self.parsers[key](said)
                except ValueError:
                    # Allowed at the door, under an earlier rulebook: who put this one in force was told (flow.misfits).
                    continue
                if key in self.verified:
                    self.verify(record, key, value, event, time)
                if ranks and key in ranks and not self._may_set(record, key, event, time):
                    continue
                self.set(record, key, value, event, time)
            if kind in _HANDOFFS and event.data.get("handoff") in self.handoffs:
                self._hand_over(record, event.data["handoff"], _HANDOFFS[kind], event, time)
        if rollups := self._rollups.get(kind, self._every):
            self._roll(rollups, record, event, time)

    def _rejoin(self, record: Record, event: Event) -> None:
        """What a merge of records makes of this one."""
        if isinstance(event, Absorbed):
            fresh = Record()
            for past in event.past:
                self.apply(fresh, past)
            record.alive, record.state, record.who = fresh.alive, fresh.state, fresh.who
        elif isinstance(event, Redirected):
            for ref, target in self.refs.items():
                if target == event.target and record.state.get(ref) == event.gone:
                    record.state[ref] = event.into

    def mentions(self, event: Event) -> list[tuple[str, str]]:
        """(object, id) of the records that an event refers to, by references that rules read."""
        if not self.refs:
            return []
        said: Iterable[tuple[str, Any]] = ()
        if event.type in _PATCHES and isinstance(event.data.get("fields"), dict):
            said = self._said(event)
        elif event.type == FIELD_ACCEPTED:
            field = event.data["field"]
            said = [(self.earlier.get(field, field), event.data["value"])]
        named = [(key, self._refers_to(key, value)) for key, value in said if key in self.refs]
        return [(self.refs[key], record) for key, record in named if record is not None]

    def rewrite(self, event: Event, became: Callable[[str, str], str]) -> Event:
        """The event with each of these references as the function says."""

        def now(key: str, value: Any) -> Any:
            target = self.refs.get(present := self.earlier.get(key, key))
            record = self._refers_to(present, value) if target is not None else None
            return value if target is None or record is None else became(target, record)

        if event.type == FIELD_ACCEPTED:
            data = {**event.data, "value": now(event.data["field"], event.data["value"])}
        else:
            fields = event.data.get("fields", {})
            data = {**event.data, "fields": {key: now(key, value) for key, value in fields.items()}}
        return msgspec.structs.replace(event, data=data)

    def _refers_to(self, key: str, value: Any) -> str | None:
        try:
            return None if value is None else str(self.parsers[key](value))
        except ValueError:
            return None

    def _roll(self, rollups: Sequence[Rolling], record: Record, event: Event, time: str) -> None:
        state, data = record.state, event.data
        changed: list[tuple[str, Any]] = []
        for key, accepts, step in rollups:
            if accepts is not None and accepts(data) is not True:
                continue
            old = state.get(key)
            step(state, event, time)
            if key in self._rolled and state.get(key) != old:
                changed.append((key, old))
        if not changed:
            return
        mark = _mark(event, time) if self._trace else {}
        for key, old in changed:
            if mark:
                record.who[key] = mark
            if key in self.tracked:
                self._follow(record, key, state.get(key), old, event, time)

    def set(self, record: Record, key: str, value: Any, event: Event, time: str) -> None:
        """Give a field a parsed value (None clears it), with what follows from it."""
        state = record.state
        old = state.get(key)
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
        if value is not None or key in record.who:
            record.who[key] = _mark(event, time)
        if key in self.tracked:
            self._follow(record, key, value, old, event, time)

    def verify(self, record: Record, key: str, value: Any, event: Event, time: str) -> None:
        """What a person or a system says of a field that is read as verified. The value is kept beside the field's own,
        with a rank of its own: that AI filled the field meanwhile makes no difference to it."""
        column = self.verified[key]
        held_by = record.who.get(column, {}).get("by", "")
        if key in self.ranks and not may_set(self.ranks[key], speaker(event), record.state.get(column), held_by):
            return
        if value is None:
            record.state.pop(column, None)
        else:
            record.state[column] = value
        if value is not None or column in record.who:
            record.who[column] = _mark(event, time)

    def _may_set(self, record: Record, key: str, event: Event, time: str) -> bool:
        """Whether the event's source ranks high enough for this field at this instant. Where not, the field says so:
        its provenance names the last event that was passed over, until the field is set anew."""
        if may_set(self.ranks[key], speaker(event), record.state.get(key), record.who.get(key, {}).get("by", "")):
            return True
        passed = {"passed_over": speaker(event), "passed_over_event": event.id, "passed_over_at": time}
        record.who[key] = {**record.who.get(key, {}), **passed}
        return False

    def _follow(self, record: Record, key: str, value: Any, old: Any, event: Event, time: str) -> None:
        for column, follow in self.tracked[key]:
            if column.startswith("source_of"):
                record.state[column] = follow(record.state, value, old, event, time) if value is not None else None
            elif value != old:
                record.state[column] = follow(record.state, value, old, event, time)
            if record.state.get(column) is None:
                record.state.pop(column, None)

    def _hand_over(self, record: Record, handoff: str, status: str, event: Event, time: str) -> None:
        for key, value in ((f"{handoff}.status", status), (f"{handoff}.{status}_at", time)):
            self.set(record, key, value, event, time)

    def _decide(self, record: Record, event: Event, time: str) -> None:
        data = event.data
        if event.type == FIELD_ACCEPTED:
            key = self.earlier.get(data["field"], data["field"])
            if key not in self.parsers:
                return
            try:
                value = self.parsers[key](data["value"])
            except ValueError:
                return
            if data.get("by") == "person":
                columns = filter(None, (key, self.verified.get(key)))
                record.before[event.id] = {
                    column: (record.state.get(column), record.who.get(column, {})) for column in columns
                }
            if key in self.verified and data.get("by", "ai") != "ai":
                self.verify(record, key, value, event, time)
            # Late news may show that a person or a system had set the field by then: theirs stays.
            held = record.who.get(key, {}).get("by", "ai")
            if held != "ai" and record.state.get(key) is not None and data.get("by", "ai") == "ai":
                return
            if key in self.ranks and not self._may_set(record, key, event, time):
                return
            self.set(record, key, value, event, time)
            return
        if event.type == FIELD_WITHDRAWN:
            self._withdraw(record, event, time)
            return
        raised_at = time if data["p_value"] is not None else None
        for key, value in (*((k, data[k]) for k in ("p_value", "strength", "began_at")), ("raised_at", raised_at)):
            column = f"{data['signal']}.{key}"
            if value is None:
                record.state.pop(column, None)
            else:
                record.state[column] = value
                record.who[column] = _mark(event, time)

    def _withdraw(self, record: Record, event: Event, time: str) -> None:
        """Put back what an acceptance replaced, where the field is still its word."""
        accepted = event.data["accepted"]
        for column, (value, mark) in record.before.pop(accepted, {}).items():
            if record.who.get(column, {}).get("id") != accepted:
                continue
            old = record.state.pop(column, None)
            record.who.pop(column)
            if value is not None:
                record.state[column] = value
            if mark:
                record.who[column] = mark
            if column in self.tracked:
                earlier = msgspec.structs.replace(event, data={**event.data, "by": mark.get("by", "")})
                self._follow(record, column, value, old, earlier, time)

    def versions(self, events: Iterable[Event], record: Record | None = None) -> Iterator[tuple[datetime, Record]]:
        """The record after each distinct time of its events, in order. The same Record object, changed in between."""
        record = Record() if record is None else record
        pending: datetime | None = None
        for event in events:
            if pending is not None and event.time != pending:
                yield pending, record
            self.apply(record, event)
            pending = event.time
        if pending is not None:
            yield pending, record


NEVER = format_time(FOREVER)
"""What is never reached is no missing value: the instant is the last there is."""


def _business(reach: Callable[[datetime, int], datetime | None], length: int, target: str) -> Follow:
    def follow(state: dict[str, Any], value: Any, old: Any, event: Event, time: str) -> Any:
        since = state.get(target)
        if since is None:
            return None
        found = reach(parse_time(since), length)
        return NEVER if found is None else format_time(found)

    return follow


def _pauses(kept: str) -> Follow:
    """The stretches in which a field was true: begin, end, begin, ... as texts."""

    def follow(state: dict[str, Any], value: Any, old: Any, event: Event, time: str) -> Any:
        known: list[str] = state.get(kept, [])
        if (value is True) == (len(known) % 2 == 1):
            return known or None
        # What began and ended at the same instant was no pause.
        return (known[:-1] if known and known[-1] == time else [*known, time]) or None

    return follow


def _paused(reach: Callable[[datetime, int, Pauses], datetime | None], length: int, target: str, kept: str) -> Follow:
    def follow(state: dict[str, Any], value: Any, old: Any, event: Event, time: str) -> Any:
        since = state.get(target)
        if since is None:
            return None
        times = [parse_time(text) for text in state.get(kept, ())]
        found = reach(parse_time(since), length, list(zip_longest(times[::2], times[1::2])))
        return NEVER if found is None else format_time(found)

    return follow


def _rollup(key: str, spec: Rollup, parse: Parser) -> Step:
    """One step of a rollup. A value that is absent or does not parse is passed over."""
    op, what = spec.op, spec.what

    def count(state: dict[str, Any], event: Event, time: str) -> None:
        state[key] = state.get(key, 0) + 1

    def last_time(state: dict[str, Any], event: Event, time: str) -> None:
        state[key] = time

    def step(state: dict[str, Any], event: Event, time: str) -> None:
        value = time if what == "time" else event.data.get(what)
        if value is None:
            return
        if what != "time":
            try:
                value = parse(value)
            except ValueError:
                return
        old = state.get(key)
        if old is None or op == "last" or (op == "min" and value < old) or (op == "max" and value > old):
            state[key] = value
        elif op == "sum":
            state[key] = old + value

    if op == "count":
        return count
    return last_time if op == "last" and what == "time" else step


def reading(column: Column, own: Record, related: Mapping[str, Record]) -> tuple[Any, dict[str, str]]:
    """The value that a rule reads in a column, and who set it (empty where nobody did). `related`: by ref field."""
    holder = related.get(column.ref, Record()) if column.ref else own
    field = column.field.rpartition(".")[2] if column.ref else column.field
    mark = holder.who.get(field, {})
    return holder.state.get(column.target or column.name), mark if "id" in mark else {}


def build_folds(program: Program, *, trace: bool = False) -> dict[str, ObjectFold]:
    """The fold of each object, with just the derived columns that rules read; `trace`: who changed each rollup."""
    return {
        name: ObjectFold(program.book, name, program.columns_of[name], trace=trace, refs=program.references_of(name))
        for name in program.book.objects
    }


def _mark(event: Event, time: str) -> dict[str, str]:
    return {"source": event.source, "id": event.id, "at": time, "by": speaker(event)}
