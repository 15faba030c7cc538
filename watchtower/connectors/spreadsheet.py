"""Spreadsheets: Excel's .xlsx, .xlsm, .xlsb and .xls, and OpenDocument's .ods.

One sheet is one table, its first row that is not empty the header. The mapping's `sheet` names it; without, it is the
first visible one. A cell has the type that the sheet gives it: a date without offset is read in the mapping's
`timezone`, a whole number is whole; what a formula gave when the file was saved is its value.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from watchtower.connectors.files import check_file, need_columns
from watchtower.connectors.mapping import Mapping
from watchtower.connectors.rows import Chunk, Compiled
from watchtower.connectors.source import Batch, Refused
from watchtower.errors import InputError

UNPACKED = 1 << 30
"""Bytes that a file may unpack to: a sheet is read whole, and a small file can hold a very large one."""


class SpreadsheetSource:
    """One sheet of one file."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        check_file(path)
        self.path, self.mapping = path, mapping
        self.sheet = self._sheet()
        self.header, self.first = self._header()

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of the events of `size` rows. Rows without anything in them are passed over."""
        compiled = Compiled(self.mapping)
        rows: list[list[Any]] = []
        places: list[int] = []
        refused: list[Refused] = []
        total, given = (self.sheet.end or (0, 0))[0] + 1, False
        for number, row in enumerate(self.sheet.iter_rows(), 1):
            if number < self.first or all(cell == "" for cell in row):
                continue
            cells = [_value(cell) for cell in row[: len(self.header)]]
            if any(isinstance(cell, str) and "\0" in cell for cell in cells):
                reason, raw = "row: has a NUL character", [str(cell).replace("\0", "\ufffd") for cell in cells]
                refused.append(Refused(self._place(number), reason, raw))
                continue
            rows.append(cells + [None] * (len(self.header) - len(cells)))
            places.append(number)
            if len(rows) + len(refused) >= size:
                yield self._batch(compiled, rows, places, refused, number / total)
                rows, places, refused, given = [], [], [], number == total
        if rows or refused or not given:
            yield self._batch(compiled, rows, places, refused, 1.0)

    def _batch(
        self, compiled: Compiled, rows: list[list[Any]], places: list[int], refused: list[Refused], done: float
    ) -> Batch:
        columns = list(zip(*rows, strict=True)) or [()] * len(self.header)
        chunk = Chunk(dict(zip(self.header, columns, strict=True)), len(rows), lambda row: self._place(places[row]))
        events, faulty = compiled.events(chunk)
        return Batch(events, refused + faulty, done)

    def _place(self, number: int) -> str:
        return f"{self.path.name} {self.sheet.name} row {number}"

    def _sheet(self) -> CalamineSheet:
        try:
            if zipfile.is_zipfile(self.path):
                with zipfile.ZipFile(self.path) as parts:
                    size = sum(part.file_size for part in parts.infolist())
                if size > UNPACKED:
                    raise InputError(f"{self.path}: unpacks to {size:,} bytes; {UNPACKED:,} are read at most",
                                     remedy="save the sheet as CSV")  # fmt: skip
            book = CalamineWorkbook.from_path(self.path)
            sheets = [one for one in book.sheets_metadata if one.typ == SheetTypeEnum.WorkSheet]
            wanted = self.mapping.sheet
            if wanted is None:
                visible = [one.name for one in sheets if one.visible == SheetVisibleEnum.Visible]
                wanted = visible[0] if visible else ""
            if wanted not in [one.name for one in sheets]:
                known = ", ".join(one.name for one in sheets) or "none"
                raise InputError(f"{self.path}: has no sheet {wanted!r}; it has: {known}",
                                 remedy="say which in the mapping, sheet: NAME")  # fmt: skip
            return book.get_sheet_by_name(wanted)
        except (CalamineError, zipfile.BadZipFile, OSError) as error:
            # Each fault of the library's is one of these: a password, a damaged part, another kind of file.
            raise InputError(
                f"{self.path}: is not a spreadsheet that can be read: {error}",
                remedy="open it and save it as .xlsx, without a password",
            ) from None

    def _header(self) -> tuple[list[str], int]:
        """The names of the columns, and the number of the row after them."""
        filled = ((at, row) for at, row in enumerate(self.sheet.iter_rows(), 1) if any(cell != "" for cell in row))
        number, row = next(filled, (0, []))
        if not number:
            raise InputError(f"{self.path}: the sheet {self.sheet.name} is empty", remedy="name another: sheet: NAME")
        names = [str(_value(cell) if cell != "" else "").strip() for cell in row]
        need_columns(self.path, self.mapping, [name for name in names if name])
        repeated = {name for name, count in Counter(names).items() if count > 1}
        if wanted := sorted(repeated & set(self.mapping.columns)):
            raise InputError(
                f"{self.path}: has the column {', '.join(wanted)} more than once", remedy="rename all but one of them"
            )
        return [f"{name} ({at})" if name in repeated else name for at, name in enumerate(names, 1)], number + 1


def _value(cell: Any) -> Any:
    """A cell as it is meant: sheets know no whole numbers; an empty cell is None."""
    if isinstance(cell, str):
        return cell if cell and not cell.isspace() else None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, timedelta):
        return cell.total_seconds() / 86_400  # as the sheet has it: in days
    return cell.isoformat() if isinstance(cell, time) else cell
