"""Records out of a file, a row at a time: CSV, Parquet and JSON lines by DuckDB, or the records of a file of events.

Which column is which field is told by its name (the matcher's `columns`), or said by the caller. A file of events is
CloudEvents, one a line: the latest value of each field counts, a null clears it, deleted and merged records do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from enrichment.errors import EnrichmentError
from enrichment.matching.find import MEMORY, Row
from enrichment.matching.model import Matcher

CHUNK = 10_000
READERS = {
    ".csv": "read_csv(?, all_varchar = true, header = true, sample_size = -1)",
    ".tsv": "read_csv(?, all_varchar = true, header = true, delim = '\t', sample_size = -1)",
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json(?, format = 'newline_delimited', maximum_object_size = 1048576)",
    ".ndjson": "read_json(?, format = 'newline_delimited', maximum_object_size = 1048576)",
}
EVENTS = "read_json(?, format = 'newline_delimited', columns = {subject: 'VARCHAR', type: 'VARCHAR', time: 'TIMESTAMP', data: 'JSON'})"  # noqa: E501
EVENT = re.compile(rb'"specversion"\s*:')


class FileError(EnrichmentError):
    """The file cannot be read as records; the message names it and says why."""


@dataclass(frozen=True)
class Records:
    """An open file. `columns`: each field found, and the column it is read from; `id` is the id's, or empty."""

    rows: Iterator[Row]
    columns: Mapping[str, str]
    id: str


@contextmanager
def records(
    path: Path, matcher: Matcher, object_: str = "", said: Mapping[str, str] | None = None
) -> Iterator[Records]:
    """The records of a file. `said` gives columns by field (and `id`), before their usual names. FileError."""
    with duckdb.connect() as db:
        db.execute(f"SET memory_limit='{MEMORY}'; SET preserve_insertion_order=true; SET TimeZone='UTC'")
        try:
            if _holds_events(path):
                yield _of_events(db, path, matcher, object_, said or {})
            else:
                yield _of_table(db, path, matcher, object_, said or {})
        except duckdb.Error as error:
            raise FileError(f"{path}: cannot be read: {str(error).splitlines()[0]:.300}") from None


def _holds_events(path: Path) -> bool:
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        return False
    with path.open("rb") as file:
        return EVENT.search(file.readline(1 << 20)) is not None


def _of_table(
    db: duckdb.DuckDBPyConnection, path: Path, matcher: Matcher, object_: str, said: Mapping[str, str]
) -> Records:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path}: is no {', '.join(READERS)} file", remedy="export it as one of these")
    there = [str(row[0]) for row in db.execute(f"DESCRIBE SELECT * FROM {reader}", [str(path)]).fetchall()]
    columns, key = _columns(path, matcher, object_, said, there)
    shown = ", ".join(
        f"CAST({_quoted(column)} AS VARCHAR)" for column in ([key] if key else []) + list(columns.values())
    )
    db.execute(f"SELECT {shown} FROM {reader}", [str(path)])
    return Records(_rows(db, list(columns), bool(key)), columns, key)


def _of_events(
    db: duckdb.DuckDBPyConnection, path: Path, matcher: Matcher, object_: str, said: Mapping[str, str]
) -> Records:
    mine = [str(path), f"{object_}/"]
    keys = db.execute(
        f"SELECT DISTINCT unnest(json_keys(data, '$.fields')) FROM {EVENTS} WHERE starts_with(subject, ?)", mine
    ).fetchall()
    if not keys:
        raise FileError(f"{path}: no event sets a field of {object_!r}", remedy="name the object with --object")
    columns, _ = _columns(path, matcher, object_, said, [str(row[0]) for row in keys])
    latest = ", ".join(
        f"arg_max_null(json_extract_string(data, {place}), time) FILTER (WHERE json_exists(data, {place}))"
        for place in (_literal(f'$.fields."{column}"') for column in columns.values())
    )
    db.execute(
        f"SELECT substr(subject, {len(object_) + 2}), {latest} FROM {EVENTS} WHERE starts_with(subject, ?) "
        "GROUP BY subject HAVING NOT bool_or(type IN ('record.deleted', 'record.merged')) ORDER BY subject",
        mine,
    )
    return Records(_rows(db, list(columns), True), columns, "subject")


def _columns(
    path: Path, matcher: Matcher, object_: str, said: Mapping[str, str], there: list[str]
) -> tuple[dict[str, str], str]:
    """The column of each field, and of the id (empty: there is none)."""
    known = {re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_"): name for name in there}
    wanted = {field: (said[field],) if field in said else usual for field, usual in matcher.columns.items()}
    for field, column in said.items():
        if field != "id" and field not in matcher.columns:
            raise FileError(
                f"{field!r} is no field of a {matcher.name}", remedy=f"fields: {', '.join(matcher.columns)}, id"
            )
        if column not in there:
            raise FileError(f"{path}: has no column {column!r}; it has: {', '.join(there[:40])}")
    found: dict[str, str] = {}
    for field, names in wanted.items():
        column = next(
            (known.get(name, name if name in there else "") for name in names if name in known or name in there), ""
        )
        if column and column not in found.values():
            found[field] = column
    if not any(field in found for field in matcher.needs):
        raise FileError(
            f"{path}: no column names a {matcher.name}; it has: {', '.join(there[:40])}",
            remedy=f"say which is which, such as --column {matcher.needs[0]}=COLUMN",
        )
    key = said.get("id") or next((known[name] for name in ("id", f"{object_}_id", "record_id") if name in known), "")
    return found, key


def _rows(db: duckdb.DuckDBPyConnection, fields: list[str], has_id: bool) -> Iterator[Row]:
    number = 0
    try:
        while batch := db.fetchmany(CHUNK):
            for row in batch:
                number += 1
                values = row[1:] if has_id else row
                id_ = str(row[0]) if has_id and row[0] is not None else f"row {number}"
                yield id_, {field: value for field, value in zip(fields, values, strict=True) if value}
    except duckdb.Error as error:
        raise FileError(f"row {number + 1}: cannot be read: {str(error).splitlines()[0]:.300}") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
