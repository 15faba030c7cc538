"""The company's changes in Salesforce's words, at the same times as in HubSpot's, and what it holds in ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from systems.fake_salesforce import PREFIXES, iso
from systems.vendor import Vendor

KINDS = {"account": "Account", "contact": "Contact", "opportunity": "Opportunity"}
STAGES = {"discovery": "Qualification", "proposal": "Proposal", "won": "Closed Won", "lost": "Closed Lost"}
NAMES = {
    "name": "Name", "industry": "Industry", "employees": "NumberOfEmployees", "email": "Email", "optin": "OptIn__c",
    "stage": "StageName", "amount": "Amount", "close_date": "CloseDate", "proposed_at": "ProposedAt__c",
}  # fmt: skip
INDUSTRIES = {"software": "Software", "retail": "Retail"}


class SalesforceWords:
    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.ids: dict[str, str] = {}

    def id(self, ours: str, kind: str) -> str:
        return self.ids.setdefault(ours, f"{PREFIXES[kind]}{1000 + len(self.ids):015d}")

    def properties(self, fields: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for key, value in fields.items():
            if key == "stage":
                value = STAGES[value]
            elif key == "industry" and value:
                value = INDUSTRIES[value]
            elif isinstance(value, datetime):
                value = iso(value)
            found[NAMES[key]] = value or None if isinstance(value, str) else value
        return found

    def create(self, name: str, ours: str, fields: dict[str, Any], account: str | None = None) -> None:
        kind = KINDS[name]
        self.vendor.create(kind, self.id(ours, kind), External_Id__c=ours, **self.properties(fields))
        if account:
            self.move(name, ours, account)

    def update(self, name: str, ours: str, fields: dict[str, Any]) -> None:
        self.vendor.update(KINDS[name], self.id(ours, KINDS[name]), **self.properties(fields))

    def move(self, name: str, ours: str, account: str) -> None:
        self.vendor.link(KINDS[name], self.id(ours, KINDS[name]), "Account", self.id(account, "Account"))

    def note(self, ours: str, about: str, html: str) -> None:
        id_ = self.id(ours, "Task")
        self.vendor.create("Task", id_, Description=html, TaskSubtype="Call", IsClosed=True,
                           CompletedDateTime=iso(self.vendor.now))  # fmt: skip
        self.vendor.link("Task", id_, "Opportunity", self.id(about, "Opportunity"))

    def end(self, name: str, ours: str) -> None:
        self.vendor.end(KINDS[name], self.id(ours, KINDS[name]))

    def merge(self, name: str, loser: str, winner: str) -> None:
        kind = KINDS[name]
        lost, kept = self.id(loser, kind), self.id(winner, kind)
        theirs = [one for one in self.vendor.linked if one[2:] == ("Account", lost)]
        self.vendor.merge(kind, lost, kept)
        for child, id_, *_ in sorted(theirs):
            self.vendor.link(child, id_, "Account", kept)

    def alive(self, name: str) -> list[str]:
        return [thing.properties["External_Id__c"] for thing in self.vendor.alive(KINDS[name])]

    def holds(self, name: str) -> dict[str, dict[str, Any]]:
        """What is alive, as our records have it; what is personal is left out."""
        back = {theirs: ours for ours, theirs in self.ids.items()}
        found = {}
        for thing in self.vendor.alive(KINDS[name]):
            fields = {ours: thing.properties.get(theirs) for ours, theirs in NAMES.items() if ours != "email"}
            fields["industry"] = {v: k for k, v in INDUSTRIES.items()}.get(fields["industry"] or "")
            fields["stage"] = {v: k for k, v in STAGES.items()}.get(fields["stage"] or "")
            if fields["amount"]:
                fields["amount"] = float(fields["amount"])
            if fields["proposed_at"]:
                fields["proposed_at"] = fields["proposed_at"].replace("000+0000", "000000Z")
            others = self.vendor.others(KINDS[name], thing.id, "Account") if name != "account" else []
            fields["account"] = back[others[0]] if others else None
            found[thing.properties["External_Id__c"]] = {k: v for k, v in fields.items() if v is not None}
        return found
