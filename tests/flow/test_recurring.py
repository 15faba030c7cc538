"""Where rework recurs: what went back, what was rejected, what was corrected, in which team and with whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.contract import Evidence, FieldRequest, Proposal, format_time

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
BOOK = """
name: rework
objects:
  account:
    fields:
      owner: {type: text}
      city: {type: text, fill: enrichment}
  deal:
    fields:
      owner: {type: text}
      stage: {type: enum, values: [new, offer, won]}
lifecycles:
  deal:
    object: deal
    owner: sales
    starts: [new]
    states:
      new: {next: [offer], owner: marketing}
      offer: {next: [new, won]}
      won: {final: true}
handoffs:
  sales_to_delivery: {object: deal, from: sales, to: delivery}
rules:
  - {id: has_city, object: account, when: "city = 'x'"}
acceptance:
  account.city: {accept_at: 0.5, review_at: 0.3}
"""
TEXT = "It works in Turin."


class Sure:
    def propose(self, requests: Sequence[FieldRequest]) -> list[Proposal]:
        at = TEXT.index("Turin")
        quote = Evidence(document="d1", quote="Turin", start=at, end=at + 5)
        return [
            Proposal(request=one.id, field="city", value="Turin", confidence=0.9, evidence=(quote,), method="m")
            for one in requests
        ]


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    with tower_under(BOOK, database_url, tmp_path, Clock(START + 30 * DAY)) as built:
        yield built


_numbers = iter(range(10**9))


def say(tower: Tower, subject: str, day: int, type_: str = "record.updated", **data: Any) -> None:
    body = {"fields": data} if type_ == "record.updated" else data
    event = {
        "id": f"e{next(_numbers)}", "source": "crm", "type": type_, "subject": subject,
        "time": format_time(START + day * DAY), "data": body,
    }  # fmt: skip
    assert tower.take([event])[0].status == "accepted"


def found(tower: Tower, since: int = 0) -> list[tuple[Any, ...]]:
    return [
        (one.kind, one.where, one.team, one.times, one.of, one.owners, one.records)
        for one in tower.rework(START + since * DAY, START + 31 * DAY)
    ]


def test_records_that_go_back_are_counted_by_transition_team_and_owner(tower: Tower) -> None:
    for deal, owner, stages in (
        ("D1", "ann", ["new", "offer", "new", "offer", "won"]), ("D2", "ann", ["new", "offer", "new"]),
        ("D3", "bea", ["new", "offer", "new"]), ("D4", "bea", ["new", "offer", "won"]),
    ):  # fmt: skip
        for day, stage in enumerate(stages):
            say(tower, f"deal/{deal}", day, stage=stage, owner=owner)
    [one] = found(tower)
    assert one[:5] == ("back", "deal: offer to new", "sales to marketing", 3, 5)
    assert one[5] == (("ann", 2), ("bea", 1)) and set(one[6]) == {"deal/D1", "deal/D2", "deal/D3"}
    assert found(tower, since=3) == [], "what came before the period does not count"


def test_rejected_handoffs_are_counted(tower: Tower) -> None:
    for deal, answer in (("D1", "rejected"), ("D2", "accepted"), ("D3", "accepted")):
        say(tower, f"deal/{deal}", 0, stage="new")
        say(tower, f"deal/{deal}", 1, "handoff.offered", handoff="sales_to_delivery", fields={})
        say(tower, f"deal/{deal}", 2, f"handoff.{answer}", handoff="sales_to_delivery", fields={})
    assert found(tower) == [("rejected", "sales_to_delivery", "sales to delivery", 1, 3, (), ("deal/D1",))]


def test_a_field_that_is_corrected_after_acceptance_is_counted_and_one_that_is_confirmed_is_not(tower: Tower) -> None:
    for account in ("A1", "A2", "A3"):
        say(tower, f"account/{account}", 0, owner="ann")
        say(tower, f"account/{account}", 0, "document.added", document="d1", kind="description", text=TEXT)
    tower.enrich(Sure())
    assert found(tower) == []
    say(tower, "account/A1", 30, city="Milan")
    say(tower, "account/A2", 30, city="Turin")
    assert found(tower) == [("corrected", "account.city", "by crm", 1, 3, (("ann", 1),), ("account/A1",))]
