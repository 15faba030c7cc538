"""P-values of gaps against the cohort's own past: which gaps count, and that the promise holds where gaps grow."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.gap_tail import ENOUGH, FOLLOWED, Past, Tail, past_gaps
from detectors.pvalues import Floats
from detectors.rhythm import Gaps, Rhythm
from detectors.snapshot import Longs

EARLIER = 5


def histories(growth: float, records: int = 1_000, seed: int = 1) -> tuple[Rhythm, Longs, Floats, Floats]:
    """Gamma gaps, each `growth` times as long as the one before on the mean, over 600 days; a tenth leave each time."""
    random = np.random.default_rng(seed)
    owner, lengths, running = [], [], []
    for record in range(records):
        own, now, mine = random.lognormal(2.3, 0.4), 0.0, 0
        while True:
            gap = random.gamma(2.0, own * growth**mine / 2.0)
            gone = mine >= EARLIER and random.random() < 0.1
            if gone or now + gap > 600:
                break
            owner.append(record)
            lengths.append(gap)
            now, mine = now + gap, mine + 1
        running.append(600 - now)
    o, g = np.array(owner), np.array(lengths)
    return Rhythm.fit(Gaps.of(o, g, records)), o, g, np.array(running)


def test_the_gaps_that_count_are_those_followed_long_enough_and_each_is_judged_by_those_before() -> None:
    rhythm, owner, lengths, running = histories(1.1, 60)
    found = past_gaps(rhythm, owner, lengths, running, EARLIER)
    expected = {}
    for record in range(60):
        mine = np.flatnonzero(owner == record)
        for place in range(EARLIER, mine.size):
            before, rest = lengths[mine[:place]], float(lengths[mine[place:]].sum()) + running[record]
            sums = Gaps.of(np.zeros(place, dtype=np.int64), before, 1)
            if rhythm.p_values(sums, np.array([rest]))[0] <= FOLLOWED:
                expected[int(mine[place])] = rhythm.p_values(sums, lengths[mine[place : place + 1]])[0]
    assert 10 < len(expected) < np.sum(np.bincount(owner)[np.bincount(owner) > EARLIER] - EARLIER)
    assert dict(zip(found.place.tolist(), found.p_values.tolist(), strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize("growth", [1.0, 1.12])
def test_of_gaps_that_end_one_in_a_hundred_stands_out_also_where_they_grow(growth: float) -> None:
    rhythm, *learnt = histories(growth)
    tail = Tail.fit(past_gaps(rhythm, *learnt, EARLIER).p_values)
    _, *fresh = histories(growth, seed=2)
    own = past_gaps(rhythm, *fresh, EARLIER).p_values
    assert own.size > 1_500
    if growth > 1:
        assert (own <= 0.01).mean() > 0.02, "the rhythm alone does not keep the promise"
    assert 0.003 < (tail.p_values(own) <= 0.01).mean() < 0.014


def test_a_p_value_is_never_made_smaller_and_few_gaps_change_nothing() -> None:
    p_values = np.geomspace(1e-12, 1.0, 50)
    flat = Tail.fit(np.random.default_rng(1).random(1_000) ** 0.5)
    assert (flat.p_values(p_values) >= p_values).all()
    few = Tail.fit(np.full(ENOUGH - 1, 0.001))
    assert few.p_values(p_values).tolist() == p_values.tolist()


def test_without_a_gap_nothing_is_known() -> None:
    nothing = np.empty(0, dtype=np.int64)
    found = past_gaps(Rhythm(np.full(24, 1 / 24)), nothing, np.empty(0), np.empty(0), EARLIER)
    assert (found.p_values.size, found.place.size) == (0, 0)
    assert isinstance(found, Past)
