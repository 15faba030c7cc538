"""What people say of proposals: accept, reject, and take back. Each is an entry of the journal; none is overwritten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from watchtower.contract import CORE_SOURCE, Event
from watchtower.errors import InputError, Missing
from watchtower.flow.apply import Engine, apply_events
from watchtower.flow.settle import settle
from watchtower.rules.fold import FIELD_ACCEPTED, FIELD_WITHDRAWN, may_set
from watchtower.store import journal, records, work
from watchtower.store.database import Connection

PERSON = "person:"
UNDO = timedelta(hours=24)
"""How long after it a verdict can be taken back."""
FIELD_REJECTED, REJECTION_WITHDRAWN = "field.rejected", "rejection.withdrawn"
_ENTRIES = {"accept": FIELD_ACCEPTED, "reject": FIELD_REJECTED}
_STATUS = {"accept": "accepted", "reject": "rejected"}
WITHDRAWALS = (FIELD_WITHDRAWN, REJECTION_WITHDRAWN)


def undo_until(status: str, decided_by: str, decided_at: datetime) -> datetime | None:
    """Until when a verdict can be taken back; None where no person decided."""
    if status not in _STATUS.values() or not decided_by.startswith(PERSON):
        return None
    return decided_at + UNDO


def person_decides(
    conn: Connection, engine: Engine, proposal_id: str, verdict: str, *, actor: str, note: str, now: datetime
) -> None:
    """A person accepts or rejects a proposal. Missing, InputError."""
    row = _locked(conn, proposal_id)
    if row["status"] != "review":
        raise InputError(
            f"proposal {proposal_id}: is {row['status']} already", remedy="only one in review is decided on"
        )
    if verdict == "accept":
        _person_may_set(conn, engine, row["object"], row["record"], row["field"], proposal_id)
    status = _STATUS[verdict]
    work.set_proposal(
        conn, proposal_id, status=status, because=note or f"{actor} says so", by=f"{PERSON}{actor}", now=now
    )
    entry = _entry(conn, proposal_id, row, _ENTRIES[verdict], status, now, value=row["value"], actor=actor, note=note)
    journal.append(conn, [entry], layer="decision", received_at=now)
    applied = apply_events(conn, engine, [entry]) if verdict == "accept" else None
    settle(conn, engine, now, applied, spoken=True, informed_only=True)


def person_withdraws(
    conn: Connection, engine: Engine, proposal_id: str, *, actor: str, note: str, now: datetime
) -> None:
    """A person takes a verdict of a person back: the proposal waits for review again, and a field that was set goes
    back to what it was before. Missing; InputError where it is too late, or the field has been set since."""
    row = _locked(conn, proposal_id)
    until = undo_until(row["status"], row["decided_by"], row["decided_at"])
    if until is None:
        told = "waits for review" if row["status"] == "review" else f"was {row['status']} by a rule"
        raise InputError(
            f"proposal {proposal_id}: {told}; there is no person's verdict to take back",
            remedy="accept or reject it, or set the field where it comes from",
        )
    if now > until:
        hours = UNDO.total_seconds() / 3600
        raise InputError(
            f"proposal {proposal_id}: was {row['status']} more than {hours:g} hours ago; that stays",
            remedy="set the field where it comes from",
        )
    accepted = row["status"] == "accepted"
    more = {"accepted": _stands(conn, engine, proposal_id, row)} if accepted else {}
    because = note or f"{actor} took back that it was {row['status']}"
    work.set_proposal(conn, proposal_id, status="review", because=because, by=f"{PERSON}{actor}", now=now)
    kind = FIELD_WITHDRAWN if accepted else REJECTION_WITHDRAWN
    entry = _entry(conn, proposal_id, row, kind, "withdrawn", now, actor=actor, note=note, **more)
    journal.append(conn, [entry], layer="decision", received_at=now)
    applied = apply_events(conn, engine, [entry]) if accepted else None
    settle(conn, engine, now, applied, spoken=True, informed_only=True)


def _locked(conn: Connection, proposal_id: str) -> dict[str, Any]:
    journal.wait(conn)
    row = work.lock_proposal(conn, proposal_id)
    if row is None:
        raise Missing(f"proposal {proposal_id!r} does not exist")
    return dict(row)


def _entry(
    conn: Connection,
    proposal_id: str,
    row: dict[str, Any],
    kind: str,
    what: str,
    now: datetime,
    *,
    actor: str,
    note: str,
    **more: Any,
) -> Event:
    """The journal's entry. After a withdrawal its id has a number: the same may be decided again."""
    round_ = work.withdrawals(conn, row["object"], row["record"], proposal_id, WITHDRAWALS) + 1
    return Event(
        id=f"{proposal_id}.{what}" if round_ == 1 else f"{proposal_id}.{what}.{round_}",
        source=CORE_SOURCE, type=kind, subject=f"{row['object']}/{row['record']}", time=now,
        data={
            "proposal": proposal_id, "field": row["field"], **more, "by": "person", "actor": actor, "because": note,
        },
    )  # fmt: skip


def _stands(conn: Connection, engine: Engine, proposal_id: str, row: dict[str, Any]) -> str:
    """The id of the acceptance, whose word the field still is. InputError where somebody has set it since."""
    fold = engine.folds.get(row["object"])
    field = fold.earlier.get(row["field"], row["field"]) if fold is not None else row["field"]
    known = records.load(conn, row["object"], [row["record"]]).get(row["record"])
    mark = known.provenance.get(field, {}) if known is not None else {}
    said = str(mark.get("id", ""))
    if mark.get("source") != CORE_SOURCE or not said.startswith(f"{proposal_id}.accepted"):
        by = mark.get("by") or "nobody"
        raise InputError(
            f"proposal {proposal_id}: {row['object']}.{field} is {by}'s word now; there is nothing to take back",
            remedy="set the field where it comes from",
        )
    return said


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
