"""The company's changes in Attio's words, and what it holds in ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from systems.fake_attio import iso, put
from systems.vendor import Vendor

KINDS = {"account": "companies", "contact": "people", "opportunity": "deals"}
STAGES = {"discovery": "Lead", "proposal": "Proposal", "won": "Won", "lost": "Lost"}
NAMES = {"email": "email_addresses"}
INDUSTRIES = {"software": "Software", "retail": "Retail"}


class AttioWords:
    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.ids: dict[str, str] = {}

    def id(self, ours: str) -> str:
        return self.ids.setdefault(ours, f"bf071e1f-6035-429d-b874-{len(self.ids):012d}")

    def properties(self, fields: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for key, value in fields.items():
            if key == "stage":
                value = STAGES[value]
            elif key == "industry" and value:
                value = INDUSTRIES[value]
            elif isinstance(value, datetime):
                value = iso(value)
            found[NAMES.get(key, key)] = None if value == "" else value
        return found

    def create(self, name: str, ours: str, fields: dict[str, Any], account: str | None = None) -> None:
        self.vendor.create(KINDS[name], self.id(ours), external_id=ours, **self.properties(fields))
        if account:
            self.move(name, ours, account)

    def update(self, name: str, ours: str, fields: dict[str, Any]) -> None:
        put(self.vendor, KINDS[name], self.id(ours), self.properties(fields))

    def move(self, name: str, ours: str, account: str) -> None:
        self.vendor.link(KINDS[name], self.id(ours), "companies", self.id(account))
        put(self.vendor, KINDS[name], self.id(ours), {"company": None})

    def note(self, ours: str, about: str, html: str) -> None:
        self.vendor.linked.add(("notes", self.id(ours), "deals", self.id(about)))
        self.vendor.create("notes", self.id(ours), text=html)

    def end(self, name: str, ours: str) -> None:
        self.vendor.end(KINDS[name], self.id(ours))

    def merge(self, name: str, loser: str, winner: str) -> None:
        kind, lost, kept = KINDS[name], self.id(loser), self.id(winner)
        theirs = [one for one in self.vendor.linked if one[2:] == ("companies", lost)]
        self.vendor.merge(kind, lost, kept)
        for child, id_, *_ in sorted(theirs):
            self.vendor.link(child, id_, "companies", kept)
            put(self.vendor, child, id_, {"company": None})

    def alive(self, name: str) -> list[str]:
        return [thing.properties["external_id"] for thing in self.vendor.alive(KINDS[name])]

    def holds(self, name: str) -> dict[str, dict[str, Any]]:
        """What is alive, as our records have it; what is personal is left out."""
        back = {theirs: ours for ours, theirs in self.ids.items()}
        found = {}
        for thing in self.vendor.alive(KINDS[name]):
            fields = {
                key: value for key, value in thing.properties.items()
                if key in ("name", "employees", "optin", "amount", "close_date")
            }  # fmt: skip
            fields["industry"] = {v: k for k, v in INDUSTRIES.items()}.get(thing.properties.get("industry") or "")
            fields["stage"] = {v: k for k, v in STAGES.items()}.get(thing.properties.get("stage") or "")
            if fields.get("amount"):
                fields["amount"] = float(fields["amount"])
            if thing.properties.get("proposed_at"):
                fields["proposed_at"] = thing.properties["proposed_at"].replace("000000000Z", "000000Z")
            others = self.vendor.others(KINDS[name], thing.id, "companies") if name != "account" else []
            fields["account"] = back[others[0]] if others else None
            found[thing.properties["external_id"]] = {k: v for k, v in fields.items() if v is not None}
        return found
