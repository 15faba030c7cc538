"""Customers in a generated year: what they use, pay and ask, how they renew, and who quietly leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from watchtower.flow.company_accounts import Account
from watchtower.flow.company_drifts import LATELY, QUIET, drawn
from watchtower.flow.company_log import (
    PEOPLE,
    ROME,
    Log,
    day_of,
    days_after,
    desk,
    earliest,
    hours,
    later,
    midnight,
)
from watchtower.flow.company_truth import Churner

SHARES = {
    "churns": 0.12,
    "usage_stops": 0.03,
    "falls_silent": 0.03,
    "owner_missing": 0.025,
    "payment_fails": 0.05,
    "failed_long": 0.4,
    "renewal_unplanned": 0.12,
    "renewal_late": 0.06,
    "ticket_unanswered": 0.025,
    "ticket_urgent": 0.15,
    "urgent_unsolved": 0.08,
}
"""Of customers; then of invoices, of the failed, of renewals, of tickets, of tickets, of the urgent."""
TICKETS_A_YEAR = 5.0
RAMP_WEEKS = 12
KNOWN_BY = 5
"""Conversations after which a customer has a rhythm of its own."""

TITLES = (
    "Report shows old numbers",
    "Cannot add a user",
    "Import stops half way",
    "Question on the invoice",
    "App closes on the phone",
    "Slow in the morning",
    "Wrong time zone in the plan",
    "How to undo a change",
)


@dataclass(frozen=True)
class Stay:
    """A customer from its first purchase until it leaves (None: it stays)."""

    account: Account
    since: datetime
    until: datetime | None
    decline: Churner | None


def keep_customer(log: Log, rng: Random, account: Account, since: datetime, *, new: bool, amount: int) -> None:
    """Everything that happens with one customer while it is one."""
    decline = _decline(log, rng, account, since)
    until = _subscribe(log, rng, account, since, decline, new=new, amount=amount)
    stay = Stay(account, since, until, decline)
    if until is not None:
        log.update(account.record, until + timedelta(minutes=1), status="former")
    _use(log, rng, stay)
    _talk(log, rng, stay)
    _ask(log, rng, stay)
    if rng.random() < SHARES["owner_missing"]:
        _lose_owner(log, rng, stay)


def _gone(stay: Stay) -> datetime | None:
    return None if stay.until is None else stay.until + timedelta(minutes=1)


def _decline(log: Log, rng: Random, account: Account, since: datetime) -> Churner | None:
    whole = log.end - log.start
    if since > log.start + whole * 0.2 or rng.random() >= SHARES["churns"]:
        return None
    at = log.start + whole * rng.uniform(0.55, 0.85)
    shape = rng.choice(("step", "ramp"))
    churner = Churner(account.record, at, shape, rng.choice((0.5, 0.3, 0.2)))
    log.churners.append(churner)
    return churner


def _subscribe(
    log: Log,
    rng: Random,
    account: Account,
    since: datetime,
    decline: Churner | None,
    *,
    new: bool,
    amount: int,
) -> datetime | None:
    """The subscription's year. When it is cancelled, where it is."""
    record = f"subscription/S-{account.number:04d}"
    renewal = day_of(since) + timedelta(days=365 if new else rng.randint(10, 375))
    seats = max(5, amount // 900)
    at = since + timedelta(minutes=2)
    plan = "enterprise" if amount >= 60_000 else "business" if amount >= 25_000 else "team"
    log.update(
        record,
        at,
        source="billing",
        account=account.id,
        plan=plan,
        status="active",
        amount=amount,
        seats=seats,
        payment_status="ok",
        renewal_on=renewal,
    )
    cancelled: datetime | None = None
    written = at
    while cancelled is None and midnight(renewal) < log.end + timedelta(days=61):
        overdue = rng.random() < SHARES["renewal_late"]
        leaves = decline is not None and midnight(renewal) > decline.since + timedelta(days=30)
        signed = desk(rng, renewal + timedelta(days=rng.randint(3, 25) if overdue else rng.randint(-5, 0)))
        signed = max(signed, written + timedelta(hours=1))
        _plan_renewal(log, rng, record, renewal, written, signed)
        if overdue:
            log.breach("renewal_overdue", record, midnight(renewal + timedelta(days=1)), signed)
        if leaves:
            log.update(record, signed, source="billing", status="cancelled")
            cancelled = signed
        else:
            renewal += timedelta(days=365)
            log.update(record, signed, source="billing", renewal_on=renewal, renewal_plan=None)
            written = signed
    _pay(log, rng, record, at, cancelled)
    return cancelled


def _plan_renewal(log: Log, rng: Random, record: str, renewal: date, known: datetime, signed: datetime) -> None:
    """A plan well before the last 60 days; for some late, for a few never."""
    due = midnight(renewal - timedelta(days=60))
    planned: datetime | None = max(
        desk(rng, renewal - timedelta(days=rng.randint(62, 100))), known + timedelta(seconds=1)
    )
    if rng.random() < SHARES["renewal_unplanned"]:
        planned = desk(rng, renewal - timedelta(days=rng.randint(15, 50))) if rng.random() < 0.6 else None
        planned = None if planned is None or planned <= known or planned >= signed else planned
    if planned is not None:
        log.update(record, planned, renewal_plan="Keep the plan, add one site")
    log.breach("renewal_soon_without_plan", record, max(due, known), planned or signed)


def _pay(log: Log, rng: Random, record: str, since: datetime, until: datetime | None) -> None:
    """An invoice a quarter. Where it fails, it is mostly made good within three days."""
    at = desk(rng, day_of(since) + timedelta(days=rng.randint(5, 80)))
    failing: datetime | None = None
    while at < min(log.end, (until or log.end) - timedelta(days=40)):
        if rng.random() < SHARES["payment_fails"]:
            long = rng.random() < SHARES["failed_long"]
            good = at + (hours(rng, 96, 24 * 30) if long else hours(rng, 5, 66))
            log.update(record, at, source="billing", payment_status="failed")
            log.update(record, good, source="billing", payment_status="ok", last_paid_at=good)
            if good >= log.end:
                failing = at
            if long:
                log.breach("subscription_payment_failed", record, at + timedelta(hours=72), good)
        else:
            log.update(record, at, source="billing", payment_status="ok", last_paid_at=at)
        at = later(rng, at, 90, 92)
    if until is None and failing is None and drawn(record, "payment_fails_last"):
        failing = log.end - hours(Random(f"{record} last invoice"), 80, 24 * 9)
        log.update(record, failing, source="billing", payment_status="failed")
        log.breach("subscription_payment_failed", record, failing + timedelta(hours=72))
    if failing is not None:
        log.plant("payment", record, failing)


def _use(log: Log, rng: Random, stay: Stay) -> None:
    """Active users a week: negative binomial around a level of its own, less in August and at Christmas."""
    level = 4 + stay.account.facts.employees**0.6 * rng.uniform(0.5, 1.6)
    shape = rng.uniform(8, 25)
    stops = None
    if stay.decline is None and stay.until is None and rng.random() < SHARES["usage_stops"]:
        stops = max(log.end - timedelta(days=rng.randint(30, 120)), stay.since + timedelta(days=30))
    monday = day_of(stay.since) + timedelta(days=7 - day_of(stay.since).weekday())
    minute = stay.account.number % 50
    at, last = datetime.combine(monday, time(5, minute), UTC), None
    while at < log.end and (stay.until is None or at < stay.until) and (stops is None or at < stops):
        mean = level * _season(day_of(at)) * _remaining(stay.decline, at)
        value = _poisson(rng, rng.gammavariate(shape, mean / shape))
        log.write("usage.recorded", "product", stay.account.record, at, {"metric": "active_users", "value": value})
        at, last = at + timedelta(days=7), at
    if stops is not None and last is not None:
        log.breach("customer_usage_stopped", stay.account.record, days_after(last, 21))
    falls = [stops, stay.until, None if stay.decline is None else stay.decline.since]
    fell = earliest(*falls)
    if fell is not None and last is not None and fell > stay.since + timedelta(weeks=26):
        log.plant("usage_falling", stay.account.record, fell)


def _talk(log: Log, rng: Random, stay: Stay) -> None:
    """A conversation every few weeks; with some customers none for months."""
    silent = None
    if stay.until is None and rng.random() < SHARES["falls_silent"]:
        silent = stay.since + (log.end - stay.since) * rng.uniform(0.2, 0.6)
    record, told = stay.account.record, list[datetime]()
    quiet = stay.until is None and drawn(record, "goes_quiet")
    at = later(rng, stay.since, 1, 30)
    while at < log.end and (stay.until is None or at < stay.until):
        if quiet and at >= log.end - QUIET:
            log.breach("customer_silent", record, days_after(told[-1], 90)) if told else None
            break
        log.touch(rng, record, at)
        told.append(at)
        step = later(rng, at, 15, 45)
        if silent is not None and step >= silent:
            step, silent = later(rng, at, 110, 240), None
            log.breach("customer_silent", record, days_after(at, 90), step)
        at = step
    if len(told) > KNOWN_BY and log.end - told[-1] >= QUIET:
        log.plant("fallen_silent", record, told[-1])


def _ask(log: Log, rng: Random, stay: Stay) -> None:
    """Tickets, answered within hours and solved within days; a few are not."""
    count, at = 0, stay.since
    while True:
        at = at + timedelta(days=rng.expovariate(TICKETS_A_YEAR / 365) + 0.01)
        if at >= log.end or (stay.until is not None and at >= stay.until):
            break
        count += 1
        _ticket(log, rng, f"ticket/T-{stay.account.number:04d}-{count}", stay.account.id, _workday(at))
    if stay.until is None and drawn(stay.account.record, "tickets_burst"):
        own = Random(f"{stay.account.record} burst")
        for number in range(7):
            at = log.end - LATELY + number * timedelta(days=3)
            if at > stay.since:
                count += 1
                _ticket(log, own, f"ticket/T-{stay.account.number:04d}-{count}", stay.account.id, _workday(at))
        log.plant("more_tickets", stay.account.record, log.end - LATELY)


def _ticket(log: Log, rng: Random, record: str, account: str, day: date) -> None:
    opened = desk(rng, day, 9, 18)
    urgent = rng.random() < SHARES["ticket_urgent"]
    log.write("ticket.opened", "support", f"account/{account}", opened, {"ticket": record.partition("/")[2]})
    log.update(
        record,
        opened,
        source="support",
        title=rng.choice(TITLES),
        account=account,
        status="open",
        priority="urgent" if urgent else "normal",
        owner=rng.choice(PEOPLE),
        opened_at=opened,
    )
    if urgent:
        late = rng.random() < SHARES["urgent_unsolved"]
        answered = opened + hours(rng, 0.1, 2)
        solved = opened + (hours(rng, 30, 24 * 6) if late else hours(rng, 2.5, 22))
        if late:
            log.breach("urgent_ticket_unsolved", record, opened + timedelta(hours=24), solved)
    else:
        # Eight office hours are reckoned here by hand, so the days must be free of holidays: see _workday.
        forgotten = day.weekday() <= 2 and rng.random() < SHARES["ticket_unanswered"] / 0.6
        answered = later(rng, opened, 3, 9) if forgotten else opened + hours(rng, 0.2, 6)
        solved = answered + hours(rng, 6, 24 * 5)
        if forgotten:
            log.breach("ticket_unanswered", record, _eight_office_hours(opened), answered)
    log.update(record, answered, source="support", status="pending", first_response_at=answered)
    log.update(record, solved, source="support", status="solved", solved_at=solved)


def _eight_office_hours(opened: datetime) -> datetime:
    """When 8 hours of 09:00 to 18:00 have passed, given that this day and the next are open."""
    today = datetime.combine(day_of(opened), time(18), ROME)
    rest = timedelta(hours=8) - (today - opened.astimezone(ROME))
    if rest <= timedelta(0):
        return opened + timedelta(hours=8)
    return (datetime.combine(day_of(opened) + timedelta(days=1), time(9), ROME) + rest).astimezone(UTC)


_CLOSED = frozenset({(1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (10, 4), (11, 1), (12, 8), (12, 25), (12, 26)})


def _workday(at: datetime) -> date:
    """The day itself, or the next one that is, with the day after it, no holiday in Italy."""
    day = day_of(at)
    while day.weekday() > 4 or any(_holiday(day + timedelta(days=ahead)) for ahead in (0, 1)):
        day += timedelta(days=1)
    return day


def _holiday(day: date) -> bool:
    return (day.month, day.day) in _CLOSED or day == _easter(day.year) + timedelta(days=1)


def _easter(year: int) -> date:
    """Gregorian Easter Sunday. Source: Meeus, Astronomical Algorithms, chapter 8."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _lose_owner(log: Log, rng: Random, stay: Stay) -> None:
    at = later(rng, stay.since + (log.end - stay.since) * rng.uniform(0.1, 0.97), 1, 2)
    gone = _gone(stay)
    if gone is not None and at >= gone:
        return
    named = later(rng, at, 2, 90)
    log.update(stay.account.record, at, owner=None)
    log.update(stay.account.record, named, owner=rng.choice(PEOPLE))
    log.breach("customer_owner_missing", stay.account.record, at, earliest(named, gone))


def _season(day: date) -> float:
    if day.month == 8:
        return 0.65
    return 0.55 if (day.month, day.day) >= (12, 22) or (day.month, day.day) <= (1, 4) else 1.0


def _remaining(decline: Churner | None, at: datetime) -> float:
    if decline is None or at < decline.since:
        return 1.0
    if decline.shape == "step":
        return decline.remaining
    weeks = (at - decline.since) / timedelta(weeks=1)
    return 1.0 - (1.0 - decline.remaining) * min(1.0, weeks / RAMP_WEEKS)


def _poisson(rng: Random, mean: float) -> int:
    """Knuth's product for small means, the rounded normal above 50, where they differ little."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product, count = product * rng.random(), count + 1
    return count
