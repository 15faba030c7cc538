"""Parquet tables.

Times: a column typed as an instant (isAdjustedToUTC, `timestamp[us, tz=...]`) is that instant, whatever zone
its type names; one without zone is local time, read in the mapping's `timezone`. Nanoseconds are cut to
microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from watchtower.connectors.files import check_file, need_columns
from watchtower.connectors.mapping import Mapping
from watchtower.connectors.rows import Chunk, Compiled
from watchtower.connectors.source import Batch
from watchtower.connectors.values import EPOCH
from watchtower.errors import InputError

_READ_ROWS = 65_536
"""Rows decoded at once: dictionary-coded columns bring their whole dictionary with each read."""


class ParquetSource:
    """One Parquet file."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        check_file(path)
        self.path = path
        self.mapping = mapping
        with self._open() as file:
            schema = file.schema_arrow
        need_columns(path, mapping, schema.names)
        self._check_times(schema)

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of the events of `size` rows."""
        compiled = Compiled(self.mapping)
        with self._open() as file:
            total = file.metadata.num_rows
            first = 1
            for columns, rows in self._decoded(file):
                for start in range(0, rows, size):
                    part = {name: column[start : start + size] for name, column in columns.items()}
                    chunk = _chunk(self.path.name, part, min(size, rows - start), first)
                    first += chunk.rows
                    yield Batch(*compiled.events(chunk), done=(first - 1) / total)

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.path}: is not a complete Parquet file: {str(error).splitlines()[0]}",
                remedy="it may have been cut short when it was copied: compare its size with the original's",
            ) from None

    def _decoded(self, file: pq.ParquetFile) -> Iterator[tuple[dict[str, list[Any]], int]]:
        read = 0
        try:
            for batch in file.iter_batches(batch_size=_READ_ROWS):
                names = batch.schema.names
                yield {name: _cells(batch.column(n)) for n, name in enumerate(names)}, batch.num_rows
                read += batch.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path}: cannot be read on after row {read}: {str(error).splitlines()[0]}",
                remedy="the file is damaged: copy or export it again",
            ) from None

    def _check_times(self, schema: pa.Schema) -> None:
        if self.mapping.timezone:
            return
        for entry in self.mapping.events:
            time = entry.time or self.mapping.time
            if time and time.column:
                kind = schema.field(time.column).type
                if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
                    raise InputError(
                        f"{self.path}: the column {time.column} ({kind}) holds times without offset",
                        remedy="say in the mapping on which clock, e.g. timezone: Europe/Rome",
                    )


def _chunk(name: str, columns: dict[str, list[Any]], rows: int, first: int) -> Chunk:
    return Chunk(columns, rows, lambda row: f"{name} row {first + row}")


def _cells(array: pa.Array) -> list[Any]:
    """A column as Python values, None where null; instants as UTC datetimes.

    Only calls that leave pandas unloaded: to_numpy and fill_null import it where it is installed, and
    nanoseconds would come as its values.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        words: dict[int | None, Any] = dict(enumerate(_cells(array.dictionary)))
        words[None] = None
        return [words[index] for index in array.indices.to_pylist()]
    if pa.types.is_timestamp(kind):
        ticks = array.cast(pa.timestamp("us"), safe=False).view(pa.int64()).to_pylist()
        epoch = EPOCH if kind.tz else EPOCH.replace(tzinfo=None)
        return [None if tick is None else _moment(epoch, tick) for tick in ticks]
    cells: list[Any] = array.to_pylist()
    return cells


def _moment(epoch: datetime, tick: int) -> datetime | str:
    try:
        return epoch + timedelta(microseconds=tick)
    except OverflowError:
        return f"{tick} microseconds after 1970"  # outside the years 1 to 9999: refused where it is read
