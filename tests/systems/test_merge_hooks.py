"""Attio's merges: its webhook is all that tells of them, and comes before, within or after the reading."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest
from systems import fake_attio
from systems.scene import START, events, state, sync
from systems.vendor import Vendor, served
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.bootstrap.systems import Open
from watchtower.connectors.attio import Attio
from watchtower.connectors.hooks import HOOKS
from watchtower.connectors.http import Http
from watchtower.connectors.signatures import Arrived

SECRET = "attio-webhook-secret-0123456789"
BOOK = """
name: crm
objects:
  account:
    fields: {name: {type: text}}
  contact:
    fields: {account: {type: ref, to: account}, name: {type: text}}
roles: {revops: RevOps}
rules:
  - {id: of_acme, object: contact, when: account.name = 'Acme'}
systems:
  crm:
    kind: attio
    owner: revops
    every: 1 hour
    objects:
      account: {from: companies, ID fields: {name: name}}
      contact: {from: people, fields: {account: company, name: name}}
"""


@dataclass
class Scene:
    tower: Tower
    vendor: Vendor
    clock: Clock
    open: Open

    def read(self, *, full: bool = False) -> None:
        self.clock.now = self.vendor.tick()
        assert sync(self.tower, self.open, full=full).fault == ""

    def merge(self, first: str, second: str, new: str, **properties: str) -> list[bytes]:
        """Two become a third, which holds the values of both; two webhooks say so. As docs.attio.com has it."""
        kept = {name: value for name, value in self.vendor.of("companies")[first].properties.items() if value}
        for one in (first, second):
            self.vendor.end("companies", one)
        self.vendor.create("companies", new, **(kept | properties))
        found = []
        for one in (first, second):
            event = {
                "event_type": "record.merged",
                "id": {"workspace_id": "14beef7a", "object_id": "97052eb9-e65e-443f-a297", "record_id": new},
                "duplicate_object_id": "97052eb9-e65e-443f-a297", "duplicate_record_id": one,
                "actor": {"type": "workspace-member", "id": "50cf242c"},
            }  # fmt: skip
            found.append(json.dumps({"webhook_id": "23e42eaf", "events": [event]}).encode())
        return found

    def hear(self, *bodies: bytes) -> None:
        self.clock.now = self.vendor.tick()
        for body in bodies:
            made = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            headers = [(b"attio-signature", made.encode())]
            assert self.tower.hear("crm", Arrived("POST", "https://tower/hooks/crm", headers, body))

    def merged(self) -> list[tuple[str, str]]:
        return [(subject, data["into"]) for _, _, subject, data in events(self.tower, "record.merged")]

    def of_acme(self) -> list[str]:
        """The contacts whose account is called Acme, by what a rule reads."""
        self.tower.tick()
        with self.tower.database.read() as conn:
            return list(conn.exec_driver_sql(
                "select record from alert where rule = 'of_acme' and status <> 'resolved' order by 1"
            ).scalars())  # fmt: skip


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    yield from _scene(database_url, tmp_path, monkeypatch, "")


@pytest.fixture
def named(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Where an attribute of Attio's holds the ids of our records."""
    yield from _scene(database_url, tmp_path, monkeypatch, "id: external_id, ")


def _scene(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, id_: str) -> Iterator[Scene]:
    monkeypatch.setenv("WATCHTOWER_CRM_WEBHOOK_SECRET", SECRET)
    vendor, clock = Vendor(START), Clock(START)
    with served(fake_attio.app(vendor)) as fake, tower_under(BOOK.replace("ID ", id_), url, folder, clock) as tower:

        def open_(name: str, system: object) -> Attio:
            return Attio(Http(fake, {"authorization": f"Bearer {fake_attio.TOKEN}"}), size=2)

        for letter in "abcd":
            vendor.create("companies", letter, name=letter.upper(), external_id=f"A-{letter}")
            vendor.create("people", f"p{letter}", name=f"P{letter}")
            vendor.link("people", f"p{letter}", "companies", letter)
        scene = Scene(tower, vendor, clock, open_)
        scene.read()
        yield scene


def test_a_merge_that_is_told_of_leads_references_to_the_new_record_once_it_was_read(scene: Scene) -> None:
    both = scene.merge("a", "b", "n", name="Acme")
    scene.hear(*both)
    assert scene.merged() == [] and set(state(scene.tower, "account")) == {"a", "b", "c", "d"}, "the new one is unknown"
    assert scene.tower.due_systems(scene.clock.now) == ["crm"], "and it is read at once"
    scene.read()
    assert scene.merged() == [("account/a", "n"), ("account/b", "n")]
    assert set(state(scene.tower, "account")) == {"c", "d", "n"}
    assert scene.of_acme() == ["pa", "pb"], "though Attio has not said yet that they belong to the new one"
    before = len(events(scene.tower))
    scene.hear(*both)
    scene.read(full=True)
    assert len(events(scene.tower)) == before, "said again, it is not said twice"


def test_a_webhook_that_comes_after_the_reading_leads_references_on_all_the_same(scene: Scene) -> None:
    both = scene.merge("a", "b", "n", name="Acme")
    scene.read()
    assert set(state(scene.tower, "account")) == {"c", "d", "n"} and scene.of_acme() == []
    scene.hear(*both, *both)
    assert scene.merged() == [("account/a", "n"), ("account/b", "n")]
    assert scene.of_acme() == ["pa", "pb"]
    replayed = scene.tower.replay()
    assert replayed.different == 0, replayed.differences


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_merges_of_merges_lead_to_the_last_one_in_whatever_order_they_are_told(
    scene: Scene, order: tuple[int, ...]
) -> None:
    """The first new record was never read: it was merged before."""
    told = [*scene.merge("a", "b", "m"), *scene.merge("c", "m", "n", name="Acme")]
    scene.hear(*(told[number] for number in order))
    scene.read()
    assert sorted(scene.merged()) == [("account/a", "n"), ("account/b", "n"), ("account/c", "n")]
    assert set(state(scene.tower, "account")) == {"d", "n"} and scene.of_acme() == ["pa", "pb", "pc"]


def test_a_merged_record_that_has_the_id_of_one_of_the_two_is_that_one(named: Scene) -> None:
    both = named.merge("a", "b", "n", name="Acme")  # it takes external_id of the first
    named.hear(*both)
    named.read()
    assert named.merged() == [("account/A-b", "A-a")]
    assert set(state(named.tower, "account")) == {"A-a", "A-c", "A-d"}
    assert named.of_acme() == ["pa", "pb"]


def test_a_merge_of_what_is_not_read_here_waits_and_is_forgotten(scene: Scene) -> None:
    body = {"webhook_id": "w", "events": [{
        "event_type": "record.merged", "id": {"workspace_id": "w", "object_id": "o", "record_id": "task2"},
        "duplicate_object_id": "o", "duplicate_record_id": "task1", "actor": {"type": "system"},
    }]}  # fmt: skip
    assert HOOKS["attio"].hear(body).merged == (("task1", "task2"),)
    scene.hear(json.dumps(body).encode())
    scene.read()
    assert scene.merged() == [] and waiting(scene) == 1
    scene.vendor.now = scene.vendor.now.replace(month=5)
    scene.read()
    assert waiting(scene) == 0


def waiting(scene: Scene) -> int:
    with scene.tower.database.read() as conn:
        return int(conn.exec_driver_sql("select count(*) from system_merge").scalar_one())
