"""Where rework recurs: what went back, what was rejected, what was corrected, in which team and with whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tower_scene import Clock, Quotes, say

from watchtower.bootstrap import Tower

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


@pytest.fixture
def clock() -> Clock:
    return Clock(START + 30 * DAY)


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
            say(tower, f"deal/{deal}", START + day * DAY, stage=stage, owner=owner)
    [one] = found(tower)
    assert one[:5] == ("back", "deal: offer to new", "sales to marketing", 3, 5)
    assert one[5] == (("ann", 2), ("bea", 1)) and set(one[6]) == {"deal/D1", "deal/D2", "deal/D3"}
    assert found(tower, since=3) == [], "what came before the period does not count"


def test_rejected_handoffs_are_counted(tower: Tower) -> None:
    for deal, answer in (("D1", "rejected"), ("D2", "accepted"), ("D3", "accepted")):
        say(tower, f"deal/{deal}", START, stage="new")
        say(tower, f"deal/{deal}", START + 1 * DAY, "handoff.offered", handoff="sales_to_delivery", fields={})
        say(tower, f"deal/{deal}", START + 2 * DAY, f"handoff.{answer}", handoff="sales_to_delivery", fields={})
    assert found(tower) == [("rejected", "sales_to_delivery", "sales to delivery", 1, 3, (), ("deal/D1",))]


def test_a_field_that_is_corrected_after_acceptance_is_counted_and_one_that_is_confirmed_is_not(tower: Tower) -> None:
    for account in ("A1", "A2", "A3"):
        say(tower, f"account/{account}", START, owner="ann")
        say(tower, f"account/{account}", START, "document.added", document="d1", kind="description", text=TEXT)
    tower.enrich(Quotes("city", "Turin", 0.9))
    assert found(tower) == []
    say(tower, "account/A1", START + 30 * DAY, city="Milan")
    say(tower, "account/A2", START + 30 * DAY, city="Turin")
    assert found(tower) == [("corrected", "account.city", "by crm", 1, 3, (("ann", 1),), ("account/A1",))]
