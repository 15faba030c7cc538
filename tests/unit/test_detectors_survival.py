"""The product-limit curve, against its definition worked out in fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.survival import NOT_COUNTED, Survival

Stay = tuple[int, bool]
"""How long it lasted, and whether it ended then."""

STAYS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=25)


def lasting(stays: list[Stay], age: int, *, beyond: bool) -> Fraction:
    """P(T >= age), or P(T > age), by definition: the product over ends of 1 - ended / at risk."""
    product = Fraction(1)
    for time in sorted({length for length, ended in stays if ended}):
        if time < age or (beyond and time == age):
            ended = sum(1 for length, did in stays if did and length == time)
            at_risk = sum(1 for length, _ in stays if length >= time)
            product *= 1 - Fraction(ended, at_risk)
    return product


def fit(stays: list[Stay]) -> Survival:
    lengths = np.array([length for length, _ in stays], dtype=np.int64)
    return Survival.fit(lengths, np.array([ended for _, ended in stays], dtype=np.bool_))


def p_value(curve: Survival, age: int, counted: int, uniform: float) -> float:
    return float(curve.p_values(np.array([age]), np.array([counted]), np.array([uniform]))[0])


def expected_p(others: list[Stay], age: int, uniform: float) -> float:
    everyone = [*others, (age, True)]
    beyond, reached = lasting(everyone, age, beyond=True), lasting(everyone, age, beyond=False)
    return float(beyond + Fraction(uniform) * (reached - beyond))


@given(STAYS, st.integers(0, 14), st.floats(0.01, 0.99))
def test_a_stay_outside_the_curve_is_compared_as_one_more(others: list[Stay], age: int, uniform: float) -> None:
    assert np.isclose(p_value(fit(others), age, NOT_COUNTED, uniform), expected_p(others, age, uniform))


@given(STAYS, st.integers(0, 12), st.integers(0, 5), st.floats(0.01, 0.99))
def test_a_running_stay_in_the_curve_counts_once_and_not_twice(
    others: list[Stay], counted: int, older: int, uniform: float
) -> None:
    """Fitted when it was `counted` old, looked at when it is `older` units older."""
    curve = fit([*others, (counted, False)])
    found = p_value(curve, counted + older, counted, uniform)
    assert np.isclose(found, expected_p(others, counted + older, uniform))


@given(STAYS, st.integers(0, 12), st.integers(0, 5))
def test_the_share_that_people_read_leaves_the_stay_itself_out(others: list[Stay], counted: int, older: int) -> None:
    age = counted + older
    expected = float(1 - lasting(others, age, beyond=False))
    without = fit(others).share_sooner(np.array([age]), np.array([NOT_COUNTED]))[0]
    within = fit([*others, (counted, False)]).share_sooner(np.array([age]), np.array([counted]))[0]
    assert np.isclose(without, expected)
    assert np.isclose(within, expected)


@given(STAYS)
def test_the_median_is_the_first_end_by_which_half_have_left(stays: list[Stay]) -> None:
    ends = sorted({length for length, ended in stays if ended})
    reached = [time for time in ends if lasting(stays, time, beyond=True) <= Fraction(1, 2)]
    assert fit(stays).median() == (reached[0] if reached else max(length for length, _ in stays))


@given(STAYS)
def test_the_share_that_never_ended_is_where_the_curve_stops(stays: list[Stay]) -> None:
    assert np.isclose(fit(stays).never_ended, float(lasting(stays, 99, beyond=False)))


@given(STAYS, st.integers(0, 12), st.floats(0.01, 0.99))
def test_an_older_stay_is_never_less_strange(others: list[Stay], age: int, uniform: float) -> None:
    curve = fit(others)
    younger, older = (p_value(curve, at, NOT_COUNTED, uniform) for at in (age, age + 1))
    assert older <= younger + 1e-12


def shares(ties: bool, censor: bool) -> tuple[float, float]:
    """P(p <= .05) and P(p <= .01) of fresh stays from the cohort's own law, over 400 simulated cohorts."""
    random = np.random.default_rng(5)
    found = []
    for _ in range(400):
        lengths = random.gamma(1.3, 50.0, 400)
        if ties:
            lengths = 10 * np.ceil(lengths / 10)
        whole = (lengths * 1_000).astype(np.int64)
        limit = (random.uniform(0, 400, 300) * 1_000).astype(np.int64) if censor else np.full(300, 10**9)
        curve = Survival.fit(np.minimum(whole[:300], limit), whole[:300] <= limit)
        fresh = whole[300:]
        found.append(curve.p_values(fresh, np.full(fresh.size, NOT_COUNTED), random.random(fresh.size)))
    p_values = np.concatenate(found)
    return float((p_values <= 0.05).mean()), float((p_values <= 0.01).mean())


def test_p_values_are_uniform_where_nothing_is_censored() -> None:
    at_five, at_one = shares(ties=False, censor=False)
    assert abs(at_five - 0.05) < 0.004
    assert abs(at_one - 0.01) < 0.002


def test_p_values_are_uniform_where_lengths_are_tied() -> None:
    at_five, at_one = shares(ties=True, censor=False)
    assert abs(at_five - 0.05) < 0.004
    assert abs(at_one - 0.01) < 0.002


def test_p_values_are_uniform_where_a_fifth_of_the_cohort_is_still_running() -> None:
    at_five, at_one = shares(ties=False, censor=True)
    assert abs(at_five - 0.05) < 0.006
    assert abs(at_one - 0.01) < 0.004
