"""Gates: a handoff or a move that breaks a rule is refused with what is missing; what is allowed is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import wt
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import Event, event_json
from watchtower.errors import InputError, Missing
from watchtower.settings import Settings

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: gates
timezone: Europe/Rome
objects:
  account:
    fields:
      terms: {type: text}
  deal:
    fields:
      stage: {type: enum, values: [open, won, lost]}
      account: {type: ref, to: account}
      amount: {type: money}
      scope: {type: text}
      loss_reason: {type: text}
      delivery_owner: {type: text}
lifecycles:
  deal:
    object: deal
    owner: sales
    starts: [open]
    states:
      open: {next: [won, lost], leave: {when: amount > 0, to: [won]}}
      won: {final: true, requires: [scope]}
      lost: {final: true, requires: [loss_reason]}
handoffs:
  to_delivery:
    object: deal
    from: sales
    to: delivery
    requires: [scope, account.terms]
    responsible: delivery_owner
    answer: 24 hours
"""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK, encoding="utf-8")
    return path


@pytest.fixture
def tower(tmp_path: Path, database_url: str, book: Path) -> Iterator[Tower]:
    with build(Settings(data=tmp_path, database_url=SecretStr(database_url)), rulebook=book, clock=Clock()) as made:
        yield made
        assert list(map(str, made.replay().differences)) == []


def tell(tower: Tower, subject: str, **fields: Any) -> None:
    event = updated(f"e{tower.clock()}", subject, tower.clock(), **fields)
    (verdict,) = tower.take([event_json(event)])
    assert verdict.status == "accepted", verdict


def updated(name: str, subject: str, time: datetime, **fields: Any) -> Event:
    return Event(id=name, source="crm", type="record.updated", subject=subject, time=time, data={"fields": fields})


def journal(tower: Tower, kind: str) -> list[dict[str, Any]]:
    with tower.database.read() as conn:
        return list(conn.execute(text("select data from journal where type = :kind"), {"kind": kind}).scalars())


def state(tower: Tower, record: str) -> dict[str, Any]:
    with tower.database.read() as conn:
        found: dict[str, Any] = conn.execute(
            text("select state from record where id = :id"), {"id": record}
        ).scalar_one()
        return found


def test_a_handoff_that_lacks_something_is_refused_naming_all_of_it(tower: Tower) -> None:
    tell(tower, "account/A", terms=None)
    tell(tower, "deal/D", stage="won", account="A")
    crossing = tower.cross("deal/D", handoff="to_delivery", actor="anna")
    assert (crossing.outcome, crossing.passage.missing) == ("refused", ("scope", "account.terms"))
    assert [refusal.rule for refusal in crossing.passage.refusals] == ["to_delivery.incomplete"]
    assert "to_delivery.status" not in state(tower, "D")
    (noted,) = journal(tower, "handoff.refused")
    assert (noted["actor"], noted["missing"]) == ("anna", ["scope", "account.terms"])


def test_a_handoff_is_offered_accepted_and_written_under_the_persons_name(tower: Tower) -> None:
    tell(tower, "account/A", terms="standard")
    tell(tower, "deal/D", stage="won", account="A")
    assert (
        tower.cross("deal/D", handoff="to_delivery", fields={"scope": "two plants"}, actor="anna").outcome == "offered"
    )
    assert tower.cross("deal/D", handoff="to_delivery", actor="anna").outcome == "standing"
    refused = tower.cross("deal/D", handoff="to_delivery", action="accept", actor="piero")
    assert (refused.outcome, refused.passage.missing) == ("refused", ("delivery_owner",))
    taken = tower.cross(
        "deal/D", handoff="to_delivery", action="accept", fields={"delivery_owner": "piero"}, actor="piero"
    )
    assert taken.outcome == "accepted"
    found = state(tower, "D")
    assert (found["scope"], found["delivery_owner"], found["to_delivery.status"]) == ("two plants", "piero", "accepted")
    with tower.database.read() as conn:
        sources = conn.execute(text("select source from journal where type like 'handoff.%' order by seq")).scalars()
        assert list(sources) == ["person:anna", "watchtower", "person:piero"]


def test_a_rejection_passes_every_gate_and_can_be_offered_again(tower: Tower) -> None:
    tell(tower, "account/A", terms="standard")
    tell(tower, "deal/D", stage="won", account="A", scope="all")
    tower.cross("deal/D", handoff="to_delivery", actor="anna")
    assert (
        tower.cross("deal/D", handoff="to_delivery", action="reject", actor="piero", note="no dates").outcome
        == "rejected"
    )
    assert tower.cross("deal/D", handoff="to_delivery", actor="anna").outcome == "offered"


def test_a_handoff_that_is_not_on_offer_is_not_answered(tower: Tower) -> None:
    tell(tower, "deal/D", stage="open")
    with pytest.raises(InputError, match="was not offered"):
        tower.cross("deal/D", handoff="to_delivery", action="accept", actor="piero")


def test_a_move_is_refused_by_the_state_it_leaves_and_the_state_it_enters(tower: Tower) -> None:
    tell(tower, "deal/D", stage="open")
    crossing = tower.cross("deal/D", fields={"stage": "won"}, actor="anna")
    assert [(r.rule, r.state, r.missing) for r in crossing.passage.refusals] == [
        ("deal.open.left", "unknown", ("amount",)),
        ("deal.won.incomplete", "holds", ("scope",)),
    ]
    assert state(tower, "D")["stage"] == "open"
    moved = tower.cross("deal/D", fields={"stage": "won", "amount": 5, "scope": "all"}, actor="anna")
    assert moved.outcome == "moved" and state(tower, "D")["stage"] == "won"
    back = tower.cross("deal/D", fields={"stage": "open"}, actor="anna")
    assert "deal.moves" in [refusal.rule for refusal in back.passage.refusals]


def test_a_trial_writes_nothing(tower: Tower) -> None:
    tell(tower, "deal/D", stage="open", amount=5)
    assert tower.cross("deal/D", fields={"stage": "won", "scope": "all"}, actor="anna", trial=True).outcome == "checked"
    assert tower.cross("deal/D", fields={"stage": "lost"}, actor="anna", trial=True).outcome == "refused"
    assert state(tower, "D")["stage"] == "open" and journal(tower, "transition.refused") == []


def test_what_is_not_there_is_named(tower: Tower) -> None:
    with pytest.raises(Missing, match="handoff 'nowhere'"):
        tower.cross("deal/D", handoff="nowhere", actor="anna")
    with pytest.raises(InputError, match="is about deal records"):
        tower.cross("account/A", handoff="to_delivery", actor="anna")
    with pytest.raises(InputError, match="does not exist"):
        tower.cross("deal/none", handoff="to_delivery", actor="anna")
    with pytest.raises(InputError, match="amount"):
        tower.cross("deal/D", fields={"amount": "much"}, actor="anna")


def test_a_breach_seen_after_the_fact_is_an_alert(tower: Tower) -> None:
    offered = Event(
        id="h1",
        source="crm",
        type="handoff.offered",
        subject="deal/D",
        time=tower.clock(),
        data={"handoff": "to_delivery"},
    )
    assert tower.take([event_json(offered)])[0].status == "accepted"
    with tower.database.read() as conn:
        assert list(conn.execute(text("select rule from alert")).scalars()) == ["to_delivery.incomplete"]


def test_over_http_a_refusal_is_a_422_that_lists_what_is_missing(tower: Tower) -> None:
    tell(tower, "deal/D", stage="open")
    client = TestClient(create_app(tower), base_url="http://localhost")
    answer = client.post("/handoffs", json={"record": "deal/D", "handoff": "to_delivery", "actor": "anna"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["missing"] == ["scope", "account.terms"]
    assert "missing: scope, account.terms" in answer.json()["detail"]
    moved = client.post("/handoffs", json={"record": "deal/D", "fields": {"stage": "lost", "loss_reason": "price"}})
    assert (moved.status_code, moved.json()["outcome"]) == (201, "moved")
    again = client.post("/handoffs", json={"record": "deal/D", "fields": {"stage": "lost"}, "trial": True})
    assert (again.status_code, again.json()["outcome"]) == (200, "standing")
    assert client.post("/handoffs", json={"record": "deal/D", "handoff": "x"}).status_code == 404
    assert client.post("/handoffs", json={"record": "deal"}).status_code == 400


def test_rules_gate_answers_over_a_file_of_events(book: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    story = [updated("1", "account/A", NOW, terms="standard"), updated("2", "deal/D", NOW, stage="open", account="A")]
    events.write_text("".join(json.dumps(event_json(event)) + "\n" for event in story))
    ask = ["rules", "gate", str(book), str(events), "--record", "deal/D", "--at", "2026-03-02T10:00:00Z"]
    refused = wt(*ask, "--handoff", "to_delivery", "--json", code=1)
    assert refused.json()["missing"] == ["scope"]
    assert wt(*ask, "--handoff", "to_delivery", "--set", "scope=all").out.strip() == "allowed"
    move = wt(*ask, "--set", "stage=won", "--set", "amount=12.5", "--set", "scope=all", "--json")
    assert move.json()["allowed"] is True
    early = wt(*ask[:-1], "2026-03-01T10:00:00Z", "--set", "stage=won", code=1)
    assert "deal.moves" in early.out


def test_a_move_under_an_earlier_name_goes_through_the_same_gate(tmp_path: Path, database_url: str) -> None:
    stage = "stage: {type: enum, values: [open, won, lost]"
    book = tmp_path / "renamed.yaml"
    book.write_text(BOOK.replace(stage, f"{stage}, renamed_from: [phase], values_from: {{closed: won}}"), "utf-8")
    with build(Settings(data=tmp_path, database_url=SecretStr(database_url)), rulebook=book, clock=Clock()) as tower:
        tell(tower, "deal/D", stage="open", amount=0)
        for said in ({"phase": "won"}, {"phase": "closed"}, {"stage": "closed"}):
            crossing = tower.cross("deal/D", handoff=None, fields=said, actor="anna")
            assert crossing.outcome == "refused", said
            assert {r.rule for r in crossing.passage.refusals} == {"deal.open.left", "deal.won.incomplete"}
        assert state(tower, "D")["stage"] == "open"
        assert tower.cross("deal/D", handoff=None, fields={"phase": "open"}, actor="anna").outcome == "standing"


def test_a_field_that_nobody_can_set_passes_no_gate(book: Path, tmp_path: Path) -> None:
    rollup = "deals: {type: integer, rollup: {count: events, of: activity.logged}}\n      stage:"
    book.write_text(BOOK.replace("stage:", rollup, 1), "utf-8")
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(event_json(updated("e", "deal/D", NOW, stage="open"))), "utf-8")
    for field, said in (("stgae", "deal has no field 'stgae'"), ("deals", "deal.deals is computed")):
        ask = ("rules", "gate", str(book), str(events), "--record", "deal/D", "--at", "2026-03-02T10:00:00Z")
        assert said in wt(*ask, "--set", f"{field}=3", code=1).err
