"""Tables and views of a database as objects: `from: crm.accounts` is one, its columns are the properties.

Rows are read in order of `updated_at`, then of `id`, a page at a time, and next time from there on. A row with a
`deleted_at` is gone; rows that were deleted outright are found by `watchtower sync --full`.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from watchtower.contract import format_time
from watchtower.contract.system import Asked, Change, Cursor, Gone, Pulled, Seen, Tokens
from watchtower.store.tables import Row, Tables

PAGE = 2_000
OVERLAP = timedelta(minutes=1)
"""A transaction may be committed a little after the time that it wrote into its rows."""


class Sql:
    """Reading a database's tables."""

    def __init__(self, credentials: Mapping[str, str], tokens: Tokens | None = None) -> None:
        self._tables = Tables(credentials["URL"])

    def close(self) -> None:
        self._tables.close()

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """Each table's rows after those of the last round. The cursor holds, for each, the last (updated_at, id)."""
        read: Cursor = dict(cursor)
        for name, columns in asked.objects.items():
            after = self._begin(read.get(name))
            fresh = name not in cursor
            while True:
                rows = list(self._tables.rows(name, columns, after, PAGE))
                if rows:
                    after = (format_time(rows[-1].changed), rows[-1].id)
                    read[name] = list(after)
                last = len(rows) < PAGE
                whole = (name,) if last and fresh else ()
                yield Pulled(changes=tuple(_change(name, columns, row) for row in rows), cursor=dict(read), whole=whole)
                if last:
                    break

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """Which of these rows are still there. SystemFault."""
        return self._tables.there(object, ids)

    def _begin(self, last: Any) -> tuple[str, Any] | None:
        """A little before the last row: what was committed late is behind it."""
        if last is None:
            return None
        return format_time(datetime.fromisoformat(last[0]) - OVERLAP), "" if isinstance(last[1], str) else 0


def _change(name: str, columns: Sequence[str], row: Row) -> Change:
    if row.deleted is not None:
        return Gone(object=name, id=str(row.id), at=max(row.deleted, row.changed))
    properties = {column: _plain(row.values[column]) for column in columns}
    return Seen(object=name, id=str(row.id), at=row.changed, properties=properties)


def _plain(value: Any) -> Any:
    """A column's value as JSON has it; a time without offset is UTC."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else f"{value.isoformat()}+00:00"
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool | list | dict):
        return value
    return str(value)
