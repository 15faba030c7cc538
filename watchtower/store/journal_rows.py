"""An event as the journal's table takes it, or the reason why no database can keep it."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from watchtower.contract import Event, format_time

KEY_LIMIT = 2048
"""Bytes of source and id together: an index entry of PostgreSQL holds 2,704."""
SUBJECT_LIMIT = 1024
"""Bytes of a subject: some indices hold two of them."""
DATA_LIMIT = 16 * 1024 * 1024
"""Bytes of an event's data as JSON."""

_ENCODER = msgspec.json.Encoder(order="sorted")


class JournalRow(msgspec.Struct, frozen=True, gc=False):
    """One row to be. `hash`: of the body, in hexadecimal digits."""

    source: str
    id: str
    type: str
    object: str
    record: str
    time: str
    data: msgspec.Raw
    hash: str


def body_hash(event: Event) -> bytes:
    """BLAKE2b, 16 bytes, over canonical JSON of type, subject, time and data (keys sorted)."""
    return _hash(event, format_time(event.time), _ENCODER.encode(event.data)).digest()


def _hash(event: Event, time: str, data: bytes) -> hashlib.blake2b:
    body = _ENCODER.encode((event.type, event.subject, time, msgspec.Raw(data)))
    return hashlib.blake2b(body, digest_size=16)


def key_flaw(event: Event) -> str:
    """Why the database cannot be asked about this source, id, type and subject; empty where it can."""
    keys = f"{event.source}{event.id}{event.type}{event.subject}"
    plain = keys.isascii() and "\x00" not in keys and len(keys) <= SUBJECT_LIMIT
    return "" if plain else _key_flaw(event)


def row_of(event: Event) -> JournalRow | str:
    """The row of an event; or, where the database cannot keep it, why."""
    if because := key_flaw(event):
        return because
    try:
        data = _ENCODER.encode(event.data)
    except (TypeError, ValueError, RecursionError) as error:  # ValueError: a lone surrogate
        flaw = None if isinstance(error, RecursionError) else _flaw(event.data, "data")
        return f"{flaw[0]}: {flaw[1]}" if flaw else f"data: cannot be written as JSON: {error}"
    if len(data) > DATA_LIMIT:
        return f"data: {len(data)} bytes; at most {DATA_LIMIT} are accepted"
    # The encoder writes NUL as an escape and NaN as null; only where these show is the value itself searched.
    suspect = b"\\u0000" in data or (b"null" in data and _infinite(event.data))
    if suspect and (flaw := _flaw(event.data, "data")):
        return f"{flaw[0]}: {flaw[1]}"
    time = format_time(event.time)
    object, _, record = event.subject.partition("/")
    digits = _hash(event, time, data).hexdigest()
    return JournalRow(event.source, event.id, event.type, object, record, time, msgspec.Raw(data), digits)


def _key_flaw(event: Event) -> str:
    for name, key, limit in (
        ("subject", event.subject, SUBJECT_LIMIT),
        ("source and id", event.source + event.id, KEY_LIMIT),
        ("type", event.type, KEY_LIMIT),
    ):
        if flaw := _flaw(key):
            return f"{name}: {ascii(key):.60} {flaw[1]}"
        if len(key) * 4 > limit and (size := len(key.encode())) > limit:
            return f"{name}: {size} bytes; at most {limit} are accepted"
    return ""


def _infinite(value: Any) -> bool:
    """Whether a number that JSON has no word for stands anywhere in the value."""
    if isinstance(value, dict):
        return any(_infinite(item) for item in value.values() if isinstance(item, float | dict | list | tuple))
    if isinstance(value, list | tuple):
        return any(map(_infinite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _flaw(value: Any, place: str = "") -> tuple[str, str] | None:
    """The first place in a JSON value that jsonb cannot keep, and what is wrong with it."""
    if isinstance(value, str):
        if "\x00" in value:
            return place, "holds a NUL character; text without it is accepted"
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return place, "holds half of a surrogate pair; whole Unicode characters are accepted"
    elif isinstance(value, float):
        if not math.isfinite(value):
            return place, f"{value} is not a JSON number; leave it out or write null"
    elif isinstance(value, dict):
        for key, item in value.items():
            if flaw := _flaw(key, f"{place}.{ascii(key)[1:-1]}") or _flaw(item, f"{place}.{ascii(key)[1:-1]}"):
                return flaw
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value):
            if flaw := _flaw(item, f"{place}[{n}]"):
                return flaw
    return None
