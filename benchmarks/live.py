"""The live service on the embedded PostgreSQL: a batch of 100 events, and a tick with nothing due.

    python -m benchmarks.live [--batches 40] [--records 1000000]

A batch is 100 events on 100 deals under the fifty rules of benchmarks/full_evaluation_rules.py, through the one door
(`intake.take`), in one transaction; the median of the batches, split into the journal, the fold (records and versions
read and written), the rules' evaluation, and settling what is due. Of the evaluation: the rules' query, the kept spans
read; the rest is comparing them and writing what changed.

The tick is `settle` in a transaction of its own, after the batches, with nothing left to do. For more records the
deals, their versions, spans and alerts are copied under new names, all columns as the door wrote them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from benchmarks.figures import arguments, figure
from benchmarks.full_evaluation import program
from watchtower.contract import Event, format_time
from watchtower.flow import apply, intake, settle
from watchtower.settings import read_settings
from watchtower.store import spans as span_store
from watchtower.store.database import Database, connect, migrate

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
PARTS = (
    (intake.journal, "append", "journal"), (apply.records, "stored", "fold"), (apply.records, "write", "fold"),
    (apply.ObjectFold, "versions", "fold"), (apply, "evaluate", "evaluate"),
    (span_store, "evaluate", "  query"), (intake, "settle", "settle"),
)  # fmt: skip


@contextmanager
def stopwatch(spent: dict[str, float]) -> Iterator[None]:
    """Adds up the seconds spent in each of the PARTS."""
    before = [getattr(owner, name) for owner, name, _ in PARTS]

    def timed(run: Any, part: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return run(*given, **named)
            finally:
                spent[part] += time.perf_counter() - began

        return call

    for (owner, name, part), run in zip(PARTS, before, strict=True):
        setattr(owner, name, timed(run, part))
    try:
        yield
    finally:
        for (owner, name, _), run in zip(PARTS, before, strict=True):
            setattr(owner, name, run)


def fields(rng: Random, at: datetime) -> dict[str, Any]:
    """A deal as a CRM sends it."""
    return {
        "account": f"A-{rng.randrange(1000)}",
        "stage": rng.choice(("discovery", "proposal", "negotiation", "won", "lost")),
        "region": rng.choice(("emea", "amer", "apac", "latam")),
        "source": rng.choice(("web", "partner", "event")),
        "owner": rng.choice((None, "Elena", "Marco", "Giulia", "Nadia")),
        "amount": rng.choice((None, 4_000, 25_000, 90_000)),
        "discount": rng.choice((None, 0, 20, 35)),
        "approver": rng.choice((None, None, "cfo")),
        "calls": rng.randrange(8),
        "next_step_at": format_time(at + timedelta(days=rng.randrange(60))),
        "last_activity_at": format_time(at - timedelta(days=rng.randrange(20))),
        "close_on": str((at + timedelta(days=rng.randrange(200))).date()),
    }


def event(rng: Random, number: int, subject: str, at: datetime, said: dict[str, Any]) -> Event:
    return Event(id=f"e{number}", source="crm", type="record.updated", subject=subject, time=at, data={"fields": said})


def batches(database: Database, engine: apply.Engine, count: int) -> None:
    rng, number, at = Random(1), 0, NOW - timedelta(days=90)
    accounts = []
    for n in range(1000):
        number += 1
        said = {"segment": rng.choice(("smb", "mid", "enterprise")), "employees": rng.randrange(2000)}
        accounts.append(event(rng, number, f"account/A-{n}", at, said))
    first = [event(rng, number + n, f"deal/D-{n}", at, fields(rng, at)) for n in range(10_000)]
    number += len(first)
    with database.begin() as conn:
        intake.take(conn, engine, accounts, NOW)
    for start in range(0, len(first), 1000):
        with database.begin() as conn:
            intake.take(conn, engine, first[start : start + 1000], NOW)
    with database.engine.connect() as conn:
        conn.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze"))
    took: dict[str, list[float]] = defaultdict(list)
    for n in range(count):
        when = at + timedelta(days=1 + n)
        events = []
        for record in rng.sample(range(10_000), 100):
            number += 1
            said = rng.choices(list(fields(rng, when).items()), k=3)
            events.append(event(rng, number, f"deal/D-{record}", when, dict(said)))
        spent: dict[str, float] = defaultdict(float)
        began = time.perf_counter()
        with stopwatch(spent), database.begin() as conn:
            intake.take(conn, engine, events, NOW)
        spent["  the rest"] = spent["evaluate"] - spent["  query"] - spent["  kept spans"]
        spent["whole"] = time.perf_counter() - began
        for part, seconds in spent.items():
            took[part].append(seconds * 1000)
    figure(
        "evaluation of a batch of 100 events under 50 rules", statistics.median(took["evaluate"]), "ms",
        better="lower", aim=10,
    )  # fmt: skip
    print(f"a batch of 100 events on 100 of 10,000 deals, {len(engine.rules)} rules, {count} batches: median (best) ms")
    for part in ("whole", "journal", "fold", "evaluate", "  query", "  kept spans", "  the rest", "settle"):
        print(f"  {part:<14}{statistics.median(took[part]):8.1f} ({min(took[part]):.1f})")


_COPIES = (
    "insert into record select object, id || '.' || k, state, provenance, created_at, changed_at, deleted_at "
    "from record",
    "insert into version select object, id || '.' || k, valid_from, valid_to, state from version",
    "insert into span select rule, object, record || '.' || k, state, since, until, opens_at, opened, closed from span",
    "insert into alert select id || '.' || k, {alert} from alert",
)


def copy(database: Database, copies: int) -> None:
    """Every deal once more, `copies` times."""
    with database.begin() as conn:
        listed = "select string_agg(column_name, ', ' order by ordinal_position) from information_schema.columns "
        alert = conn.execute(text(listed + "where table_name = 'alert' and column_name <> 'id'")).scalar_one()
        named = alert.replace("record", "record || '.' || k")
        conn.execute(text("set local statement_timeout = 0"))
        for statement in _COPIES:
            mine = statement.format(alert=named)
            conn.execute(text(f"{mine} cross join generate_series(1, {copies}) as g(k) where object = 'deal'"))
    with database.engine.connect() as conn:
        conn.execution_options(isolation_level="AUTOCOMMIT").execute(text("vacuum analyze"))


def ticks(database: Database, engine: apply.Engine, runs: int = 200) -> None:
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        with database.begin() as conn:
            done = settle.settle(conn, engine, NOW)
        took.append((time.perf_counter() - began) * 1000)
        assert done == settle.Settled(), done
    with database.begin() as conn:
        counts = [
            conn.execute(text(f"select count(*) from {table}")).scalar_one() for table in ("record", "span", "alert")
        ]
    figure(f"a tick with nothing due, {counts[0]:,} records", statistics.median(took), "ms", better="lower", aim=5)
    print(
        "a tick with nothing due, {:,} records, {:,} spans, {:,} alerts: ".format(*counts)
        + f"median {statistics.median(took):.1f} ms, the slowest of {runs} {max(took):.1f} ms"
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--records", type=int, default=1_000_000, help="for the second tick, in tens of thousands")
    options = parser.parse_args()
    book = program()
    with tempfile.TemporaryDirectory() as folder:
        database = connect(read_settings(data=Path(folder) / "data", database_url=None))
        migrate(database)
        engine = apply.Engine.of(book)
        batches(database, engine, options.batches)
        ticks(database, engine)
        copy(database, options.records // 10_000 - 1)
        ticks(database, engine)
        database.close()


if __name__ == "__main__":
    main()
