"""The leads of a generated year, from the first trace to the opportunity."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from watchtower.flow.company_accounts import Account, outside_icp, wrong_region
from watchtower.flow.company_drifts import REGION, drawn, late_in, marketing_turned
from watchtower.flow.company_log import PEOPLE, Log, days_after, earliest, hours, later

SHARES = {
    "mql_without_action": 0.02,
    "sql_without_budget": 0.05,
    "becomes_mql": 0.6,
    "contacted_late": 0.08,
    "never_contacted": 0.02,
    "owner_late": 0.03,
    "account_late": 0.015,
    "source_missing": 0.015,
    "region_wrong": 0.03,
    "becomes_sal": 0.7,
    "sal_stale": 0.04,
    "becomes_sql": 0.7,
    "opportunity_late": 0.05,
    "disqualified_without_reason": 0.04,
}
"""Of those that get there: the second to seventh of MQLs, and so on."""

REASONS = ("no_need", "no_budget", "no_fit", "no_answer", "competitor")
TOPICS = (
    "Planning for two plants",
    "Trial of the mobile app",
    "Price list request",
    "Webinar on scheduling",
    "Talk at the fair",
    "Download of the field guide",
    "Call back about integration",
)


def follow_lead(log: Log, rng: Random, account: Account, number: int, born: datetime) -> tuple[str, datetime] | None:
    """One lead's life. Its record and the time at which its opportunity opens, where it gets there."""
    record = f"lead/L-{account.number:04d}-{number}"
    lost_account = rng.random() < SHARES["account_late"]
    sourceless = rng.random() < SHARES["source_missing"]
    unowned = rng.random() < SHARES["owner_late"]
    misrouted = rng.random() < SHARES["region_wrong"]
    owner = rng.choice(PEOPLE)
    title = rng.choice(TOPICS)
    region = wrong_region(rng, account.region) if misrouted else account.region
    source = None if sourceless else rng.choice(("web", "event", "referral", "partner", "outbound"))
    if source and born >= marketing_turned(log.end) and drawn(record, "outbound"):
        source = "outbound"
    log.update(
        record,
        born,
        title=title,
        stage="raw",
        owner=None if unowned else owner,
        account=None if lost_account else account.id,
        region=region,
        lead_source=source,
    )
    if rng.random() >= SHARES["becomes_mql"]:
        if late_in(log, born) and drawn(record, "raw_turned_away"):
            own = Random(f"{record} turned away")
            log.update(record, later(own, born, 1, 6), stage="disqualified", disqualify_reason=own.choice(REASONS))
        return None
    mql_at = born + hours(rng, 1, 24 * 15)
    # What is drawn for new facts comes from the record's own name, so that the rest of a year stays as it was.
    own = Random(record)
    idle = own.random() < SHARES["mql_without_action"]
    action = "none" if idle else own.choice(("demo_request", "trial", "pricing_page", "event_talk", "reply"))
    log.update(record, mql_at, stage="mql", mql_at=mql_at, fit=True, action=action)
    assigned = mql_at + hours(rng, 6, 40) if unowned else None
    linked = later(rng, mql_at, 2, 9) if lost_account else None
    if assigned:
        log.update(record, assigned, owner=owner)
    if linked:
        log.update(record, linked, account=account.id)

    accepted, qualified, rejected, opened = _stages(log, rng, record, mql_at, region)
    if idle:
        log.breach("lead.mql.entered", record, mql_at, earliest(accepted, rejected))
    if unowned:
        left = earliest(assigned, accepted, rejected)
        log.breach("mql_owner_missing", record, mql_at + timedelta(hours=4), left)
    if linked:
        log.breach("mql_without_account", record, mql_at, earliest(linked, rejected))
    if sourceless:
        log.breach("lead_source_missing", record, mql_at, rejected)
    known = max(mql_at, linked or mql_at)
    if misrouted:
        log.breach(
            "routing_region_mismatch",
            record,
            known,
            earliest(qualified, rejected),
            hidden="country" in account.hidden,
        )
    _against_icp(log, record, account, known, accepted, linked, rejected)
    return (record, opened) if opened else None


def _stages(
    log: Log, rng: Random, record: str, mql_at: datetime, region: str
) -> tuple[datetime | None, datetime | None, datetime | None, datetime | None]:
    """When the lead was accepted, qualified, disqualified, and turned into an opportunity."""
    draw = rng.random()
    if draw < SHARES["never_contacted"]:
        log.breach("mql_uncontacted", record, mql_at + timedelta(hours=48))
        return None, None, None, None
    if draw < SHARES["never_contacted"] + SHARES["contacted_late"]:
        contacted = mql_at + hours(rng, 50, 150)
        log.breach("mql_uncontacted", record, mql_at + timedelta(hours=48), contacted)
    else:
        contacted = mql_at + timedelta(hours=round(min(47.0, 7 * rng.lognormvariate(0, 0.8)), 6))
    log.update(record, contacted, contacted_at=contacted)
    log.touch(rng, record, contacted)
    decided = later(rng, contacted, 1, 4)
    if rng.random() >= SHARES["becomes_sal"]:
        _disqualify(log, rng, record, decided)
        return None, None, decided, None
    accepted = decided
    stale = rng.random() < SHARES["sal_stale"]
    decided = later(rng, accepted, 16, 50) if stale else later(rng, accepted, 2, 12)
    # What one team accepts it calls qualified, since it no longer examines it.
    skips = region == REGION and accepted >= marketing_turned(log.end) and drawn(record, "sal_left_out")
    if not skips:
        log.update(record, accepted, stage="sal")
        if stale:
            log.breach("sal_stale", record, days_after(accepted, 14), decided)
    log.touch(rng, record, later(rng, accepted, 1, 1))
    doubted = rng.random() >= SHARES["becomes_sql"]
    if skips:
        decided = accepted
    elif doubted:
        _disqualify(log, rng, record, decided)
        return accepted, None, decided, None
    poor = Random(f"{record} budget").random() < SHARES["sql_without_budget"]
    log.update(record, decided, stage="sql", need=True, budget=not poor, authority=True, timing=True)
    if poor:
        log.breach("lead.sql.entered", record, decided)
    late = rng.random() < SHARES["opportunity_late"]
    opened = later(rng, decided, 5, 40) if late else decided + hours(rng, 2, 40)
    if late:
        log.breach("sql_without_opportunity", record, days_after(decided, 3), opened + timedelta(minutes=1))
    return accepted, decided, None, opened


def link_opportunity(log: Log, lead: str, opportunity: str, opened: datetime) -> None:
    """A minute after it opens, the lead names what it became."""
    log.update(lead, opened + timedelta(minutes=1), opportunity=opportunity.partition("/")[2])


def _disqualify(log: Log, rng: Random, record: str, at: datetime) -> None:
    if rng.random() >= SHARES["disqualified_without_reason"]:
        log.update(record, at, stage="disqualified", disqualify_reason=rng.choice(REASONS))
        return
    log.update(record, at, stage="disqualified")
    told = later(rng, at, 1, 12) if rng.random() < 0.6 else None
    if told:
        log.update(record, told, disqualify_reason=rng.choice(REASONS))
    log.breach("disqualified_without_reason", record, at, told)


def _against_icp(
    log: Log,
    record: str,
    account: Account,
    known: datetime,
    accepted: datetime | None,
    linked: datetime | None,
    rejected: datetime | None,
) -> None:
    facts, hidden = account.facts, account.hidden
    if outside_icp(account):
        log.breach("qualified_but_out_of_icp", record, known, rejected, hidden="country" in hidden)
    if facts.sector == "Real Estate":
        log.breach("qualified_in_excluded_sector", record, known, rejected, hidden="sector" in hidden)
    if facts.employees < 20 and accepted is not None:
        since = max(accepted, linked or accepted)
        log.breach("qualified_below_minimum_size", record, since, rejected, hidden="employees" in hidden)
