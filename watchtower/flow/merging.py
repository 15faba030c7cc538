"""Pairs that workers propose become one record by a person's hand or a named rule's, and may be taken apart again.

Requests down, likenesses up, decisions journalled, like proposals for fields. A merge is one entry, `record.merged`;
nothing is copied, so that taking apart is one entry, too: `record.unmerged`, and both records are folded anew as if the
merge had never been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from watchtower.contract import CORE_SOURCE, Event, Likeness
from watchtower.errors import InputError, Missing
from watchtower.flow.apply import Applied, Engine, apply_rejoined
from watchtower.flow.settle import settle
from watchtower.flow.streams import rejoined
from watchtower.flow.work import ENRICHMENT, digest
from watchtower.rules.acceptance import ACCEPTED, REVIEW
from watchtower.rules.merge_acceptance import compared, decide_pair, ordered, probability, told_fields
from watchtower.rules.merging import MERGED, UNMERGED, Merge, Merges
from watchtower.store import journal, merges, records, work
from watchtower.store.database import Connection
from watchtower.store.merges import MergeProposal
from watchtower.store.rows import RecordRow
from watchtower.store.work import StoredRequest

REQUESTED, PROPOSED, ANSWERED, REJECTED = "merge.requested", "merge.proposed", "merge.answered", "merge.rejected"
TOGETHER = "two records were made one"
APART = "two records were taken apart"
MOST_WEIGHTS = 40
"""Comparisons of a pair, at most: what a worker says more than that is no matcher's."""


@dataclass(frozen=True)
class Asked:
    """What a worker is told: by id, the fields that are compared."""

    request: str
    rows: list[tuple[str, dict[str, Any]]]


def ask_pairs(conn: Connection, engine: Engine, name: str, now: datetime) -> Asked:
    """Journal the request which records of an object are one. InputError where they cannot be merged."""
    book = engine.program.book
    if name not in book.objects:
        raise InputError(f"object {name!r:.60}: the rulebook has none", remedy=f"objects: {', '.join(book.objects)}")
    if book.personal.get(name):
        raise InputError(
            f"{name} holds personal data, which are sealed a record at a time: such records cannot be merged here",
            remedy="merge them where they come from",
        )
    fields = told_fields(book.objects[name], book.merging.get(name))
    rows = [
        (record, {key: state[key] for key in fields if state.get(key) is not None})
        for record, state in records.living(conn, name).items()
    ]
    number = journal.last_seq(conn)
    event = Event(
        id=f"mq_{digest(name, fields, number)}", source=CORE_SOURCE, type=REQUESTED, subject=f"merge/{name}", time=now,
        data={"object": name, "fields": fields, "records": len(rows)},
    )  # fmt: skip
    journal.append(conn, [event], layer="decision", received_at=now)
    asked(conn, [event])
    return Asked(event.id, rows)


def asked(conn: Connection, events: Sequence[Event]) -> None:
    """The requests behind entries `merge.requested`, kept. A replay comes here, too."""
    work.ask(
        conn,
        [
            StoredRequest(
                id=event.id, kind="merge", object=event.data["object"], record="", fields=event.data["fields"],
                because=[], asked_at=event.time,
            )
            for event in events
        ],
    )  # fmt: skip


def take_pairs(
    conn: Connection, engine: Engine, request: str, said: Sequence[Likeness], now: datetime, *, last: bool = True
) -> Counter[str]:
    """Journal the pairs that a worker takes for one, and decide on each: how many were accepted, are in review, were
    refused. `last`: the request is answered with these."""
    found = work.requests(conn, [request]).get(request)
    kind = found.object if found is not None else "none"
    events = []
    for pair in said:
        if _sound(pair) and pair.request == request:
            a, b = sorted((pair.a, pair.b))
            key = digest(pair.request, a, b)
            events.append(Event(
                id=f"mp_{key}", source=ENRICHMENT, type=PROPOSED, subject=f"{kind}/{pair.a}", time=now,
                data=pair.to_data(),
            ))  # fmt: skip
    answers = []
    if last and found is not None:
        answers.append(Event(
            id=f"{request}.answered", source=ENRICHMENT, type=ANSWERED, subject=f"merge/{kind}", time=now,
            data={"request": request},
        ))  # fmt: skip
    results = journal.append(conn, [*events, *answers], layer="worker", received_at=now)
    new = [event for event, result in zip([*events, *answers], results, strict=True) if result.verdict == "new"]
    counts = decide_pairs(conn, engine, new, now)
    counts["refused"] += len(said) - len(events)
    return counts


def decide_pairs(conn: Connection, engine: Engine, said: Sequence[Event], now: datetime) -> Counter[str]:
    """What follows from new entries `merge.proposed` and `merge.answered`. A replay comes here, too."""
    counts: Counter[str] = Counter()
    applied = Applied()
    for event in said:
        if event.type == PROPOSED:
            decision, more = _decide_one(conn, engine, event, now)
            counts[decision] += 1
            applied.withdrawn += more.withdrawn
            applied.reopened += more.reopened
    work.answered(conn, [event.data["request"] for event in said if event.type == ANSWERED], now)
    settle(conn, engine, now, applied, because=TOGETHER, spoken=bool(said), informed_only=True)
    return counts


def _decide_one(conn: Connection, engine: Engine, event: Event, now: datetime) -> tuple[str, Applied]:
    said, name = msgspec.convert(event.data, Likeness), event.object
    book = engine.program.book
    request = work.requests(conn, [said.request]).get(said.request)
    open_ = request is not None and request.kind == "merge" and request.answered_at is None and name in book.objects
    pair = _pair(conn, name, said.a, said.b) if open_ else None
    values = compared(told_fields(book.objects[name], book.merging.get(name)), *pair) if pair is not None else {}
    before = merges.between(conn, name, said.a, said.b)
    decision = decide_pair(
        said, name=name, merging=book.merging.get(name), personal=bool(book.personal.get(name)), asked=open_,
        records=pair, before=[(one.status, _seen(one, pair)) for one in before], values=values,
    )  # fmt: skip
    if pair is not None:
        gone, stays = pair[0].id, pair[1].id
    else:
        gone, stays = said.a, said.b
    row = MergeProposal(
        id=event.id, request=said.request, object=name, record=gone, survivor=stays, bits=said.bits,
        probability=round(probability(said.bits), 6), weights=[msgspec.to_builtins(one) for one in said.weights],
        compared=values, status=decision.status, rule=decision.rule, because=decision.because, decided_by=CORE_SOURCE,
        decided_at=now, proposed_at=event.time,
    )  # fmt: skip
    merges.propose(conn, [row])
    if decision.status == ACCEPTED:
        data = {"by": "rule", "rule": decision.rule, "because": decision.because, "proposal": event.id}
        return ACCEPTED, _merge(conn, engine, row, now, data)
    kind = "merge.reviewed" if decision.status == REVIEW else "merge.refused"
    told = Event(
        id=f"{event.id}.{decision.status}", source=CORE_SOURCE, type=kind, subject=f"{name}/{gone}", time=now,
        data={"proposal": event.id, "into": stays, "rule": decision.rule, "because": decision.because},
    )  # fmt: skip
    journal.append(conn, [told], layer="decision", received_at=now)
    return decision.status, Applied()


def _seen(one: MergeProposal, pair: tuple[RecordRow, RecordRow] | None) -> dict[str, list[Any]]:
    """What was compared then, in the order of the pair as it is now."""
    turned = pair is not None and one.record != pair[0].id
    return {key: value[::-1] if turned else value for key, value in one.compared.items()}


def _pair(conn: Connection, name: str, a: str, b: str) -> tuple[RecordRow, RecordRow] | None:
    """(who goes, who stays), both living and not one yet; None where that is not so."""
    found = records.load(conn, name, [a, b])
    one, other = found.get(a), found.get(b)
    if one is None or other is None or a == b or one.deleted_at is not None or other.deleted_at is not None:
        return None
    gone, stays = ordered(one, other)
    return found[gone.id], found[stays.id]


def _sound(said: Any) -> bool:
    """Whether what a worker said is of the contract's form, down to the types."""
    if not isinstance(said, Likeness) or len(said.weights) > MOST_WEIGHTS:
        return False
    try:
        again = msgspec.convert(msgspec.json.decode(msgspec.json.encode(said.to_data())), Likeness)
        text = msgspec.json.encode(again.to_data()).decode()
        return "\\u0000" not in text and bool(again.a) and bool(again.b) and max(len(again.a), len(again.b)) <= 1024
    except (TypeError, ValueError, RecursionError, OverflowError):
        return False


def person_decides(
    conn: Connection, engine: Engine, proposal_id: str, verdict: str, *, actor: str, note: str, now: datetime,
    into: str | None = None,
) -> None:  # fmt: skip
    """A person accepts or rejects a pair. `into`: which of the two stays, where not the one that was proposed. Missing,
    InputError."""
    journal.wait(conn)
    row = merges.proposal(conn, proposal_id)
    if row is None:
        raise Missing(f"pair {proposal_id!r:.80} does not exist")
    if row.status != REVIEW:
        raise InputError(f"pair {proposal_id}: is {row.status} already", remedy="only one in review is decided on")
    if into is not None and into not in (row.record, row.survivor):
        raise InputError(
            f"into: {into!r:.80} is neither of the two", remedy=f"one of {row.record}, {row.survivor}; or leave it out"
        )
    said = {"by": "person", "actor": actor, "because": note, "proposal": proposal_id}
    status = {"accept": ACCEPTED, "reject": "rejected"}[verdict]
    if verdict == "accept":
        stays = into or row.survivor
        gone = row.record if stays == row.survivor else row.survivor
        applied = _merge(conn, engine, msgspec.structs.replace(row, record=gone, survivor=stays), now, said)
    else:
        applied = Applied()
        event = Event(
            id=f"{proposal_id}.rejected", source=CORE_SOURCE, type=REJECTED, subject=f"{row.object}/{row.record}",
            time=now, data={**said, "into": row.survivor},
        )  # fmt: skip
        journal.append(conn, [event], layer="decision", received_at=now)
    merges.set_verdict(
        conn, proposal_id, status=status, because=note or f"{actor} says so", by=f"person:{actor}", now=now
    )
    settle(conn, engine, now, applied, because=TOGETHER, spoken=True)


def person_merges(
    conn: Connection, engine: Engine, name: str, record: str, into: str, *, actor: str, note: str, now: datetime
) -> str:
    """A person makes two records one that nobody proposed: the merge's id. Missing, InputError."""
    journal.wait(conn)
    row = MergeProposal(
        id="", request="", object=name, record=record, survivor=into, bits=0.0, probability=0.0, weights=[],
        compared={}, status=ACCEPTED, rule="", because=note, decided_by="", decided_at=now, proposed_at=now,
    )  # fmt: skip
    merge = _checked(conn, engine, row, now)
    applied = _apply(conn, engine, merge, {"by": "person", "actor": actor, "because": note, "proposal": None})
    settle(conn, engine, now, applied, because=TOGETHER, spoken=True)
    return merge.id


def person_unmerges(conn: Connection, engine: Engine, merge_id: str, *, actor: str, note: str, now: datetime) -> None:
    """A person says that two records are two after all. Missing, InputError."""
    journal.wait(conn)
    row = merges.merge_by_id(conn, merge_id)
    if row is None:
        raise Missing(f"merge {merge_id!r:.80} does not exist")
    if row.by.startswith("source:"):
        raise InputError(f"merge {merge_id}: is its source's own word", remedy="take them apart where they come from")
    if row.undone_at is not None:
        raise InputError(f"merge {merge_id}: was undone already, by {row.undone_by}")
    event = Event(
        id=f"{merge_id}.undone", source=CORE_SOURCE, type=UNMERGED, subject=f"{row.object}/{row.record}", time=now,
        data={"merge": merge_id, "into": row.survivor, "by": "person", "actor": actor, "because": note},
    )  # fmt: skip
    journal.append(conn, [event], layer="decision", received_at=now)
    chain = _chain(conn, row.object, row.record)
    merges.undo(conn, merge_id, by=f"person:{actor}", now=now)
    merges.lead(conn, merges.said_by_sources(conn, row.object, row.record))
    applied = _refold(conn, engine, row.object, chain, since=None)
    settle(conn, engine, now, applied, because=APART, spoken=True)


def _merge(conn: Connection, engine: Engine, row: MergeProposal, now: datetime, said: dict[str, Any]) -> Applied:
    return _apply(conn, engine, _checked(conn, engine, row, now), said)


def _checked(conn: Connection, engine: Engine, row: MergeProposal, now: datetime) -> Merge:
    """The merge, its ids resolved. InputError, Missing."""
    name, book = row.object, engine.program.book
    if name not in book.objects:
        raise InputError(f"object {name!r:.60}: the rulebook has none", remedy=f"objects: {', '.join(book.objects)}")
    if book.personal.get(name):
        raise InputError(f"{name} holds personal data, which are sealed a record at a time: it cannot be merged here")
    known = Merges(merges.families(conn, [(name, row.record), (name, row.survivor)]))
    record, into = known.became(name, row.record), known.became(name, row.survivor)
    if record != row.record:
        raise InputError(f"{name}/{row.record}: is {name}/{record} since it was merged", remedy="merge that one")
    if record == into:
        raise InputError(f"{name}/{row.record} and {name}/{row.survivor} are one already")
    found = records.load(conn, name, [record, into])
    for one in (record, into):
        if one not in found:
            raise Missing(f"{name}/{one} does not exist")
        if found[one].deleted_at is not None:
            raise InputError(f"{name}/{one}: has ended; only records that are there can be merged")
    number = merges.merged_before(conn, name, record, into)
    return Merge(f"mg_{digest(name, record, into, number)}", name, record, into, now)


def _apply(conn: Connection, engine: Engine, merge: Merge, said: dict[str, Any]) -> Applied:
    event = Event(
        id=merge.id, source=CORE_SOURCE, type=MERGED, subject=f"{merge.object}/{merge.record}", time=merge.at,
        data={"into": merge.into, **said},
    )  # fmt: skip
    journal.append(conn, [event], layer="decision", received_at=merge.at)
    by = f"person:{said['actor']}" if said["by"] == "person" else f"rule:{said['rule']}"
    merges.add(conn, merge, by=by, proposal=said["proposal"])
    return _refold(conn, engine, merge.object, [merge.record, merge.into], since=merge.at)


def _chain(conn: Connection, name: str, record: str) -> list[str]:
    known = Merges(merges.families(conn, [(name, record)]))
    return [record, *(merge.into for merge in known.survivors(name, record))]


def _refold(conn: Connection, engine: Engine, name: str, ids: Sequence[str], *, since: datetime | None) -> Applied:
    """Fold these records, and those that refer to them, anew: from an instant on, or (None) all of it."""
    who = [*((name, record) for record in ids), *merges.linked(conn, name, ids)]
    if since is None:
        merges.unlink(conn, name, ids, who)
    starts: dict[str, dict[str, datetime]] = {}
    for object_name, several in _by_object(who).items():
        for record, row in records.load(conn, object_name, several).items():
            starts.setdefault(object_name, {})[record] = since or row.created_at
    return apply_rejoined(conn, engine, rejoined(conn, engine.folds, starts))


def _by_object(who: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for name, record in who:
        found.setdefault(name, set()).add(record)
    return {name: sorted(several) for name, several in sorted(found.items())}
