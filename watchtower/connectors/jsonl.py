"""JSON lines: CloudEvents 1.0 in structured form, one a line. Needs no mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from watchtower.connectors.files import check_file
from watchtower.connectors.source import Batch, Refused
from watchtower.contract import Event, parse_event
from watchtower.contract.json_bounds import MAX_DEPTH, once
from watchtower.errors import InputError

LINE_LIMIT = 1024 * 1024
"""Bytes of one line; the same bound as for a body over HTTP."""

_DECODE = msgspec.json.Decoder().decode
_SPACED = re.compile(rb'"[ \t]+:')
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


class JsonlSource:
    """One file of events."""

    def __init__(self, path: Path) -> None:
        self.size = check_file(path)
        self.path = path
        with path.open("rb") as file:
            if file.read(2) in _UTF16:
                raise InputError(f"{path}: is UTF-16", remedy="save it as UTF-8")

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of `size` lines; a line that is no event is refused, an empty one is passed over."""
        events: list[Event] = []
        refused: list[Refused] = []
        number = read = 0
        with self.path.open("rb") as file:
            while line := file.readline(LINE_LIMIT + 1):
                number += 1
                read += len(line)
                place = f"{self.path.name}:{number}"
                if len(line) > LINE_LIMIT:
                    refused.append(Refused(place, f"line: is longer than {LINE_LIMIT} bytes", _show(line)))
                    while not line.endswith(b"\n") and (line := file.readline(LINE_LIMIT)):
                        read += len(line)
                elif line := line.removeprefix(_BOM if number == 1 else b"").strip():
                    found = _event(line)
                    if isinstance(found, Event):
                        events.append(found)
                    else:
                        refused.append(Refused(place, *found))
                if number % size == 0:
                    yield Batch(events, refused, done=min(read / self.size, 1.0))
                    events, refused = [], []
        if number % size:
            yield Batch(events, refused, done=1.0)


def _event(line: bytes) -> Event | tuple[str, Any, bool]:
    """The event; or why there is none, the line as far as it could be read, and whether that is an event's JSON."""
    try:
        decoded = _DECODE(line)
    except UnicodeDecodeError as error:
        return f"line: is not UTF-8 (byte {error.start})", _show(line), False
    except msgspec.DecodeError as error:
        return f"line: is not JSON: {error}", _show(line), False
    except RecursionError:
        return "line: is nested too deeply", _show(line), False
    try:
        # Each key is followed by a colon. More of them: one stands in a text, or a key stands twice.
        if isinstance(decoded, dict) and (_keys(decoded, 1) != line.count(b'":') or _SPACED.search(line)):
            json.loads(line, object_pairs_hook=_once)
        return parse_event(decoded)
    except ValueError as error:
        return str(error), decoded, isinstance(decoded, dict)


def _keys(value: Any, depth: int) -> int:
    """How many keys an object or a list has, within it too. ValueError where it nests too deeply."""
    if depth > MAX_DEPTH:
        raise ValueError(f"line: nests deeper than {MAX_DEPTH} levels")
    mapped = type(value) is dict
    found = len(value) if mapped else 0
    for item in value.values() if mapped else value:
        if type(item) is dict or type(item) is list:
            found += _keys(item, depth + 1)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    try:
        return once(pairs)
    except ValueError as fault:
        raise ValueError(f"line: {fault}") from None


def _show(line: bytes) -> str:
    return line.decode("utf-8", "replace")
