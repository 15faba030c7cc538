"""What each rule means, said once more by hand: small checks over folded events to hold a truth against."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from watchtower.contract import Event, parse_time
from watchtower.flow.company import Breach, Year
from watchtower.flow.company_places import COUNTRIES, OUT_OF_ICP

ROME = ZoneInfo("Europe/Rome")
TICK = timedelta(microseconds=1)


class Past:
    """What a record was at a time: its events folded in order of time."""

    def __init__(self, year: Year) -> None:
        self.end = year.end
        events = {event.id: event for event in year.events}.values()
        self.by_record: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(events, key=lambda e: e.time):
            self.by_record[event.subject].append(event)
        self.times = {record: [e.time for e in events] for record, events in self.by_record.items()}

    def at(self, record: str, now: datetime) -> dict[str, Any] | None:
        count = bisect_right(self.times.get(record, []), now)
        if count == 0:
            return None
        state: dict[str, Any] = {"": now}
        for event in self.by_record[record][:count]:
            for field, value in event.data.get("fields", {}).items():
                if state.get(field) != value:
                    state[f"changed {field}"] = event.time
                state[field] = value
            state[event.type] = event.time
        if "account" in state:
            state["at account"] = self.at(f"account/{state['account']}", now) if state["account"] else None
        return state


class View:
    """A state with the words the checks are written in."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state, self.now = state, state[""]

    def __getitem__(self, field: str) -> Any:
        return self.state.get(field)

    def stage(self, *stages: str) -> bool:
        return str(self["stage"] or self["status"]) in stages

    def lacks(self, *fields: str) -> bool:
        return any(self[field] is None for field in fields)

    def past(self, field: str, *, hours: int = 0, days: int = 0) -> bool:
        """Whether the time in a field (or `changed x`, or an event type) lies so far back, in Rome's days."""
        value = self[field]
        if value is None:
            return False
        if isinstance(value, str):
            midnight = len(value) == 10
            value = (
                datetime.combine(date.fromisoformat(value), datetime.min.time(), ROME)
                if midnight
                else parse_time(value)
            )
        local = value.astimezone(ROME)
        due: datetime = (local + timedelta(days=days)).astimezone(UTC) + timedelta(hours=hours)
        return bool(due <= self.now)

    def account(self, field: str) -> Any:
        return (self["at account"] or {}).get(field)

    def served(self) -> str | None:
        country = self.account("country")
        return COUNTRIES[country].region if country else None


def office_hours(since: datetime, now: datetime) -> timedelta:
    """Time from 09:00 to 18:00 on Monday to Friday in Rome (the checked tickets stay clear of holidays)."""
    passed, day = timedelta(0), since.astimezone(ROME).date()
    while day <= now.astimezone(ROME).date():
        if day.weekday() < 5:
            opens, closes = (datetime(day.year, day.month, day.day, hour, tzinfo=ROME) for hour in (9, 18))
            passed += max(timedelta(0), min(closes, now) - max(opens, since))
        day += timedelta(days=1)
    return passed


OPEN = ("discovery", "proposal", "negotiation")
GOOD = ("mql", "sal", "sql")
CHECKS: dict[str, Callable[[View], bool]] = {
    "mql_uncontacted": lambda v: v.stage("mql") and v.lacks("contacted_at") and v.past("mql_at", hours=48),
    "mql_owner_missing": lambda v: v.stage("mql") and v.lacks("owner") and v.past("mql_at", hours=4),
    "mql_without_account": lambda v: v.stage(*GOOD) and v.lacks("account"),
    "lead_source_missing": lambda v: v.stage(*GOOD) and v.lacks("lead_source"),
    "sal_stale": lambda v: v.stage("sal") and v.past("changed stage", days=14),
    "sql_without_opportunity": lambda v: v.stage("sql") and v.lacks("opportunity") and v.past("changed stage", days=3),
    "disqualified_without_reason": lambda v: v.stage("disqualified") and v.lacks("disqualify_reason"),
    "qualified_but_out_of_icp": lambda v: v.stage(*GOOD) and v.account("country") in OUT_OF_ICP,
    "qualified_in_excluded_sector": lambda v: v.stage(*GOOD) and v.account("sector") == "Real Estate",
    "qualified_below_minimum_size": lambda v: v.stage("sal", "sql") and (v.account("employees") or 20) < 20,
    "routing_region_mismatch": lambda v: v.stage("mql", "sal") and v.served() not in (None, v["region"]),
    "proposal_silent": lambda v: (
        v.stage("proposal")
        and v.past("changed stage", days=21)
        and (v.lacks("activity.logged") or v.past("activity.logged", days=21))
    ),
    "no_next_step": lambda v: v.stage(*OPEN) and v.lacks("next_step"),
    "next_step_overdue": lambda v: v.stage(*OPEN) and not v.lacks("next_step") and v.past("next_step_at", days=3),
    "close_date_passed": lambda v: v.stage(*OPEN) and v.past("close_date", days=1),
    "owner_missing": lambda v: v.stage(*OPEN) and v.lacks("owner"),
    "offer_without_amount": lambda v: v.stage("proposal", "negotiation") and v.lacks("amount"),
    "discount.over_20": lambda v: (
        v.stage("proposal", "negotiation", "won") and (v["discount"] or 0) > 20 and v.lacks("discount_approver")
    ),
    "discount.over_35": lambda v: (
        v.stage("proposal", "negotiation", "won") and (v["discount"] or 0) > 35 and v["discount_approver"] != "cfo"
    ),
    "large_deal_without_buyer": lambda v: (
        v.stage("negotiation") and (v["amount"] or 0) >= 60_000 and v.lacks("economic_buyer")
    ),
    "forecast_missing": lambda v: (
        v.stage("negotiation") and v.lacks("forecast_category") and v.past("changed stage", days=3)
    ),
    "credit_check_missing": lambda v: (
        v.stage("proposal", "negotiation")
        and v["payment_terms_days"] >= 60
        and v.lacks("credit_checked_at")
        and (v.account("founded_year") or 0) >= 2022
    ),
    "lead.mql.entered": lambda v: v.stage("mql") and not (v["fit"] and v["action"] != "none"),
    "lead.sql.entered": lambda v: v.stage("sql") and not all(v[f] for f in ("need", "budget", "authority", "timing")),
    "opportunity.negotiation.entered": lambda v: v.stage("negotiation") and not v["stakeholders"],
    "opportunity.won.incomplete": lambda v: v.stage("won") and v.lacks("constraints", "stakeholders", "timeline"),
    "won_without_contract_terms": lambda v: v.stage("won") and v.lacks("contract_terms", "scope"),
    "closed_lost_without_reason": lambda v: v.stage("lost") and v.lacks("loss_reason"),
    "sales_to_delivery.limbo": lambda v: (
        v.past("handoff.offered", hours=24)
        and not (v["handoff.accepted"] and v["handoff.accepted"] >= v["handoff.offered"])
        and not (v["handoff.rejected"] and v["handoff.rejected"] >= v["handoff.offered"])
    ),
    "sales_to_delivery.rejected": lambda v: (
        v.past("handoff.rejected", hours=48) and v["handoff.rejected"] >= v["handoff.offered"]
    ),
    "handoff_without_recipient": lambda v: not v.lacks("handoff.offered") and v.lacks("to_owner"),
    "onboarding_blocked": lambda v: v.stage("blocked") and v.past("changed status", hours=72),
    "onboarding_late": lambda v: v.stage("planned", "running", "blocked") and v.past("due_on", days=1),
    "subscription_payment_failed": lambda v: (
        v.stage("active") and v["payment_status"] == "failed" and v.past("changed payment_status", hours=72)
    ),
    "renewal_soon_without_plan": lambda v: (
        v.stage("active") and v.lacks("renewal_plan") and v.past("renewal_on", days=-60)
    ),
    "renewal_overdue": lambda v: v.stage("active") and v.past("renewal_on", days=1),
    "ticket_unanswered": lambda v: (
        v.stage("open")
        and v.lacks("first_response_at")
        and office_hours(parse_time(v["opened_at"]), v.now) >= timedelta(hours=8)
    ),
    "urgent_ticket_unsolved": lambda v: (
        v.stage("open", "pending") and v["priority"] == "urgent" and v.past("opened_at", hours=24)
    ),
    "customer_owner_missing": lambda v: v.stage("customer") and v.lacks("owner"),
    "customer_silent": lambda v: v.stage("customer") and v.past("activity.logged", days=90),
    "customer_usage_stopped": lambda v: v.stage("customer") and v.past("usage.recorded", days=21),
    "account_domain_missing": lambda v: v.lacks("domain"),
    "segment_mismatch": lambda v: v["employees"] is not None and v["segment"] != segment(v["employees"]),
    "young_company_in_upper_segment": lambda v: v["segment"] != "smb" and (v["founded_year"] or 0) >= 2022,
    "local_team_not_assigned": lambda v: (
        v.stage("customer") and v["city"] in ("Milan", "Monza", "Bergamo", "Brescia") and v["service_team"] != "milan"
    ),
    "key_contact_left": lambda v: (
        v.stage("left")
        and v["role"] in ("economic_buyer", "champion")
        and v.lacks("replaced_by")
        and v.past("changed status", days=7)
    ),
    "consent_unrecorded": lambda v: v["newsletter"] is True and v.lacks("consent_at"),
}


def segment(employees: int) -> str:
    return "smb" if employees < 250 else "mid_market" if employees < 1000 else "enterprise"


def wrong(past: Past, breach: Breach) -> str:
    """What is not so about a breach, or nothing."""

    def holds(now: datetime) -> bool:
        state = past.at(breach.record, now)
        return state is not None and bool(CHECKS[breach.rule](View(state)))

    if not holds(breach.since) or holds(breach.since - TICK):
        return f"{breach} does not begin at {breach.since}"
    last = (breach.until or past.end) - TICK
    if not holds(last) or (breach.until is not None and holds(breach.until)):
        return f"{breach} does not end at {breach.until}"
    return ""
