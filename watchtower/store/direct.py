"""Statements of the hot path, handed to the driver itself, which saves a tenth of a millisecond each; and several at
once, where none needs the answer to another.

Source: libpq's pipeline mode. The server takes them one after the other, each with its own look at the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, TextClause

Send = Callable[[TextClause | str, Mapping[str, Any]], Any]
BEFORE = "watchtower_before"
"""Under this name a connection has what is called, with it, before statements are sent past SQLAlchemy."""
_COMPILED: dict[TextClause, str] = {}


def ask(conn: Connection, statement: TextClause, values: Mapping[str, Any]) -> Any:
    """A cursor with the answer. psycopg.Error where it fails."""
    _prepare(conn)
    driver: Any = conn.connection.driver_connection
    return driver.cursor().execute(_written(conn, statement), values)


@contextmanager
def piped(conn: Connection) -> Iterator[Send]:
    """Within the block statements are sent, each for a cursor; after it the cursors have their rows.

    Nothing else may be asked of the connection within it. psycopg.Error where a statement fails: those after it are
    not carried out.
    """
    _prepare(conn)
    driver: Any = conn.connection.driver_connection

    def send(statement: TextClause | str, values: Mapping[str, Any]) -> Any:
        return driver.cursor().execute(_written(conn, statement), values)

    with driver.pipeline():
        yield send


def _prepare(conn: Connection) -> None:
    before = conn.info.get(BEFORE)
    if before is not None:
        before(conn)


def _written(conn: Connection, statement: TextClause | str) -> str:
    """As the driver reads it: `%(name)s` for each parameter."""
    if isinstance(statement, str):
        return statement
    if statement not in _COMPILED:
        _COMPILED[statement] = str(statement.compile(dialect=conn.dialect))
    return _COMPILED[statement]
