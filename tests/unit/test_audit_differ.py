"""Do groups differ beyond chance: where they do, where they do not, and against known values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from watchtower.flow.audit import differ


def test_a_table_with_many_cases_has_pearsons_p_value() -> None:
    table = np.array([[30, 70], [50, 50]])
    assert differ.table_p(table) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


def test_a_table_with_few_cases_has_a_p_value_near_the_exact_one() -> None:
    table = np.array([[8, 2], [1, 9]])
    exact = stats.fisher_exact(table).pvalue
    assert differ.table_p(table) == pytest.approx(exact, abs=0.003)


@pytest.mark.parametrize("table", [[[5, 5]], [[5], [7]], [[0, 0], [3, 4]], [[3, 0], [4, 0]]])
def test_where_there_is_nothing_to_compare_nothing_is_strange(table: list[list[int]]) -> None:
    assert differ.table_p(np.array(table)) == 1.0


def test_the_cell_that_departs_most_is_named() -> None:
    assert differ.strangest(np.array([[20, 20], [20, 20], [2, 38]]))[0] == 2


def test_two_groups_have_the_p_value_of_the_log_rank_test() -> None:
    generator = np.random.default_rng(3)
    lengths = [generator.exponential(4, 40), generator.exponential(6, 50)]
    ended = [generator.random(40) < 0.8, generator.random(50) < 0.7]
    samples = [
        stats.CensoredData(uncensored=x[over], right=x[~over]) for x, over in zip(lengths, ended, strict=True)
    ]  # fmt: skip
    p, departures = differ.durations_p(np.concatenate(lengths), np.concatenate(ended), [0] * 40 + [1] * 50)
    assert p == pytest.approx(stats.logrank(*samples).pvalue)
    assert departures[0] > 0 > departures[1], "the first group is quicker"


def test_a_group_whose_stays_began_lately_is_not_called_quick() -> None:
    generator = np.random.default_rng(8)
    quick = 0
    for _ in range(100):
        true = generator.exponential(30, 160)
        watched = np.where(np.arange(160) < 80, 365.0, generator.uniform(1, 20, 160))
        p, _ = differ.durations_p(np.minimum(true, watched), true <= watched, [0] * 80 + [1] * 80)
        quick += p <= 0.01
    assert quick <= 5


def test_the_median_counts_what_goes_on() -> None:
    assert differ.median_duration([1, 2, 3, 4], [True] * 4) == 2
    assert differ.median_duration([1, 2, 3, 4], [True, False, True, True]) == 3
    assert differ.median_duration([1, 2, 3, 4], [True, False, False, False]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_keep_their_order_and_never_fall(p_values: list[float]) -> None:
    found = differ.adjusted(p_values)
    assert found == pytest.approx(list(stats.false_discovery_control(p_values)))
    assert all(low <= high + 1e-12 for low, high in zip(p_values, found, strict=True))
