"""A signal's picture: what each detector draws of what it saw, and what the page makes of whatever it is handed."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors import ROSTER
from evals.detectors import read_detector_cases, snapshot_of
from watchtower.api.review.pictures import HEIGHT, WIDTH, bars
from watchtower.api.review.signal_picture import series
from watchtower.contract import Signal

CASES = Path(__file__).parents[2] / "evals/cases/detectors"
DRAWN = {
    "activity_gap", "close_push", "mix_drift", "process_drift", "segment_rate", "sentiment_shift", "stage_dwell",
    "ticket_shift", "usage_decline",
}  # fmt: skip
"""Those that look at a series or at lengths; the others say a fact, a step or features."""


def first_signals(detector: str) -> list[Signal]:
    for case in read_detector_cases(CASES / f"{detector}.jsonl"):
        table = snapshot_of(case, CASES)
        found = ROSTER[detector]
        signals = list(found.raise_signals(table, found.fit(table, case.request), case.request))
        if signals:
            return signals
    raise AssertionError(detector)


@pytest.mark.parametrize("detector", sorted(ROSTER))
def test_a_picture_shows_the_change_beside_what_was_usual(detector: str) -> None:
    for signal in first_signals(detector):
        picture = signal.picture
        if detector not in DRAWN:
            assert picture is None
            continue
        assert picture is not None and picture.of and picture.usual is not None
        assert all(isfinite(point.value) and point.name for point in picture.points)
        assert 0 <= picture.since < len(picture.points) <= 120
        after = [point.value for point in picture.points[picture.since :]]
        side = -1 if signal.direction == "down" else 1
        assert side * sum(after) / len(after) > side * picture.usual or detector == "process_drift"
        drawn = series(json.loads(msgspec.json.encode(signal))["picture"])
        assert drawn is not None and len(drawn.columns) == len(picture.points)
        assert [column.changed for column in drawn.columns].index(True) == picture.since
        for column in drawn.columns:
            assert column.x >= 0 and column.x + column.width <= WIDTH + 1
            assert column.y >= 0 and column.y + column.height <= HEIGHT


def test_a_gap_is_drawn_after_the_latest_gaps_with_their_lengths() -> None:
    (signal, *_) = first_signals("activity_gap")
    assert signal.picture is not None
    *earlier, running = signal.picture.points
    days = (signal.window_to - signal.began_at).total_seconds() / 86_400
    assert running.name == "running" and running.value == pytest.approx(days)
    assert earlier[-1].name == f"until {signal.began_at:%Y-%m-%d}"


@pytest.mark.parametrize(
    "said",
    [
        None, 7, [], {}, {"points": 3}, {"points": []}, {"points": [1, None, {"name": 4}]},
        {"points": [{"name": "a", "value": float("nan")}, {"name": "b", "value": float("inf")}]},
        {"points": [{"name": "a", "value": True}]}, {"points": [{"name": "a", "value": 0}]},
    ],
)  # fmt: skip
def test_a_picture_that_is_none_is_not_drawn(said: Any) -> None:
    assert series(said) is None


def test_a_picture_with_holes_and_a_wrong_start_is_drawn_without_a_change() -> None:
    said = {"of": 3, "points": [{"name": None, "value": -2}, {"name": "b", "value": "x"}, {"value": 4}], "since": "b"}
    drawn = series(said)
    assert drawn is not None and [column.value for column in drawn.columns] == [-2.0, 4.0]
    assert (drawn.since, drawn.usual_y) == ("", None)
    assert not any(column.changed for column in drawn.columns)


def test_of_too_many_points_the_latest_are_drawn() -> None:
    said = {"points": [{"name": str(n), "value": n} for n in range(10_000)], "since": 9_990, "usual": 1}
    drawn = series(said)
    assert drawn is not None and len(drawn.columns) == 120
    assert (drawn.first, drawn.since, drawn.last) == ("9880", "9990", "9999")


def test_bars_are_as_long_as_their_share_of_the_signal() -> None:
    """An amount of a million beside 10 seats hid that the seats were what is strange."""
    told = [
        {"name": "arr", "value": 1e6, "weight": 0.1},
        {"name": "seats", "value": 10.0, "weight": -0.9},
        {"name": "odd", "value": "x", "weight": 1.0},
    ]
    assert [(bar.name, bar.width) for bar in bars(told)] == [("arr", pytest.approx(300 / 9)), ("seats", 300)]
    assert [bar.width for bar in bars([{"name": "a", "value": 2.0}, {"name": "b", "value": -4.0}])] == [150, 300]
