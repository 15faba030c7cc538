"""No paid call is repeated by itself, whenever the worker that made it is killed."""

from __future__ import annotations

from pathlib import Path

from kill_workers import campaign


def test_no_call_is_made_twice_and_no_record_is_lost_when_workers_are_killed(database_url: str, tmp_path: Path) -> None:
    kills, slots = 2, 6
    found = campaign(database_url, tmp_path, kills=kills, records=40, seed=11, slots=slots)
    assert found.repeats == 0
    unknown = found.outcomes.pop("unknown", 0)
    assert unknown <= kills * found.together
    assert set(found.outcomes) == {"answered"}
    assert found.calls <= found.outcomes["answered"] + unknown <= found.cap
    assert found.filled >= found.records - unknown, "only a record over which a worker died may stay empty"
