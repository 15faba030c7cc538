"""The schema `reporting`: stable views for people's own tools, and a view for each object with its fields as columns.

It is made anew as a whole, in one transaction: after an upgrade, and after a rulebook that changes fields. Values of
metrics are kept in a table of it, which outlives that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from sqlalchemy import text

from watchtower.errors import StoreError
from watchtower.rulebook.model import FieldModel, ObjectModel
from watchtower.store.database import Connection

SCHEMA = "reporting"
PREFIX = "object_"
"""Before the name of an object, as its view's: no object's name can meet that of another view."""
DDL = (Path(__file__).parent / "reporting.sql").read_text(encoding="utf-8")
CASTS = {
    "integer": "bigint", "number": "double precision", "money": "numeric", "boolean": "boolean",
    "timestamp": "timestamptz", "date": "date", "list": "jsonb",
}  # fmt: skip
"""Of the types of fields; the others are text."""

_DAY = r"^\d{4}-\d\d-\d\d"
"""How a time or a date begins, as the fold writes it."""
_VIEWS = text(
    "select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where nspname = 'reporting' "
    "and relkind = 'v'"
)
_KEEP = text(
    """
    insert into reporting.metrics
    select * from json_populate_recordset(null::reporting.metrics, cast(:rows as json))
    on conflict (period_start, period_end, metric, part) do update set value = excluded.value, cases = excluded.cases,
      low = excluded.low, high = excluded.high, target = excluded.target, unit = excluded.unit, owner = excluded.owner,
      rulebook = excluded.rulebook, measured_at = excluded.measured_at
    """
)


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over [period_start, period_end)."""

    period_start: datetime
    period_end: datetime
    metric: str
    part: str
    value: float | None
    cases: int
    low: float | None
    high: float | None
    target: float | None
    unit: str
    owner: str
    rulebook: str
    measured_at: datetime


def install(conn: Connection, objects: Mapping[str, ObjectModel], viewer: str | None) -> list[str]:
    """Make the views anew; `viewer` is the role that reads them, where there is such a role. The views' names.

    StoreError where this user may not, or does not own what is there.
    """
    raw = conn.connection.driver_connection
    assert raw is not None
    try:
        raw.execute("create schema if not exists reporting")
        for name in conn.execute(_VIEWS).scalars().all():
            raw.execute(sql.SQL("drop view if exists reporting.{} cascade").format(sql.Identifier(name)))
        raw.execute(DDL)
        for name, model in objects.items():
            raw.execute(object_view(name, model))
        if viewer is not None and raw.execute("select 1 from pg_roles where rolname = %s", [viewer]).fetchone():
            role = sql.Identifier(viewer)
            raw.execute(sql.SQL("grant usage on schema reporting to {}").format(role))
            raw.execute(sql.SQL("grant select on all tables in schema reporting to {}").format(role))
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"reporting: this user may not make it ({str(error).splitlines()[0]})",
            remedy="Run it as the role that owns the tables; or let the owner of the schema drop it first.",
        ) from error
    return sorted(conn.execute(_VIEWS).scalars().all())


def object_view(name: str, model: ObjectModel) -> sql.Composed:
    """`reporting.object_lead`: a row for each living record, a column for each declared field."""
    columns: list[sql.Composable] = [
        sql.SQL("object || '/' || id as record"),
        sql.SQL("id"),
        sql.SQL("created_at"),
        sql.SQL("changed_at"),
    ]
    taken = {"record", "id", "created_at", "changed_at"}
    for key, spec in model.fields.items():
        alias = f"field_{key}" if key in taken else key
        columns.append(sql.SQL("{} as {}").format(_value(key, spec), sql.Identifier(alias)))
    return sql.SQL("create view reporting.{} as select {} from record where object = {} and deleted_at is null").format(
        sql.Identifier(PREFIX + name), sql.SQL(", ").join(columns), sql.Literal(name)
    )


def _value(key: str, spec: FieldModel) -> sql.Composed:
    """A field's value in its type. Stored values are as the fold parsed them; what another type left is null."""
    raw = sql.SQL("(state -> {})").format(sql.Literal(key))
    words = sql.SQL("(state ->> {})").format(sql.Literal(key))
    if spec.personal:
        return sql.SQL("case when {} is not null then '(sealed)' end").format(words)
    cast = CASTS.get(spec.type)
    if cast is None:
        return words
    if cast == "jsonb":
        return sql.SQL("nullif({}, 'null')").format(raw)
    kind = {"bigint": "number", "double precision": "number", "numeric": "number", "boolean": "boolean"}.get(cast)
    if kind is not None:
        # `case` keeps the cast from what is of another type, left by an earlier rulebook.
        typed = sql.SQL("case when jsonb_typeof({}) = {} then {}::" + cast + " end")
        return typed.format(raw, sql.Literal(kind), words)
    return sql.SQL("case when {} ~ {} then {}::" + cast + " end").format(words, sql.Literal(_DAY), words)


def keep_metrics(conn: Connection, rows: Sequence[MetricRow]) -> None:
    """Keep values; one that is there is replaced."""
    if rows:
        conn.execute(_KEEP, {"rows": msgspec.json.encode(rows).decode()})


def columns(conn: Connection) -> dict[str, list[str]]:
    """The columns of each view and table of the schema, in order."""
    found: dict[str, list[str]] = {}
    rows: Any = conn.execute(
        text(
            "select table_name, column_name from information_schema.columns where table_schema = 'reporting' "
            "order by table_name, ordinal_position"
        )
    )
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found
