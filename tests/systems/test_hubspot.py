"""HubSpot through a fake that is served for real: what is read, in what shape, and what faults come to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from systems import fake_hubspot
from systems.scene import HUBSPOT, OBJECTS, START, Company, events, live, state, sync
from systems.vendor import Faults, Vendor, served
from systems.words_hubspot import HubSpotWords
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.bootstrap.systems import Open
from watchtower.connectors.http import Http
from watchtower.connectors.hubspot import HubSpot


@pytest.fixture
def vendor() -> Vendor:
    return Vendor(START)


@pytest.fixture
def open_(vendor: Vendor) -> Iterator[Open]:
    with served(fake_hubspot.app(vendor)) as url:
        headers = {"authorization": f"Bearer {fake_hubspot.TOKEN}"}
        yield lambda name, system: HubSpot(Http(url, headers, sleep=lambda seconds: None, in_all=20), size=5)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    with tower_under(OBJECTS + HUBSPOT, database_url, tmp_path, clock) as built:
        yield built


def without_personal(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {id_: {k: v for k, v in fields.items() if k != "email"} for id_, fields in records.items()}


def test_a_month_with_faults_ends_with_the_vendors_state(
    vendor: Vendor, open_: Open, tower: Tower, clock: Clock
) -> None:
    words = HubSpotWords(vendor)
    vendor.faults = Faults(limited=0.1, broken=0.05, delayed=0.05, twice=0.2, behind=0.1)
    live(Company(vendor, words, seed=4), tower, clock, 31, open_)
    vendor.faults = Faults()
    vendor.tick(timedelta(minutes=1))
    sync(tower, open_)
    for name in ("account", "contact", "opportunity"):
        assert without_personal(state(tower, name)) == words.holds(name), name
    notes = events(tower, "activity.logged")
    assert len(notes) == len(vendor.of("notes")) > 5
    before = len(events(tower))
    assert sync(tower, open_, full=True).took.events == 0
    assert len(events(tower)) == before
