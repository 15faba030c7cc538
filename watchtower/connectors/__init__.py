"""Files into events. `FORMATS` is the table; a format is one file here and one line in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watchtower.connectors.csv_file import CsvSource
from watchtower.connectors.files import check_file
from watchtower.connectors.gathered import gathered
from watchtower.connectors.jsonl import JsonlSource
from watchtower.connectors.mapping import Mapping, load_mapping
from watchtower.connectors.parquet import ParquetSource
from watchtower.connectors.source import Batch, EventSource, Refused
from watchtower.connectors.spreadsheet import SpreadsheetSource
from watchtower.connectors.xes import XesSource
from watchtower.errors import InputError

__all__ = [
    "FORMATS",
    "Batch",
    "EventSource",
    "Format",
    "Mapping",
    "Refused",
    "gathered",
    "load_mapping",
    "open_source",
]


@dataclass(frozen=True)
class Format:
    """A kind of file, told by the ending of its name. Tables need a mapping; events need none."""

    endings: tuple[str, ...]
    says: str
    events: Callable[[Path], EventSource] | None = None
    table: Callable[[Path, Mapping], EventSource] | None = None


FORMATS = (
    Format((".jsonl", ".ndjson", ".json"), "CloudEvents, one a line", events=JsonlSource),
    Format((".csv",), "a table with a header", table=CsvSource),
    Format((".parquet",), "a table", table=ParquetSource),
    Format((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "a spreadsheet", table=SpreadsheetSource),
    Format((".xes", ".xes.gz"), "an event log (IEEE 1849)", table=XesSource),
)


def open_source(path: Path, mapping: Mapping | None = None) -> EventSource:
    """The file, ready to be read; one without an ending is read as JSON lines. InputError where it is missing,
    empty, cut short, of no known format, lacks a column that the mapping reads, or needs a mapping (or takes none).
    """
    path = Path(path)
    check_file(path)
    name = path.name.lower() if path.suffix else f"{path.name}.jsonl"
    chosen = next((form for form in FORMATS if name.endswith(form.endings)), None)
    if chosen is None:
        known = ", ".join(ending for form in FORMATS for ending in form.endings)
        raise InputError(f"{path}: its ending is not one of {known}", remedy="rename it, or export it as one of these")
    if chosen.events is not None:
        if mapping is not None:
            raise InputError(f"{path}: holds {chosen.says}, and takes no mapping", remedy="leave --mapping away")
        return chosen.events(path)
    assert chosen.table is not None
    if mapping is None:
        raise InputError(
            f"{path}: is {chosen.says}; which events its rows are must be said by a mapping",
            remedy="give --mapping MAPPING.yaml (examples/bpic2012/mapping.yaml is one)",
        )
    return chosen.table(path, mapping)
