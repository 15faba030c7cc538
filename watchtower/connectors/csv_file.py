"""CSV tables: a header, then a record a row; delimiter and encoding as the mapping's `csv` says."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from watchtower.connectors.files import check_file, need_columns
from watchtower.connectors.mapping import Mapping
from watchtower.connectors.rows import Chunk, Compiled
from watchtower.connectors.source import Batch, Refused
from watchtower.errors import InputError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class CsvSource:
    """One CSV file. Cells are texts; an empty cell, or one of spaces, is null."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        self.size = check_file(path)
        self.path = path
        self.mapping = mapping
        with path.open("rb") as file:
            if file.read(2) in _UTF16 and "16" not in mapping.csv.encoding:
                raise InputError(
                    f"{path}: is UTF-16, not {mapping.csv.encoding}",
                    remedy="say so in the mapping, csv: {encoding: utf-16}, or save the file as UTF-8",
                )
        with self._text() as text:
            self.header = self._header(self._reader(text))

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of the events of `size` rows. A row with other than the header's cells is refused."""
        compiled = Compiled(self.mapping)
        with self._text() as text:
            file: Any = text.buffer
            reader = self._reader(text)
            self._header(reader)
            ended = False
            while not ended:
                rows, places, refused, ended = self._some(reader, size)
                events, faulty = compiled.events(self._chunk(rows, places))
                if rows or refused:
                    done = 1.0 if ended else min(file.tell() / self.size, 1.0)
                    yield Batch(events, refused + faulty, done=done)

    def _some(self, reader: Any, size: int) -> tuple[list[list[str]], list[str], list[Refused], bool]:
        """Up to `size` sound rows, their places, the rows refused meanwhile, and whether it was the end."""
        rows: list[list[str]] = []
        places: list[str] = []
        refused: list[Refused] = []
        width = len(self.header)
        while len(rows) + len(refused) < size:
            place = f"{self.path.name}:{reader.line_num + 1}"
            try:
                row = next(reader)
            except StopIteration:
                return rows, places, refused, True
            except csv.Error as error:
                refused.append(Refused(place, f"row: is not CSV: {error}", ""))
                continue
            except UnicodeDecodeError as error:
                raise InputError(f"{self.path}: is not {self.mapping.csv.encoding}: {error.reason}") from None
            if len(row) == width:
                if not (fault := self._fault(row)):
                    rows.append(row)
                    places.append(place)
                    continue
            elif not row or row == [""]:
                continue
            else:
                fault = f"row: has {len(row)} cells; the header has {width}"
            refused.append(Refused(place, fault, [_visible(cell) for cell in row]))
        return rows, places, refused, False

    def _fault(self, row: list[str]) -> str:
        """What is wrong with the characters of a row; empty where nothing is."""
        together = "".join(row)
        if together.isascii():
            return "row: has a NUL character" if "\0" in together else ""
        for name, cell in zip(self.header, row, strict=True):
            for letter in cell:
                if "\ud800" <= letter <= "\udfff":
                    return (
                        f"{name}: {_visible(cell)!r:.60} is not {self.mapping.csv.encoding} "
                        f"(byte {ord(letter) & 0xFF:#04x}); "
                        "say the right one in the mapping, e.g. csv: {encoding: cp1252}"
                    )
        return "row: has a NUL character" if "\0" in together else ""

    def _chunk(self, rows: list[list[str]], places: list[str]) -> Chunk:
        columns = list(zip(*rows, strict=True)) or [()] * len(self.header)
        cells = {
            name: [cell if cell and not cell.isspace() else None for cell in column]
            for name, column in zip(self.header, columns, strict=True)
        }
        return Chunk(cells, len(rows), places.__getitem__)

    def _text(self) -> TextIOWrapper:
        # Bytes that are not of the encoding come as lone surrogates, so that only their rows are refused.
        given = self.mapping.csv.encoding
        encoding = "utf-8-sig" if given.lower() in ("utf-8", "utf8") else given
        return TextIOWrapper(self.path.open("rb"), encoding=encoding, errors="surrogateescape", newline="")

    def _reader(self, text: TextIOWrapper) -> Any:
        return csv.reader(text, delimiter=self.mapping.csv.delimiter, strict=True)

    def _header(self, reader: Any) -> list[str]:
        try:
            header = [name.strip() for name in next(reader)]
        except StopIteration:
            raise InputError(f"{self.path}: is empty", remedy="export it again, or name another file") from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}:1: the header cannot be read: {error}") from None
        hint = ""
        if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
            hint = f"the header holds {other!r}: say csv: {{delimiter: {other!r}}} in the mapping"
        need_columns(self.path, self.mapping, [_visible(name) for name in header], hint)
        repeated = [name for name, count in Counter(header).items() if count > 1]
        if wanted := [name for name in repeated if name in self.mapping.columns]:
            raise InputError(
                f"{self.path}: has the column {', '.join(wanted)} more than once",
                remedy="rename all but one of them",
            )
        # Columns that are not read may repeat: each keeps its place under a name of its own.
        return [f"{name} ({place})" if name in repeated else name for place, name in enumerate(header, 1)]


def _visible(text: str) -> str:
    """Text that can be stored and shown: undecoded bytes as the replacement character."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
