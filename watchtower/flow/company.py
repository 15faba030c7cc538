"""A generated company: one year of a B2B software company, with its faults known.

    year = generate(7, accounts=200, start=start, end=end)
    year.events   in order of arrival: mostly that of time, with some late and some doubled
    year.truth    which rules are broken on which record and since when, who is stuck, who leaves, what is so

The same seed gives the same events in every process. Nothing is read but the arguments, and what an account
does depends on the seed and its own number only, so a larger company contains the smaller one's accounts.

    company_places, company_trades  where accounts sit, what they do
    company_prose                   what their descriptions say, and what not
    company_accounts                accounts and contacts
    company_leads                   raw to SQL
    company_deals                   opportunities
    company_delivery                handoffs and projects
    company_customers               usage, subscriptions, tickets, conversations
    company_drifts                  what goes wrong without breaking a rule
    company_log, company_truth      the pen and what it notes
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from watchtower.contract import Event
from watchtower.flow.company_accounts import Account, become_customer, open_account
from watchtower.flow.company_customers import keep_customer
from watchtower.flow.company_deals import STUCK_BEFORE, close_deal
from watchtower.flow.company_delivery import deliver
from watchtower.flow.company_drifts import DRIFT, REGION, marketing_turned
from watchtower.flow.company_leads import follow_lead, link_opportunity
from watchtower.flow.company_log import Log, day_of, desk
from watchtower.flow.company_truth import Breach, Churner, Firmographics, Planted, StuckDeal, Truth

LEADS_AN_ACCOUNT = 3.0
DIRECT_DEALS_AN_ACCOUNT = 1.1
"""Deals without a lead: recommendations and further sales. A year's worth, as above."""
ARRIVES_LATE = 0.01
ARRIVES_TWICE = 0.007


@dataclass(frozen=True)
class Year:
    """One generated year: its events in order of arrival, and what is true of it."""

    start: datetime
    end: datetime
    events: list[Event]
    truth: Truth


def generate(seed: int, *, accounts: int = 200, start: datetime, end: datetime) -> Year:
    """Events within [start, end). ValueError unless both bear an offset and lie 90 days apart or more."""
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError(f"start {start} and end {end} need an offset, such as +00:00")
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if end - start < timedelta(days=90):
        raise ValueError(f"from {start} to {end} is less than 90 days, too short for deals to run their course")
    if accounts < 1:
        raise ValueError(f"accounts: {accounts} is below 1")
    log = Log(start, end)
    for number in range(1, accounts + 1):
        _live(log, Random(f"{seed}/account/{number}"), number)
    return Year(start, end, _arrive(log.events, Random(f"{seed}/arrival")), _truth(log))


def _live(log: Log, rng: Random, number: int) -> None:
    """One account's year: leads become deals, wins become deliveries, the first win makes a customer."""
    account = open_account(log, rng, number)
    years = (log.end - log.start) / timedelta(days=365)
    born = []
    for index in range(_count(rng, LEADS_AN_ACCOUNT * years)):
        at = _some_day(log, rng, account)
        if at is not None:
            born.append((index + 1, at))
    openings: list[tuple[datetime, str]] = []
    for index, at in born:
        lead = follow_lead(log, rng, account, index, at)
        if lead is not None:
            openings.append((lead[1], lead[0]))
    for _ in range(_count(rng, DIRECT_DEALS_AN_ACCOUNT * years)):
        at = _some_day(log, rng, account)
        if at is not None:
            openings.append((at, ""))
    first_win: tuple[datetime, int] | None = None
    for index, (opened, lead_record) in enumerate(sorted(openings)):
        early = opened < log.start + (log.end - log.start) * STUCK_BEFORE
        deal = close_deal(log, rng, account, index + 1, opened, early=early)
        if lead_record:
            link_opportunity(log, lead_record, deal.record, opened)
        if deal.won and deal.closed is not None and deal.closed < log.end:
            if first_win is None or deal.closed < first_win[0]:
                first_win = (deal.closed, deal.amount)
            if deal.delivered is not None:
                deliver(log, rng, account, deal.record, deal.closed, deal.delivered)
    if account.customer_at_start:
        amount = rng.randrange(6, 90) * 1000
        at = account.created + timedelta(seconds=1)
        become_customer(log, rng, account, at, arr=amount)
        keep_customer(log, rng, account, at, new=False, amount=amount)
    elif first_win is not None:
        at = first_win[0] + timedelta(minutes=5)
        become_customer(log, rng, account, at, arr=first_win[1])
        keep_customer(log, rng, account, at, new=True, amount=first_win[1])


def _some_day(log: Log, rng: Random, account: Account) -> datetime | None:
    """A moment at the desk after the account's first day; None where that is past the end."""
    at = desk(rng, day_of(log.start + (log.end - log.start) * rng.random()))
    return at if account.created + timedelta(days=1) < at < log.end else None


def _count(rng: Random, mean: float) -> int:
    """A whole number around a mean: between none and twice as many."""
    return round(mean * (rng.random() + rng.random()))


def _arrive(events: list[Event], rng: Random) -> list[Event]:
    """Order of arrival: that of time, except for those that come late; and some come twice."""
    arrivals: list[tuple[datetime, int, Event]] = []
    for index, event in enumerate(events):
        late = rng.random() < ARRIVES_LATE
        at = event.time + timedelta(hours=rng.uniform(1, 72)) if late else event.time
        arrivals.append((at, index, event))
        if rng.random() < ARRIVES_TWICE:
            arrivals.append((at + timedelta(minutes=rng.uniform(1, 600)), index, event))
    arrivals.sort(key=lambda arrival: arrival[:2])
    return [event for _, _, event in arrivals]


def _truth(log: Log) -> Truth:
    return Truth(
        breaches=tuple(sorted(log.breaches, key=_by_rule)),
        latent=tuple(sorted(log.latent, key=_by_rule)),
        stuck=tuple(sorted(log.stuck)),
        churners=tuple(sorted(log.churners)),
        planted=tuple(sorted({*log.planted, *_shared(log)})),
        firmographics=dict(log.firmographics),
        unset=dict(log.unset),
    )


def _shared(log: Log) -> list[Planted]:
    """The drifts of whole teams: none of them is one record's."""
    turned = marketing_turned(log.end)
    return [
        Planted("skips_rising", f"region={REGION}", turned),
        Planted("sources_moving", "", turned),
        Planted("other_ways", "", log.end - DRIFT),
        *(Planted("stuck", deal.record, deal.since) for deal in log.stuck),
    ]


def _by_rule(breach: Breach) -> tuple[str, str, datetime]:
    return breach.rule, breach.record, breach.since


__all__ = ["Breach", "Churner", "Firmographics", "Planted", "StuckDeal", "Truth", "Year", "generate"]
