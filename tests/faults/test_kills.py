"""A small kill campaign: 60 kills. The documented ones are `kill_campaign.py --kills 300`, and 3000 for a release."""

from __future__ import annotations

from pathlib import Path

from kill_campaign import campaign


def test_sixty_kills_lose_nothing_and_double_nothing(own_folder: Path) -> None:
    faults, figures = campaign(60, 7, own_folder)
    assert faults == []
    assert figures["kills"] >= 60 and figures["of"]["postmaster"] == 1
    assert len(figures["of"]) == 6, "every kind of process was killed"
    assert figures["lost"] == figures["doubled alerts"] == figures["notifications lost"] == 0
    assert min(figures["acknowledged"], figures["alerts"], figures["notifications"]) > 0, "and it was under load"
