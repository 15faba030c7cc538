"""How fast events go in, beside PostgreSQL's own COPY of the same rows in the same run.

    python -m benchmarks.ingest [PATH OF bpic2012_loan.parquet] [--events 50000] [--batches 100,5000]

journal     `journal.append` alone: checked, hashed, numbered, once per source and id
door        `intake.take`: journal, records and versions, four rules, alerts; one transaction a batch, with the clock
            at the batch's last event, so that what falls due opens as it would have then. As `watchtower import` and
            callers of the API do, the next batch is made ready (checked, hashed) in a thread meanwhile, which counts.
COPY        the journal's rows by COPY into a temporary table and from there by INSERT ... ON CONFLICT DO NOTHING: the
            fastest way that keeps the journal's promise. It is given finished rows, hashes included; the others events.

The three take turns, batch by batch, so that the growing table and the load of the machine weigh on all alike. Beside
the time stands that of the processors, of this process and of the server's (Linux): on a machine with other work the
ratio of times says little, for what could run at the same time does not. The
events are those of a bank's loan log (see examples/bpic2012), each under a source of its own for each way.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from benchmarks.bpic2012 import EXAMPLE, LOG
from benchmarks.figures import arguments, figure
from watchtower.connectors import load_mapping, open_source
from watchtower.contract import Event, format_time
from watchtower.flow.apply import Engine
from watchtower.flow.intake import Sent, ready, take
from watchtower.memory import collect_seldom
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import read_settings
from watchtower.store.database import connect, migrate
from watchtower.store.journal import append
from watchtower.store.journal_rows import body_hash

COLUMNS = "source, id, type, object, record, time, received_at, data, body_hash, layer"


def read(log: Path, count: int) -> list[Event]:
    """The first `count` events, in order of time."""
    found: list[Event] = []
    for batch in open_source(log, load_mapping(EXAMPLE / "mapping.yaml")).batches():
        found.extend(batch.events)
    return sorted(found, key=lambda event: event.time)[:count]


def finished(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    """The journal's rows, as COPY takes them."""
    return [
        (e.source, e.id, e.type, e.object, e.record_id, format_time(e.time), format_time(e.time), json.dumps(e.data),
         body_hash(e), "core")
        for e in events
    ]  # fmt: skip


def by_copy(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    conn.execute(text("create temp table given (like journal) on commit drop"))
    conn.execute(text("alter table given alter seq drop not null"))
    with conn.connection.cursor().copy(f"copy given ({COLUMNS}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    conn.execute(text(f"insert into journal ({COLUMNS}) select {COLUMNS} from given on conflict do nothing"))


def computed(process: int) -> float:
    """Seconds of processor time that the main thread of a process has taken; 0 where nobody says (not Linux)."""
    said = Path(f"/proc/{process}/schedstat")
    return int(said.read_text().split()[0]) / 1e9 if said.exists() else 0.0


def measure(log: Path, count: int, batch: int) -> None:
    engine = Engine.of(compile_rulebook(load(EXAMPLE / "rulebook")))
    found = read(log, count)
    given = {name: [msgspec.structs.replace(e, source=name) for e in found] for name in ("copy", "journal", "door")}
    rows = finished(given["copy"])
    spent = dict.fromkeys(given, 0.0)
    here, there = dict(spent), dict(spent)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        database = connect(read_settings(data=Path(folder) / "data", database_url=None))
        migrate(database)

        def timed(name: str, run: Callable[[Connection], object], meanwhile: Sequence[Event] = ()) -> list[Sent]:
            """`meanwhile`: events that are made ready in a thread, until both are done."""
            with database.begin() as conn:
                server: int = conn.execute(text("select pg_backend_pid()")).scalar_one()
            begun, mine, its = time.perf_counter(), time.process_time(), computed(server)
            coming = beside.submit(ready, engine, meanwhile) if meanwhile else None
            with database.begin() as conn:
                run(conn)
            made = coming.result() if coming is not None else []
            spent[name] += time.perf_counter() - begun
            here[name] += time.process_time() - mine
            there[name] += computed(server) - its
            return made

        coming = timed("door", lambda conn: None, given["door"][:batch])
        for at in range(0, len(found), batch):
            part, then = slice(at, at + batch), slice(at + batch, at + 2 * batch)
            now: datetime = found[part][-1].time
            timed("copy", lambda conn, part=part: by_copy(conn, rows[part]))  # type: ignore[misc]
            timed("journal", lambda conn, part=part, now=now: append(  # type: ignore[misc]
                conn, given["journal"][part], layer="core", received_at=now))  # fmt: skip
            coming = timed("door", lambda conn, sent=coming, now=now: take(  # type: ignore[misc]
                conn, engine, sent, now), given["door"][then])  # fmt: skip
        with database.begin() as conn:
            alerts = conn.execute(text("select count(*) from alert")).scalar_one()
        database.close()
    print(f"batches of {batch}, {len(found):,} events, {len(engine.rules)} rules, {alerts:,} alerts")
    for name, what, aim in (("journal", "the journal alone", 0.7), ("door", "with fold, rules and alerts", 0.5)):
        share = spent["copy"] / spent[name]
        figure(
            f"events in, batches of {batch}, {what}",
            share,
            aim=aim,
            peer="COPY of the same rows",
            of_peer=share,
        )
    for name, seconds in spent.items():
        used, least = here[name] + there[name], here["copy"] + there["copy"]
        mine, its = (total[name] / len(found) * 1e6 for total in (here, there))
        print(
            f"  {name:<8}{len(found) / seconds:>9,.0f} events/s  {spent['copy'] / seconds:.2f} of COPY; of processors, "
            f"an event: {mine:.1f} us here, {its:.1f} us of the server, {least / used:.2f} of COPY"
        )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("log", type=Path, nargs="?", default=LOG)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batches", default="100,5000")
    options = parser.parse_args()
    collect_seldom()
    if not options.log.exists():
        sys.exit(f"{options.log} is not there; name the log as the first argument")
    for batch in options.batches.split(","):
        measure(options.log, options.events, int(batch))


if __name__ == "__main__":
    main()
