"""Accepted fields go back where the rulebook says so, once in effect, and never come back as the system's own word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from systems.crms import CRMS, Crm
from systems.scene import OBJECTS, START, events, state, sync
from systems.vendor import Vendor
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.bootstrap.systems import Synced
from watchtower.contract import Evidence, FieldRequest, Proposal
from watchtower.errors import RulebookError, SystemFault
from watchtower.rulebook import load

TEXT = "We make software for shops."


class Says:
    """A worker that reads `software` where the text has it."""

    def __init__(self, value: str = "software") -> None:
        self.value = value

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        at = TEXT.index("software")
        evidence = (Evidence(document="d1", quote="software", start=at, end=at + 8),)
        return [
            Proposal(request=r.id, field="industry", value=self.value, confidence=0.95, method="t", evidence=evidence)
            for r in requests
        ]


@dataclass
class Place:
    vendor: Vendor
    crm: Crm
    tower: Tower
    clock: Clock
    industry: str
    kind: str

    def accept(self, id_: str = "A1") -> None:
        event = {
            "id": f"d.{id_}", "source": "files", "type": "document.added", "subject": f"account/{id_}",
            "time": self.clock.now.isoformat(), "data": {"document": "d1", "text": TEXT},
        }  # fmt: skip
        assert self.tower.take([event])[0].status == "accepted"
        run = self.tower.enrich(Says(), only=frozenset({f"account/{id_}"}))
        assert run.decided.accepted == 1

    def there(self, ours: str = "A1") -> Any:
        (thing,) = (t for t in self.vendor.of(self.kind).values() if ours in t.properties.values())
        return thing.properties.get(self.industry)

    def later(self) -> None:
        self.clock.now += timedelta(minutes=10)
        self.vendor.now = self.clock.now - timedelta(seconds=1)

    def held_by(self) -> tuple[Any, str]:
        with self.tower.database.read() as conn:
            row = conn.exec_driver_sql(
                "select state ->> 'industry', provenance -> 'industry' ->> 'by' from record where id = 'A1'"
            ).one()
        return row[0], row[1]

    def writes(self) -> list[str]:
        with self.tower.database.read() as conn:
            return list(conn.exec_driver_sql("select state from outbox order by seq").scalars())


WORDS = {"hubspot": ("companies", "industry", "COMPUTER_SOFTWARE"), "salesforce": ("Account", "Industry", "Software"),
         "attio": ("companies", "industry", "Software")}  # fmt: skip


@pytest.fixture
def kind() -> str:
    return "hubspot"


@pytest.fixture
def place(kind: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    part, serve = CRMS[kind]
    vendor, clock = Vendor(START), Clock(START)
    with serve(vendor) as crm, tower_under(OBJECTS + part, database_url, tmp_path, clock) as tower:
        crm.words.create("account", "A1", {"name": "Acme"})
        clock.now += timedelta(minutes=1)
        sync(tower, crm.open)
        yield Place(vendor, crm, tower, clock, WORDS[kind][1], WORDS[kind][0])


@pytest.mark.parametrize("kind", CRMS)
def test_an_accepted_field_goes_back_and_its_echo_is_not_the_systems_word(place: Place, kind: str) -> None:
    place.accept()
    assert place.there() is None
    assert sync(place.tower, place.crm.open).wrote == 1
    assert place.there() == WORDS[kind][2]
    told = len(events(place.tower))
    place.later()
    again = sync(place.tower, place.crm.open)
    assert (again.wrote, again.took.events, len(events(place.tower))) == (0, 0, told)
    assert place.held_by() == ("software", "ai")


def test_what_a_person_changes_there_afterwards_is_the_systems_word(place: Place) -> None:
    place.accept()
    sync(place.tower, place.crm.open)
    place.later()
    sync(place.tower, place.crm.open)
    place.crm.words.update("account", "A1", {"industry": "retail"})
    sync(place.tower, place.crm.open)
    assert place.held_by() == ("retail", "crm")
    place.crm.words.update("account", "A1", {"industry": "software"})
    sync(place.tower, place.crm.open)
    assert place.held_by() == ("software", "crm")


def test_clearing_it_there_clears_it_here(place: Place) -> None:
    place.accept()
    sync(place.tower, place.crm.open)
    place.later()
    sync(place.tower, place.crm.open)
    place.crm.words.update("account", "A1", {"industry": None})
    sync(place.tower, place.crm.open)
    assert "industry" not in state(place.tower, "account")["A1"]


def test_another_change_there_does_not_clear_what_ai_filled_here(place: Place) -> None:
    place.accept()
    place.later()
    place.crm.words.update("account", "A1", {"name": "Acme Inc"})
    sync(place.tower, place.crm.open)
    assert state(place.tower, "account")["A1"] == {"name": "Acme Inc", "industry": "software"}
    assert place.held_by()[1] == "ai"


def test_what_the_system_said_meanwhile_is_not_overwritten(place: Place) -> None:
    place.accept()
    place.later()
    place.crm.words.update("account", "A1", {"industry": "retail"})
    assert sync(place.tower, place.crm.open).wrote == 0
    assert place.there() == "RETAIL" and place.held_by() == ("retail", "crm")
    assert place.writes() == ["withheld"]


def test_nothing_is_written_to_what_another_system_became_the_master_of_meanwhile(place: Place, tmp_path: Path) -> None:
    place.accept()
    with_away(place, lambda: place.tower.sync("crm", open_=place.crm.open))
    assert place.writes() == ["pending"]
    part = CRMS["hubspot"][0]
    other = """
  billing:
    kind: salesforce
    owner: sales
    objects: {account: {from: Account, master: true, fields: {}}}
"""
    (tmp_path / "both.yaml").write_text(OBJECTS + part + other)
    with pytest.raises(RulebookError, match="the master of account is billing; nothing is written to it from here"):
        load(tmp_path / "both.yaml")
    (tmp_path / "both.yaml").write_text(OBJECTS + part.replace("    write: {account: [industry]}\n", "") + other)
    place.tower.activate(load(tmp_path / "both.yaml"), by="test")
    place.later()
    place.crm.words.update("account", "A1", {"name": "Acme GmbH"})
    assert sync(place.tower, place.crm.open).wrote == 0
    assert place.there() is None and place.held_by() == ("software", "ai")
    # Were it put back, it goes; what no longer may go was not forgotten, and not sent either.
    (tmp_path / "both.yaml").write_text(OBJECTS + part)
    place.tower.activate(load(tmp_path / "both.yaml"), by="test")
    place.later()
    assert sync(place.tower, place.crm.open).wrote == 1 and place.there() == "COMPUTER_SOFTWARE"


def with_away(place: Place, act: Callable[[], Synced]) -> None:
    """While the system takes no write."""
    kind = type(place.crm.open("crm", place.tower.rulebook.systems["crm"]))
    push = kind.push  # type: ignore[union-attr]

    def failing(self: Any, write: Any) -> None:
        raise SystemFault("answered 503")

    kind.push = failing  # type: ignore[method-assign, union-attr]
    try:
        assert act().fault == "answered 503"
    finally:
        kind.push = push  # type: ignore[method-assign, union-attr]


def test_a_system_that_is_away_gets_it_later_and_one_that_refuses_it_tells_the_owner(place: Place) -> None:
    place.accept()
    connector = place.crm.open("crm", place.tower.rulebook.systems["crm"])
    push = type(connector).push
    faults = iter([("answered 503", None), ("answered 400", 400)])

    def failing(self: Any, write: Any) -> None:
        from watchtower.errors import SystemFault

        because, status = next(faults)
        raise SystemFault(because, status=status, refused=status is not None)

    type(connector).push = failing  # type: ignore[method-assign]
    try:
        assert place.tower.sync("crm", open_=place.crm.open).fault == "answered 503"
        assert place.writes() == ["pending"]
        place.later()
        assert place.tower.retain(0, by="test").notifications == 0, "what has not gone yet is kept, however old"
        assert "1 writes were refused" in place.tower.sync("crm", open_=place.crm.open).fault
    finally:
        type(connector).push = push  # type: ignore[method-assign]
    assert place.writes() == ["dead"] and place.there() is None
    place.tower.tick()
    with place.tower.database.read() as conn:
        assert list(conn.exec_driver_sql("select rule from alert").scalars()) == ["system.crm.failing"]


def test_killed_between_the_write_and_the_word_of_it_nothing_is_lost_and_nothing_changes_twice(place: Place) -> None:
    place.accept()
    connector = place.crm.open("crm", place.tower.rulebook.systems["crm"])
    push = type(connector).push

    def killed(self: Any, write: Any) -> None:
        push(self, write)
        raise KeyboardInterrupt

    type(connector).push = killed  # type: ignore[method-assign]
    try:
        with pytest.raises(KeyboardInterrupt):
            place.tower.sync("crm", open_=place.crm.open)
    finally:
        type(connector).push = push  # type: ignore[method-assign]
    assert place.writes() == ["pending"] and place.there() == "COMPUTER_SOFTWARE"
    told = len(events(place.tower))
    place.later()
    assert sync(place.tower, place.crm.open).wrote == 1
    assert place.there() == "COMPUTER_SOFTWARE" and len(events(place.tower)) == told
    assert place.held_by() == ("software", "ai")


def test_what_went_back_long_ago_is_kept_no_longer_and_does_not_go_again(place: Place) -> None:
    place.accept()
    assert sync(place.tower, place.crm.open).wrote == 1
    place.clock.now += timedelta(days=89)
    assert not place.tower.retain(90, by="test").anything and place.writes() == ["delivered"]
    place.clock.now += timedelta(days=3)
    assert place.tower.retain(90, by="test", dry=True).notifications == 1
    assert place.tower.retain(90, by="test").notifications == 1 and place.writes() == []
    place.later()
    assert sync(place.tower, place.crm.open).wrote == 0, "the place in the journal is kept, not the message"
    assert place.held_by() == ("software", "ai")
