"""A person's verdict on a proposal is taken back: the field is what it was before, and the journal keeps all of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tower_scene import Clock, Quotes, say

from watchtower.bootstrap import Tower
from watchtower.cli.review import Session
from watchtower.errors import InputError, Missing
from watchtower.flow.verdicts import UNDO
from watchtower.store import queries

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: verdicts
objects:
  account:
    fields:
      city: {type: text, fill: enrichment}
      motto: {type: text}
rules:
  - {id: abroad, object: account, when: "city = 'Turin'"}
  - {id: moved, object: account, when: "changed_at(city) <= now() - interval '30 days'"}
  - {id: entered, object: account, when: "source_of(city) = 'person'"}
  - {id: certain, object: account, when: "verified(city) = 'Turin'"}
acceptance:
  account.city: {accept_at: 0.9, review_at: 0.3}
"""
TEXT = "Acme works in Turin."
UNSURE = Quotes("city", "Turin", 0.6)
"""It leaves Turin to a person."""


@pytest.fixture(autouse=True)
def a_replay_says_the_same(tower: Tower) -> Iterator[None]:
    yield
    assert list(map(str, tower.replay().differences)) == []


def proposed(tower: Tower, **fields: Any) -> str:
    """An account of which these fields are known, with a proposal of its city that waits for a person."""
    say(tower, "account/A", START - HOUR, **(fields or {"motto": "on"}))
    say(tower, "account/A", START - HOUR, "document.added", document="d1", kind="web", text=TEXT)
    tower.enrich(UNSURE)
    with tower.database.read() as conn:
        [row] = queries.proposals(conn, status=("review",))
    return row.id


def field(tower: Tower) -> tuple[Any, Any]:
    """The city, and whose word it is."""
    with tower.database.read() as conn:
        row = queries.record_by_id(conn, "account", "A")
    assert row is not None
    return row.state.get("city"), row.provenance.get("city", {}).get("by")


def status(tower: Tower, proposal: str) -> tuple[str, str]:
    with tower.database.read() as conn:
        row = queries.proposal_by_id(conn, proposal)
    assert row is not None
    return row.status, row.because


def standing(tower: Tower) -> set[str]:
    tower.tick()
    with tower.database.read() as conn:
        rows = queries.alerts(conn, queries.AlertFilter(status=("open",)), after=None, limit=9)
    return {row.rule for row in rows}


def entries(tower: Tower) -> list[str]:
    with tower.database.read() as conn:
        events = queries.timeline(conn, "account", "A", before=None, limit=99)
    kinds = ("field.accepted", "field.withdrawn", "field.rejected", "rejection.withdrawn")
    return [event.type for event in reversed(events) if event.type in kinds]


def test_an_acceptance_that_is_taken_back_leaves_the_field_as_it_was(tower: Tower, clock: Clock) -> None:
    proposal = proposed(tower)
    assert field(tower) == (None, None)
    tower.decide(proposal, "accept", actor="ann")
    assert field(tower) == ("Turin", "person")
    assert standing(tower) == {"abroad", "entered", "certain"}
    clock.now += HOUR
    tower.withdraw(proposal, actor="bea", note="another Acme")
    assert field(tower) == (None, None)
    assert standing(tower) == set()
    assert status(tower, proposal) == ("review", "another Acme")
    assert entries(tower) == ["field.accepted", "field.withdrawn"], "nothing is overwritten"


def test_what_was_taken_back_is_decided_again_as_often_as_one_likes(tower: Tower, clock: Clock) -> None:
    proposal = proposed(tower)
    for verdict in ("accept", "reject", "accept"):
        clock.now += HOUR
        tower.decide(proposal, verdict, actor="ann")  # type: ignore[arg-type]
        clock.now += HOUR
        tower.withdraw(proposal, actor="ann")
    tower.decide(proposal, "accept", actor="ann")
    assert field(tower) == ("Turin", "person")
    assert entries(tower) == [
        "field.accepted", "field.withdrawn", "field.rejected", "rejection.withdrawn", "field.accepted",
        "field.withdrawn", "field.accepted",
    ]  # fmt: skip


def test_late_news_from_before_the_acceptance_is_what_the_field_goes_back_to(tower: Tower, clock: Clock) -> None:
    proposal = proposed(tower)
    tower.decide(proposal, "accept", actor="ann")
    clock.now += HOUR
    tower.withdraw(proposal, actor="ann")
    say(tower, "account/A", START - timedelta(minutes=1), city="Milan")
    assert field(tower) == ("Milan", "crm")


def test_what_somebody_has_set_since_stays(tower: Tower, clock: Clock) -> None:
    proposal = proposed(tower)
    tower.decide(proposal, "accept", actor="ann")
    clock.now += HOUR
    say(tower, "account/A", clock.now, city="Rome")
    with pytest.raises(InputError, match="is crm's word now"):
        tower.withdraw(proposal, actor="ann")
    assert field(tower) == ("Rome", "crm") and status(tower, proposal)[0] == "accepted"


def test_news_between_the_acceptance_and_its_withdrawal_that_comes_late_stays(tower: Tower, clock: Clock) -> None:
    proposal = proposed(tower)
    tower.decide(proposal, "accept", actor="ann")
    clock.now += 2 * HOUR
    tower.withdraw(proposal, actor="ann")
    say(tower, "account/A", START + HOUR, city="Rome")
    assert field(tower) == ("Rome", "crm")


@pytest.mark.parametrize("verdict", ["accept", "reject"])
def test_a_verdict_can_be_taken_back_for_a_day_and_no_longer(tower: Tower, clock: Clock, verdict: Any) -> None:
    proposal = proposed(tower)
    tower.decide(proposal, verdict, actor="ann")
    clock.now += UNDO + timedelta(microseconds=1)
    with pytest.raises(InputError, match="more than 24 hours ago"):
        tower.withdraw(proposal, actor="ann")
    clock.now -= timedelta(microseconds=1)
    tower.withdraw(proposal, actor="ann")
    assert status(tower, proposal)[0] == "review"


def test_where_no_person_decided_there_is_nothing_to_take_back(tower: Tower) -> None:
    proposal = proposed(tower)
    with pytest.raises(InputError, match="waits for review; there is no person's verdict"):
        tower.withdraw(proposal, actor="ann")
    with pytest.raises(Missing):
        tower.withdraw("pr_none", actor="ann")


def test_the_last_verdict_is_taken_back_in_the_terminal(tower: Tower) -> None:
    for about in ("A", "B"):
        say(tower, f"account/{about}", START - HOUR, motto="on")
        say(tower, f"account/{about}", START - HOUR, "document.added", document="d1", kind="web", text=TEXT)
    tower.enrich(UNSURE)
    session = Session(tower, "ann", iter("auaq"))
    session.proposals()
    with tower.database.read() as conn:
        found = [row.status for row in queries.proposals(conn)]
    assert found == ["review", "accepted"] and session.done == 1
