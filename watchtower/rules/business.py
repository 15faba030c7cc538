"""Business time: when have 8 hours been open since x? Monotone in x, so there is exactly one first instant."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from watchtower.rulebook.model import DAYS, Calendar
from watchtower.rules.spans import to_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_HORIZON = 60
"""Years after x in which the open hours must be found."""
_HOLIDAYS = range(1900, 2200)
"""The years whose holidays can be computed."""


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
        return (to_utc(wall, self.zone) - _EPOCH) // _MICRO

    def first(self, x: datetime, micros: int) -> datetime | None:
        """The first instant at which `micros` have been open since x; None where that lies beyond the horizon."""
        return self._reach(x, micros, last=False)

    def last(self, x: datetime, micros: int) -> datetime | None:
        """The last instant at which no more than `micros` have been open since x."""
        return self._reach(x, micros, last=True)

    def _reach(self, x: datetime, micros: int, *, last: bool) -> datetime | None:
        now, left = (x - _EPOCH) // _MICRO, micros
        for year in range(max(x.year - 1, 2), min(x.year + _HORIZON, 9998) + 1):
            starts, ends = self.year(year)
            for index in range(bisect_right(ends, now), len(starts)):
                start = max(starts[index], now)
                if last and left == 0:
                    return _EPOCH + start * _MICRO
                length = ends[index] - start
                if left < length or (left == length and not last):
                    return _EPOCH + (start + left) * _MICRO
                left -= length
        return None
