"""A signal's picture: the series that it carries, as columns beside the level of before."""

from __future__ import annotations

from typing import Any, NamedTuple

from watchtower.api.review.pictures import HEIGHT, WIDTH, finite


class Column(NamedTuple):
    """One point of a series: where its column stands, and whether it belongs to the change."""

    name: str
    value: float
    x: float
    y: float
    width: float
    height: float
    changed: bool


class Series(NamedTuple):
    """A signal's picture as columns in a picture of WIDTH by HEIGHT; `usual_y` where the level of before is drawn."""

    of: str
    columns: list[Column]
    usual: float | None
    usual_y: float | None
    first: str
    since: str
    last: str


MOST = 120
"""Points that are drawn; of more, the latest."""


def series(picture: Any) -> Series | None:
    """A signal's picture, as a worker said it; None where there is none that could be drawn."""
    if not isinstance(picture, dict) or not isinstance(picture.get("points"), list):
        return None
    said = [point for point in picture["points"] if isinstance(point, dict) and finite(point.get("value"))]
    since = picture.get("since")
    since = since if isinstance(since, int) and len(said) == len(picture["points"]) else len(said)
    cut = max(0, len(said) - MOST)
    points = [(str(point.get("name", "")), float(point["value"])) for point in said[cut:]]
    since = max(0, since - cut)
    usual = float(picture["usual"]) if finite(picture.get("usual")) else None
    levels = [value for _, value in points] + ([] if usual is None else [usual])
    if not points or not any(levels):
        return None
    low, high = min(0.0, *levels), max(0.0, *levels)
    step = WIDTH / max(len(points), 8)

    def y(value: float) -> float:
        return 6 + (high - value) / (high - low) * (HEIGHT - 12)

    columns = [
        Column(
            name,
            value,
            step * n,
            min(y(value), y(0.0)),
            max(1.0, step * 0.8),
            max(1.0, abs(y(value) - y(0.0))),
            n >= since,
        )
        for n, (name, value) in enumerate(points)
    ]
    return Series(
        str(picture.get("of", "")), columns, usual, None if usual is None else y(usual), points[0][0],
        points[since][0] if since < len(points) else "", points[-1][0],
    )  # fmt: skip
