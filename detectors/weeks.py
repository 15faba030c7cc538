"""Weeks from Monday to Monday in UTC, and the periods of weeks in which a drift is watched for."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.snapshot import Longs
from detectors.wording import HOUR
from watchtower.contract import DetectionRequest

WEEK = 7 * 24 * HOUR
MONDAY = 4 * 24 * HOUR
"""1970-01-05."""
WEEKS = 26


@dataclass(frozen=True)
class Period:
    """`weeks` of baseline, then the whole weeks so far of the period that is watched: 1 to `weeks` of them.

    Periods begin at fixed weeks, so that however often one looks, a period has one threshold and is left once.
    """

    first: int
    """The number of the baseline's first week."""
    span: int
    """All whole weeks, baseline and watched."""

    @property
    def begin(self) -> int:
        """Microseconds since 1970."""
        return MONDAY + self.first * WEEK

    def week_of(self, times: Longs) -> Longs:
        """Each time's week, counted from the baseline's first; outside [0, span) where it is not counted."""
        weeks: Longs = (times - MONDAY) // WEEK - self.first
        return weeks


def period_at(at: int, weeks: int) -> Period:
    """The period that is watched at a time in microseconds since 1970."""
    whole = (at - MONDAY) // WEEK
    # on the day on which a period ends it is still the one that counts
    first = (whole - 1) // weeks * weeks - weeks
    return Period(int(first), int(whole - first))


def weeks_asked(request: DetectionRequest) -> int:
    """The parameter `weeks`. ValueError where it is no whole number from 4 to 104."""
    weeks = request.parameters.get("weeks", WEEKS)
    if isinstance(weeks, bool) or not isinstance(weeks, int) or not 4 <= weeks <= 104:
        raise ValueError(f"parameters.weeks: {weeks!r} is not a whole number from 4 to 104")
    return weeks
