"""Rules against an oracle that shares no code with them: PostgreSQL, asked instant by instant.

`python tests/oracles/predicate.py --rules 20000` runs many more.
"""

from __future__ import annotations

import pytest
from oracles.comparing import Tally, compare_batch


@pytest.mark.parametrize("seed", range(40, 50))
def test_backtests_and_evaluations_are_what_postgresql_says_at_each_instant(seed: int, empty_url: str) -> None:
    tally = Tally()
    compare_batch(empty_url, seed, 50, tally, instants=1)
    assert tally.answers > 100
    assert not tally.differences, "\n".join(tally.differences[:5])
