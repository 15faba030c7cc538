"""A system that refuses us or falls silent is an alert of its owner; the command line and the doctor say why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from systems.scene import HUBSPOT, OBJECTS, START, sync
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.contract.system import Asked, Cursor, Pulled, Pulls
from watchtower.errors import Missing, SystemFault
from watchtower.rulebook.systems import System


class Silent:
    """A system with nothing to say, or one that fails."""

    def __init__(self, fault: SystemFault | None = None) -> None:
        self.fault = fault

    def __call__(self, name: str, system: System) -> Pulls:
        return self

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        if self.fault is not None:
            raise self.fault
        yield Pulled(changes=(), cursor={})

    def present(self, object: str, ids: object) -> set[str]:
        return set()

    def close(self) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    with tower_under(OBJECTS + HUBSPOT, database_url, tmp_path, clock) as built:
        yield built


def open_alerts(tower: Tower) -> list[tuple[str, str]]:
    tower.tick()
    with tower.database.read() as conn:
        rows = conn.exec_driver_sql("select rule, owner from alert where status <> 'resolved' order by rule")
        return [(row[0], row[1]) for row in rows]


def test_a_refusal_is_an_alert_at_once_and_a_round_that_succeeds_resolves_it(tower: Tower, clock: Clock) -> None:
    refusing = Silent(SystemFault("GET https://api.hubapi.com/x: answered 401", refused=True))
    assert tower.sync("crm", open_=refusing).fault.endswith("answered 401")
    assert open_alerts(tower) == [("system.crm.failing", "revops")]
    (standing,) = tower.systems()
    assert (standing.kind, standing.owner, standing.succeeded_at) == ("hubspot", "revops", None)
    assert "401" in standing.failure and standing.failed_at == START
    clock.now += timedelta(minutes=1)
    sync(tower, Silent())
    assert open_alerts(tower) == []
    (standing,) = tower.systems()
    assert standing.failure == "" and standing.succeeded_at == clock.now


def test_what_passes_by_itself_is_no_alert_until_the_silence_is_long(tower: Tower, clock: Clock) -> None:
    sync(tower, Silent())
    clock.now += timedelta(minutes=19)
    assert tower.sync("crm", open_=Silent(SystemFault("answered 503"))).fault == "answered 503"
    assert open_alerts(tower) == []
    clock.now += timedelta(minutes=1)
    assert open_alerts(tower) == [("system.crm.silent", "revops")]
    clock.now += timedelta(seconds=10)
    sync(tower, Silent())
    assert open_alerts(tower) == []


def test_missing_credentials_are_a_refusal_that_names_the_variable(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHTOWER_CRM_TOKEN", raising=False)
    done = tower.sync("crm")
    assert done.remedy == (
        "Set WATCHTOWER_CRM_TOKEN, or WATCHTOWER_CRM_CLIENT_ID and WATCHTOWER_CRM_CLIENT_SECRET and "
        "WATCHTOWER_CRM_REFRESH_TOKEN."
    )
    assert open_alerts(tower) == [("system.crm.failing", "revops")]
    with pytest.raises(Missing, match="no system 'other'"):
        tower.sync("other")


def test_a_system_is_due_again_after_as_long_as_the_rulebook_says(tower: Tower, clock: Clock) -> None:
    assert tower.due_systems(clock.now) == ["crm"]
    sync(tower, Silent())
    assert tower.due_systems(clock.now + timedelta(minutes=4)) == []
    assert tower.due_systems(clock.now + timedelta(minutes=5)) == ["crm"]


def test_what_the_tower_says_of_its_systems_is_the_same_in_a_replay(tower: Tower, clock: Clock) -> None:
    for fault in (None, SystemFault("answered 401", refused=True), None):
        clock.now += timedelta(minutes=7)
        tower.sync("crm", open_=Silent(fault))
        tower.tick()
    replayed = tower.replay()
    assert replayed.decisions > 2 and replayed.different == 0, replayed.differences
