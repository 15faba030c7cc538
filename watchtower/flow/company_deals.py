"""The deals of a generated year: stages with log-normal stays, touches, next steps, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from watchtower.flow.company_accounts import Account
from watchtower.flow.company_drifts import ENOUGH_PUSHES, HELD_OPEN, LATELY, drawn, late_in
from watchtower.flow.company_log import PEOPLE, Log, day_of, days_after, desk, later, lognormal_days, midnight
from watchtower.flow.company_truth import StuckDeal

STAGES = ("discovery", "proposal", "negotiation")
MEDIAN_DAYS = {"discovery": 14.0, "proposal": 18.0, "negotiation": 12.0}
SIGMA = 0.5
GOES_ON = {"discovery": 0.75, "proposal": 0.65, "negotiation": 0.75}
"""The chance to reach the next stage (after negotiation: to win)."""

FAULTS = {
    "stuck": 0.025,
    "proposal_silent": 0.05,
    "no_next_step": 0.035,
    "next_step_overdue": 0.035,
    "close_date_passed": 0.05,
    "owner_missing": 0.03,
    "offer_without_amount": 0.025,
    "discount.over_20": 0.03,
    "discount.over_35": 0.015,
    "large_deal_without_buyer": 0.04,
    "forecast_missing": 0.04,
}
"""Share of deals each is drawn for; a deal has at most one, and some end before it shows."""
CLOSING_FAULTS = {"won_without_contract_terms": 0.06, "closed_lost_without_reason": 0.06}
"""Shares of the won and of the lost."""
NOBODY_NAMED, NOTHING_SAID = 0.03, 0.04
"""Shares of the deals in negotiation, and of the won, without a person who decides, or without constraints."""
STUCK_BEFORE = 0.6
"""Only deals of the year's first part get stuck, so that each has stayed far too long by its end."""

STEPS = (
    "Send the offer",
    "Talk to the plant manager",
    "Demo for the planners",
    "Security questions",
    "Agree on scope",
    "Visit the site",
    "Review the contract",
    "Meet the buyer",
)
SCOPES = (
    "Planning for one plant",
    "Planning for two plants",
    "Scheduling and mobile app",
    "All modules, one country",
)


@dataclass
class Deal:
    """One deal while it is being told."""

    log: Log
    rng: Random
    account: Account
    record: str
    opened: datetime
    fault: str
    amount: int
    owner: str
    close_date: date = date.min
    closed: datetime | None = None
    won: bool = False
    put_off: bool = False
    """Whether its date is moved at every touch."""
    delivered: datetime | None = None
    """When terms and scope stood, so that delivery could begin."""
    entered: dict[str, datetime] = field(default_factory=dict)
    left: dict[str, datetime | None] = field(default_factory=dict)

    def put(self, at: datetime, **fields: Any) -> None:
        self.log.update(self.record, at, **fields)

    def breach(self, rule: str, since: datetime, until: datetime | None, *, hidden: bool = False) -> None:
        self.log.breach(rule, self.record, since, until, hidden=hidden)


def close_deal(log: Log, rng: Random, account: Account, number: int, opened: datetime, *, early: bool) -> Deal:
    """One deal from its opening on. `early`: it opens soon enough to be stuck."""
    large = rng.random() < 0.2
    deal = Deal(
        log,
        rng,
        account,
        f"opportunity/O-{account.number:04d}-{number}",
        opened,
        _draw(rng, early),
        rng.randrange(60, 180) * 1000 if large else rng.randrange(8, 59) * 1000,
        rng.choice(PEOPLE),
    )
    if deal.fault == "large_deal_without_buyer":
        deal.amount = rng.randrange(60, 180) * 1000
    deal.put_off = not deal.fault and late_in(log, opened, HELD_OPEN) and drawn(deal.record, "put_off")
    _schedule(deal)
    _open(deal)
    _tend(deal)
    _offer(deal)
    _negotiate(deal)
    _end(deal)
    return deal


def _draw(rng: Random, early: bool) -> str:
    draw = rng.random()
    for name, share in FAULTS.items():
        if name == "stuck":
            share = share / STUCK_BEFORE if early else 0.0
        if draw < share:
            return name
        draw -= share
    return ""


def _schedule(deal: Deal) -> None:
    """When the deal enters and leaves each stage: log-normal stays, except where it gets stuck."""
    rng, at = deal.rng, deal.opened
    stuck_in = rng.choice(STAGES) if deal.fault == "stuck" else ""
    silent_for_good = deal.fault == "proposal_silent" and rng.random() < 0.2
    for stage in STAGES:
        deal.entered[stage], deal.left[stage] = at, None
        stay = lognormal_days(rng, MEDIAN_DAYS[stage], SIGMA)
        if stage == stuck_in or (stage == "proposal" and silent_for_good):
            if at < deal.log.end:
                deal.log.stuck.append(StuckDeal(deal.record, stage, at))
            return
        if stage == "proposal" and deal.fault == "proposal_silent":
            stay = max(stay, rng.uniform(26, 60))
        at = desk(rng, day_of(at) + timedelta(days=max(1, round(stay))))
        deal.left[stage] = at
        doomed = stuck_in in STAGES[STAGES.index(stage) + 1 :] if stuck_in else False
        if not doomed and rng.random() >= GOES_ON[stage]:
            deal.closed = at
            deal.won = _makes_a_detour(deal, stage, at)
            return
    deal.closed, deal.won = at, True


def _makes_a_detour(deal: Deal, stage: str, at: datetime) -> bool:
    """Of late some deals are called won out of discovery, without an offer."""
    if deal.fault or stage != "discovery" or not late_in(deal.log, at, LATELY):
        return False
    if not drawn(deal.record, "unsigned_detour"):
        return False
    for signal in ("off_path", "odd_way"):
        deal.log.plant(signal, deal.record, at)
    return True


def _open(deal: Deal) -> None:
    rng = deal.rng
    first = day_of(deal.opened)
    ahead = rng.randint(15, 30) if deal.fault == "close_date_passed" else rng.randint(45, 90)
    deal.close_date = first + timedelta(days=ahead)
    deal.put(
        deal.opened,
        name=rng.choice(SCOPES),
        account=deal.account.id,
        stage="discovery",
        owner=deal.owner,
        next_step=rng.choice(STEPS),
        next_step_at=later(rng, deal.opened, 12, 12),
        close_date=deal.close_date,
    )
    if deal.fault == "close_date_passed":
        deal.breach("close_date_passed", midnight(deal.close_date + timedelta(days=1)), deal.closed)


def _tend(deal: Deal) -> None:
    """Touches until the deal closes, each with the next step and, where it is near, a later close date."""
    rng, log = deal.rng, deal.log
    trouble = later(rng, deal.opened, 1, 9)
    if deal.fault == "owner_missing":
        _lose_owner(deal, trouble)
    quiet_from = deal.entered.get("proposal") if deal.fault == "proposal_silent" else None
    loose = deal.fault in ("no_next_step", "next_step_overdue")
    if loose and (deal.closed is None or trouble < deal.closed):
        _lose_step(deal, trouble)
    at, last, pushes = later(rng, deal.opened, 1, 8), deal.opened, 0
    while at < log.end and (deal.closed is None or at < deal.closed):
        if quiet_from and quiet_from <= at < (deal.left["proposal"] or log.end):
            _fall_silent(deal, quiet_from, last)
            if deal.left["proposal"] is None:
                return
            at = later(rng, deal.left["proposal"], 1, 4)
            quiet_from = None
            continue
        log.touch(rng, deal.record, at)
        last, step = at, later(rng, at, 5, 12)
        fields: dict[str, Any] = {}
        if not (loose and at > trouble):
            due = desk(rng, day_of(step) + timedelta(days=rng.randint(0, 1)))
            fields = {"next_step": rng.choice(STEPS), "next_step_at": due}
        if deal.put_off:
            pushes += 1
            deal.close_date += timedelta(days=7)
            fields["close_date"] = deal.close_date
        elif deal.fault != "close_date_passed" and deal.close_date < day_of(at) + timedelta(days=20):
            deal.close_date = day_of(at) + timedelta(days=rng.randint(35, 60))
            fields["close_date"] = deal.close_date
        if fields:
            deal.put(at + timedelta(seconds=1), **fields)
        at = step
    if pushes >= ENOUGH_PUSHES and (deal.closed is None or deal.closed >= log.end):
        log.plant("put_off", deal.record, last)


def _lose_owner(deal: Deal, at: datetime) -> None:
    """The owner leaves the company; a successor is named days later, or the deal ends without one."""
    if deal.closed is not None and at >= deal.closed:
        return
    deal.put(at, owner=None)
    named = later(deal.rng, at, 2, 25)
    if deal.closed is None or named < deal.closed:
        deal.put(named, owner=deal.rng.choice(PEOPLE))
        deal.breach("owner_missing", at, named)
    else:
        deal.breach("owner_missing", at, deal.closed)


def _lose_step(deal: Deal, at: datetime) -> None:
    """From here on nobody enters a next step any more."""
    if deal.fault == "no_next_step":
        deal.put(at + timedelta(seconds=2), next_step=None, next_step_at=None)
        deal.breach("no_next_step", at + timedelta(seconds=2), deal.closed)
        return
    due = later(deal.rng, at, 2, 4)
    deal.put(at + timedelta(seconds=2), next_step=deal.rng.choice(STEPS), next_step_at=due)
    deal.breach("next_step_overdue", days_after(due, 3), deal.closed)


def _fall_silent(deal: Deal, entered: datetime, last: datetime) -> None:
    """The customer wants to be left alone until its board meets; the calendar says so and the deal stands."""
    board = later(deal.rng, deal.log.end, 10, 90)
    deal.close_date = day_of(board)
    deal.put(
        entered + timedelta(seconds=1),
        next_step="After the board meeting",
        next_step_at=board,
        close_date=day_of(board),
    )
    deal.breach("proposal_silent", max(days_after(entered, 21), days_after(last, 21)), deal.left["proposal"])


def _offer(deal: Deal) -> None:
    """Entry into proposal: amount, discount, terms of payment."""
    at = deal.entered.get("proposal")
    if at is None:
        return
    rng, until = deal.rng, None if deal.won else deal.closed
    fields: dict[str, Any] = {"stage": "proposal", "amount": deal.amount, "payment_terms_days": 30}
    draw = rng.random()
    if deal.fault in ("discount.over_20", "discount.over_35"):
        deep = deal.fault == "discount.over_35"
        fields |= {"discount": 40 if deep else 25} | ({"discount_approver": "sales_director"} if deep else {})
        fixed = later(rng, at, 2, 9) if rng.random() < 0.7 else None
        if fixed and (deal.closed is None or fixed < deal.closed):
            deal.put(fixed, discount_approver="cfo" if deep else "sales_director")
            until = fixed
        deal.breach(deal.fault, at, until)
    elif draw < 0.12:
        fields |= {"discount": 25, "discount_approver": "sales_director"}
    elif draw < 0.15:
        fields |= {"discount": 40, "discount_approver": "cfo"}
    else:
        fields["discount"] = rng.choice((0, 0, 5, 10, 15, 20))
    if deal.fault == "offer_without_amount":
        del fields["amount"]
        told = later(rng, at, 2, 20)
        stays = deal.closed is None or told < deal.closed
        deal.put(told, amount=deal.amount)
        deal.breach("offer_without_amount", at, told if stays else deal.closed)
    if rng.random() < 0.25:
        fields["payment_terms_days"] = 60
        if rng.random() < 0.7:
            fields["credit_checked_at"] = at
        elif deal.account.facts.founded_year >= 2022:
            hidden = "founded_year" in deal.account.hidden
            deal.breach("credit_check_missing", at, deal.closed, hidden=hidden)
    deal.put(at, **fields)


def _negotiate(deal: Deal) -> None:
    """Entry into negotiation: who signs, and where it stands in the forecast."""
    at = deal.entered.get("negotiation")
    if at is None:
        return
    fields: dict[str, Any] = {"stage": "negotiation", "economic_buyer": deal.account.buyer}
    fields["forecast_category"] = deal.rng.choice(("base", "upside", "downside"))
    if deal.fault == "large_deal_without_buyer":
        del fields["economic_buyer"]
        deal.breach(deal.fault, at, deal.closed)
    if deal.fault == "forecast_missing":
        del fields["forecast_category"]
        deal.breach(deal.fault, days_after(at, 3), deal.closed)
    people = _people(deal, at)
    if not people["stakeholders"]:
        deal.breach("opportunity.negotiation.entered", at, deal.closed)
    fields |= people
    deal.put(at, **fields)


def _people(deal: Deal, at: datetime) -> dict[str, Any]:
    """Who decides, and until when."""
    own = Random(f"{deal.record} people")
    unknown = own.random() < NOBODY_NAMED
    return {"stakeholders": 0 if unknown else own.randint(1, 6), "timeline": day_of(at) + timedelta(days=90)}


def _end(deal: Deal) -> None:
    """Won with terms and scope, or lost with a reason; a few without."""
    if deal.closed is None:
        return
    rng, at = deal.rng, deal.closed
    own = Random(f"{deal.record} constraints")
    more: dict[str, Any] = {}
    if deal.won and own.random() >= NOTHING_SAID:
        more["constraints"] = own.choice(("none", "on premises only", "two languages", "no changes in December"))
    elif deal.won:
        deal.breach("opportunity.won.incomplete", at, None)
    if deal.won and "negotiation" not in deal.entered:
        more |= _people(deal, at)
    told = {"contract_terms": rng.choice(("standard", "standard", "negotiated")), "scope": rng.choice(SCOPES)}
    rule = "won_without_contract_terms" if deal.won else "closed_lost_without_reason"
    reason = {"loss_reason": rng.choice(("price", "product", "timing", "competitor", "no_decision"))}
    facts = told if deal.won else reason
    stage = "won" if deal.won else "lost"
    if rng.random() >= CLOSING_FAULTS[rule]:
        deal.put(at, stage=stage, closed_at=at, **facts, **more)
        deal.delivered = at if deal.won else None
        return
    missing = rng.choice(sorted(facts))
    kept = {name: value for name, value in facts.items() if name != missing}
    deal.put(at, stage=stage, closed_at=at, **kept, **more)
    fixed = later(rng, at, 1, 12) if rng.random() < 0.6 else None
    if fixed:
        deal.put(fixed, **{missing: facts[missing]})
        deal.delivered = fixed if deal.won else None
    deal.breach(rule, at, fixed)
