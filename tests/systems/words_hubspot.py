"""The company's changes in HubSpot's words, and what it holds in ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from systems.fake_hubspot import iso
from systems.vendor import Vendor

KINDS = {"account": "companies", "contact": "contacts", "opportunity": "deals"}
STAGES = {"discovery": "qualified", "proposal": "offered", "won": "closedwon", "lost": "closedlost"}
NAMES = {"employees": "numberofemployees", "stage": "dealstage", "close_date": "closedate"}
INDUSTRIES = {"software": "COMPUTER_SOFTWARE", "retail": "RETAIL"}


class HubSpotWords:
    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.ids: dict[str, str] = {}

    def id(self, ours: str) -> str:
        return self.ids.setdefault(ours, str(1000 + len(self.ids)))

    def properties(self, fields: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for key, value in fields.items():
            if key == "stage":
                value = STAGES[value]
            elif key == "industry" and value:
                value = INDUSTRIES[value]
            elif isinstance(value, bool):
                value = "true" if value else "false"
            elif isinstance(value, datetime):
                value = iso(value)
            found[NAMES.get(key, key)] = None if value is None else str(value)
        return found

    def create(self, name: str, ours: str, fields: dict[str, Any], account: str | None = None) -> None:
        self.vendor.create(KINDS[name], self.id(ours), external_id=ours, **self.properties(fields))
        if account:
            self.vendor.link(KINDS[name], self.id(ours), "companies", self.id(account))

    def update(self, name: str, ours: str, fields: dict[str, Any]) -> None:
        self.vendor.update(KINDS[name], self.id(ours), **self.properties(fields))

    def move(self, name: str, ours: str, account: str) -> None:
        self.vendor.link(KINDS[name], self.id(ours), "companies", self.id(account))

    def note(self, ours: str, about: str, html: str) -> None:
        self.vendor.create("notes", self.id(ours), hs_note_body=html, hs_timestamp=iso(self.vendor.now))
        self.vendor.link("notes", self.id(ours), "deals", self.id(about))

    def end(self, name: str, ours: str) -> None:
        self.vendor.end(KINDS[name], self.id(ours))

    def merge(self, name: str, loser: str, winner: str) -> None:
        lost, kept = self.id(loser), self.id(winner)
        theirs = [one for one in self.vendor.linked if one[2:] == ("companies", lost)]
        self.vendor.merge(KINDS[name], lost, kept)
        for kind, id_, *_ in sorted(theirs):
            self.vendor.link(kind, id_, "companies", kept)

    def alive(self, name: str) -> list[str]:
        return [thing.properties["external_id"] for thing in self.vendor.alive(KINDS[name])]

    def holds(self, name: str) -> dict[str, dict[str, Any]]:
        """What is alive, as our records have it; what is personal is left out."""
        back = {theirs: ours for ours, theirs in self.ids.items()}
        found = {}
        for thing in self.vendor.alive(KINDS[name]):
            said = thing.properties
            fields: dict[str, Any] = {}
            for ours, key in (("name", "name"), ("close_date", "closedate")):
                fields[ours] = said.get(key)
            if said.get("numberofemployees"):
                fields["employees"] = int(said["numberofemployees"])
            if said.get("amount"):
                fields["amount"] = float(said["amount"])
            if said.get("optin"):
                fields["optin"] = said["optin"] == "true"
            if said.get("proposed_at"):
                fields["proposed_at"] = said["proposed_at"].replace("000Z", "000000Z")
            fields["industry"] = {v: k for k, v in INDUSTRIES.items()}.get(said.get("industry"))
            fields["stage"] = {v: k for k, v in STAGES.items()}.get(said.get("dealstage"))
            others = self.vendor.others(KINDS[name], thing.id, "companies") if name != "account" else []
            fields["account"] = back[others[0]] if others else None
            found[said["external_id"]] = {key: value for key, value in fields.items() if value not in (None, "")}
        return found
