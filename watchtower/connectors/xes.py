"""XES event logs (IEEE 1849): XML, plain or gzipped.

A row is an event. Its columns are the event's own attributes by their keys (`concept:name`,
`time:timestamp`, `org:resource`) and those of its trace behind `case:` (`case:concept:name`). Nested
attributes and lists are passed over. Read with expat as a stream; a document type declaration, and with it
every entity, is refused: XES needs none.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from watchtower.connectors.files import check_file
from watchtower.connectors.mapping import Mapping
from watchtower.connectors.rows import Chunk, Compiled
from watchtower.connectors.source import Batch, Refused
from watchtower.errors import InputError

_READ = 64 * 1024
_ELEMENT_LIMIT = 16 * 1024 * 1024
"""Bytes without one event coming to its end: no event is so large, but a bomb is."""

Row = dict[str, Any]


def _date(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time


_VALUES: dict[str, Callable[[str], Any]] = {
    "string": str,
    "id": str,
    "date": _date,
    "int": int,
    "float": float,
    "boolean": lambda text: text.strip().lower() in ("true", "1"),
}


class XesSource:
    """One event log."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        self.size = check_file(path)
        self.path = path
        self.mapping = mapping

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of the events of about `size` rows."""
        compiled = Compiled(self.mapping)
        number = 0
        with self.path.open("rb") as raw:
            for rows, ended in self._rows(raw, size):
                first, number = number + 1, number + len(rows)
                batch = self._batch(compiled, rows, first)
                done = 1.0 if ended else min(raw.tell() / self.size, 1.0)
                yield Batch(*batch, done=done)
        if not number:
            raise InputError(f"{self.path}: has no event", remedy="check that it is an XES log with <event> elements")

    def _batch(self, compiled: Compiled, rows: list[Row], first: int) -> tuple[list[Any], list[Refused]]:
        names = dict.fromkeys((*self.mapping.columns, *(name for row in rows for name in row)))
        columns = {name: [row.get(name) for row in rows] for name in names}
        return compiled.events(Chunk(columns, len(rows), lambda row: f"{self.path.name} event {first + row}"))

    def _rows(self, raw: IO[bytes], size: int) -> Iterator[tuple[list[Row], bool]]:
        """Rows in the order of the file, and whether they are the last."""
        reading = _Reading()
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        since = 0
        with closing(file):
            while True:
                try:
                    piece = file.read(_READ)
                    reading.feed(piece)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise InputError(f"{self.path}: is not complete gzip: {error}") from None
                except expat.ExpatError as error:
                    reason = expat.errors.messages[error.code]
                    raise InputError(
                        f"{self.path}:{error.lineno}:{error.offset + 1}: is not well-formed XML: {reason}",
                        remedy="export it again; it may have been cut short",
                    ) from None
                except _NotXes as error:
                    raise InputError(f"{self.path}:{reading.line}: {error}") from None
                since = 0 if reading.rows else since + len(piece)
                if since > _ELEMENT_LIMIT:
                    raise InputError(f"{self.path}:{reading.line}: {since} bytes without an event")
                while len(reading.rows) >= size:
                    yield reading.rows[:size], False
                    del reading.rows[:size]
                if not piece:
                    if reading.rows:
                        yield reading.rows, True
                    return


class _NotXes(Exception):
    """What the parser found that an XES log may not have."""


class _Reading:
    """The state of one parse: which element is open, and the attributes gathered so far."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._depth = 0
        self._trace: Row | None = None
        self._event: Row | None = None
        self._level = 0
        parser = self._parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._open
        parser.EndElementHandler = self._close

    @property
    def line(self) -> int:
        return self._parser.CurrentLineNumber

    def feed(self, piece: bytes) -> None:
        """Parse on; an empty piece ends the document."""
        self._parser.Parse(piece, not piece)

    def _refuse(self, *_: object) -> None:
        raise _NotXes("has a document type declaration (<!DOCTYPE); XES needs none, and it is refused")

    def _open(self, tag: str, given: dict[str, str]) -> None:
        self._depth += 1
        tag = tag.rpartition(":")[2]
        if self._depth == 1 and tag != "log":
            raise _NotXes(f"the first element is <{tag}>; an XES log begins with <log>")
        if tag == "trace" and self._depth == 2:
            self._trace = {}
        elif tag == "event" and self._depth in (2, 3) and self._event is None:
            self._event = dict(self._trace or {})
            self._level = self._depth
        elif self._event is not None and self._depth == self._level + 1:
            self._keep(self._event, "", tag, given)
        elif self._event is None and self._trace is not None and self._depth == 3:
            self._keep(self._trace, "case:", tag, given)

    def _keep(self, row: Row, before: str, tag: str, given: dict[str, str]) -> None:
        if tag not in _VALUES or "key" not in given or "value" not in given:
            return
        try:
            row[before + given["key"]] = _VALUES[tag](given["value"])
        except ValueError:
            row[before + given["key"]] = given["value"]  # stays a text: refused only where it is read as more

    def _close(self, tag: str) -> None:
        if self._event is not None and self._depth == self._level:
            self.rows.append(self._event)
            self._event = None
        elif self._depth == 2:
            self._trace = None
        self._depth -= 1
