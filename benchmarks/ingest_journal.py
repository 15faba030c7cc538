"""How fast the journal takes events, beside PostgreSQL's own COPY of the same rows in the same run.

    python benchmarks/ingest_journal.py [--events 50000] [--batch 5000]

COPY goes to a temporary table and from there by INSERT ... ON CONFLICT DO NOTHING: the fastest way that keeps
the journal's promise (once per source and id). It is given finished rows, hashes included; `append` is given
events.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from watchtower.contract import Event, format_time
from watchtower.settings import read_settings
from watchtower.store.database import connect, migrate
from watchtower.store.journal import append, body_hash

START = datetime(2026, 1, 1, tzinfo=UTC)


def events(count: int, source: str) -> list[Event]:
    """`count` updates of opportunities, of about 200 bytes."""
    return [
        Event(
            id=f"e{n}",
            source=source,
            type="record.updated",
            subject=f"opportunity/O-{n % 9973}",
            time=START + timedelta(seconds=n),
            data={"fields": {"stage": "proposal", "amount": 1000 + n, "owner": f"u{n % 17}", "closed_at": None}},
        )
        for n in range(count)
    ]


def by_copy(conn: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    conn.execute(text("create temp table given (like journal) on commit drop"))
    cursor = conn.connection.cursor()
    columns = "source, id, type, object, record, time, received_at, data, body_hash, layer"
    conn.execute(text("alter table given alter seq drop not null"))
    with cursor.copy(f"copy given ({columns}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    conn.execute(text(f"insert into journal ({columns}) select {columns} from given on conflict do nothing"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = connect(read_settings(data=Path(folder) / "data", database_url=None))
        migrate(database)
        ours, theirs = events(options.events, "ours"), events(options.events, "theirs")
        rows = [
            (e.source, e.id, e.type, e.object, e.record_id, format_time(e.time), START, json.dumps(e.data),
             body_hash(e), "core")
            for e in theirs
        ]  # fmt: skip
        spent = {"append": 0.0, "copy": 0.0}
        for at in range(0, options.events, options.batch):
            # In turns, so that the growing table weighs on both alike.
            begun = time.perf_counter()
            with database.begin() as conn:
                append(conn, ours[at : at + options.batch], layer="core", received_at=START)
            spent["append"] += time.perf_counter() - begun
            begun = time.perf_counter()
            with database.begin() as conn:
                by_copy(conn, rows[at : at + options.batch])
            spent["copy"] += time.perf_counter() - begun
        database.close()
    rate = {name: options.events / seconds for name, seconds in spent.items()}
    print(f"append {rate['append']:,.0f} events/s, COPY + ON CONFLICT {rate['copy']:,.0f} events/s, "
          f"ratio {rate['append'] / rate['copy']:.2f} (batches of {options.batch})")  # fmt: skip


if __name__ == "__main__":
    main()
