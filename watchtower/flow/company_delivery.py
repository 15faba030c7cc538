"""What follows a win: the handoff to delivery and the onboarding project."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from watchtower.flow.company_accounts import Account
from watchtower.flow.company_log import PEOPLE, Log, day_of, desk, hours, later, midnight

SHARES = {
    "handoff_limbo": 0.06,
    "handoff_never_answered": 0.02,
    "handoff_rejected": 0.06,
    "rejected_unanswered": 0.35,
    "recipient_missing": 0.03,
    "onboarding_blocked": 0.2,
    "blocked_long": 0.3,
    "onboarding_late": 0.06,
}
"""Of handoffs (the fourth: of the rejected) and of projects (the seventh: of the blocked)."""


def deliver(log: Log, rng: Random, account: Account, opportunity: str, won: datetime, ready: datetime) -> None:
    """A handoff offered once terms and scope stand, and the project once it is accepted."""
    accepted = _hand_over(log, rng, account, opportunity, ready + hours(rng, 2, 20))
    if accepted is not None:
        _onboard(log, rng, account, opportunity, won, accepted)


def _hand_over(log: Log, rng: Random, account: Account, opportunity: str, offered: datetime) -> datetime | None:
    record = opportunity.replace("opportunity/O", "handoff/H")
    parts = {"kind": "sales_to_delivery", "opportunity": opportunity.partition("/")[2], "account": account.id}
    taker = rng.choice(PEOPLE)
    nobody = rng.random() < SHARES["recipient_missing"]
    log.update(
        record,
        offered - timedelta(seconds=30),
        **parts,
        from_owner=account.owner,
        to_owner=None if nobody else taker,
    )
    _say(log, record, "offered", offered)
    if nobody:
        named = offered + hours(rng, 5, 18)
        log.update(record, named, to_owner=taker)
        log.breach("handoff_without_recipient", record, offered, named)
    if rng.random() < SHARES["handoff_rejected"]:
        rejected = offered + hours(rng, 2, 20)
        _say(log, record, "rejected", rejected)
        if rng.random() < SHARES["rejected_unanswered"]:
            offered = rejected + hours(rng, 60, 24 * 30)
            log.breach("sales_to_delivery.rejected", record, rejected + timedelta(hours=48), offered)
        else:
            offered = rejected + hours(rng, 5, 40)
        _say(log, record, "offered", offered)
    draw, limbo = rng.random(), offered + timedelta(hours=24)
    if draw < SHARES["handoff_never_answered"]:
        log.breach("sales_to_delivery.limbo", record, limbo)
        return None
    late = draw < SHARES["handoff_never_answered"] + SHARES["handoff_limbo"]
    accepted = offered + (hours(rng, 30, 400) if late else hours(rng, 1, 22))
    _say(log, record, "accepted", accepted)
    if late:
        log.breach("sales_to_delivery.limbo", record, limbo, accepted)
    return accepted


def _say(log: Log, record: str, what: str, at: datetime) -> None:
    log.write(f"handoff.{what}", "crm", record, at, {"handoff": "sales_to_delivery", "fields": {}})


def _onboard(log: Log, rng: Random, account: Account, opportunity: str, won: datetime, accepted: datetime) -> None:
    record = opportunity.replace("opportunity/O", "project/P")
    planned = accepted + timedelta(minutes=10)
    kickoff = later(rng, planned, 2, 8)
    due = day_of(kickoff) + timedelta(days=60)
    late = rng.random() < SHARES["onboarding_late"]
    done = desk(rng, due + timedelta(days=rng.randint(3, 40))) if late else later(rng, kickoff, 30, 55)
    log.update(
        record,
        planned,
        name="Onboarding",
        account=account.id,
        opportunity=opportunity.partition("/")[2],
        owner=rng.choice(PEOPLE),
        status="planned",
        signed_at=won,
        kickoff_at=kickoff,
        due_on=due,
    )
    log.update(record, kickoff, status="running")
    if late:
        log.breach("onboarding_late", record, midnight(due + timedelta(days=1)), done)
    if rng.random() < SHARES["onboarding_blocked"]:
        blocked = later(rng, kickoff, 2, 9)
        long = rng.random() < SHARES["blocked_long"]
        freed = blocked + (hours(rng, 90, 24 * 18) if long else hours(rng, 5, 60))
        why = rng.choice(("customer", "product", "contract", "people"))
        log.update(record, blocked, status="blocked", blocked_by=why)
        log.update(record, freed, status="running", blocked_by=None)
        if long:
            log.breach("onboarding_blocked", record, blocked + timedelta(hours=72), freed)
    at = later(rng, kickoff, 7, 14)
    while at < min(done, log.end):
        log.touch(rng, record, at)
        at = later(rng, at, 9, 16)
    log.update(record, done, status="done")
