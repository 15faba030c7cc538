"""P-values by comparison, checked against their definitions and against what they promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.pvalues import benjamini_hochberg, conformal, conformal_randomised, seed_of, uniform_of

SCORES = st.lists(st.integers(-5, 5).map(float), max_size=30)
SHARES = st.floats(0.001, 0.999)


@given(SCORES, st.integers(-6, 6))
def test_the_conformal_p_value_counts_itself_and_all_that_are_as_strange(reference: list[float], score: int) -> None:
    expected = (1 + sum(other >= score for other in reference)) / (len(reference) + 1)
    assert conformal(np.array(reference), np.array([float(score)]))[0] == expected


@given(SCORES, st.integers(-6, 6), SHARES)
def test_the_randomised_p_value_takes_a_share_of_the_ties(reference: list[float], score: int, share: float) -> None:
    stranger = sum(other > score for other in reference)
    equal = 1 + sum(other == score for other in reference)
    found = conformal_randomised(np.array(reference), np.array([float(score)]), np.array([share]))[0]
    assert found == np.float64((stranger + share * equal) / (len(reference) + 1))
    assert found <= conformal(np.array(reference), np.array([float(score)]))[0]


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=25), SHARES)
def test_benjamini_hochberg_rejects_up_to_the_last_p_value_under_its_line(p_values: list[float], rate: float) -> None:
    """The step-up procedure as its paper words it, one hypothesis after another."""
    count, line = len(p_values), 0.0
    for rank, p_value in enumerate(sorted(p_values), start=1):
        if p_value <= rate * rank / count:
            line = p_value
    expected = [line > 0 and p_value <= line for p_value in p_values]
    assert benjamini_hochberg(np.array(p_values), rate).tolist() == expected


def test_nothing_is_rejected_among_nothing() -> None:
    assert benjamini_hochberg(np.empty(0), 0.1).tolist() == []


def test_randomised_p_values_are_uniform_though_half_the_scores_are_tied() -> None:
    random = np.random.default_rng(3)
    drawn = random.integers(0, 4, (8_000, 40)).astype(float)
    found = np.concatenate([conformal_randomised(row[1:], row[:1], random.random(1)) for row in drawn])
    for level in (0.01, 0.05, 0.1, 0.5, 0.9):
        # four standard errors
        assert abs((found <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / found.size)


def test_benjamini_hochberg_holds_the_share_of_false_rejections() -> None:
    """150 runs of 200 with 20 shifted records: the mean share of false ones is at most the rate of .1."""
    random = np.random.default_rng(11)
    false, power = [], []
    for _ in range(150):
        scores = np.concatenate((random.normal(4.0, 1.0, 20), random.normal(0.0, 1.0, 180)))
        rejected = benjamini_hochberg(conformal(random.normal(0.0, 1.0, 2_000), scores), 0.1)
        false.append(rejected[20:].sum() / max(1, rejected.sum()))
        power.append(rejected[:20].mean())
    assert np.mean(false) < 0.12
    assert np.mean(power) > 0.8


@given(st.text(), st.lists(st.text(), unique=True, max_size=20))
def test_a_key_has_the_same_number_whoever_else_is_asked_for(seed: str, keys: list[str]) -> None:
    together = uniform_of(seed, keys)
    assert together.tolist() == [uniform_of(seed, [key])[0] for key in keys]
    assert ((together > 0) & (together < 1)).all()


def test_numbers_of_keys_are_uniform_and_differ_by_seed() -> None:
    keys = [f"D-{number}" for number in range(20_000)]
    one, other = uniform_of("run-1", keys), uniform_of("run-2", keys)
    for level in (0.05, 0.5, 0.95):
        assert abs((one <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(keys))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_the_numbers_are_the_same_on_every_machine() -> None:
    assert seed_of("run-1") == 325916183
    assert uniform_of("run-1", ["D-1"])[0] == 0.3265703182370746
