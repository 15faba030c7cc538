"""A flood from workers neither loses nor delays what the core says beyond its own transactions."""

from __future__ import annotations

from pathlib import Path

from liveness_campaign import campaign


def test_every_event_opens_its_alert_beside_a_flood_from_workers(database_url: str, tmp_path: Path) -> None:
    found = campaign(database_url, tmp_path, seconds=3, rate=4000)
    assert found.alerts == found.events
    assert found.proposals > 1000 and found.refused > 100, "no flood"
