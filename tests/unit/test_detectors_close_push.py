"""Deals that are put off again and again; forecasts that do not come true; dates that move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import ROSTER
from detectors.due import rows_at
from detectors.outcomes import read_outcomes
from detectors.snapshot import micros, read_versions, time_of
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
Row = tuple[str, float, float | None, str | None, int | None]
"""Record, from and to in days before AT, stage, expected close in days after AT."""


def snapshot(rows: Sequence[Row], category: Sequence[str] | None = None) -> Any:
    def ago(days: float | None) -> datetime | None:
        return None if days is None else AT - timedelta(days=days)

    def day(days: int | None) -> date | None:
        return None if days is None else (AT + timedelta(days=days)).date()

    return pa.table(
        {
            "record": pa.array([row[0] for row in rows], pa.string()),
            "valid_from": pa.array([ago(row[1]) for row in rows], KIND),
            "valid_to": pa.array([ago(row[2]) for row in rows], KIND),
            "stage": pa.array([row[3] for row in rows], pa.string()),
            "close_date": pa.array([day(row[4]) for row in rows], pa.date32()),
            "forecast": pa.array(category or ["base"] * len(rows), pa.string()),
        }
    )


def asked(detector: str = "close_push", budget: float = 0.05, **parameters: Any) -> DetectionRequest:
    return DetectionRequest(
        id="r", signal="put_off", detector=detector, object="deal", field="stage", budget=budget, at=AT,
        parameters={"date": "close_date", "closed": "won,lost", **parameters},
    )  # fmt: skip


def raised(rows: Sequence[Row], budget: float = 0.05) -> list[Signal]:
    table, detector = snapshot(rows), ROSTER["close_push"]
    request = asked(budget=budget)
    return list(detector.raise_signals(table, detector.fit(table, request), request))


def decided(count: int, days: float = 60.0) -> list[Row]:
    """Deals that were open for so long, decided 100 days ago, and never put off."""
    rows: list[Row] = []
    for number in range(count):
        rows += [(f"L-{number}", 100 + days, 100, "proposal", 0), (f"L-{number}", 100, None, "won", 0)]
    return rows


PUSHED: list[Row] = [("D", 50, 40, "proposal", 10), ("D", 40, 20, "proposal", 30), ("D", 20, None, "proposal", 70)]


def test_a_deal_put_off_twice_among_deals_that_never_are_is_told() -> None:
    (signal,) = raised([*decided(60), *PUSHED])
    assert signal.subject == "deal/D"
    assert signal.explanation == (
        "Put off 2 times, by 60 days in all, now to 2026-08-10; all 60 deals had been put off less often at this age."
    )
    assert signal.p_value == pytest.approx(1 / 61)
    assert (signal.strength, signal.unit) == (60.0, "days later")
    assert signal.began_at == AT - timedelta(days=40)
    assert [one.value for one in signal.contributors] == [20.0, 40.0]


def test_deals_decided_before_that_age_say_nothing_about_it() -> None:
    assert raised([*decided(60, days=30), *PUSHED]) == []


def test_a_date_brought_forward_or_moved_after_the_decision_is_no_push() -> None:
    early: list[Row] = [("D", 50, 40, "proposal", 30), ("D", 40, None, "proposal", 10)]
    over: list[Row] = [("E", 50, 40, "proposal", 30), ("E", 40, 30, "won", 30), ("E", 30, None, "won", 90)]
    assert raised([*decided(60), *early, *over]) == []


def test_a_date_cleared_and_set_to_a_later_day_is_one_push() -> None:
    rows: list[Row] = [("D", 50, 40, "proposal", 10), ("D", 40, 20, "proposal", None), ("D", 20, None, "proposal", 70)]
    (signal,) = raised([*decided(60), *rows])
    assert signal.explanation.startswith("Put off once, by 60 days in all")


def test_too_few_deals_are_said() -> None:
    fitted = ROSTER["close_push"].fit(snapshot([*decided(20), *PUSHED]), asked())
    assert fitted.abstentions == {"deals": "21 have had a date; more than 30 are needed"}
    assert raised([*decided(20), *PUSHED]) == []


DEAL = st.tuples(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-20, 40)), min_size=1, max_size=5),
    st.sampled_from(["", "won", "gone"]),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(DEAL, min_size=32, max_size=45))
def test_the_p_value_is_the_share_of_deals_at_that_age_put_off_as_often(deals: list[Any]) -> None:
    rows: list[Row] = []
    told: dict[str, tuple[int, list[int], bool]] = {}
    for number, (steps, end) in enumerate(deals):
        ages = np.cumsum([0, *(length for length, _ in steps)]).tolist()
        length = ages[-1]
        back = length + (0 if end == "" else 5)
        for place, (_, due) in enumerate(steps):
            until = back - ages[place + 1]
            running = end == "" and place == len(steps) - 1
            rows.append((f"D-{number}", back - ages[place], None if running else until, "proposal", due))
        if end == "won":
            rows.append((f"D-{number}", 5, None, "won", 0))
        pushes = [ages[n] for n in range(1, len(steps)) if steps[n][1] > steps[n - 1][1]]
        told[f"D-{number}"] = (length, pushes, end == "")
    table, request = snapshot(rows), asked(budget=0.999)
    detector = ROSTER["close_push"]
    signals = detector.raise_signals(table, detector.fit(table, request), request)
    found = {one.subject.removeprefix("deal/"): one.p_value for one in signals}
    for name, (age, pushes, still_open) in told.items():
        peers = [other for other in told.values() if other[0] >= age]
        if not still_open or not pushes or len(peers) <= 30:
            assert name not in found
            continue
        as_often = sum(sum(one <= age for one in other[1]) >= len(pushes) for other in peers)
        if as_often / len(peers) <= 0.999:
            assert found[name] == pytest.approx(as_often / len(peers))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"date": ""}, "parameters.date: missing"),
        ({"closed": ""}, "parameters.closed: missing"),
        ({"date": "stage"}, "'stage' is a string; accepted here are dates"),
        ({"moods": 1}, "parameters.moods: not known"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ROSTER["close_push"].fit(snapshot(PUSHED), asked(**changes))


def outcomes(
    rows: Sequence[Row], categories: Sequence[str] | None = None, **parameters: Any
) -> list[tuple[float, bool]]:
    """Days before AT and whether wrong."""
    found = read_outcomes(
        read_versions(snapshot(rows, categories), AT), asked("segment_rate", by="stage", **parameters)
    )
    days = [(AT - time_of(time)) / timedelta(days=1) for time in found.time.tolist()]
    return list(zip(days, found.wrong.tolist(), strict=True))


def test_a_week_in_which_a_date_moved_later_is_wrong_and_open_weeks_are_counted() -> None:
    # AT is a Monday: weeks end 0, 7, 14, ... days before
    rows: list[Row] = [("D", 20, 9, "proposal", 10), ("D", 9, 3, "proposal", 40), ("D", 3, None, "won", 40)]
    assert outcomes(rows, outcome="pushed") == [(14, False), (7, True)]


def test_a_forecast_is_judged_by_its_own_date() -> None:
    rows: list[Row] = [
        ("won", 90, 12, "proposal", -10), ("won", 12, None, "won", -10),
        ("late", 90, 12, "proposal", -20), ("late", 12, None, "won", -20),
        ("moved", 90, 45, "proposal", -20), ("moved", 45, None, "proposal", 30),
        ("new", 25, None, "proposal", -10), ("ahead", 90, None, "proposal", 10),
    ]  # fmt: skip
    # `moved` was a forecast 30 days ahead, and did not come true either
    assert outcomes(rows, outcome="missed", won="won") == [(19, True), (19, True), (9, False)]


def test_only_committed_forecasts_are_judged_where_a_category_is_named() -> None:
    rows: list[Row] = [("A", 90, None, "proposal", -20), ("B", 90, None, "proposal", -21)]
    found = outcomes(rows, ["base", "upside"], outcome="missed", won="won", category="forecast", committed="base")
    assert found == [(19, True)]


@pytest.mark.parametrize("missing", ["won", "date", "closed"])
def test_a_forecast_needs_its_parameters(missing: str) -> None:
    with pytest.raises(ValueError, match=f"parameters.{missing}: missing"):
        outcomes(PUSHED, outcome="missed", **{"won": "won", missing: ""})


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=12, unique=True),
    st.integers(-5, 60),
)
def test_the_row_in_force_is_the_last_one_begun(starts: list[tuple[int, int]], ago: int) -> None:
    ordered = sorted(starts, key=lambda one: (one[0], -one[1]))
    rows: list[Row] = [(f"R-{record}", float(days), None, str(days), 0) for record, days in ordered]
    versions = read_versions(snapshot(rows), AT)
    for code, name in enumerate(versions.ids.to_pylist()):
        begun = [days for record, days in ordered if f"R-{record}" == name and days >= ago]
        (row,) = rows_at(versions, np.array([code]), np.array([micros(AT - timedelta(days=ago))])).tolist()
        assert (versions.table["stage"][row].as_py() if row >= 0 else None) == (str(min(begun)) if begun else None)
