"""Rules against an oracle that shares no code with them: PostgreSQL, asked instant by instant.

`python tests/oracles/predicate.py --rules 20000` runs many more.
"""

from __future__ import annotations

import pytest
from oracles.predicate import Tally, compare_batch


@pytest.mark.parametrize("seed", range(40, 44))
def test_backtests_and_evaluations_are_what_postgresql_says_at_each_instant(seed: int, empty_url: str) -> None:
    tally = Tally()
    compare_batch(empty_url, seed, 20, tally)
    assert tally.answers > 80
    assert not tally.differences, "\n".join(tally.differences[:5])
