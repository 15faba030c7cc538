"""The mix of new deals: kinds and numbers that are not what they were."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import ROSTER
from detectors.mixes import (
    LENGTHS,
    SHIFT,
    STRENGTH,
    kind_factors,
    kind_scatters,
    null_kinds,
    null_scores,
    ridits,
    score_factors,
    score_scatters,
)
from detectors.snapshot import micros, time_of
from detectors.weeks import period_at
from watchtower.contract import Calibrated, DetectionRequest, Signal

KIND = pa.timestamp("us", tz="UTC")
START = time_of(period_at(micros(datetime(2026, 6, 1, tzinfo=UTC)), 26).begin) + timedelta(weeks=26)
AT = START + timedelta(weeks=20)


def slow_kinds(weeks: list[list[int]], baseline: int) -> float:
    """log R after the last week, one factor after the other."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    kinds, terms = len(weeks[0]), []
    base = [sum(week[kind] for week in weeks[:baseline]) for kind in range(kinds)]
    for length in LENGTHS:
        first = len(weeks) - length
        if first < baseline:
            continue
        for kind in range(kinds):
            share = (base[kind] + 0.5) / (sum(base) + 0.5 * kinds)
            x = sum(week[kind] for week in weeks[first:])
            y = sum(sum(week) for week in weeks[first:]) - x
            a = sum(week[kind] for week in weeks[:first]) + 0.5
            b = sum(sum(week) for week in weeks[:first]) - a + 1.0
            new = log_beta(STRENGTH * share + x, STRENGTH * (1 - share) + y)
            new -= log_beta(STRENGTH * share, STRENGTH * (1 - share))
            terms.append(math.exp(new - log_beta(a + x, b + y) + log_beta(a, b)))
    return math.log(sum(terms) / kinds)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=5, max_size=9))
def test_the_factor_of_kinds_is_the_sum_over_weeks_and_mean_over_kinds(weeks: list[list[int]]) -> None:
    fast = kind_factors(np.array([weeks]), 4)[0]
    assert fast[-1] == pytest.approx(slow_kinds(weeks, 4), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 2), st.integers(1, 5)), min_size=5, max_size=9))
def test_the_factor_of_scores_is_the_sum_over_weeks(weeks: list[tuple[float, int]]) -> None:
    sums, cases = (np.array([column], dtype=np.float64) for column in zip(*weeks, strict=True))
    terms = []
    for length in LENGTHS:
        first = len(weeks) - length
        if first >= 4:
            n, m = sum(w[1] for w in weeks[:first]), sum(w[1] for w in weeks[first:])
            gap = sum(w[0] for w in weeks[first:]) / m - sum(w[0] for w in weeks[:first]) / n
            size = n * m / (n + m)
            pull = SHIFT**2 * size
            terms.append(math.exp(0.5 * gap**2 * size / 0.09 * pull / (1 + pull)) / math.sqrt(1 + pull))
    assert score_factors(sums, cases, 0.3, 4)[0, -1] == pytest.approx(math.log(sum(terms)), abs=1e-9)


def test_of_series_without_a_change_one_in_a_hundred_alarms() -> None:
    random = np.random.default_rng(3)
    volumes = np.full(26, 12)
    shares = np.array([0.6, 0.3, 0.1])
    history = random.multinomial(volumes, shares)
    bound = float(np.quantile(null_kinds(history, volumes, 1_500, seed=4), 0.99))
    quiet = random.multinomial(np.full((1_500, 52), 12), shares)
    assert (kind_factors(quiet, 26).max(axis=1) >= bound).mean() <= 0.02
    flat = random.random((1_500, 52, 12)) - 0.5
    deviation = 1 / math.sqrt(12)
    bound = float(np.quantile(null_scores(flat[0, :26].sum(axis=1), volumes, volumes, deviation, 1_500, 5), 0.99))
    alarms = score_factors(flat.sum(axis=2), np.full((1_500, 52), 12), deviation, 26).max(axis=1) >= bound
    assert 0.003 <= alarms.mean() <= 0.02


def test_scatter_between_weeks_is_seen_and_its_absence_too() -> None:
    random = np.random.default_rng(6)
    shares = random.dirichlet(np.array([0.6, 0.4]) * 9, 400)
    twenty = np.full(400, 20)
    # a correlation of .1 among 20 cases makes the scatter 1 + 19 * .1, and of four weeks of one share 1 + 79 * .1
    apart = kind_scatters(random.multinomial(twenty, shares))
    assert 2.3 <= apart[0] <= 3.4
    assert 2.3 <= apart[1] <= 3.4
    together = kind_scatters(random.multinomial(twenty, np.repeat(shares[:100], 4, axis=0)))
    assert 2.0 <= together[0] <= 3.6
    assert together[1] > 1.7 * together[0]
    assert kind_scatters(random.multinomial(twenty, [0.6, 0.4])) == pytest.approx(1.0, abs=0.3)
    assert score_scatters(random.standard_normal(400) * math.sqrt(20), twenty, 1.0) == pytest.approx(1.0, abs=0.3)
    waves = np.repeat(random.standard_normal(100), 4) * 20 * math.sqrt(0.1)
    single, four = score_scatters(random.standard_normal(400) * math.sqrt(20) + waves, twenty, 1.0)
    assert 2.2 <= single <= 4
    assert four > 1.7 * single


def test_where_weeks_hang_together_more_is_needed_for_a_signal() -> None:
    random = np.random.default_rng(8)
    volumes = np.full(26, 12)
    bounds = []
    for shares in (np.full((26, 1), 0.5), np.repeat(random.choice([0.2, 0.8], 7), 4)[:26, None]):
        history = random.multinomial(volumes, np.hstack((shares, 1 - shares)))
        bounds.append(float(np.quantile(null_kinds(history, volumes, 300, seed=4), 0.95)))
    assert bounds[1] > bounds[0] + 2


@pytest.mark.parametrize("field", ["segment", "discount"])
def test_the_promise_is_shown_beside_what_quiet_series_come_to(field: str) -> None:
    detector = ROSTER["mix_drift"]
    assert isinstance(detector, Calibrated)
    (found,) = detector.calibrate(deals(moved=False), asked(field), seed=1)
    assert (found.cohort, found.promised, found.judged, found.per) == ("deals", 0.01, 1, "26 weeks")
    assert found.raised == 0
    assert list(detector.calibrate(deals(each=2), asked(field))) == []


def test_a_ridit_is_the_share_below_with_half_of_the_equal_ones() -> None:
    assert ridits(np.array([0.0, 1.0, 5.0]), np.array([0.0, 1.0, 1.0, 2.0])).tolist() == [-0.375, 0.0, 0.5]


def deals(since: int = 8, moved: bool = True, each: int = 12, owners: int = 1, seed: int = 1) -> Any:
    """Deals of the baseline and 20 watched weeks: segment and discount, both set a day after the deal appears."""
    random = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for week in range(-26, 20):
        for owner in range(owners):
            later = moved and week >= since and owner == 0
            for number in range(each):
                begun = START + timedelta(weeks=week, days=1, hours=number)
                segment = random.choice(["icp", "near", "far"], p=[0.4, 0.35, 0.25] if later else [0.75, 0.15, 0.1])
                discount = float(np.round(random.gamma(3.0, 5.0 if later else 3.0)))
                record, name = f"D-{week + 26:02d}-{owner}-{number:02d}", f"rep-{owner}"
                rows.append((record, begun, begun + timedelta(days=1), None, None, name))
                rows.append((record, begun + timedelta(days=1), None, segment, discount, name))
    names = ("record", "valid_from", "valid_to", "segment", "discount", "owner")
    kinds = (pa.string(), KIND, KIND, pa.string(), pa.float64(), pa.string())
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip(names, columns, kinds, strict=True)})


def asked(field: str, **parameters: Any) -> DetectionRequest:
    return DetectionRequest(
        id="r", signal="other_mix", detector="mix_drift", object="deal", field=field, budget=0.01, at=AT,
        parameters=parameters,
    )  # fmt: skip


def raised(table: Any, request: DetectionRequest) -> list[Signal]:
    detector = ROSTER["mix_drift"]
    return list(detector.raise_signals(table, detector.fit(table, request), request))


def test_a_kind_that_became_rarer_is_told_with_both_shares() -> None:
    (signal,) = raised(deals(), asked("segment"))
    assert " new deals have segment 'icp' since " in signal.explanation
    assert abs(signal.began_at - (START + timedelta(weeks=8))) <= timedelta(weeks=2)
    assert (signal.direction, signal.unit, signal.cohort) == ("down", "points", "deals")
    assert 20 <= signal.strength <= 50
    assert signal.contributors[0].name == "icp"


def test_a_number_that_became_larger_is_told_with_both_means() -> None:
    (signal,) = raised(deals(), asked("discount"))
    assert signal.explanation.startswith("Mean discount of ")
    assert (signal.direction, signal.unit) == ("up", "discount")
    assert 4 <= signal.strength <= 9


def test_a_mix_that_stays_raises_nothing() -> None:
    for field in ("segment", "discount"):
        assert raised(deals(moved=False), asked(field)) == []


def test_the_owner_whose_mix_changed_is_named_on_their_own_record() -> None:
    (signal,) = raised(deals(owners=2), asked("segment", by="owner", of="deal"))
    assert signal.subject == "deal/rep-0"
    assert signal.explanation.startswith("Owner 'rep-0': ")


def test_a_series_of_few_deals_is_not_judged() -> None:
    fitted = ROSTER["mix_drift"].fit(deals(each=2), asked("segment"))
    assert fitted.abstentions == {"deals": "52 new records in 26 weeks; at least 60 are needed"}


def test_the_order_of_the_snapshot_does_not_matter() -> None:
    table = deals()
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    assert raised(shuffled, asked("segment")) == raised(table, asked("segment"))


@pytest.mark.parametrize(
    ("field", "parameters", "says"),
    [
        ("", {}, "names none; mix_drift needs"),
        ("ghost", {}, "field: 'ghost' is not in the snapshot"),
        ("segment", {"of": "deal"}, "parameters.by: missing"),
        ("segment", {"weeks": 3}, "parameters.weeks: 3"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(field: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        raised(deals(each=1), asked(field, **parameters))
