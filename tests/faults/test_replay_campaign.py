"""The campaigns of replay and of order, small: byte for byte in another process, and the same in any order."""

from __future__ import annotations

import os
import subprocess
import sys

from command_line import PROJECT


def campaign(script: str, *arguments: str) -> list[str]:
    """What a campaign says, line by line; it must end well."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), str(PROJECT / "tests"), env.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests" / "faults" / script), *arguments],
        env=env, cwd=PROJECT, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


def test_a_year_lived_twice_under_other_hash_seeds_and_time_zones_is_the_same_and_replays_byte_for_byte() -> None:
    said = campaign("replay_campaign.py", "--events", "2000", "--twice")
    assert "0 different" in said[1]
    assert said[-1] == "lived twice: journals equal, rebuilt rows equal"


def test_in_any_order_of_arrival_with_repeats_and_wrong_clocks_the_alerts_are_those_of_a_backtest() -> None:
    said = campaign("order_campaign.py", "--traces", "30", "--orders", "2")
    assert len(said) == 2
    for line in said:
        assert "0 of them got in" in line and "the same" in line
