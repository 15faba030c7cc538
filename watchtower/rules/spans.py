"""`interval` literals, and the arithmetic of calendar units in a time zone.

The arithmetic is PostgreSQL's for timestamptz: months, then days, each on the wall clock of the zone, then
the absolute rest. A wall-clock time that does not exist, or exists twice, is read with the smaller UTC
offset (standard time), as PostgreSQL reads it. Source: PostgreSQL 18, timestamptz_pl_interval and
DetermineTimeZoneOffset.
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from watchtower.rules.tree import HOUR, MINUTE, SECOND, Span

MAX_MONTHS, MAX_DAYS = 12 * 500, 366 * 500

_UNITS: dict[str, tuple[str, int]] = {
    "microsecond": ("micros", 1), "millisecond": ("micros", 1000), "second": ("micros", SECOND),
    "sec": ("micros", SECOND), "minute": ("micros", MINUTE), "min": ("micros", MINUTE), "hour": ("micros", HOUR),
    "day": ("days", 1), "week": ("days", 7), "month": ("months", 1), "mon": ("months", 1), "year": ("months", 12),
}  # fmt: skip
_PART = re.compile(r"\s*([+-]?)\s*([0-9]{1,9})(?:\.([0-9]{1,6}))?\s*([a-zA-Z]+)\s*")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z."""
    return (time - _EPOCH) // _MICRO


FOREVER = datetime.max.replace(tzinfo=UTC)
"""The last instant there is. What begins at it never begins, what ends at it has no end."""
LAST = micros(FOREVER)


def instant(value: int) -> datetime:
    """The inverse of `micros`. OverflowError outside the years 1 to 9999."""
    return _EPOCH + value * _MICRO


def parse_span(text: str) -> Span:
    """`48 hours`, `1 month 2 days`, `90 minutes`. ValueError says what is accepted."""
    totals = {"months": 0, "days": 0, "micros": 0}
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        unit = match.group(4).lower() if match else ""
        known = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
        if not match or not known:
            raise ValueError(f"{text!r} is not a length of time; write '48 hours', '21 days' or '1 month 2 days'")
        sign, whole, fraction = match.group(1), int(match.group(2)), match.group(3) or ""
        kind, size = known
        amount = whole * size
        if fraction:
            if kind != "micros":
                raise ValueError(f"{text!r}: a calendar unit ({unit}) takes a whole number")
            amount += int(fraction) * size // 10 ** len(fraction)
        totals[kind] += -amount if sign == "-" else amount
        position = match.end()
    span = Span(**totals)
    if not text.strip():
        raise ValueError("an interval is empty; write '48 hours'")
    if abs(span.months) > MAX_MONTHS or abs(span.days) > MAX_DAYS or abs(span.micros) > MAX_DAYS * 24 * HOUR:
        raise ValueError(f"{text!r} is longer than 500 years")
    return span


def to_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a wall-clock time; where there are none or two, the one with the smaller offset."""
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    a, b = first.utcoffset(), second.utcoffset()
    assert a is not None and b is not None
    return (wall - min(a, b)).replace(tzinfo=UTC)


def shift(time: datetime, span: Span, zone: ZoneInfo) -> datetime:
    """`time + span` in the zone. OverflowError outside the years 1 to 9999."""
    if span.months:
        wall = time.astimezone(zone).replace(tzinfo=None)
        month = wall.year * 12 + wall.month - 1 + span.months
        year, month = divmod(month, 12)
        if not 1 <= year <= 9999:
            raise OverflowError("date value out of range")
        day = min(wall.day, calendar.monthrange(year, month + 1)[1])
        time = to_utc(wall.replace(year=year, month=month + 1, day=day), zone)
    if span.days:
        wall = time.astimezone(zone).replace(tzinfo=None)
        time = to_utc(wall + timedelta(days=span.days), zone)
    return time + timedelta(microseconds=span.micros)
