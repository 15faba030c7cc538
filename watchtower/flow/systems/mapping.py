"""A system's properties as our fields, by the rulebook's `systems:`. Pure: who its references mean is passed in.

Values come as systems write them (numbers and booleans as text, times as milliseconds, lists with semicolons) and leave
as the field's type has them. What is still none of the type goes on as it is: the door says what is wrong with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from watchtower.contract import format_time
from watchtower.contract.system import Asked, Seen
from watchtower.rulebook import Rulebook
from watchtower.rulebook.model import FieldModel
from watchtower.rulebook.systems import MappedObject, System

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_799_999
"""Milliseconds since 1970 up to which there are years of four digits."""

Resolve = Callable[[str, str], str | None]
"""(object of the system, its id) -> the id of our record; None where it is not known (yet)."""


def asked_of(book: Rulebook, system: System) -> Asked:
    """What to read of a system: its objects, those that others refer to first."""
    ordered: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in ordered or name in above:
            return
        for field in system.objects[name].fields:
            if (to := book.objects[name].fields[field].to) in system.objects and to != name:
                visit(to, (*above, name))
        ordered.append(name)

    for name in system.objects:
        visit(name, ())
    return Asked(
        objects={system.objects[name].from_: _properties(system.objects[name]) for name in ordered},
        activities=tuple(system.activities),
    )


def mapping_mark(system: System) -> str:
    """A mark of what is read of a system and how: another one, and all of it has to be read again."""
    content = [
        {name: mapped.model_dump(mode="json") for name, mapped in system.objects.items()},
        system.activities,
    ]
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=6).hexdigest()


def _properties(mapped: MappedObject) -> tuple[str, ...]:
    named = [source.from_ for source in mapped.fields.values()]
    return tuple(dict.fromkeys([*named, *([mapped.id] if mapped.id else [])]))


def our_name(system: System, theirs: str) -> str | None:
    """Our object, of the system's; None where it is not mapped."""
    return next((name for name, mapped in system.objects.items() if mapped.from_ == theirs), None)


def fields_of(book: Rulebook, system: System, name: str, seen: Seen, resolve: Resolve) -> dict[str, Any]:
    """Our fields, of an object's properties. Whole: what has no value is None; else only what was said.

    A reference whose record is not known is left out.
    """
    found: dict[str, Any] = {}
    for field, source in system.objects[name].fields.items():
        if source.from_ not in seen.properties:
            if seen.whole:
                found[field] = None
            continue
        raw, spec = seen.properties[source.from_], book.objects[name].fields[field]
        if spec.type == "ref":
            known, value = _reference(system, spec, raw, resolve)
            if known:
                found[field] = value
        else:
            found[field] = value_of(spec, source.values, raw, book.zone)
    return found


def _reference(system: System, spec: FieldModel, raw: Any, resolve: Resolve) -> tuple[bool, str | None]:
    """Whether it is known whom it means, and the record's id. Of several ids the first one counts."""
    ids = raw if isinstance(raw, list | tuple) else [] if raw in (None, "") else [raw]
    if not ids:
        return True, None
    if spec.to not in system.objects:
        return True, str(ids[0])
    found = resolve(system.objects[spec.to].from_, str(ids[0]))
    return found is not None, found


def value_of(spec: FieldModel, values: Mapping[str, str], raw: Any, zone: ZoneInfo) -> Any:
    """One value, as the field's type has it; None where there is none."""
    if raw is None or raw == "" or raw == []:
        return None
    if isinstance(raw, list) and spec.type != "list":
        raw = raw[0]  # of several addresses, the first
    if values and isinstance(raw, str | int | bool):
        raw = values.get(_text(raw), raw)
    kind = spec.type
    if kind == "timestamp":
        return _timestamp(raw, zone)
    if kind == "date":
        return _date(raw, zone)
    if kind == "list":
        parts = raw.split(";") if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]
        return [values.get(text, text) for part in parts if (text := _text(part).strip())] or None
    if kind == "domain" and isinstance(raw, str):
        return _domain(raw)
    return _text(raw) if isinstance(raw, bool) and kind != "boolean" else raw


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _moment(raw: Any) -> datetime | date | None:
    """Milliseconds since 1970, or ISO 8601; None where it is neither."""
    text = str(raw).strip()
    if text.lstrip("-").isdigit() and len(text) > 8 and abs(int(text)) <= _LAST:
        return _EPOCH + timedelta(milliseconds=int(text))
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _timestamp(raw: Any, zone: ZoneInfo) -> Any:
    """A day is its midnight in the rulebook's zone."""
    moment = _moment(raw)
    if moment is None:
        return raw
    whole = moment if isinstance(moment, datetime) else datetime.combine(moment, time(), zone)
    try:
        return format_time(whole)
    except OverflowError:
        return raw


def _date(raw: Any, zone: ZoneInfo) -> Any:
    """The day of a time, in the rulebook's zone; midnight UTC is a day of its own, since systems write days so."""
    moment = _moment(raw)
    if moment is None:
        return raw
    if not isinstance(moment, datetime):
        return moment.isoformat()
    there = moment.astimezone(UTC)
    return (there if there.time() == time() else moment.astimezone(zone)).date().isoformat()


def _domain(raw: str) -> str:
    host = urlsplit(raw if "://" in raw else f"//{raw}").hostname if not raw.startswith("mailto:") else None
    return (host or raw).strip().lower().removeprefix("www.")
