"""A record goes through a gate: asked, written where it is allowed, and noted as refused where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.errors import InputError
from watchtower.flow import intake
from watchtower.flow.apply import Engine
from watchtower.flow.gates import Passage, after_event, ask, guards, passage_event, stands
from watchtower.flow.moments import moments
from watchtower.flow.personal import seal
from watchtower.flow.work import digest
from watchtower.rules.compile import CompiledRule
from watchtower.rules.fold import Record
from watchtower.store import journal
from watchtower.store.database import Connection


@dataclass(frozen=True)
class Crossing:
    """What came of it: `offered`, `accepted`, `rejected` or `moved`; `standing` where it was so already; `refused`.
    `checked` and `refused` of a trial write nothing."""

    outcome: str
    passage: Passage

    def to_json(self) -> dict[str, Any]:
        return {"outcome": self.outcome, **self.passage.to_json()}


def cross(
    conn: Connection,
    engine: Engine,
    subject: str,
    *,
    handoff: str | None,
    action: str,
    fields: Mapping[str, Any],
    actor: str,
    note: str,
    now: datetime,
    trial: bool,
) -> Crossing:
    """One transaction: nobody else's event comes between the question and the answer. InputError, Missing."""
    journal.wait(conn)
    key = digest(subject, handoff or "", action, format_time(now), actor)
    event = passage_event(
        engine.program, subject, handoff=handoff, action=action, fields=fields,
        id=f"ho_{key}", source=f"person:{actor}", time=now,
    )  # fmt: skip
    if note:
        event.data["note"] = note
    name, record = event.object, event.record_id
    before = moments(conn, engine, [(name, record, now)])[name, record, now]
    if not before.alive and handoff is not None:
        raise InputError(
            f"handoff {handoff}: {subject} does not exist", remedy="only a record that exists is handed over"
        )
    after = after_event(engine.folds[name], before, event)
    if stands(engine.folds[name], event, before, after):
        return Crossing("standing", Passage(event, engine.program.book.version, ()))
    rules = guards(engine.program, event, before, after)
    passage = ask(engine.program, event, after, _related(conn, engine, rules, after, now), rules)
    if trial:
        return Crossing("checked" if passage.allowed else "refused", passage)
    if not passage.allowed:
        _note_refusal(conn, passage, seal(conn, engine, [passage.event], now)[0], action, actor, now)
        return Crossing("refused", passage)
    verdict = intake.take(conn, engine, [event], now, origin="gate").verdicts[0]
    if verdict.status != "accepted":
        raise InputError(f"{subject}: {verdict.reason or verdict.status}")
    return Crossing("moved" if handoff is None else event.type.partition(".")[2], passage)


def _related(
    conn: Connection, engine: Engine, rules: list[CompiledRule], after: Record, now: datetime
) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for compiled in rules:
        for ref in {column.ref for column in compiled.columns if column.ref} - found.keys():
            target = after.state.get(ref)
            if target is not None:
                kind = engine.program.book.objects[compiled.rule.object].fields[ref].to
                found[ref] = moments(conn, engine, [(kind, target, now)])[kind, target, now]
    return found


def _note_refusal(conn: Connection, passage: Passage, event: Event, action: str, actor: str, now: datetime) -> None:
    """A decision of the rule layer: who asked, which rules said no, and what was missing. `event`: sealed."""
    kind = "handoff.refused" if event.data.get("handoff") else "transition.refused"
    data = {
        "handoff": event.data.get("handoff"), "action": action, "fields": event.data["fields"], "actor": actor,
        "missing": list(passage.missing), "rules": [refusal.rule for refusal in passage.refusals],
        "version": passage.version,
    }  # fmt: skip
    refused = Event(id=f"{event.id}.refused", source=CORE_SOURCE, type=kind, subject=event.subject, time=now, data=data)
    journal.append(conn, [refused], layer="decision", received_at=now)
