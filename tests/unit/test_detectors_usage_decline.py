"""Accounts whose usage has fallen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import ROSTER
from watchtower.contract import DetectionRequest, Signal

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
WEEKS = 52
AT = MONDAY + timedelta(weeks=WEEKS)
KIND = pa.timestamp("us", tz="UTC")
Counts = np.ndarray[Any, np.dtype[np.float64]]


def counts(accounts: int, *, seed: int = 1, level: float = 60.0, r: float = 8.0, weeks: int = WEEKS) -> Counts:
    """Healthy accounts around one level, with a dip of a third in weeks 40 and 41."""
    random = np.random.default_rng(seed)
    mean = np.full(weeks, level)
    mean[40:42] *= 2 / 3
    own = random.lognormal(0.0, 0.2, (accounts, 1))
    return random.poisson(own * mean * random.gamma(r, 1 / r, (accounts, weeks))).astype(np.float64)


def snapshot(values: Counts, *, keep_zeros: bool = False) -> Any:
    """As the tower writes it: a row for each week in which something was recorded."""
    rows = [
        (f"A-{account:04d}", MONDAY + timedelta(weeks=week), MONDAY + timedelta(weeks=week + 1), float(value))
        for account, series in enumerate(values)
        for week, value in enumerate(series)
        if not np.isnan(value) and (value > 0 or keep_zeros)
    ]
    names = ("record", "valid_from", "valid_to", "value")
    kinds = (pa.string(), KIND, KIND, pa.float64())
    return pa.table(
        {name: pa.array(column, kind) for name, kind, column in zip(names, kinds, zip(*rows, strict=True), strict=True)}
    )


def request(**changes: Any) -> DetectionRequest:
    values: dict[str, Any] = {
        "id": "run-1",
        "signal": "usage_falling",
        "detector": "usage_decline",
        "object": "account",
        "budget": 0.01,
        "at": AT,
        "parameters": {"events": "usage.recorded"},
    }
    return DetectionRequest(**{**values, **changes})


def raised(table: Any, asked: DetectionRequest, fitted: Any = None) -> list[Signal]:
    detector = ROSTER["usage_decline"]
    return list(detector.raise_signals(table, fitted or detector.fit(table, asked), asked))


def fallen(values: Counts, account: int, week: int, share: float) -> Counts:
    values = values.copy()
    values[account, week:] = np.round(values[account, week:] * share)
    return values


@pytest.fixture(scope="module")
def company() -> Counts:
    return fallen(counts(300), 7, 44, 0.3)


@pytest.fixture(scope="module")
def fitted(company: Counts) -> Any:
    return ROSTER["usage_decline"].fit(snapshot(company), request())


def test_a_fall_is_told_with_its_size_its_beginning_and_the_weeks_that_show_it(company: Counts, fitted: Any) -> None:
    (signal,) = [one for one in raised(snapshot(company), request(), fitted) if one.subject == "account/A-0007"]
    assert 0 < signal.p_value < 0.002
    assert (signal.unit, signal.direction) == ("percent", "down")
    assert 60 < signal.strength < 80
    assert abs(signal.began_at - (MONDAY + timedelta(weeks=44))) <= timedelta(weeks=1)
    assert (signal.window_from, signal.window_to) == (MONDAY, AT)
    assert signal.cohort == "300 accounts, 16 to 128 a week"
    began = f"{signal.began_at:%Y-%m-%d}"
    assert signal.explanation.startswith(f"Down {signal.strength:.0f}% since the week of {began}: ")
    assert signal.contributors[0].name == began
    assert sum(one.weight for one in signal.contributors) == pytest.approx(1.0)
    week = round((signal.began_at - MONDAY) / timedelta(weeks=1))
    assert [one.value for one in signal.contributors] == company[7, week:].tolist()


def test_a_season_that_all_share_is_no_fall(company: Counts, fitted: Any) -> None:
    """Right after the dip of a third, few stand out; the cohort's index has taken it in."""
    looked = request(at=MONDAY + timedelta(weeks=42))
    assert len(raised(snapshot(company), looked, ROSTER["usage_decline"].fit(snapshot(company), looked))) <= 3
    assert min(fitted.season.values()) == pytest.approx(2 / 3, abs=0.06)


def test_few_healthy_accounts_are_raised_over_half_a_year() -> None:
    """2,000 healthy accounts at 1%: of 26 weekly looks about 20 would ever be raised; here at six of them."""
    values = counts(2_000, seed=3)
    table, detector = snapshot(values), ROSTER["usage_decline"]
    ever: set[str] = set()
    fitted = detector.fit(table, request(at=MONDAY + timedelta(weeks=27)))
    for week in range(27, WEEKS + 1, 5):
        looked = request(at=MONDAY + timedelta(weeks=week))
        ever |= {signal.subject for signal in detector.raise_signals(table, fitted, looked)}
    assert 4 <= len(ever) <= 32


def test_the_same_request_gives_the_same_bytes_whatever_the_order_of_rows(company: Counts) -> None:
    table = snapshot(company[:60])
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    asked = request(budget=0.1)
    one, other = ([signal.to_data() for signal in raised(rows, asked)] for rows in (table, shuffled))
    assert one == other != []


def test_what_lies_after_the_request_is_not_read(company: Counts) -> None:
    early = request(at=MONDAY + timedelta(weeks=40, days=3), budget=0.1)
    whole, cut = snapshot(company[:60]), snapshot(company[:60, :40])
    found = ROSTER["usage_decline"].fit(cut, early)
    assert raised(whole, early, found) == raised(cut, early, found) != []
    assert dict(ROSTER["usage_decline"].fit(whole, early).season) == dict(found.season)


def test_an_account_that_stops_falls_by_a_hundred_percent(company: Counts, fitted: Any) -> None:
    (signal,) = [
        one for one in raised(snapshot(fallen(company, 3, 46, 0.0)), request(), fitted) if one.subject.endswith("0003")
    ]
    assert signal.strength == 100.0
    assert signal.began_at == MONDAY + timedelta(weeks=46)


def test_where_a_week_without_an_event_is_unknown_nothing_is_concluded_from_it(company: Counts, fitted: Any) -> None:
    asked = request(parameters={"events": "usage.recorded", "missing": "unknown"})
    subjects = {one.subject for one in raised(snapshot(fallen(company, 3, 46, 0.0)), asked, fitted)}
    assert "account/A-0007" in subjects
    assert "account/A-0003" not in subjects


def test_a_feed_that_stopped_is_no_fall_of_usage_and_is_named(company: Counts) -> None:
    values = company.copy()
    values[20:, 50] = np.nan
    found = ROSTER["usage_decline"].fit(snapshot(values), request())
    assert found.abstentions == {
        "the week of 2025-12-22": "20 accounts reported where 300 usually do: "
        "the feed looks incomplete, and the week is left out"
    }
    assert len(raised(snapshot(values), request(), found)) <= 6


def test_weeks_that_were_not_delivered_are_told_in_one_line(company: Counts) -> None:
    values = company.copy()
    values[20:, 46:48] = np.nan
    values[30:, 50] = np.nan
    found = ROSTER["usage_decline"].fit(snapshot(values), request())
    assert found.abstentions == {
        "the weeks of 2025-11-24 to 2025-12-01 and of 2025-12-22": "20 to 30 accounts reported where 300 usually do: "
        "the feed looks incomplete, and the 3 weeks are left out"
    }


def test_too_few_accounts_are_not_judged_and_the_reason_is_given() -> None:
    found = ROSTER["usage_decline"].fit(snapshot(counts(29)), request())
    assert found.abstentions == {"cohort": "29 accounts have 27 known weeks; at least 30 are needed"}
    assert raised(snapshot(counts(29)), request(), found) == []


def test_a_young_account_is_left_out_until_it_has_27_weeks(company: Counts) -> None:
    values = company[:100].copy()
    values[0, : WEEKS - 26] = np.nan
    values[1, : WEEKS - 27] = np.nan
    values[0:2, -1] = 0
    found = ROSTER["usage_decline"].fit(snapshot(values), request())
    assert found.abstentions == {"short": "1 of 100 have fewer than 27 weeks, or too few known ones"}
    assert "account/A-0000" not in {signal.subject for signal in raised(snapshot(values), request(budget=0.5), found)}


def test_accounts_that_hardly_use_anything_are_named_as_not_judged(company: Counts) -> None:
    values = company[:100].copy()
    values[:5] = 0
    values[:5, 0:40:8] = 1
    found = ROSTER["usage_decline"].fit(snapshot(values), request())
    assert found.abstentions == {"sparse": "5 of 100 use less than 0.5 a week: a fall cannot be told"}


def test_an_empty_snapshot_raises_nothing_and_says_why() -> None:
    table = snapshot(counts(1)).slice(0, 0)
    found = ROSTER["usage_decline"].fit(table, request())
    assert list(found.abstentions) == ["cohort"]
    assert raised(table, request(), found) == []


def test_an_account_older_than_a_year_is_judged_by_a_window_that_slides() -> None:
    values = fallen(counts(100, weeks=60), 7, 53, 0.3)
    found = ROSTER["usage_decline"].fit(snapshot(values), request(at=MONDAY + timedelta(weeks=60)))
    assert [cohort.young for cohort in found.cohorts] == [None] * len(found.cohorts)
    signals = raised(snapshot(values), request(at=MONDAY + timedelta(weeks=60)), found)
    assert "account/A-0007" in {signal.subject for signal in signals}
    assert len(signals) <= 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"event": "x"}}, r"parameters\.event: not known .*usage_decline.*events, metric, missing"),
        ({"parameters": {"missing": "no"}}, "'no' is not known; accepted are zero, unknown"),
        ({"budget": 1.0}, "budget: 1.0 of signal 'usage_falling'"),
        ({"at": AT.replace(tzinfo=None)}, "has no offset"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(snapshot(counts(1)), request(**changes))


def test_a_snapshot_of_versions_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="no column 'value'.*give the signal the parameter `events`"):
        raised(snapshot(counts(1)).drop_columns("value"), request())


def test_usage_below_nothing_is_refused_with_its_place() -> None:
    values = counts(3)
    values[1, 2] = -4
    with pytest.raises(ValueError, match="-4.0 of A-0001 in the week of 2025-01-20: usage is 0 or more"):
        raised(snapshot(values, keep_zeros=True), request())
