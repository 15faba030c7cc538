"""Business time: when have 8 hours been open since x? Monotone in x, so there is exactly one first instant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from watchtower.rulebook.model import DAYS, Calendar
from watchtower.rules.spans import instant, micros, to_utc

_HORIZON = 60
"""Years after x in which the open hours must be found."""
_HOLIDAYS = range(1900, 2200)
"""The years whose holidays can be computed."""


Pauses = Sequence[tuple[datetime, datetime | None]]
"""Half-open stretches in order; the last may go on (None)."""


class OpenHours:
    """The open stretches of a calendar in a zone, as microseconds since 1970, year by year."""

    def __init__(self, calendar: Calendar, zone: ZoneInfo) -> None:
        self.calendar, self.zone = calendar, zone
        self._days = frozenset(DAYS.index(day) for day in calendar.days)
        self._closed = frozenset(date.fromisoformat(day) for day in calendar.closed)
        if calendar.holidays:
            country, _, subdivision = calendar.holidays.partition("-")
            holidays.country_holidays(country, subdiv=subdivision or None, years=2026)
        self.year = lru_cache(maxsize=400)(self._year)

    def _year(self, year: int) -> tuple[list[int], list[int]]:
        """Starts and ends of the open stretches that begin in a year."""
        off = set(self._closed)
        if self.calendar.holidays and year in _HOLIDAYS:
            country, _, subdivision = self.calendar.holidays.partition("-")
            off |= set(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
        starts, ends = [], []
        day = date(year, 1, 1)
        while day.year == year:
            if day.weekday() in self._days and day not in off:
                for opens, closes in zip(self.calendar.hours[::2], self.calendar.hours[1::2], strict=True):
                    start, end = self._instant(day, opens), self._instant(day, closes)
                    if start < end:
                        starts.append(start)
                        ends.append(end)
            if day == date.max:
                break
            day += timedelta(days=1)
        return starts, ends

    def _instant(self, day: date, hour: str) -> int:
        hours, minutes = map(int, hour.split(":"))
        wall = datetime(day.year, day.month, day.day) + timedelta(hours=hours, minutes=minutes)  # noqa: DTZ001
        return micros(to_utc(wall, self.zone))

    def first(self, x: datetime, length: int) -> datetime | None:
        """The first instant at which `length` microseconds have been open since x; None beyond the horizon."""
        return self._reach(x, length, last=False)

    def last(self, x: datetime, length: int) -> datetime | None:
        """The last instant at which no more than `length` microseconds have been open since x."""
        return self._reach(x, length, last=True)

    def paused_first(self, x: datetime, length: int, pauses: Pauses) -> datetime | None:
        """As `first`, where the time within pauses does not count. None where it is not reached, as things stand."""
        return self._reach_paused(x, length, pauses, last=False)

    def paused_last(self, x: datetime, length: int, pauses: Pauses) -> datetime | None:
        """As `last`, where the time within pauses does not count."""
        return self._reach_paused(x, length, pauses, last=True)

    def _reach_paused(self, x: datetime, length: int, pauses: Pauses, *, last: bool) -> datetime | None:
        now, left = x, length
        for begins, ends in pauses:
            if ends is not None and ends <= now:
                continue
            if begins > now:
                found = self._reach(now, left, last=last)
                # A `last` on the brink of a pause goes on through it: nothing is open to anyone's clock there.
                if found is not None and (found < begins or (found == begins and not last)):
                    return found
                left -= self.between(now, begins)
            if ends is None:
                return None
            now = ends
        return self._reach(now, left, last=last)

    def between(self, begin: datetime, end: datetime) -> int:
        """The microseconds that are open in [begin, end)."""
        first, stop, found = micros(begin), micros(end), 0
        for year in range(max(begin.year - 1, 2), min(end.year + 1, 9998) + 1):
            starts, ends = self.year(year)
            for index in range(bisect_right(ends, first), len(starts)):
                if starts[index] >= stop:
                    break
                found += min(ends[index], stop) - max(starts[index], first)
        return found

    def _reach(self, x: datetime, length: int, *, last: bool) -> datetime | None:
        now, left = micros(x), length
        for year in range(max(x.year - 1, 2), min(x.year + _HORIZON, 9998) + 1):
            starts, ends = self.year(year)
            for index in range(bisect_right(ends, now), len(starts)):
                start = max(starts[index], now)
                if last and left == 0:
                    return instant(start)
                open_for = ends[index] - start
                if left < open_for or (left == open_for and not last):
                    return instant(start + left)
                left -= open_for
        return None
