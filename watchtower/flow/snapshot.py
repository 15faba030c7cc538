"""Parquet snapshots of records' versions: what detectors read instead of the live store."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from watchtower.rulebook import Rulebook
from watchtower.store import records
from watchtower.store.database import Connection

ROWS_IN_PART = 500_000
"""Versions that one job judges."""
MOST_PARTS = 16

_TIME = pa.timestamp("us", "UTC")
_ARROW: dict[str, pa.DataType] = {
    "integer": pa.int64(), "number": pa.float64(), "money": pa.float64(), "boolean": pa.bool_(),
    "list": pa.list_(pa.string()),
}  # fmt: skip


def write_snapshot(conn: Connection, book: Rulebook, name: str, at: datetime, folder: Path) -> Path:
    """The versions of an object as they were known at `at`, in a Parquet file; complete or not there.

    Columns: record, valid_from, valid_to (null: still so) and the object's fields.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{at:%Y%m%dT%H%M%SZ}.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(versions_table(records.history(conn, name, at), book, name, at), partial)
    os.replace(partial, path)
    return path


def parts_for(path: Path) -> int:
    """How many jobs a look at this snapshot is parted into."""
    return int(min(MOST_PARTS, -(-pq.read_metadata(path).num_rows // ROWS_IN_PART))) or 1


def versions_table(
    rows: list[tuple[str, datetime, datetime | None, dict[str, Any]]], book: Rulebook, name: str, at: datetime
) -> pa.Table:
    """Versions as Arrow, cut at `at`: what ends later had not ended then."""
    arrays: dict[str, pa.Array] = {
        "record": pa.array([row[0] for row in rows], pa.string()),
        "valid_from": pa.array([row[1] for row in rows], _TIME),
        "valid_to": pa.array([row[2] if row[2] is not None and row[2] <= at else None for row in rows], _TIME),
    }
    for field, spec in book.objects[name].fields.items():
        values = [row[3].get(field) for row in rows]
        if spec.type in ("timestamp", "date"):
            arrays[field] = pa.array(values, pa.string()).cast(_TIME if spec.type == "timestamp" else pa.date32())
        else:
            arrays[field] = pa.array(values, _ARROW.get(spec.type, pa.string()))
    return pa.table(arrays)
