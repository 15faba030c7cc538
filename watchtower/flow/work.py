"""Requests down, results up: what the rule layer asks of the workers, and what it decides on their answers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchtower.contract import (
    CORE_SOURCE,
    DetectionRequest,
    Event,
    FieldRequest,
    Proposal,
    RecordSnapshot,
    Signal,
    format_time,
)
from watchtower.errors import InputError, Missing
from watchtower.flow.apply import Applied, Engine, apply_events
from watchtower.flow.gaps import SEVERITY
from watchtower.flow.outbox import tell_proposals
from watchtower.flow.settle import settle
from watchtower.rules.acceptance import ACCEPTED, Decision, decide
from watchtower.rules.fold import FIELD_ACCEPTED, SIGNAL_ADMITTED, may_set
from watchtower.store import journal, records, spans, work
from watchtower.store.database import Connection
from watchtower.store.rows import RecordRow
from watchtower.store.work import NewProposal, NewSignal, StoredRequest

ENRICHMENT, DETECTORS = "enrichment", "detectors"
"""The names under which workers speak. A worker cannot claim another: the door stamps it."""

ASK_AGAIN = timedelta(minutes=30)
"""How long a request may go without an answer before it is asked once more: its worker has died."""


@dataclass
class Decided:
    """How many proposals went where."""

    accepted: int = 0
    review: int = 0
    refused: int = 0


def digest(*parts: Any) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=10).hexdigest()


def plan(
    conn: Connection,
    engine: Engine,
    now: datetime,
    *,
    limit: int,
    only: frozenset[str] | None = None,
    means: str = "",
    waiting: frozenset[str] = frozenset(),
    write: bool = True,
) -> list[FieldRequest]:
    """The fields that starve rules, as requests, the most starving first; each is journalled.

    A record is asked about once per set of documents and `means` (the model at hand): nothing is asked twice, and
    nothing again that is `waiting` in a queue.
    `only`: these records (`object/id`), whether they starve a rule or not.
    """
    starving = _starving(conn, engine, now, only)
    asked: list[FieldRequest] = []
    events: list[Event] = []
    rows: list[StoredRequest] = []
    by_object: dict[str, list[tuple[str, int, list[str]]]] = defaultdict(list)
    ranked = sorted(starving.items(), key=lambda item: (-item[1][0], item[0]))
    for (name, record), (weight, because) in ranked:
        by_object[name].append((record, weight, because))
    built: list[tuple[int, FieldRequest, StoredRequest]] = []
    for name, wanted in by_object.items():
        ids = [record for record, _, _ in wanted]
        stored, documents = records.load(conn, name, ids), work.documents_of(conn, name, ids)
        fillable = _fillable(engine, name)
        for record, weight, because in wanted:
            row = stored.get(record)
            texts = documents.get(record, [])
            if row is None or row.deleted_at is not None or not texts:
                continue
            fields = [field for field in fillable if row.state.get(field) is None]
            if not fields:
                continue
            key = digest(name, record, fields, [(doc.id, doc.text) for doc in texts], means)
            specs = tuple(engine.program.book.objects[name].fields[field].spec(field) for field in fields)
            personal = engine.program.book.personal.get(name, frozenset())
            plain = {k: v for k, v in row.state.items() if k in engine.folds[name].parsers and k not in personal}
            request = FieldRequest(
                id=f"rq_{key}", record=RecordSnapshot(object=name, id=record, fields=plain), fields=specs,
                documents=tuple(texts), because=tuple(because),
            )  # fmt: skip
            stored_request = StoredRequest(
                id=request.id,
                kind="fields",
                object=name,
                record=record,
                fields=fields,
                because=because,
                asked_at=now,
            )
            built.append((weight, request, stored_request))
    known = work.requests(conn, [request.id for _, request, _ in built])
    for _, request, row_ in sorted(built, key=lambda item: (-item[0], item[1].id)):
        if len(asked) == limit:
            break
        before = known.get(request.id)
        if request.id in waiting:
            continue
        if before is not None and (before.answered_at is not None or now - before.asked_at < ASK_AGAIN):
            continue
        asked.append(request)
        rows.append(row_)
        events.append(
            Event(
                id=request.id, source=CORE_SOURCE, type="field.requested", subject=request.record.subject, time=now,
                data={"fields": row_.fields, "because": row_.because},
            )
        )  # fmt: skip
    if not write:
        return asked
    work.ask(conn, rows)
    journal.append(conn, events, layer="decision", received_at=now)
    return asked


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


def _fillable(engine: Engine, name: str) -> list[str]:
    """In the order of their names: that of a rulebook's file is not kept, and what is asked must be the same again."""
    book = engine.program.book
    fields = book.objects[name].fields.items()
    return sorted(f for f, spec in fields if spec.fill == "enrichment" and f"{name}.{f}" in book.acceptance)


def _starving(
    conn: Connection, engine: Engine, now: datetime, only: frozenset[str] | None
) -> dict[tuple[str, str], tuple[int, list[str]]]:
    """(object, record) -> (weight, rules): whose absent fields leave rules unknown."""
    if only is not None:
        pairs = [tuple(subject.split("/", 1)) for subject in sorted(only)]
        return {(name, record): (1, []) for name, record in pairs if name in engine.folds}
    through: dict[tuple[str, str], list[tuple[str, str, int]]] = defaultdict(list)
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    unknown = spans.unknown_now(conn, now)
    for rule, name, record in unknown:
        compiled = engine.rules.get(rule)
        if compiled is None:
            continue
        weight = SEVERITY[compiled.rule.severity]
        if any(column.from_ai and not column.ref and "." not in column.field for column in compiled.columns):
            found[name, record][rule] = weight
        for ref in {column.ref for column in compiled.columns if column.ref and column.from_ai}:
            through[name, ref].append((record, rule, weight))
    for (name, ref), items in through.items():
        target = engine.program.book.objects[name].fields[ref].to
        stored = records.load(conn, name, sorted({record for record, _, _ in items}))
        for record, rule, weight in items:
            other = stored[record].state.get(ref) if record in stored else None
            if other is not None:
                found[target, other][rule] = found[target, other].get(rule, 0) + weight
    return {key: (sum(rules.values()), sorted(rules)) for key, rules in found.items()}


def take_proposals(
    conn: Connection,
    engine: Engine,
    proposals: Sequence[Proposal],
    now: datetime,
    *,
    requests: Iterable[str] = (),
) -> Decided:
    """Journal what a worker proposed, decide on each by its acceptance rule, fold what is accepted."""
    sound = [proposal for proposal in proposals if _sound(proposal, Proposal) and proposal.value is not None]
    asked = work.requests(conn, sorted({*requests, *(proposal.request for proposal in sound)}))
    events = []
    for proposal in sound:
        request = asked.get(proposal.request)
        if request is not None and (event := _proposed(request, proposal, now)) is not None:
            events.append(event)
    answers = [_answered(request, now) for request in asked.values()]
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
    return decide(
        proposal,
        key=key,
        field=book.objects[name].fields.get(proposal.field),
        acceptance=book.acceptance.get(key),
        asked=frozenset(request.fields) if request is not None and row is not None and not row.deleted_at else None,
        documents={doc.id: doc.text for doc in documents.get(record, ())},
        held=row.state.get(proposal.field) if row is not None else None,
        held_by=row.provenance.get(proposal.field, {}).get("by", "") if row is not None else "",
    )


def _row(event: Event, proposal: Proposal, decision: Decision, now: datetime) -> NewProposal:
    return NewProposal(
        id=event.id, request=proposal.request, object=event.object, record=event.record_id, field=proposal.field,
        value=proposal.value, confidence=proposal.confidence, evidence=event.data["evidence"], method=proposal.method,
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


def person_decides(
    conn: Connection, engine: Engine, proposal_id: str, verdict: str, *, actor: str, note: str, now: datetime
) -> None:
    """A person accepts or rejects a proposal. Missing, InputError."""
    journal.wait(conn)
    row = work.lock_proposal(conn, proposal_id)
    if row is None:
        raise Missing(f"proposal {proposal_id!r} does not exist")
    if row["status"] != "review":
        raise InputError(
            f"proposal {proposal_id}: is {row['status']} already", remedy="only one in review is decided on"
        )
    if verdict == "accept":
        _person_may_set(conn, engine, row["object"], row["record"], row["field"], proposal_id)
    status = {"accept": "accepted", "reject": "rejected"}[verdict]
    work.set_proposal(
        conn, proposal_id, status=status, because=note or f"{actor} says so", by=f"person:{actor}", now=now
    )
    kind = FIELD_ACCEPTED if verdict == "accept" else "field.rejected"
    event = Event(
        id=f"{proposal_id}.{status}", source=CORE_SOURCE, type=kind,
        subject=f"{row['object']}/{row['record']}", time=now,
        data={
            "proposal": proposal_id, "field": row["field"], "value": row["value"], "by": "person", "actor": actor,
            "because": note,
        },
    )  # fmt: skip
    journal.append(conn, [event], layer="decision", received_at=now)
    applied = apply_events(conn, engine, [event]) if verdict == "accept" else None
    settle(conn, engine, now, applied, spoken=True, informed_only=True)


def _person_may_set(conn: Connection, engine: Engine, name: str, record: str, field: str, proposal_id: str) -> None:
    """InputError where the field's sources leave no room for what a person says."""
    ranks = engine.folds[name].ranks.get(field)
    known = records.load(conn, name, [record]).get(record)
    if ranks is None or known is None:
        return
    by = known.provenance.get(field, {}).get("by", "")
    if not may_set(ranks, "person", known.state.get(field), by):
        why = f"{by} ranks above a person" if "person" in ranks else "a person is not among its sources"
        raise InputError(
            f"proposal {proposal_id}: {name}.{field} is not a person's to set: {why} ({', '.join(ranks)})",
            remedy="reject it, or change the field's sources in the rulebook",
        )


def take_signals(
    conn: Connection, engine: Engine, request: StoredRequest, signals: Sequence[Signal], now: datetime
) -> int:
    """Journal what a detector raised, admit it to the records that it is about, lapse what is not raised again.

    A request is answered once: what comes for it again is passed over.
    """
    ask_detection(conn, request, now)
    name, answered = request.fields[0], _answered(request, now)
    signals = [signal for signal in signals if _sound(signal, Signal)]
    if journal.append(conn, [answered], layer="worker", received_at=now)[0].verdict != "new":
        return 0
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
    admit_signals(conn, engine, request, fresh, now)
    return len(fresh)


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
) -> None:
    """What follows from `signal.answered` and the entries `signal.raised` behind it. A replay comes here, too."""
    name = request.fields[0]
    decisions, rows = [], []
    for event in fresh:
        rows.append(
            NewSignal(
                id=event.id,
                name=name,
                object=event.object,
                record=event.record_id,
                raised_at=now,
                data=event.data,
            )
        )
        data = {
            "signal": name,
            "raised": event.id,
            **{key: event.data[key] for key in ("p_value", "strength")},
        }
        data["began_at"] = format_time(msgspec.convert(event.data["began_at"], datetime))
        decisions.append(_admission(f"{event.id}.admitted", event.subject, now, data))
    raised = {event.record_id for event in fresh}
    for record in work.holding(conn, request.object, f"{name}.raised_at"):
        if record not in raised:
            data = {"signal": name, "raised": None, "p_value": None, "strength": None, "began_at": None}
            key = digest(request.id, record, "lapsed")
            decisions.append(_admission(f"sg_{key}.lapsed", f"{request.object}/{record}", now, data))
    work.add_signals(conn, rows)
    journal.append(conn, decisions, layer="decision", received_at=now)
    applied = apply_events(conn, engine, decisions) if decisions else None
    work.answered(conn, [request.id], now)
    settle(conn, engine, now, applied, spoken=True, informed_only=True)


def stored_detection(request: DetectionRequest) -> StoredRequest:
    """A request of detection as it is kept."""
    return StoredRequest(
        id=request.id, kind="signal", object=request.object, record="", fields=[request.signal], because=[],
        asked_at=request.at,
    )  # fmt: skip


def overtaken(conn: Connection, request: StoredRequest) -> bool:
    """Whether a later look for the same signal was answered before this one: then this one says nothing new."""
    return work.answered_after(conn, request.fields[0], request.asked_at)


def _admission(event_id: str, subject: str, now: datetime, data: dict[str, Any]) -> Event:
    return Event(id=event_id, source=CORE_SOURCE, type=SIGNAL_ADMITTED, subject=subject, time=now, data=data)
