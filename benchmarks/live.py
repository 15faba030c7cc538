"""What a batch of events costs the live store, part by part, and what the clock costs when nothing is due.

    python benchmarks/live.py [--records 10000,1000000]

50 rules on one object; batches of 100 events on 100 records; ticks on an empty agenda. The records stand in `record`,
`version` and `span` as the real path would have written them, put there by SQL: a million by `take` would take minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import Event
from watchtower.flow import apply
from watchtower.settings import read_settings
from watchtower.store import journal, records, spans

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FILL = """
insert into record (object, id, state, provenance, created_at, changed_at)
select 'deal', 'D' || n, jsonb_build_object('stage', 'open', 'amount', n % 1000, 'owner', 'u' || n % 17,
  'due_at', '2030-01-01T00:00:00.000000Z'), '{}', cast(:at as timestamptz), cast(:at as timestamptz)
from generate_series(cast(:first as integer), cast(:last as integer)) n;
insert into version (object, id, valid_from, state)
select object, id, created_at, state from record where object = 'deal' and id not in (select id from version);
insert into span (rule, object, record, state, since, until, opens_at)
select 'r' || rule, 'deal', 'D' || n, 'holds', timestamptz '2030-01-01' + rule * interval '1 hour', null,
  timestamptz '2030-01-01' + rule * interval '1 hour'
from generate_series(cast(:first as integer), cast(:last as integer)) n, generate_series(0, 4) rule;
"""


def rulebook() -> str:
    """50 rules: comparisons, missing fields, lateness in hours and in months."""
    rules = []
    for n in range(50):
        form = (
            f"stage = 'open' and amount > {n * 20} and owner is null",
            f"stage in ('open', 'offer') and due_at <= now() - interval '{n + 1} hours'",
            f"amount between {n} and {n + 5} or owner = 'u{n}'",
            f"changed_at(stage) <= now() - interval '{n + 24} months' and stage <> 'won'",
            f"coalesce(amount, 0) < {n} and owner like 'u%' and due_at > now() - interval '1 day'",
        )[n % 5]  # fmt: skip
        rules.append({"id": f"r{n}", "object": "deal", "when": form})
    fields = {
        "stage": {"type": "enum", "values": ["open", "offer", "won"]}, "amount": {"type": "money"},
        "owner": {"type": "text"}, "due_at": {"type": "timestamp"},
    }  # fmt: skip
    return json.dumps({"name": "live", "objects": {"deal": {"fields": fields}}, "rules": rules})


def timed(spent: dict[str, float], holder: Any, name: str, label: str) -> None:
    """Add what calls of `holder.name` take to `spent[label]`, in seconds."""
    inner: Callable[..., Any] = getattr(holder, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            spent[label] += time.perf_counter() - begun

    setattr(holder, name, outer)


def batch(number: int) -> list[Event]:
    return [
        Event(
            id=f"b{number}.{n}", source="crm", type="record.updated", subject=f"deal/D{number * 100 + n}",
            time=NOW + timedelta(seconds=number), data={"fields": {"amount": n, "owner": f"v{n % 7}"}},
        )
        for n in range(100)
    ]  # fmt: skip


def measure(tower: Tower, count: int, spent: dict[str, float], *, rounds: int = 30) -> None:
    now = NOW
    tower.clock = lambda: now
    with tower.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("vacuum analyze"))
    for warm in range(5):
        tower.take_events(batch(5000 + warm))
        tower.tick()
    parts: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        now = NOW + timedelta(minutes=1 + number)
        spent.clear()
        begun = time.perf_counter()
        tower.take_events(batch(number))
        parts["whole batch"].append(time.perf_counter() - begun)
        for label, seconds in spent.items():
            parts[label].append(seconds)
        begun = time.perf_counter()
        tower.tick()
        parts["tick, nothing due"].append(time.perf_counter() - begun)
    print(f"{count:,} records, {count * 5:,} spans waiting:")
    for label, seconds in parts.items():
        middle, worst = statistics.median(seconds) * 1000, sorted(seconds)[int(len(seconds) * 0.95)] * 1000
        print(f"  {label:32} median {middle:7.2f} ms   95th {worst:7.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="10000,1000000", help="sizes of the store, rising")
    sizes = [int(size) for size in parser.parse_args().records.split(",")]
    spent: dict[str, float] = defaultdict(float)
    timed(spent, journal, "append", "journal")
    timed(spent, apply, "_fold_record", "fold")
    timed(spent, records, "save", "records and versions")
    timed(spent, spans, "evaluate", "rule evaluation (the query)")
    timed(spent, apply, "evaluate", "rule evaluation, spans kept")
    with tempfile.TemporaryDirectory(prefix="watchtower-live-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "book.yaml"
        path.write_text(rulebook())
        with build(read_settings(data=Path(folder)), rulebook=path, clock=lambda: NOW) as tower:
            have = 0
            for size in sizes:
                with tower.database.begin() as conn:
                    for statement in FILL.strip().rstrip(";").split(";\n"):
                        conn.execute(text(statement), {"first": have, "last": size - 1, "at": NOW - timedelta(days=30)})
                have = size
                measure(tower, size, spent)


if __name__ == "__main__":
    main()
