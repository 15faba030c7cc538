"""Poison is set aside and harms nothing else. `poison_campaign.py --events 100000` takes many more."""

from __future__ import annotations

from pathlib import Path

from faults.poison_campaign import POISON, campaign

from watchtower.store.embedded import EmbeddedServer


def test_poison_is_set_aside_with_its_reason_and_the_rest_is_as_it_would_be_without(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    report = campaign(server, tmp_path, events=2_000)
    assert report.wrong == []
    assert report.poison == 20 and len(report.kinds) == len(POISON)
