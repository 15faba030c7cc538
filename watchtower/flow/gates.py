"""Gates: may a record be handed over, or make this move? The rules that it would break say no.

A gate applies the event to a copy of the record and asks the rules that follow from the handoff's contract, or
from the criteria of the lifecycle. One that would hold, or cannot be decided, refuses; `for` gives no delay here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.contract import Event, format_time
from watchtower.errors import InputError, Missing
from watchtower.flow.explain import Then, explain
from watchtower.rulebook import RuleModel
from watchtower.rules.compile import CompiledRule, Program
from watchtower.rules.fold import ObjectFold, Record

ACTIONS = {"offer": "handoff.offered", "accept": "handoff.accepted", "reject": "handoff.rejected"}
_CONTRACT = ("requires", "criteria", "responsible")
_CRITERIA = ("requires", "enter", "leave")


@dataclass(frozen=True)
class Refusal:
    """One rule that says no. `missing`: the fields it lacks; `state`: would it hold, or is it unknown?"""

    rule: str
    state: str
    missing: tuple[str, ...]
    because: str
    then: str
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule, "state": self.state, "missing": list(self.missing), "because": self.because,
            "then": self.then, "sentence": self.sentence,
        }  # fmt: skip


@dataclass(frozen=True)
class Passage:
    """What a gate said. Allowed where nothing refuses."""

    event: Event
    version: str
    refusals: tuple[Refusal, ...]

    @property
    def allowed(self) -> bool:
        return not self.refusals

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(field for refusal in self.refusals for field in refusal.missing))

    def to_json(self) -> dict[str, Any]:
        return {
            "allowed": self.allowed, "record": self.event.subject, "at": format_time(self.event.time),
            "handoff": self.event.data.get("handoff"), "missing": list(self.missing),
            "refusals": [refusal.to_json() for refusal in self.refusals], "version": self.version,
        }  # fmt: skip


def gate_of(rule: RuleModel) -> tuple[str, str] | None:
    """("handoffs", name) or ("lifecycles", name) where the rule guards a gate; shadow rules guard none."""
    part, _, rest = rule.origin.partition(".")
    name, _, inner = rest.partition(".")
    last = inner.rpartition(".")[2]
    if rule.mode != "active" or part not in ("handoffs", "lifecycles"):
        return None
    guards = last in _CONTRACT if part == "handoffs" else last in _CRITERIA or inner in ("", "moves")
    return (part, name) if guards else None


def check_fields(program: Program, subject: str, fields: Mapping[str, Any]) -> None:
    """InputError where a field is none that an event can set: a misspelt name would pass every gate. Asked of whoever
    stands at the gate, not of a replay: what was refused once bears what was said then."""
    model = program.book.objects.get(name := subject.partition("/")[0])
    if model is None:
        return
    settable = {key: spec.renamed_from for key, spec in model.fields.items() if spec.rollup is None}
    for key in fields:
        if key in model.fields and key not in settable:
            raise InputError(f"fields: {name}.{key} is computed; nobody sets it", remedy="leave it out")
        if key not in settable and not any(key in earlier for earlier in settable.values()):
            raise InputError(f"fields: {name} has no field {key!r:.80}", remedy=f"it has {', '.join(settable)}")


def passage_event(
    program: Program, subject: str, *, handoff: str | None, action: str, fields: Mapping[str, Any], **attributes: Any
) -> Event:
    """The event that a passage would be. InputError, Missing where it names what is not there."""
    name, _, record = subject.partition("/")
    if name not in program.book.objects or not record:
        raise InputError(f"record: {subject!r:.80} is not a record", remedy="write object/id, such as opportunity/O-7")
    if handoff is None:
        if not fields:
            raise InputError("fields: a move changes at least one field", remedy="give fields, or name a handoff")
        data: dict[str, Any] = {"fields": dict(fields)}
        return Event(type="record.updated", subject=subject, data=data, **attributes)
    contract = program.book.handoffs.get(handoff)
    if contract is None:
        known = ", ".join(program.book.handoffs) or "the rulebook has none"
        raise Missing(f"handoff {handoff!r:.80} is not in the rulebook", remedy=f"handoffs: {known}")
    if contract.object != name:
        raise InputError(f"handoff {handoff}: is about {contract.object} records, not {subject!r:.80}")
    if action not in ACTIONS:
        raise InputError(f"action: {action!r:.80} is not known", remedy=f"actions: {', '.join(ACTIONS)}")
    return Event(type=ACTIONS[action], subject=subject, data={"handoff": handoff, "fields": dict(fields)}, **attributes)


def guards(program: Program, event: Event, before: Record, after: Record) -> list[CompiledRule]:
    """The rules that stand at the gates this event goes through: its handoff's, or those of lifecycles it moves in.

    What moved is seen on the record, not in the event: that may speak of a field under an earlier name.
    """
    gates: set[tuple[str, str]] = set()
    if event.type == ACTIONS["reject"]:
        return []
    if (handoff := event.data.get("handoff")) is not None:
        gates.add(("handoffs", handoff))
    for name, cycle in program.book.lifecycles.items():
        moved = after.state.get(cycle.field) != before.state.get(cycle.field)
        if cycle.object == event.object and moved:
            gates.add(("lifecycles", name))
    # By id: a rulebook read from its YAML lists them in another order than one read from the database.
    found = [compiled for compiled in program.of_object(event.object) if gate_of(compiled.rule) in gates]
    return sorted(found, key=lambda compiled: compiled.rule.id)


def after_event(fold: ObjectFold, before: Record, event: Event) -> Record:
    """The record as it would be. InputError where a field has a value the rulebook does not allow."""
    try:
        fold.check(event)
    except ValueError as error:
        raise InputError(f"{event.subject}: {error}") from None
    after = Record(before.alive, dict(before.state), dict(before.who))
    fold.apply(after, event)
    return after


def stands(fold: ObjectFold, event: Event, before: Record, after: Record) -> bool:
    """Whether the record is already what the event would make it. InputError where a handoff is answered that is not
    on offer."""
    handoff = event.data.get("handoff")
    given = [fold.earlier.get(key, key) for key in event.data["fields"]]
    same = all(before.state.get(key) == after.state.get(key) for key in given)
    if handoff is None:
        return before.alive and same
    status, wanted = before.state.get(f"{handoff}.status"), after.state[f"{handoff}.status"]
    if status == wanted and same:
        return True
    if event.type != ACTIONS["offer"] and status != "offered":
        standing = f"is {status} already" if status else "was not offered"
        raise InputError(f"handoff {handoff}: {event.subject} {standing}", remedy="offer it first")
    return False


def try_events(program: Program, events: Sequence[Event], event: Event) -> Passage:
    """What the gate says after these events, those with time <= the event's. InputError as in `stands`."""
    then = Then(program, events, event.time)
    before = then.record(event.subject)
    fold = then.folds[event.object]
    after = after_event(fold, before, event)
    if stands(fold, event, before, after):
        return Passage(event, program.book.version, ())
    rules = guards(program, event, before, after)
    return ask(program, event, after, then.related(rules, after), rules)


def ask(
    program: Program, event: Event, after: Record, related: Mapping[str, Record], rules: list[CompiledRule]
) -> Passage:
    """Let each guard speak on the record as it would be. `related`: by ref field, as they are."""
    refusals = []
    for compiled in rules:
        said = explain(program, compiled, event.subject, after, related, event.time)
        if said["state"] not in ("holds", "unknown"):
            continue
        read = [r for c in said["conditions"] if c["value"] is not False for r in c["reads"]]
        missing = tuple(dict.fromkeys(r["field"] for r in read if r["value"] is None and "(" not in r["field"]))
        rule = compiled.rule
        refusals.append(Refusal(rule.id, said["state"], missing, rule.because, rule.then, said["sentence"]))
    return Passage(event, program.book.version, tuple(refusals))
