"""Rows into a table by COPY, as text: the lines are made here and handed over in pieces.

The driver's own way, a call for each row and a dumper for each value, takes three times as long, and all values here
are texts already. Source: PostgreSQL manual, COPY, "Text Format".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

NULL = "\\N"
PIECE = 1 << 16
"""Characters that are handed over at once, about."""

_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def joined(*values: str) -> str:
    """The values of a row, or some of them, with tabs between them. Most need no escape: one look tells for all."""
    line = "\t".join(values)
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") != len(values) - 1:
        return "\t".join(value.translate(_ESCAPED) for value in values)
    return line


def json_value(encoded: bytes) -> str:
    """A value of JSON as it is encoded, without a raw control character: a backslash is all there is to escape."""
    return encoded.decode().replace("\\", "\\\\")


def copy(conn: Connection, statement: str, lines: Iterable[str]) -> None:
    """Lines without their ends, each the values of a row with tabs between them."""
    driver: Any = conn.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as into:
        waiting: list[str] = []
        size = 0
        for line in lines:
            waiting.append(line)
            size += len(line)
            if size > PIECE:
                waiting.append("")
                into.write("\n".join(waiting))
                waiting.clear()
                size = 0
        if waiting:
            waiting.append("")
            into.write("\n".join(waiting))
