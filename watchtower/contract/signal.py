"""A signal: what a detector may say. It never opens an alert."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """One week, case or feature that made the signal, and how much of it."""

    name: str
    value: float
    weight: float = 0.0


class Point(msgspec.Struct, frozen=True):
    """A name (a week, a length) and what it came to."""

    name: str
    value: float


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is shown: a series, what was usual, and since when it is not."""

    of: str
    """What is drawn, with its unit: `active_users a week`."""
    points: tuple[Point, ...]
    """In order; at most some sixty."""
    since: int
    """The first point of the change; the number of points where there is none."""
    usual: float | None = None
    """The level before, or that of others."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Something unusual about one record. Travels as the data of a `signal.raised` event."""

    request: str
    signal: str
    subject: str
    """`object/id`"""
    detector: str
    version: str
    p_value: float
    """In (0, 1]; smaller is stranger; the chance of at least this much where nothing is wrong."""
    strength: float
    """The effect, in `unit`; larger is more."""
    unit: str
    direction: str
    """up or down"""
    explanation: str
    began_at: datetime
    window_from: datetime
    window_to: datetime
    cohort: str = ""
    contributors: tuple[Contributor, ...] = ()
    picture: Picture | None = None

    def to_data(self) -> dict[str, Any]:
        """The event's data: plain JSON values."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
