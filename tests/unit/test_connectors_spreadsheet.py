"""Spreadsheets written by another library (openpyxl): what is read as what, which sheet, and what stops the file."""

from __future__ import annotations

import datetime as d
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from watchtower.connectors import Batch, load_mapping, open_source
from watchtower.errors import InputError

MAPPING = """
source: crm
timezone: Europe/Rome
events:
  - subject: deal/{ID}
    time: When
    fields: {amount: Amount, seats: {column: Seats, as: integer}, won: Won, note: Note, day: {column: Day, as: date}}
"""
HEAD = ["ID", "When", "Amount", "Seats", "Won", "Note", "Day"]


def at(*parts: int) -> d.datetime:
    """A time as sheets have it: without an offset."""
    return d.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


def written(folder: Path, rows: list[list[Any]], *, name: str = "deals.xlsx", blank: int = 0) -> Path:
    book = openpyxl.Workbook()
    hidden = book.active
    hidden.title, hidden.sheet_state = "Notes", "hidden"
    hidden.append(["nothing"])
    sheet = book.create_sheet("Deals")
    for at, row in enumerate([HEAD, *rows], 1 + blank):
        for column, cell in enumerate(row, 1):
            sheet.cell(at, column, cell)
    book.create_sheet("Empty")
    book.save(folder / name)
    return folder / name


def read(path: Path, more: str = "", size: int = 5000) -> Batch:
    (path.parent / "mapping.yaml").write_text(MAPPING + more)
    batches = list(open_source(path, load_mapping(path.parent / "mapping.yaml")).batches(size))
    assert [one.done for one in batches][-1] == 1.0
    return Batch([e for b in batches for e in b.events], [r for b in batches for r in b.refused], 1.0)


def test_cells_have_the_types_that_the_sheet_gives_them(tmp_path: Path) -> None:
    rows = [
        [17, at(2026, 3, 2, 9, 30), 12.5, 3, True, "Größe", d.date(2026, 3, 2)],
        ["D-2", "2026-07-02T09:00:00Z", 12.0, 4.0, False, None, None],
        [None] * 7,
        ["D-3", at(2026, 7, 2, 9), None, "5", None, " ", at(2026, 3, 2, 23)],
    ]
    found = read(written(tmp_path, rows, blank=2))
    assert found.refused == []
    assert [(e.subject, e.time.isoformat()) for e in found.events] == [
        ("deal/17", "2026-03-02T08:30:00+00:00"), ("deal/D-2", "2026-07-02T09:00:00+00:00"),
        ("deal/D-3", "2026-07-02T07:00:00+00:00"),
    ]  # fmt: skip
    assert [e.data["fields"] for e in found.events] == [
        {"amount": 12.5, "seats": 3, "won": True, "note": "Größe", "day": "2026-03-02"},
        {"amount": 12, "seats": 4, "won": False},
        {"seats": 5, "day": "2026-03-02"},
    ]


def test_a_bad_row_is_named_by_its_number_in_the_sheet_and_the_rest_goes_in(tmp_path: Path) -> None:
    rows = [
        ["D-1", at(2026, 3, 2), 1, "many", None, None, None],
        ["D-2", "soon"],
        ["D-3", at(2026, 3, 2)],
    ]
    found = read(written(tmp_path, rows, blank=1), size=2)
    assert [e.subject for e in found.events] == ["deal/D-3"]
    assert [(r.place, r.reason.partition(":")[0]) for r in found.refused] == [
        ("deals.xlsx Deals row 3", "seats"), ("deals.xlsx Deals row 4", "time"),
    ]  # fmt: skip


def test_reading_it_again_in_other_batches_gives_the_same_events(tmp_path: Path) -> None:
    rows = [[f"D-{n % 7}", at(2026, 3, 2) + d.timedelta(hours=n // 2), n % 3] for n in range(101)]
    path = written(tmp_path, rows)
    assert read(path, size=7).events == read(path, size=5000).events
    assert len({e.id for e in read(path).events}) == 101


def test_which_sheet_is_said_in_the_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, [["D-1", at(2026, 3, 2)]])
    assert len(read(path, "sheet: Deals\n").events) == 1
    with pytest.raises(InputError, match=r"no sheet 'Other'; it has: Notes, Deals, Empty"):
        read(path, "sheet: Other\n")
    with pytest.raises(InputError, match="the sheet Empty is empty"):
        read(path, "sheet: Empty\n")
    with pytest.raises(InputError, match=r"has no column ID.*it has: nothing"):
        read(path, "sheet: Notes\n")


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 cut short", b"id,at\n1,2\n", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600]
)
def test_what_is_no_spreadsheet_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "deals.xlsx").write_bytes(content)
    with pytest.raises(InputError, match=r"not a spreadsheet that can be read.*\n.*without a password"):
        read(tmp_path / "deals.xlsx")


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [["D-1", at(2026, 3, 2)]])
    monkeypatch.setattr("watchtower.connectors.spreadsheet.UNPACKED", 1000)
    with pytest.raises(InputError, match=r"unpacks to [\d,]+ bytes; 1,000 are read at most"):
        read(path)
