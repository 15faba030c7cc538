"""Tables and views of other databases, read through SQLAlchemy: rows in order of their last change. Nothing is written.

Each has a column `id`, unique, and a column `updated_at`, the time of the row's last change; where it has `deleted_at`,
a row that is deleted keeps standing with that time. A view gives a table these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import MetaData, Table, and_, create_engine, inspect, or_, select
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from watchtower.errors import SystemFault

ID, CHANGED, DELETED = "id", "updated_at", "deleted_at"
FOLDERS = frozenset({"postgresql", "postgres"})


class Row(NamedTuple):
    """One row. `id` as the database has it, whole number or text; times are aware UTC."""

    id: int | str
    changed: datetime
    deleted: datetime | None
    values: dict[str, Any]


class Tables:
    """One database. SystemFault where it cannot be opened or read; its address, which may hold a password, is not
    told."""

    def __init__(self, address: str) -> None:
        try:
            url = make_url(address)
            if url.drivername in FOLDERS:
                url = url.set(drivername="postgresql+psycopg")
            self._name = url.render_as_string(hide_password=True)
            self._engine: Engine = create_engine(url, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as error:
            known = not isinstance(error, ArgumentError) or isinstance(error, NoSuchModuleError)
            said = f"cannot be opened: {error}" if known else "is no database's address"
            raise SystemFault(
                f"the address {said}", remedy="such as postgresql://USER:PASSWORD@HOST:5432/NAME", refused=True
            ) from None
        self._known: dict[str, Table] = {}

    def close(self) -> None:
        self._engine.dispose()

    def rows(self, name: str, columns: Sequence[str], after: tuple[str, Any] | None, limit: int) -> Iterator[Row]:
        """Rows of a table (`schema.table`) after (updated_at, id), at most so many, in that order."""
        table = self._table(name, columns)
        wanted = [table.c[ID], table.c[CHANGED], *([table.c[DELETED]] if DELETED in table.c else [])]
        wanted += [table.c[column] for column in columns if column not in (ID, CHANGED, DELETED)]
        asked = select(*wanted).order_by(table.c[CHANGED], table.c[ID]).limit(limit)
        if after is not None:
            aware = getattr(table.c[CHANGED].type, "timezone", False)
            moment = datetime.fromisoformat(after[0])
            at = moment if aware else moment.astimezone(UTC).replace(tzinfo=None)
            changed, id_ = table.c[CHANGED], table.c[ID]
            asked = asked.where(or_(changed > at, and_(changed == at, id_ > after[1])))
        else:
            asked = asked.where(table.c[CHANGED].is_not(None))
        for row in self._read(asked):
            values = dict(row)
            deleted = values.get(DELETED)
            yield Row(
                id=values[ID], changed=_moment(values[CHANGED]), deleted=None if deleted is None else _moment(deleted),
                values=values,
            )  # fmt: skip

    def there(self, name: str, ids: Sequence[str]) -> set[str]:
        """Which of these ids a table still has."""
        table = self._table(name, ())
        whole = issubclass(table.c[ID].type.python_type, int)
        given = [int(id_) for id_ in ids if id_.lstrip("-").isdigit()] if whole else list(ids)
        return {str(row[ID]) for row in self._read(select(table.c[ID]).where(table.c[ID].in_(given)))}

    def _read(self, asked: Any) -> list[Any]:
        try:
            with self._engine.connect() as conn:
                if self._engine.dialect.name == "postgresql":
                    conn = conn.execution_options(postgresql_readonly=True)
                return list(conn.execute(asked).mappings())
        except SQLAlchemyError as error:
            raise SystemFault(f"{self._name}: {_first_line(error)}") from None

    def _table(self, name: str, columns: Sequence[str]) -> Table:
        if name not in self._known:
            schema, _, bare = name.rpartition(".")
            try:
                if not inspect(self._engine).has_table(bare, schema=schema or None):
                    raise SystemFault(f"{self._name}: has no table or view {name!r}", refused=True)
                self._known[name] = Table(bare, MetaData(), schema=schema or None, autoload_with=self._engine)
            except SQLAlchemyError as error:
                raise SystemFault(f"{self._name}: {_first_line(error)}") from None
        table = self._known[name]
        missing = [column for column in (ID, CHANGED, *columns) if column not in table.c]
        if missing:
            raise SystemFault(
                f"{self._name}: {name} has no column {', '.join(missing)}; it has: {', '.join(table.c.keys())}",
                remedy=f"make a view with {ID}, {CHANGED} and the columns that the rulebook names", refused=True,
            )  # fmt: skip
        return table


def _moment(value: Any) -> datetime:
    """A time without offset is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise SystemFault(f"{CHANGED}: {value!r:.40} is not a time", refused=True)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _first_line(error: SQLAlchemyError) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
