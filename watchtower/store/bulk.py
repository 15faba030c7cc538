"""PostgreSQL as an engine for `rules eval` and `rules backtest`: versions in temporary tables, gone at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from watchtower.rules.sql import POSTGRES, Writer, name
from watchtower.store.database import Database

_TYPES = {
    "string": "TEXT",
    "int64": "BIGINT",
    "double": "DOUBLE PRECISION",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
}


class ScratchEngine:
    """Answers PostgreSQL's SQL over relations `v_<object>`."""

    at_once = 1000

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def writer(self, timezone: str) -> Writer:
        return Writer(POSTGRES, timezone)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql)
        return self._cursor.fetchall()  # type: ignore[no-any-return]


@contextmanager
def scratch_engine(database: Database, tables: Mapping[str, Any]) -> Iterator[ScratchEngine]:
    """An engine over Arrow tables (record, vfrom, vto, columns...), by object; nothing stays in the database."""
    connection: Any = database.engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            for object_name, table in tables.items():
                _load(cursor, name(f"v_{object_name}"), table)
            yield ScratchEngine(cursor)
    finally:
        connection.rollback()
        connection.close()


def _load(cursor: Any, relation: str, table: Any) -> None:
    columns = ", ".join(f"{name(field.name)} {_sql_type(str(field.type))}" for field in table.schema)
    cursor.execute(f"CREATE TEMPORARY TABLE {relation} ({columns}) ON COMMIT DROP")
    with cursor.copy(f"COPY {relation} FROM STDIN") as copy:
        for batch in table.to_batches(max_chunksize=10_000):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                copy.write_row(row)
    cursor.execute(f"UPDATE {relation} SET vto = 'infinity' WHERE vto IS NULL")
    cursor.execute(f"ANALYZE {relation}")


def _sql_type(arrow: str) -> str:
    if arrow.startswith("timestamp"):
        return "TIMESTAMPTZ"
    return "TEXT[]" if arrow.startswith("list") else _TYPES[arrow]
