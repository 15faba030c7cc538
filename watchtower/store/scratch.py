"""Where a replay writes: empty copies of all tables in PostgreSQL's temporary schema, and the rows of both compared.

Temporary tables belong to one connection and end with it, however it ends; nobody else sees them or waits for them.
The search path names nothing else, so that a statement cannot reach the live tables by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
from sqlalchemy import Connection, text

from watchtower.contract import Event, format_time
from watchtower.store.database import Database
from watchtower.store.schema import metadata


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the journal, byte for byte: `data` as JSON text, `hash` in hexadecimal digits."""

    seq: int
    source: str
    id: str
    type: str
    object: str
    record: str
    time: datetime
    received_at: datetime
    data: str
    hash: str
    layer: str
    txn: int | None

    @property
    def event(self) -> Event:
        return Event(
            id=self.id, source=self.source, type=self.type, subject=f"{self.object}/{self.record}", time=self.time,
            data=msgspec.json.decode(self.data),
        )  # fmt: skip


_PLACE = text("select relnamespace::regnamespace::text from pg_class where oid = 'journal'::regclass")
_ENTRIES = text(
    "select seq, source, id, type, object, record, time, received_at, data::text as data, "
    "encode(body_hash, 'hex') as hash, layer, txn from journal where seq > :after and seq <= :until "
    "order by seq limit :limit"
)
_PUT = text(
    """
    insert into journal (seq, source, id, type, object, record, time, received_at, data, body_hash, layer, txn)
    overriding system value
    select seq, source, id, type, object, record, time, received_at, cast(data as jsonb), decode(hash, 'hex'), layer,
      txn
    from json_to_recordset(cast(:rows as json)) as given(
      seq bigint, source text, id text, type text, object text, record text, time timestamptz,
      received_at timestamptz, data text, hash text, layer text, txn bigint)
    """
)
_CUT = text("delete from journal where seq > :after")
_NEXT = text("select setval(pg_get_serial_sequence('journal', 'seq'), :seq, false)")
_ACTS = text(
    "select (select count(*) from action where actor <> 'watchtower'), (select count(*) from journal "
    "where layer = 'decision' and type like 'alert.%' and source like 'person:%'), "
    "(select coalesce(max(seq), 0) from journal where txn is null)"
)


@contextmanager
def scratch(database: Database) -> Iterator[Connection]:
    """A connection whose tables are empty, private and temporary. It takes none of the locks that the live tower uses.

    StoreError where the user may not make temporary tables.
    """
    with database.explained(), database.engine.connect() as connection:
        try:
            _furnish(connection)
            yield connection
        finally:
            connection.invalidate()  # never back into the pool: the tables go with the connection


def _furnish(connection: Connection) -> None:
    """Empty copies of all tables, the only ones that this connection sees from here on."""
    connection.exec_driver_sql("set temp_buffers = '64MB'")
    place = connection.execute(_PLACE).scalar_one()
    for table in metadata.sorted_tables:
        connection.exec_driver_sql(f'create temp table "{table.name}" (like {place}."{table.name}" including all)')
    connection.exec_driver_sql("set search_path = pg_temp")
    connection.commit()
    connection.execution_options(watchtower_alone=True)


def hold_clock(conn: Connection, held: bool) -> None:
    """What `turns.import_under_way` answers on this connection from now on."""
    conn.execution_options(watchtower_held=held)


def entries(conn: Connection, after: int, until: int, limit: int) -> list[Entry]:
    """The next `limit` entries with after < seq <= until."""
    rows = conn.execute(_ENTRIES, {"after": after, "until": until, "limit": limit}).mappings()
    return [Entry(**row) for row in rows]


def put(conn: Connection, rows: Sequence[Entry]) -> None:
    """Write entries as they are, under their own numbers."""
    if rows:
        given = [
            {**msgspec.structs.asdict(row), "time": format_time(row.time), "received_at": format_time(row.received_at)}
            for row in rows
        ]
        conn.execute(_PUT, {"rows": msgspec.json.encode(given).decode()})


def cut(conn: Connection, after: int) -> None:
    """Forget the entries after this number."""
    conn.execute(_CUT, {"after": after})


def number_from(conn: Connection, seq: int) -> None:
    """The next entry gets this number."""
    conn.execute(_NEXT, {"seq": seq})


def analyze(conn: Connection) -> None:
    """Tell the planner how large the tables are: nobody else does so for temporary ones."""
    for table in metadata.sorted_tables:
        conn.exec_driver_sql(f'analyze "{table.name}"')


def patient(conn: Connection) -> None:
    """This transaction may stand idle for as long as it takes."""
    conn.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")


def unjournalled(conn: Connection) -> tuple[int, int]:
    """What an earlier version left out: acts of people without an entry, and the last entry without a transaction."""
    acts, entries_, last = conn.execute(_ACTS).one()
    return max(0, acts - entries_), last


_AT = "to_char({} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
_KEYS: dict[str, tuple[str, ...]] = {
    "record": ("object", "id"),
    "version": ("object", "id", _AT.format("valid_from")),
    "link": ("target_object", "target", "object", "ref", "record"),
    "document": ("object", "record", "id"),
    "request": ("id",),
    "proposal": ("id",),
    "signal": ("id",),
    "merge_proposal": ("id",),
    "merge": ("id",),
    "span": ("rule", "object", "record", "state", _AT.format("since")),
    "alert": ("id",),
    "action": ("alert", "to_char(row_number() over (partition by alert order by seq), 'FM00000000')"),
    "rulebook": ("version",),
    "activation": ("to_char(row_number() over (order by seq), 'FM00000000')",),
}
REBUILT = tuple(_KEYS)
"""The tables that follow from the journal."""

Line = tuple[tuple[str, ...], str]
"""A row's key, and the row as JSON text. `seq`, which counts attempts too, is left out."""


def lines(conn: Connection, table: str) -> Iterator[Line]:
    """The rows of a table in the order of their keys (by code points), fetched piece by piece."""
    keys = _KEYS[table]
    named = ", ".join(f"{key} as k{n}" for n, key in enumerate(keys))
    order = ", ".join(f'k{n} collate "C"' for n in range(len(keys)))
    sql = text(
        f"select * from (select {named}, (to_jsonb(t) - 'seq')::text as line from {table} t) as keyed order by {order}"
    )
    found = conn.execute(sql, execution_options={"stream_results": True, "yield_per": 2_000})
    return ((tuple(row[:-1]), row[-1]) for row in found)
