"""The accounts of a generated year: who they are, what the CRM knows of them, and the people there."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from watchtower.flow.company_drifts import NEWS, late_in
from watchtower.flow.company_log import PEOPLE, Log, days_after, later
from watchtower.flow.company_places import COUNTRIES, MILAN_AREA, OUT_OF_ICP, REGIONS, ROOTS
from watchtower.flow.company_prose import describe
from watchtower.flow.company_trades import SECTORS, TRADES
from watchtower.flow.company_truth import Firmographics

FACTS = ("country", "city", "founded_year", "sector")
SHARES = {
    "customer_at_start": 0.42,
    "created_in_the_year": 0.15,
    "all_facts_unset": 0.56,
    "some_facts_unset": 0.08,
    "employees_unset": 0.3,
    "described": 0.8,
    "segment_wrong": 0.03,
    "domain_missing": 0.02,
    "local_team_forgotten": 0.15,
    "contact_leaves": 0.04,
    "left_unreplaced": 0.35,
    "consent_missing": 0.012,
}
"""Of all accounts; the last three of all contacts."""

_SECTOR_WEIGHTS = dict.fromkeys(SECTORS, 9.0) | {"Industrials": 20.0, "Technology": 14.0, "Real Estate": 3.0}


@dataclass(frozen=True)
class Account:
    """What the other generators need to know of an account."""

    number: int
    record: str
    facts: Firmographics
    hidden: frozenset[str]
    """The facts that the CRM does not hold."""
    region: str
    owner: str
    created: datetime
    customer_at_start: bool
    buyer: str
    """The id of the contact who signs."""

    @property
    def id(self) -> str:
        return self.record.partition("/")[2]


def open_account(log: Log, rng: Random, number: int) -> Account:
    """An account, its description and its contacts, as they enter the CRM."""
    record = f"account/A-{number:04d}"
    country = rng.choices(list(COUNTRIES), [entry.weight for entry in COUNTRIES.values()])[0]
    city = rng.choice(COUNTRIES[country].cities)
    sector = rng.choices(SECTORS, [_SECTOR_WEIGHTS[name] for name in SECTORS])[0]
    year = rng.randint(2022, 2023) if rng.random() < 0.06 else int(rng.triangular(1900, 2021, 1995))
    employees = rng.randint(4, 19) if rng.random() < 0.04 else max(20, int(rng.lognormvariate(5.2, 1.3)))
    name = f"{_name(number)} {rng.choice(TRADES[sector].last_name)} {rng.choice(COUNTRIES[country].legal)}"
    existing = rng.random() < SHARES["customer_at_start"]
    created = log.start + timedelta(seconds=20 * number)
    if not existing and rng.random() < SHARES["created_in_the_year"] / (1 - SHARES["customer_at_start"]):
        created += (log.end - log.start) * rng.uniform(0.02, 0.9)
        created = later(rng, created, 1, 2)
    text = ""
    stated: tuple[str, ...] = ()
    if rng.random() < SHARES["described"]:
        told = employees if rng.random() < 0.35 else None
        text, stated = describe(rng, name, country, city, year, sector, told)
    facts = Firmographics(country, city, year, sector, employees, stated)
    account = Account(
        number=number,
        record=record,
        facts=facts,
        hidden=_hidden(rng),
        region=region_of(country),
        owner=rng.choice(PEOPLE),
        created=created,
        customer_at_start=existing,
        buyer=f"C-{number:04d}-1",
    )
    log.firmographics[record] = facts
    if account.hidden:
        log.unset[record] = tuple(sorted(account.hidden))
    _enter(log, rng, account, name)
    if text:
        data = {"document": f"D-{number:04d}", "kind": "description", "text": text, "url": ""}
        log.write("document.added", "crm", record, created + timedelta(seconds=2), data)
    _contacts(log, rng, account)
    return account


def become_customer(log: Log, rng: Random, account: Account, at: datetime, **fields: Any) -> None:
    """The account's first purchase, or its import as a customer."""
    near = account.facts.city in MILAN_AREA
    forgotten = near and rng.random() < SHARES["local_team_forgotten"]
    team = "milan" if near and not forgotten else "remote"
    log.update(account.record, at, status="customer", service_team=team, **fields)
    if forgotten:
        log.breach("local_team_not_assigned", account.record, at, hidden="city" in account.hidden)


def region_of(country: str) -> str:
    """The team that serves a country."""
    return COUNTRIES[country].region


def wrong_region(rng: Random, region: str) -> str:
    """Some other team."""
    return rng.choice([name for name in REGIONS if name != region])


def outside_icp(account: Account) -> bool:
    """Whether we may not sell there."""
    return account.facts.country in OUT_OF_ICP


def _enter(log: Log, rng: Random, account: Account, name: str) -> None:
    facts, record = account.facts, account.record
    known = {field: getattr(facts, field) for field in (*FACTS, "employees") if field not in account.hidden}
    right = _segment(facts.employees)
    segment = right
    if rng.random() < SHARES["segment_wrong"]:
        segment = rng.choice([other for other in ("smb", "mid_market", "enterprise") if other != right])
    domain: str | None = _slug(name) + ".example"
    if rng.random() < SHARES["domain_missing"]:
        domain = None
        log.breach("account_domain_missing", record, account.created)
    log.update(
        record,
        account.created,
        name=name,
        domain=domain,
        segment=segment,
        owner=account.owner,
        tier={"smb": "c", "mid_market": "b", "enterprise": "a"}[segment],
        status="prospect",
        **known,
    )
    if segment != right:
        log.breach("segment_mismatch", record, account.created, hidden="employees" in account.hidden)
    if segment != "smb" and facts.founded_year >= 2022:
        hidden = "founded_year" in account.hidden
        log.breach("young_company_in_upper_segment", record, account.created, hidden=hidden)


def _hidden(rng: Random) -> frozenset[str]:
    draw = rng.random()
    hidden: list[str] = []
    if draw < SHARES["all_facts_unset"]:
        hidden = list(FACTS)
    elif draw < SHARES["all_facts_unset"] + SHARES["some_facts_unset"]:
        hidden = rng.sample(FACTS, 2)
    if rng.random() < SHARES["employees_unset"]:
        hidden.append("employees")
    return frozenset(hidden)


def _contacts(log: Log, rng: Random, account: Account) -> None:
    for index, role in enumerate(("economic_buyer", *rng.sample(("champion", "user", "other"), rng.randint(0, 2)))):
        record = f"contact/C-{account.number:04d}-{index + 1}"
        at = account.created + timedelta(seconds=3 + index)
        newsletter = rng.random() < 0.5
        consented = newsletter and rng.random() >= 2 * SHARES["consent_missing"]
        log.update(
            record,
            at,
            account=account.id,
            name=f"{rng.choice(PEOPLE)} {rng.choice(ROOTS)}",
            role=role,
            email=f"person{index + 1}@a{account.number}.example",
            status="active",
            newsletter=newsletter,
            consent_at=at - timedelta(days=3) if consented else None,
        )
        if newsletter and not consented:
            log.breach("consent_unrecorded", record, at)
        if rng.random() < SHARES["contact_leaves"]:
            _leave(log, rng, record, role, at)


def _leave(log: Log, rng: Random, record: str, role: str, joined: datetime) -> None:
    left = later(rng, joined + (log.end - joined) * rng.uniform(0.1, 0.95), 1, 2)
    log.update(record, left, status="left")
    if role in ("economic_buyer", "champion") and late_in(log, left, NEWS):
        log.plant("champion", record, left)
    forgotten = rng.random() < SHARES["left_unreplaced"]
    replaced = later(rng, left, 9, 60) if forgotten else later(rng, left, 1, 5)
    successor = record.partition("/")[2] + "-next"
    log.update(f"contact/{successor}", replaced - timedelta(seconds=5), role=role, status="active", newsletter=False)
    log.update(record, replaced, replaced_by=successor)
    if forgotten and role in ("economic_buyer", "champion"):
        log.breach("key_contact_left", record, days_after(left, 7), replaced)


def _segment(employees: int) -> str:
    return "smb" if employees < 250 else "mid_market" if employees < 1000 else "enterprise"


def _name(number: int) -> str:
    block, first = divmod(number, len(ROOTS))
    if block == 0:
        return ROOTS[first]
    second = ROOTS[(first + block) % len(ROOTS)]
    pair = f"{ROOTS[first]} {second}" if second != ROOTS[first] else ROOTS[first]
    return pair if block < len(ROOTS) else f"{pair} {block}"


def _slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "", ascii_name.lower())
