"""Field values at the rim: from an event's JSON to the form a record holds, or an error that names the value.

A record holds JSON: timestamps as ISO text in UTC with six digits (so that text order is time order), dates
as ISO text, numbers as numbers, lists as lists of texts. Parsing what was parsed changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from watchtower.contract import format_time, parse_time
from watchtower.rulebook import FieldModel

LARGEST = 1e15
"""Numbers beyond it, or nearer to zero than its inverse, are refused: sums and products then never overflow."""

Parser = Callable[[Any], Any]


def parser(name: str, field: FieldModel) -> Parser:
    """A function from a JSON value (never null) to the record's value. It raises ValueError for people."""
    kind = field.type
    if kind == "enum":
        return _enum(name, frozenset(field.values), field.values_from)
    if kind in ("integer", "number", "money"):
        return _number(name, field, whole=kind == "integer")
    if kind == "ref":
        return _named(name, _reference)
    simple: dict[str, Parser] = {"boolean": _boolean, "timestamp": _timestamp, "date": _date, "list": _list}
    return _named(name, simple.get(kind, _text))


def _named(name: str, parse: Parser) -> Parser:
    def named(value: Any) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    return named


def _shown(value: Any) -> str:
    return f"{value!r:.80}"


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{_shown(value)} is not a text")
    text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    if "\x00" in text:
        raise ValueError(f"{_shown(value)} holds a NUL character")
    return text


def _reference(value: Any) -> str:
    text = _text(value)
    if not text or len(text.encode()) > 1024:
        raise ValueError(f"{_shown(value)} is not the id of a record (1 to 1024 bytes)")
    return text


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"{_shown(value)} is not true or false")


def _timestamp(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not an ISO 8601 time such as 2026-03-02T09:00:00Z")
    return _instant(value)


@lru_cache(maxsize=1 << 14)
def _instant(text: str) -> str:
    """Read at the door and again by the fold: the second time it is known."""
    try:
        return format_time(parse_time(text))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("time: ")) from None


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (ValueError, TypeError):
        raise ValueError(f"{_shown(value)} is not a date such as 2026-03-02") from None


def _list(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list")
    return [_text(item) for item in value]


def _enum(name: str, values: frozenset[str], earlier: Mapping[str, str]) -> Parser:
    def enum(value: Any) -> str:
        if isinstance(value, str):
            if value in values:
                return value
            if value in earlier:
                return earlier[value]
        raise ValueError(f"{name}: {_shown(value)} is not one of {', '.join(sorted(values))}")

    return enum


def _number(name: str, field: FieldModel, *, whole: bool) -> Parser:
    low, high = field.min, field.max

    def number(value: Any) -> int | float:
        if isinstance(value, str):
            try:
                value = int(value) if whole else float(value)
            except ValueError:
                raise ValueError(f"{name}: {_shown(value)} is not a number") from None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name}: {_shown(value)} is not a number")
        if whole and value != int(value):
            raise ValueError(f"{name}: {_shown(value)} is not a whole number")
        if abs(value) > LARGEST or (value and abs(value) < 1 / LARGEST):
            raise ValueError(f"{name}: {_shown(value)} is outside 1e-15 to 1e15")
        if low is not None and value < low:
            raise ValueError(f"{name}: {value} is below {low:g}")
        if high is not None and value > high:
            raise ValueError(f"{name}: {value} is above {high:g}")
        return int(value) if whole else float(value)

    return number
