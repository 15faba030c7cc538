"""Pictures of numbers as SVG shapes, computed here and drawn by templates: no script, no inline style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from math import isfinite
from statistics import median
from typing import Any, NamedTuple

from watchtower.store.boards import Point
from watchtower.store.rows import StateSpan

WIDTH = 640.0


class Bar(NamedTuple):
    """One bar of a bar chart: a name, a value, and its width in the picture: how much of the signal it is."""

    name: str
    value: float
    width: float
    y: int


class Stretch(NamedTuple):
    """One stay of a field in a value: where it lies in the picture, and how long it was."""

    value: str
    x: float
    width: float
    shade: int
    days: float
    since: datetime
    until: datetime


class Plot(NamedTuple):
    """A line of measurements in a picture of WIDTH by HEIGHT. `line`: the points of an SVG polyline. `usual` is the
    median of the first half, drawn through; `recent` that of the last quarter, drawn from `recent_x` on; `change`
    compares them. `marks`: (x, when, what) of the changes that detectors found."""

    line: str
    usual_y: float
    recent_x: float
    recent_y: float
    marks: list[tuple[float, datetime, str]]
    low: float
    high: float
    usual: float
    recent: float
    change: float | None
    first: datetime
    last: datetime
    points: list[Point]


HEIGHT = 120.0


def plot(points: Sequence[Point], changes: Sequence[tuple[datetime, str]] = ()) -> Plot | None:
    """Measurements as a line, with what was usual before and what is of late; None where there are fewer than two.
    `changes`: (when, what) that detectors found; those within the picture are marked."""
    if len(points) < 2:
        return None
    values = [point.value for point in points]
    low, high = min(0.0, *values), max(values)
    first, last = points[0].at, points[-1].at
    whole, tall = max((last - first).total_seconds(), 1.0), (high - low) or 1.0

    def y(value: float) -> float:
        return HEIGHT - 6 - (value - low) / tall * (HEIGHT - 12)

    def x(at: datetime) -> float:
        return (at - first).total_seconds() / whole * WIDTH

    line = " ".join(f"{x(p.at):.1f},{y(p.value):.1f}" for p in points)
    usual = median(values[: max(1, len(values) // 2)])
    late = max(1, len(values) // 4)
    recent = median(values[-late:])
    change = (recent - usual) / abs(usual) if usual else None
    marks = [(x(at), at, what) for at, what in changes if first <= at <= last]
    return Plot(
        line, y(usual), x(points[-late].at), y(recent), marks, low, high, usual, recent, change, first, last,
        list(points),
    )  # fmt: skip


def trend(by_week: Mapping[int, int], weeks: int) -> list[tuple[int, float]]:
    """(count, height in [0, 1]) week by week, the oldest first; empty where there is nothing."""
    counts = [by_week.get(ago, 0) for ago in reversed(range(weeks))]
    top = max(counts)
    return [(count, count / top) for count in counts] if top else []


def finite(value: Any) -> bool:
    """Whether it is a number that can be drawn."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def bars(contributors: Any, *, most: int = 12) -> list[Bar]:
    """The contributors of a signal as bars; empty where there are no numbers to compare."""
    if not isinstance(contributors, list):
        return []
    items = [item for item in contributors if isinstance(item, dict) and finite(item.get("value"))][:most]
    # their values may be of several units, and a small one may be what is strange: the weight tells them apart
    weights = [abs(item["weight"]) if finite(item.get("weight")) else 0.0 for item in items]
    sizes = weights if any(weights) else [abs(item["value"]) for item in items]
    top = max(sizes, default=0.0)
    if top <= 0:
        return []
    return [
        Bar(str(item.get("name", "")), float(item["value"]), max(2.0, size / top * 300), 24 * i)
        for i, (item, size) in enumerate(zip(items, sizes, strict=True))
    ]


def stretches(history: Sequence[StateSpan], now: datetime) -> list[Stretch]:
    """The stays of a field, side by side in proportion to their length; equal neighbours are joined."""
    joined: list[tuple[str, datetime, datetime]] = []
    for stay in history:
        until = min(stay.until or now, now)
        if stay.value is None or until <= stay.since:
            continue
        if joined and joined[-1][0] == stay.value and joined[-1][2] == stay.since:
            joined[-1] = (stay.value, joined[-1][1], until)
        else:
            joined.append((stay.value, stay.since, until))
    if not joined:
        return []
    start = joined[0][1]
    whole = (joined[-1][2] - start).total_seconds()
    if whole <= 0:
        return []
    shades = {value: place % 6 for place, value in enumerate(dict.fromkeys(value for value, _, _ in joined))}
    return [
        Stretch(
            value,
            (since - start).total_seconds() / whole * WIDTH,
            max(1.0, (until - since).total_seconds() / whole * WIDTH),
            shades[value],
            (until - since).total_seconds() / 86_400,
            since,
            until,
        )
        for value, since, until in joined
    ]


class DayColumn(NamedTuple):
    """One day as a column: where it stands in a picture of WIDTH by COLUMNS, and what it says."""

    x: float
    y: float
    width: float
    height: float
    day: date
    value: float


COLUMNS = 80.0


def columns(by_day: Mapping[date, float], first: date, days: int) -> list[DayColumn]:
    """A column for each of so many days, those without a value included; empty where there is none."""
    top = max(by_day.values(), default=0.0)
    if top <= 0:
        return []
    wide = WIDTH / days
    found = []
    for number in range(days):
        day = first + timedelta(days=number)
        value = by_day.get(day, 0.0)
        height = value / top * (COLUMNS - 4)
        found.append(DayColumn(number * wide, COLUMNS - height, wide * 0.8, height, day, value))
    return found
