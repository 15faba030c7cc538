"""A language model that fails, in whichever way, writes no field and holds nobody up."""

from __future__ import annotations

from pathlib import Path

from llm_faults import MODES, campaign


def test_a_model_that_fails_in_any_of_twelve_ways_writes_nothing_in_time(database_url: str, tmp_path: Path) -> None:
    control, *faulty = campaign(database_url, tmp_path, count=4, seed=5)
    assert control.written == control.records, "the control: a model that behaves fills every field"
    assert [mode.name for mode in faulty] == list(MODES) and len(MODES) == 12
    assert {mode.name: mode.broken() for mode in faulty if mode.broken()} == {}
