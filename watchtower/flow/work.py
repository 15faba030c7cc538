"""Requests down, results up: what the rule layer asks of the workers, and what it decides on their answers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from watchtower.contract import (
    CORE_SOURCE,
    DetectionRequest,
    Event,
    Proposal,
    Signal,
    format_time,
)
from watchtower.flow.apply import Applied, Engine, apply_events
from watchtower.flow.discoveries import DECIDED, HELD, SIGNAL_HELD, rule_on_signals
from watchtower.flow.outbox import tell_proposals
from watchtower.flow.settle import settle
from watchtower.rules.acceptance import ACCEPTED, Decision, decide
from watchtower.rules.fold import FIELD_ACCEPTED, SIGNAL_ADMITTED
from watchtower.rules.origin import origin
from watchtower.store import journal, records, work
from watchtower.store.database import Connection
from watchtower.store.rows import RecordRow
from watchtower.store.work import NewProposal, NewSignal, StoredRequest

ENRICHMENT, DETECTORS = "enrichment", "detectors"
"""The names under which workers speak. A worker cannot claim another: the door stamps it."""

MOST_TESTED = 2**31
"""A worker's word on how many records it judged is cut to what the database can count."""


@dataclass
class Decided:
    """How many proposals went where."""

    accepted: int = 0
    review: int = 0
    refused: int = 0


class Taken(NamedTuple):
    """How many signals were new, and how many of these a family's budget holds back."""

    raised: int
    held: int


def digest(*parts: Any) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=10).hexdigest()


def asked(conn: Connection, events: Sequence[Event]) -> None:
    """The requests behind entries `field.requested`, kept once more: a replay comes here."""
    rows = [
        StoredRequest(
            id=event.id, kind="fields", object=event.object, record=event.record_id, fields=event.data["fields"],
            because=event.data["because"], asked_at=event.time,
        )
        for event in events
    ]  # fmt: skip
    work.ask(conn, rows)


def take_proposals(
    conn: Connection,
    engine: Engine,
    proposals: Sequence[Proposal],
    now: datetime,
    *,
    requests: Iterable[str] = (),
    postponed: Collection[str] = (),
) -> Decided:
    """Journal what a worker proposed, decide on each by its acceptance rule, fold what is accepted.

    `requests` are answered, whether there is a proposal or not; those `postponed` stay open, and are asked again.
    """
    sound = [proposal for proposal in proposals if _sound(proposal, Proposal) and proposal.value is not None]
    asked = work.requests(conn, sorted({*requests, *(proposal.request for proposal in sound)}))
    events = []
    for proposal in sound:
        request = asked.get(proposal.request)
        if request is not None and (event := _proposed(request, proposal, now)) is not None:
            events.append(event)
    answers = [_answered(request, now) for request in asked.values() if request.id not in postponed]
    appended = journal.append(conn, [*events, *answers], layer="worker", received_at=now)
    said, heard = appended[: len(events)], appended[len(events) :]
    fresh = [event for event, result in zip(events, said, strict=True) if result.verdict == "new"]
    done = [event for event, result in zip(answers, heard, strict=True) if result.verdict == "new"]
    decided = decide_proposals(conn, engine, fresh, done, now)
    decided.refused += len(proposals) - len(events)
    decided.refused += sum(result.verdict in ("refused", "conflict") for result in said)
    return decided


def decide_proposals(
    conn: Connection, engine: Engine, proposed: Sequence[Event], answered: Sequence[Event], now: datetime
) -> Decided:
    """What follows from new entries `field.proposed` and `field.answered`. A replay comes here, too."""
    asked = work.requests(conn, sorted({event.data["request"] for event in proposed}))
    decided = Decided()
    applied = _decide_all(conn, engine, proposed, asked, now, decided)
    work.answered(conn, sorted(event.data["request"] for event in answered), now)
    settle(conn, engine, now, applied, spoken=bool(proposed or answered), informed_only=True)
    return decided


def _sound(said: Any, kind: type[Proposal] | type[Signal]) -> bool:
    """Whether what a worker said is of the contract's form, down to the types: one flaw must not void the rest."""
    if not isinstance(said, kind):
        return False
    try:
        data = said.to_data()
        msgspec.convert(data, kind)
        return "\x00" not in f"{data['request']}{data.get('subject', '')}".encode().decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        return False


def _answered(request: StoredRequest, now: datetime, *, how: str = "answered", **data: str) -> Event:
    """A worker has been through a request, whether it had anything to say or not."""
    signal = request.kind == "signal"
    return Event(
        id=f"{request.id}.{how}", source=DETECTORS if signal else ENRICHMENT, time=now,
        type=f"signal.{how}" if signal else f"field.{how}",
        subject=f"signal/{request.fields[0]}" if signal else f"{request.object}/{request.record}",
        data={"request": request.id, **data},
    )  # fmt: skip


def _proposed(request: StoredRequest, proposal: Proposal, now: datetime) -> Event | None:
    """The journal's entry of a proposal; None where a worker put something into it that is not JSON."""
    try:
        key = digest(proposal.request, proposal.field, proposal.value, proposal.method, proposal.model)
        data = proposal.to_data()
    except (TypeError, ValueError, RecursionError):
        return None
    subject = f"{request.object}/{request.record}"
    return Event(id=f"pr_{key}", source=ENRICHMENT, type="field.proposed", subject=subject, time=now, data=data)


def _decide_all(
    conn: Connection,
    engine: Engine,
    fresh: Sequence[Event],
    asked: dict[str, StoredRequest],
    now: datetime,
    decided: Decided,
) -> Applied | None:
    rows, decisions = [], []
    by_object: dict[str, list[Event]] = defaultdict(list)
    for event in fresh:
        by_object[event.object].append(event)
    for name, events in by_object.items():
        ids = sorted({event.record_id for event in events})
        stored, documents = records.load(conn, name, ids), work.documents_of(conn, name, ids)
        for event in events:
            proposal = msgspec.convert(event.data, Proposal)
            decision = _decide_one(engine, proposal, name, event.record_id, asked, stored, documents)
            if decision.status == ACCEPTED:
                stored[event.record_id].state[proposal.field] = decision.value
                stored[event.record_id].provenance[proposal.field] = {"by": "ai"}
            rows.append(_row(event, proposal, decision, now))
            setattr(decided, decision.status, getattr(decided, decision.status) + 1)
            decisions.append(_decision_event(event, proposal, decision, now, by="ai"))
    work.add_proposals(conn, rows)
    tell_proposals(conn, engine.program.book, [row for row in rows if row.status == "review"], now)
    journal.append(conn, decisions, layer="decision", received_at=now)
    accepted = [event for event in decisions if event.type == FIELD_ACCEPTED]
    return apply_events(conn, engine, accepted) if accepted else None


def _decide_one(
    engine: Engine,
    proposal: Proposal,
    name: str,
    record: str,
    asked: dict[str, StoredRequest],
    stored: dict[str, RecordRow],
    documents: dict[str, Any],
) -> Decision:
    book, key = engine.program.book, f"{name}.{proposal.field}"
    request, row = asked.get(proposal.request), stored.get(record)
    texts = {doc.id: doc for doc in documents.get(record, ())}
    domains = own_domains(engine, name, row)
    return decide(
        proposal,
        key=key,
        field=book.objects[name].fields.get(proposal.field),
        acceptance=book.acceptance.get(key),
        asked=frozenset(request.fields) if request is not None and row is not None and not row.deleted_at else None,
        documents={key: doc.text for key, doc in texts.items()},
        origins={key: origin(doc, domains) for key, doc in texts.items()},
        held=row.state.get(proposal.field) if row is not None else None,
        held_by=row.provenance.get(proposal.field, {}).get("by", "") if row is not None else "",
    )


def own_domains(engine: Engine, name: str, row: RecordRow | None) -> list[str]:
    """The record's own domains: those that a person or a system entered, never one that AI filled."""
    fields = engine.program.book.objects[name].fields
    if row is None:
        return []
    return [
        str(row.state[key])
        for key, spec in fields.items()
        if spec.type == "domain" and row.state.get(key) and row.provenance.get(key, {}).get("by", "") != "ai"
    ]


def _shown(event: Event) -> list[dict[str, Any]]:
    """The quotes that a person is shown: those for the value, then those against it."""
    return [*event.data["evidence"], *event.data.get("against", [])]


def _row(event: Event, proposal: Proposal, decision: Decision, now: datetime) -> NewProposal:
    return NewProposal(
        id=event.id, request=proposal.request, object=event.object, record=event.record_id, field=proposal.field,
        value=proposal.value, confidence=proposal.confidence, evidence=_shown(event), method=proposal.method,
        model=proposal.model, prompt=proposal.prompt, status=decision.status, rule=decision.rule,
        because=decision.because, decided_by=CORE_SOURCE, decided_at=now, proposed_at=event.time,
    )  # fmt: skip


def _decision_event(event: Event, proposal: Proposal, decision: Decision, now: datetime, *, by: str) -> Event:
    kind = {"accepted": FIELD_ACCEPTED, "review": "field.reviewed", "refused": "field.refused"}[decision.status]
    value = decision.value if decision.value is not None else proposal.value
    data = {
        "proposal": event.id,
        "field": proposal.field,
        "value": value,
        "by": by,
        "rule": decision.rule,
        "because": decision.because,
    }
    return Event(
        id=f"{event.id}.{decision.status}",
        source=CORE_SOURCE,
        type=kind,
        subject=event.subject,
        time=now,
        data=data,
    )


def take_signals(
    conn: Connection,
    engine: Engine,
    request: StoredRequest,
    signals: Sequence[Signal],
    now: datetime,
    *,
    tested: int | None = None,
) -> Taken:
    """Journal what a detector raised, admit it to the records that it is about, lapse what is not raised again.

    A request is answered once: what comes for it again is passed over. `tested`: how many records the detector says
    it judged.
    """
    ask_detection(conn, request, now)
    name, answered = request.fields[0], _answered(request, now)
    if tested is not None:
        answered.data["tested"] = min(max(tested, 0), MOST_TESTED)
    signals = [signal for signal in signals if _sound(signal, Signal)]
    if journal.append(conn, [answered], layer="worker", received_at=now)[0].verdict != "new":
        return Taken(0, 0)
    stored = records.load(conn, request.object, [signal.subject.partition("/")[2] for signal in signals])
    events = []
    for signal in signals:
        kind, _, record = signal.subject.partition("/")
        known = stored.get(record) if kind == request.object else None
        if signal.request != request.id or signal.signal != name or known is None or known.deleted_at is not None:
            continue
        events.append(
            Event(
                id=f"sg_{digest(request.id, signal.subject)}",
                source=DETECTORS,
                type="signal.raised",
                subject=signal.subject,
                time=now,
                data=signal.to_data(),
            )
        )
    appended = journal.append(conn, events, layer="worker", received_at=now)
    fresh = [event for event, result in zip(events, appended, strict=True) if result.verdict == "new"]
    held = admit_signals(conn, engine, request, fresh, now)
    return Taken(len(fresh), held)


def ask_detection(conn: Connection, request: StoredRequest, now: datetime) -> None:
    """Journal and keep a request of detection; nothing where it is there."""
    name = request.fields[0]
    event = Event(
        id=request.id, source=CORE_SOURCE, type="signal.requested", subject=f"signal/{name}", time=request.asked_at,
        data={"signal": name, "object": request.object},
    )  # fmt: skip
    journal.append(conn, [event], layer="decision", received_at=now)
    work.ask(conn, [request])


def leave_unanswered(conn: Connection, ids: Sequence[str], now: datetime, *, because: str) -> None:
    """No answer to these requests will come, or none that counts: they are closed."""
    found = work.requests(conn, ids)
    events = [_answered(request, now, how="unanswered", because=because) for request in found.values()]
    journal.append(conn, events, layer="worker", received_at=now)
    work.answered(conn, list(found), now)


def detection(event: Event) -> StoredRequest:
    """The request behind an entry `signal.requested`."""
    return StoredRequest(
        id=event.id, kind="signal", object=event.data["object"], record="", fields=[event.data["signal"]], because=[],
        asked_at=event.time,
    )  # fmt: skip


def admit_signals(
    conn: Connection, engine: Engine, request: StoredRequest, fresh: Sequence[Event], now: datetime
) -> int:
    """What follows from `signal.answered` and the entries `signal.raised` behind it; how many are held back.

    A replay comes here, too.
    """
    name = request.fields[0]
    standing = work.holding(conn, request.object, f"{name}.raised_at")
    rulings = rule_on_signals(conn, engine.program.book, request, fresh, frozenset(standing), now)
    decisions, rows, held = [], [], 0
    for event in fresh:
        decided = rulings.get(event.id)
        rows.append(
            NewSignal(
                id=event.id,
                name=name,
                object=event.object,
                record=event.record_id,
                raised_at=now,
                data=event.data if decided is None else {**event.data, DECIDED: decided},
            )
        )
        if decided is not None and decided["state"] == HELD:
            held += 1
            data = {"signal": name, "raised": event.id, "family": decided["family"], "because": decided["because"]}
            decisions.append(_decided_signal(f"{event.id}.held", event.subject, now, data, kind=SIGNAL_HELD))
            continue
        data = {
            "signal": name,
            "raised": event.id,
            **{key: event.data[key] for key in ("p_value", "strength")},
        }
        data["began_at"] = format_time(msgspec.convert(event.data["began_at"], datetime))
        decisions.append(_decided_signal(f"{event.id}.admitted", event.subject, now, data))
    raised = {event.record_id for event in fresh}
    for record in standing:
        if record not in raised:
            data = {"signal": name, "raised": None, "p_value": None, "strength": None, "began_at": None}
            key = digest(request.id, record, "lapsed")
            decisions.append(_decided_signal(f"sg_{key}.lapsed", f"{request.object}/{record}", now, data))
    work.add_signals(conn, rows)
    journal.append(conn, decisions, layer="decision", received_at=now)
    admitted = [event for event in decisions if event.type == SIGNAL_ADMITTED]
    applied = apply_events(conn, engine, admitted) if admitted else None
    work.answered(conn, [request.id], now)
    settle(conn, engine, now, applied, spoken=True, informed_only=True)
    return held


def stored_detection(request: DetectionRequest) -> StoredRequest:
    """A request of detection as it is kept."""
    return StoredRequest(
        id=request.id, kind="signal", object=request.object, record="", fields=[request.signal], because=[],
        asked_at=request.at,
    )  # fmt: skip


def overtaken(conn: Connection, request: StoredRequest) -> bool:
    """Whether a later look for the same signal was answered before this one: then this one says nothing new."""
    return work.answered_after(conn, request.fields[0], request.asked_at)


def _decided_signal(
    event_id: str, subject: str, now: datetime, data: dict[str, Any], *, kind: str = SIGNAL_ADMITTED
) -> Event:
    return Event(id=event_id, source=CORE_SOURCE, type=kind, subject=subject, time=now, data=data)
