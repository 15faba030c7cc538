"""The weekly budget of a family, held against what the store knows of the week: which raised signals are told.

The budget stands in the rule layer, not in the detectors: it spans several of them and several looks, and a worker
must not be able to widen it. How many tests there were is the worker's word, bounded by what the tower counts itself:
never fewer than were raised, never more than there are records. What is held back stays in `signal` with its reason,
and in the journal as `signal.held`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from watchtower.contract import Event
from watchtower.rulebook import Rulebook
from watchtower.rulebook.families import Family
from watchtower.rules.discoveries import Claim, Key, rule_on, week_of
from watchtower.store import records, signals
from watchtower.store.database import Connection
from watchtower.store.signals import CONTINUED, DECIDED, HELD, TOLD
from watchtower.store.work import StoredRequest

SIGNAL_HELD = "signal.held"


def rule_on_signals(
    conn: Connection,
    book: Rulebook,
    request: StoredRequest,
    fresh: Sequence[Event],
    standing: frozenset[str],
    now: datetime,
) -> Mapping[str, dict[str, Any]]:
    """By the id of each fresh `signal.raised`: state, family, owner and because. Empty where no family limits it.

    `standing`: the records on which this signal stands already; there it only goes on.
    """
    name = request.fields[0]
    declared = book.signals.get(name)
    family = book.families.get(declared.family) if declared is not None else None
    if declared is None or family is None or not fresh:
        return {}
    claims = _week(conn, book, declared.family, now)
    owners = _owners(conn, request.object, [event.record_id for event in fresh], family)
    new: dict[Key, str] = {}
    for event in fresh:
        if event.record_id in standing:
            continue
        said = Claim(
            name, event.subject, float(event.data["p_value"]), float(event.data["strength"]),
            owner=owners.get(event.record_id, ""),
        )  # fmt: skip
        known = claims.get(said.key)
        claims[said.key] = said if known is None else _joined(known, said)
        new[said.key] = event.id
    tests = _tests(conn, book, declared.family, claims)
    rulings = rule_on(list(claims.values()), new.keys(), name=declared.family, family=family, tests=tests)
    found = {
        event.id: {"state": CONTINUED, "family": declared.family, "owner": "", "because": "it stood already"}
        for event in fresh
        if event.record_id in standing
    }
    for key, ruling in rulings.items():
        state = TOLD if ruling.told else HELD
        found[new[key]] = {
            "state": state, "family": declared.family, "owner": claims[key].owner, "because": ruling.because,
        }  # fmt: skip
    return found


def _week(conn: Connection, book: Rulebook, family: str, now: datetime) -> dict[Key, Claim]:
    found = signals.claims_since(conn, family, week_of(now, book.zone))
    return {(claim.name, claim.subject): Claim(
        claim.name, claim.subject, claim.p_value, claim.strength, owner=claim.owner, told=claim.told
    ) for claim in found}  # fmt: skip


def _joined(known: Claim, said: Claim) -> Claim:
    """The least p-value of the week; the rest as it is now, the owner too where nothing was told yet."""
    owner = known.owner if known.told else said.owner
    return replace(said, p_value=min(known.p_value, said.p_value), owner=owner, told=known.told)


def _owners(conn: Connection, name: str, ids: Sequence[str], family: Family) -> dict[str, str]:
    if family.per_owner is None:
        return {}
    stored = records.load(conn, name, ids)
    return {id_: str(row.state.get(family.owner) or "") for id_, row in stored.items()}


def _tests(conn: Connection, book: Rulebook, family: str, claims: Mapping[Key, Claim]) -> int:
    """The tests of a week: of each signal of the family those of its last look, else one for each record there is."""
    members = sorted(name for name, model in book.signals.items() if model.family == family)
    said = signals.last_tested(conn, members)
    there = {name: signals.living(conn, name) for name in sorted({book.signals[member].object for member in members})}
    raised = {member: sum(signal == member for signal, _ in claims) for member in members}
    total = 0
    for member in members:
        most = there[book.signals[member].object]
        total += max(raised[member], min(said.get(member, most), most))
    return total


__all__ = ["DECIDED", "HELD", "SIGNAL_HELD", "rule_on_signals"]
