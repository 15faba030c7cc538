"""The paired test: exact, the same as McNemar's where that holds, and honest about cases that hang together."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals.paired import LARGEST, cluster_sums, sign_flip
from evals.statistics import mcnemar_exact


def counted(sums: list[int]) -> tuple[float, float]:
    """By trying every sign."""
    sizes = [abs(one) for one in sums if one]
    total = sum(sums)
    all_sums = [
        sum(s * size for s, size in zip(signs, sizes, strict=True)) for signs in product((-1, 1), repeat=len(sizes))
    ]
    return sum(s <= total for s in all_sums) / len(all_sums), sum(s >= total for s in all_sums) / len(all_sums)


@given(st.lists(st.integers(-6, 6), max_size=9))
@settings(max_examples=200, deadline=None)
def test_the_chances_are_what_trying_every_sign_gives(sums: list[int]) -> None:
    assert sign_flip(np.array(sums, dtype=np.int64)) == pytest.approx(counted(sums))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 100))
def test_with_one_case_a_cluster_it_is_mcnemars_exact_test(lost: int, gained: int, same: int) -> None:
    worse, better = sign_flip(np.array([-1] * lost + [1] * gained + [0] * same, dtype=np.int64))
    assert min(1.0, 2 * min(worse, better)) == pytest.approx(mcnemar_exact(lost, gained))
    if lost + gained:
        assert worse == pytest.approx(stats.binomtest(gained, lost + gained, 0.5, alternative="less").pvalue)


def test_ten_texts_of_one_company_count_as_one() -> None:
    lost = np.full(10, -1, dtype=np.int64)
    apart, _ = sign_flip(cluster_sums(lost, [f"c{i}" for i in range(10)]))
    together, _ = sign_flip(cluster_sums(lost, ["c"] * 10))
    assert apart == pytest.approx(2**-10) and together == pytest.approx(0.5)


def test_beyond_what_is_counted_a_normal_distribution_stands_for_it_and_agrees() -> None:
    generator = np.random.default_rng(0)
    sums = generator.integers(-300, 301, size=900).astype(np.int64)
    assert np.abs(sums).sum() < LARGEST
    exact = sign_flip(sums)
    near = sign_flip(sums * 7)  # the same shape, too wide to count
    assert np.abs(sums * 7).sum() > LARGEST
    assert near == pytest.approx(exact, abs=0.01)
