"""Each interval and test against an oracle that shares no line with it."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals import statistics

counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(counts, levels)
def test_wilson_agrees_with_scipy_and_contains_the_share(pair: tuple[int, int], level: float) -> None:
    successes, trials = pair
    found = statistics.wilson(successes, trials, level)
    if trials == 0:
        assert (found.low, found.high) == (0.0, 1.0)
        return
    oracle = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert found.low == pytest.approx(oracle.low, abs=1e-9)
    assert found.high == pytest.approx(oracle.high, abs=1e-9)
    assert 0.0 <= found.low <= successes / trials <= found.high <= 1.0


@given(counts.filter(lambda pair: pair[1] > 0), levels)
def test_clopper_pearson_agrees_with_scipy(pair: tuple[int, int], level: float) -> None:
    found = statistics.clopper_pearson(*pair, level)
    oracle = stats.binomtest(*pair).proportion_ci(level, method="exact")
    assert found.low == pytest.approx(oracle.low, abs=1e-9)
    assert found.high == pytest.approx(oracle.high, abs=1e-9)


@pytest.mark.parametrize("trials", [1, 5, 20])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.97])
def test_clopper_pearson_covers_at_least_as_often_as_it_says(trials: int, share: float) -> None:
    covered = sum(
        stats.binom.pmf(k, trials, share)
        for k in range(trials + 1)
        if statistics.clopper_pearson(k, trials).low <= share <= statistics.clopper_pearson(k, trials).high
    )
    assert covered >= 0.95


@given(st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_equals_the_share_of_all_coin_sequences_as_lopsided(lost: int, gained: int) -> None:
    total = lost + gained
    extreme = abs(lost - gained)
    hits = sum(
        1 for tails in range(total + 1) for _ in range(_choose(total, tails)) if abs(total - 2 * tails) >= extreme
    )
    assert statistics.mcnemar_exact(lost, gained) == pytest.approx(float(Fraction(hits, 2**total)), abs=1e-12)


def _choose(n: int, k: int) -> int:
    """By Pascal's rule, so that no binomial routine stands on both sides."""
    row = [1]
    for _ in range(n):
        row = [1, *(a + b for a, b in itertools.pairwise(row)), 1]
    return row[k]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_equals_the_closed_test_with_bonferroni(p_values: list[float]) -> None:
    found = statistics.holm(p_values)
    for index in range(len(p_values)):
        # The closure principle: rejected when every intersection that contains it is.
        closed = max(
            min(1.0, len(subset) * min(p_values[i] for i in subset))
            for size in range(1, len(p_values) + 1)
            for subset in itertools.combinations(range(len(p_values)), size)
            if index in subset
        )
        assert found[index] == pytest.approx(closed, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=4, max_size=5), st.integers(0, 1000))
def test_the_bootstrap_agrees_with_every_resample_there_is(right: list[bool], seed: int) -> None:
    n = len(right)
    every = np.array([np.mean([right[i] for i in draw]) for draw in itertools.product(range(n), repeat=n)])
    found = statistics.clustered_bootstrap(right, [1] * n, [str(i) for i in range(n)], seed=seed, resamples=20_000)
    # The true quantile may lie on a step of the exact distribution: allow the neighbouring levels.
    for edge, level in ((found.low, 0.025), (found.high, 0.975)):
        assert np.quantile(every, max(0, level - 0.01)) - 1e-9 <= edge <= np.quantile(every, level + 0.01) + 1e-9


def test_cases_that_always_agree_within_a_cluster_widen_the_interval() -> None:
    generator = np.random.default_rng(5)
    by_cluster = generator.random(60) < 0.7
    right = np.repeat(by_cluster, 10)
    clusters = [str(i // 10) for i in range(600)]
    clustered = statistics.clustered_bootstrap(right, np.ones(600), clusters, seed=1)
    naive = statistics.clustered_bootstrap(right, np.ones(600), [str(i) for i in range(600)], seed=1)
    ratio = (clustered.high - clustered.low) / (naive.high - naive.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_the_bootstrap_agrees_with_scipys_on_independent_cases() -> None:
    right = (np.random.default_rng(2).random(300) < 0.8).astype(float)
    found = statistics.clustered_bootstrap(right, np.ones(300), [str(i) for i in range(300)], seed=3, resamples=5000)
    oracle = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=5000, rng=4)
    assert found.low == pytest.approx(oracle.confidence_interval.low, abs=0.006)
    assert found.high == pytest.approx(oracle.confidence_interval.high, abs=0.006)


def test_pairing_makes_a_small_constant_gain_certain() -> None:
    before = np.tile([0.0, 1.0], 100)
    after = np.minimum(1.0, before + np.tile([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 20))
    found = statistics.paired_bootstrap(before, after, [str(i) for i in range(200)], seed=1)
    assert found.low > 0.05 and found.high < 0.15


def test_the_same_seed_gives_the_same_interval_and_another_gives_another() -> None:
    right = np.random.default_rng(0).random(50)
    names = [str(i) for i in range(50)]
    one, again, other = (statistics.clustered_bootstrap(right, np.ones(50), names, seed=s) for s in (7, 7, 8))
    assert one == again
    assert one != other


judged = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(judged)
def test_calibration_error_equals_a_loop_over_the_bins(cases: list[tuple[float, bool]]) -> None:
    error = 0.0
    for k in range(10):
        inside = [(c, r) for c, r in cases if min(int(c * 10), 9) == k]
        if inside:
            gap = sum(r for _, r in inside) / len(inside) - sum(c for c, _ in inside) / len(inside)
            error += abs(gap) * len(inside) / len(cases)
    found = statistics.calibration_error([c for c, _ in cases], [r for _, r in cases])
    assert found == pytest.approx(error, abs=1e-9)


def test_a_share_of_all_or_of_few_clusters_keeps_an_interval_with_width() -> None:
    names = [str(i // 3) for i in range(90)]
    whole = statistics.clustered_share([1] * 90, [1] * 90, names, seed=1)
    assert whole == statistics.wilson(30, 30)
    assert whole.low < 0.9
    few = statistics.clustered_share([1, 1, 0, 1], [1] * 4, ["a", "a", "b", "b"], seed=1)
    assert few.high - few.low > 0.6


def test_many_clusters_with_some_misses_get_the_bootstrap() -> None:
    hits, names = [1, 1, 0] * 30, [str(i // 3) for i in range(90)]
    expected = statistics.clustered_bootstrap(hits, [1] * 90, names, seed=1)
    assert statistics.clustered_share(hits, [1] * 90, names, seed=1) == expected


def test_the_calibration_interval_covers_the_true_error_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for round_ in range(200):
        stated = generator.choice([0.55, 0.95], size=200)
        right = generator.random(200) < stated - 0.2
        found = statistics.calibration_interval(stated, right, [str(i) for i in range(200)], seed=round_)
        covered += found.low <= 0.2 <= found.high
    assert covered >= 180


def test_a_bin_in_which_all_are_right_still_has_an_interval_with_width() -> None:
    found = statistics.calibration_interval([0.9] * 50, [True] * 50, [str(i) for i in range(50)], seed=1)
    assert found.low < 0.09
    assert found.high == pytest.approx(0.1, abs=0.001)


def test_the_interval_of_the_calibration_error_contains_a_gap_that_is_large() -> None:
    right = np.random.default_rng(9).random(400) < 0.5
    found = statistics.calibration_interval(np.full(400, 0.9), right, [str(i) for i in range(400)], seed=1)
    assert found.low < 0.4 < found.high
    assert found.high - found.low < 0.12


@pytest.mark.parametrize("pair", [(-1, 5), (6, 5), (0, -1)])
def test_more_successes_than_trials_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="accepted is 0 <= successes <= trials"):
        statistics.wilson(*pair)


def test_drawing_kinds_of_clusters_gives_what_drawing_clusters_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    hits, units = [1, 0, 2, 1, 1] * 60, [1, 1, 2, 2, 1] * 60
    clusters = [f"c{i}" for i in range(300)]
    kinds = statistics.clustered_bootstrap(hits, units, clusters, seed=3, resamples=4000)
    monkeypatch.setattr(statistics, "_ALIKE", 10**6)
    each = statistics.clustered_bootstrap(hits, units, clusters, seed=4, resamples=4000)
    assert kinds != each
    assert (kinds.low, kinds.high) == pytest.approx((each.low, each.high), abs=0.006)
