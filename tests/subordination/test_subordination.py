"""What workers say changes nothing that the rules say: traces run alone and beside hostile workers, seen alike.

`python tests/subordination/campaign.py --count 1000` runs many more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from subordination.campaign import TRIES, killed_by, trace
from subordination.mutants import MUTANTS, Mutant
from subordination.runs import beside, open_tower

from watchtower.bootstrap import Tower


@pytest.fixture(scope="module")
def tower(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tower]:
    """One tower for all traces: each empties its tables first."""
    with open_tower(module_database_url, Path(tmp_path_factory.mktemp("subordination"))) as built:
        yield built


@pytest.mark.parametrize("seed", range(8))
def test_what_is_seen_of_rules_is_the_same_alone_and_beside_hostile_workers(seed: int, tower: Tower) -> None:
    core, workers = trace(seed)
    run = beside(tower, core, workers)
    assert not run.difference, run.difference
    assert run.faults == []
    assert run.taken > 0 and any(seen["alerts"] for _, seen in run.seen), "a trace in which nothing happens"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_leak_is_seen(mutant: Mutant, tower: Tower) -> None:
    assert killed_by(mutant, tower, [mutant.trace, *range(TRIES)]) is not None, mutant.channel
