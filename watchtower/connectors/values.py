"""Cells into values: what a column's text or typed value becomes in an event.

Every function raises ValueError with a message for people where the cell is not what was declared.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from watchtower.contract import format_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_UNITS = {"epoch_seconds": 1, "epoch_milliseconds": 1_000, "epoch_microseconds": 1_000_000}

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUE = frozenset({"true", "yes", "y", "1"})
_FALSE = frozenset({"false", "no", "n", "0"})


def instant(cell: Any, zone: ZoneInfo | None, form: str | None = None) -> datetime:
    """A cell as a UTC time. A time without offset is read in `zone`; without a zone it is refused.

    Of an hour that occurs twice (clocks go back) the second is meant, as PostgreSQL reads it; an hour that
    does not occur is refused.
    `form` is a strptime pattern or a key of EPOCH_UNITS; without it texts are ISO 8601.
    """
    time = _moment(cell, form)
    if time.tzinfo is UTC:
        return time
    try:
        if time.tzinfo is not None:
            return time.astimezone(UTC)
        if zone is None:
            raise ValueError(f"{cell!s} has no offset; give the mapping a `timezone`")
        there = time.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if there.astimezone(zone).replace(tzinfo=None) != time:
            raise ValueError(f"{cell!s} does not occur in {zone.key}: the clocks go forward over it")
        return there
    except OverflowError:
        raise ValueError(f"{cell!s} lies outside the years 1 to 9999 in UTC") from None


def _moment(cell: Any, form: str | None) -> datetime:
    if form in EPOCH_UNITS:
        unit = EPOCH_UNITS[form]
        try:
            return EPOCH + timedelta(microseconds=round(Decimal(str(cell)) * (1_000_000 // unit)))
        except (ArithmeticError, ValueError):
            raise ValueError(f"{cell!r} is not a time in {form.replace('_', ' ')} since 1970") from None
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime.combine(cell, clock())
    if not isinstance(cell, str):
        raise ValueError(f"{cell!r} is not a time; for numbers give a `format` such as epoch_milliseconds")
    try:
        text = cell.strip()
        return datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        wanted = f"a time of the format {form}" if form else "an ISO 8601 time such as 2026-03-02T09:00:00Z"
        raise ValueError(f"{cell!r} is not {wanted}") from None


def text(cell: Any) -> str:
    """A cell as text for subjects, ids and comparisons: 12.0 is `12`, a time is UTC with six digits."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return format_time(cell) if cell.tzinfo else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell)


def plain(cell: Any) -> Any:
    """A typed cell as the JSON value that says the same; not-a-number is null. Infinity is refused."""
    if cell is None or isinstance(cell, str | bool | int):
        return cell
    if isinstance(cell, float):
        if math.isinf(cell):
            raise ValueError(f"{cell} is not a number that JSON can hold")
        return None if math.isnan(cell) else cell
    if isinstance(cell, Decimal):
        if not cell.is_finite():
            raise ValueError(f"{cell} is not a number that JSON can hold")
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    if isinstance(cell, datetime | date | clock):
        return text(cell)
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode("ascii")
    if isinstance(cell, dict):
        return {str(key): plain(value) for key, value in cell.items()}
    if isinstance(cell, list | tuple):
        return [plain(value) for value in cell]
    return str(cell)


def _integer(cell: Any) -> int:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, float | Decimal) and math.isfinite(cell) and cell == int(cell):
        return int(cell)
    if isinstance(cell, str) and len(cell) < 40 and _INTEGER.fullmatch(cell.strip()):
        return int(cell)
    raise ValueError(f"{cell!r:.60} is not an integer")


def _number(cell: Any) -> int | float:
    if isinstance(cell, str) and len(cell) < 40 and _NUMBER.fullmatch(cell.strip()):
        number = float(cell)
        if math.isfinite(number):
            return int(cell) if _INTEGER.fullmatch(cell.strip()) else number
    elif isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) and math.isfinite(cell):
        number_or_whole: int | float = plain(cell)
        return number_or_whole
    raise ValueError(f"{cell!r:.60} is not a number such as 1234.5 (no thousands separator, decimal point)")


def _boolean(cell: Any) -> bool:
    word = text(cell).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{cell!r:.60} is not true or false (yes, no, 1 and 0 are accepted)")


def _day(cell: Any, zone: ZoneInfo | None, form: str | None) -> str:
    """The date as written; of a time with an offset, the day in `zone` (as written, without a zone)."""
    moment = _moment(cell, form)
    return (moment.astimezone(zone) if moment.tzinfo and zone else moment).date().isoformat()


def _list(cell: Any) -> list[Any]:
    if isinstance(cell, list | tuple):
        return [plain(value) for value in cell]
    return [part.strip() for part in text(cell).split(";") if part.strip()]


KINDS: tuple[str, ...] = ("text", "integer", "number", "boolean", "timestamp", "date", "list")
"""What `as` accepts. A list in a text cell is separated by semicolons, as CRM exports write it."""


def converter(kind: str | None, zone: ZoneInfo | None, form: str | None) -> Callable[[Any], Any]:
    """The function from a non-empty cell to its JSON value for `as: kind`; None keeps the cell's type."""
    table: dict[str | None, Callable[[Any], Any]] = {
        None: plain,
        "text": text,
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "timestamp": lambda cell: format_time(instant(cell, zone, form)),
        "date": lambda cell: _day(cell, zone, form),
        "list": _list,
    }
    return table[kind]
