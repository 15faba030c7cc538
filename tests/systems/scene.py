"""A company that lives in a CRM, and a tower that reads it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from systems.vendor import Vendor
from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.bootstrap.systems import Open, Synced

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
OBJECTS = """
name: crm
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
      industry: {type: enum, values: [software, retail], fill: enrichment}
      employees: {type: integer, min: 1}
  contact:
    fields:
      account: {type: ref, to: account}
      email: {type: email, personal: true}
      optin: {type: boolean}
  opportunity:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [discovery, proposal, won, lost]}
      amount: {type: money}
      close_date: {type: date}
      proposed_at: {type: timestamp}
      last_activity_at: {type: timestamp, rollup: {latest: time, of: activity.logged}}
roles: {revops: RevOps, sales: Sales}
acceptance:
  account.industry: {accept_at: 0.9, review_at: 0.5}
rules:
  - id: proposal_quiet
    object: opportunity
    when: stage = 'proposal' and coalesce(last_activity_at, proposed_at) <= now() - interval '5 days'
    owner: sales
  - {id: big_unnamed, object: opportunity, when: amount > 50000 and account.employees is null, owner: sales}
  - {id: overdue, object: opportunity, when: "stage in ('discovery', 'proposal') and close_date < now()", owner: sales}
"""
HUBSPOT = """
systems:
  crm:
    kind: hubspot
    owner: revops
    every: 5 minutes
    objects:
      account:
        from: companies
        id: external_id
        fields:
          name: name
          industry: {from: industry, values: {COMPUTER_SOFTWARE: software, RETAIL: retail}}
          employees: numberofemployees
      contact:
        from: contacts
        id: external_id
        fields: {account: associations.companies, email: email, optin: optin}
      opportunity:
        from: deals
        id: external_id
        fields:
          account: associations.companies
          stage: {from: dealstage, values: {qualified: discovery, offered: proposal, closedwon: won, closedlost: lost}}
          amount: amount
          close_date: closedate
          proposed_at: proposed_at
    activities: [note, call]
    write: {account: [industry]}
"""
SALESFORCE = """
systems:
  crm:
    kind: salesforce
    owner: revops
    every: 5 minutes
    objects:
      account:
        from: Account
        id: External_Id__c
        fields:
          name: Name
          industry: {from: Industry, values: {Software: software, Retail: retail}}
          employees: NumberOfEmployees
      contact:
        from: Contact
        id: External_Id__c
        fields: {account: AccountId, email: Email, optin: OptIn__c}
      opportunity:
        from: Opportunity
        id: External_Id__c
        fields:
          account: AccountId
          stage:
            from: StageName
            values: {Qualification: discovery, Proposal: proposal, Closed Won: won, Closed Lost: lost}
          amount: Amount
          close_date: CloseDate
          proposed_at: ProposedAt__c
    activities: [call, meeting]
    write: {account: [industry]}
"""
ATTIO = """
systems:
  crm:
    kind: attio
    owner: revops
    every: 1 hour
    objects:
      account:
        from: companies
        id: external_id
        fields:
          name: name
          industry: {from: industry, values: {Software: software, Retail: retail}}
          employees: employees
      contact:
        from: people
        id: external_id
        fields: {account: company, email: email_addresses, optin: optin}
      opportunity:
        from: deals
        id: external_id
        fields:
          account: company
          stage: {from: stage, values: {Lead: discovery, Proposal: proposal, Won: won, Lost: lost}}
          amount: amount
          close_date: close_date
          proposed_at: proposed_at
    activities: [note]
    write: {account: [industry]}
"""


def state(tower: Tower, name: str) -> dict[str, dict[str, Any]]:
    """Every record that is alive, without what is computed."""
    with tower.database.read() as conn:
        rows = conn.exec_driver_sql(
            "select id, state from record where object = %s and deleted_at is null", (name,)
        ).all()
    fields = {key for key, spec in tower.rulebook.objects[name].fields.items() if spec.rollup is None}
    return {row[0]: {key: value for key, value in row[1].items() if key in fields} for row in rows}


def alerts(tower: Tower) -> list[tuple[Any, ...]]:
    """What makes an alert, without what tells of the system: rule, record, since, status, when it opened and ended."""
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql(
            "select rule, object, record, owner, severity, since, opened_at, resolved_at, status "
            "from alert where object <> 'system' order by 1, 2, 3, 6"
        )]  # fmt: skip


def events(tower: Tower, *types: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql(
            "select id, type, object || '/' || record, data from journal where layer = 'core' "
            "and (cardinality(%s::text[]) = 0 or type = any(%s)) order by seq", (list(types), list(types))
        )]  # fmt: skip


def sync(tower: Tower, open_: Open, *, full: bool = False) -> Synced:
    """Rounds until one goes well: a fault of the network ends a round, and the next goes on."""
    for _ in range(50):
        done = tower.sync("crm", open_=open_, full=full)
        full = False
        if not done.fault:
            return done
    raise AssertionError(done.fault)


class Company:
    """Makes changes, in a vendor's words. `words` says what an object and a property are called there."""

    def __init__(self, vendor: Vendor, words: Any, seed: int) -> None:
        self.vendor, self.words, self.random = vendor, words, random.Random(seed)
        self.numbers = iter(range(1, 10**6))

    def change(self) -> None:
        """One change of any kind."""
        pick = self.random.random()
        accounts, deals = self.words.alive("account"), self.words.alive("opportunity")
        if pick < 0.2 or len(accounts) < 3:
            self.words.create("account", f"A{next(self.numbers)}", self._account())
        elif pick < 0.35 or len(deals) < 3:
            self.words.create("opportunity", f"O{next(self.numbers)}", self._deal(), self.random.choice(accounts))
        elif pick < 0.45:
            fields = {"email": f"p{next(self.numbers)}@example.com", "optin": self.random.random() < 0.5}
            self.words.create("contact", f"C{next(self.numbers)}", fields, self.random.choice(accounts))
        elif pick < 0.7:
            self.words.update("opportunity", self.random.choice(deals), self._deal())
        elif pick < 0.8:
            self.words.update("account", self.random.choice(accounts), self._account())
        elif pick < 0.87:
            self.words.note(f"N{next(self.numbers)}", self.random.choice(deals), "Spoke with <b>them</b> &amp; wrote.")
        elif pick < 0.92:
            self.words.end("opportunity", self.random.choice(deals))
        elif pick < 0.96:
            loser, winner = self.random.sample(accounts, 2)
            self.words.merge("account", loser, winner)
        else:
            self.words.move("opportunity", self.random.choice(deals), self.random.choice(accounts))

    def _account(self) -> dict[str, Any]:
        pick = self.random
        return {
            "name": pick.choice(["Acme", "Bolt", "Città", ""]), "industry": pick.choice(["software", "retail", None]),
            "employees": pick.choice([None, 1, 25, 4000]),
        }  # fmt: skip

    def _deal(self) -> dict[str, Any]:
        pick, day = self.random, timedelta(days=self.random.randrange(-5, 20))
        return {
            "stage": pick.choice(["discovery", "proposal", "won", "lost"]), "amount": pick.choice([None, 500, 90000.5]),
            "close_date": (self.vendor.now + day).date().isoformat(),
            "proposed_at": self.vendor.now.replace(microsecond=0),
        }  # fmt: skip


def live(company: Company, tower: Tower, clock: Clock, days: int, open_: Open, *, step: int, changes: int = 4) -> None:
    """So many days: every `step` hours some changes, and a round with the system after them."""
    for hour in range(0, days * 24, step):
        company.vendor.now = max(company.vendor.now, START + timedelta(hours=hour))
        for _ in range(changes):
            company.change()
        clock.now = company.vendor.now + timedelta(minutes=2)
        sync(tower, open_)
        tower.tick()
