"""What a scrape of /metrics costs over a large database, beside counting the tables in the same run.

    python -m benchmarks.scrape [--records 1000000] [--standing 20000] [--scrapes 20]

scrape      all of GET /metrics, without what it remembers: every statement is asked anew
counting    count(*) over journal (by layer), record, proposal and outbox: what /metrics did before, and what a custom
            query exporter would do

The database is the embedded one, in a folder of its own. Its tables are filled by SQL, not through the door: a scrape
reads nothing of what an event says.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from benchmarks.figures import arguments, figure
from watchtower.api import exposition
from watchtower.bootstrap import Tower, build
from watchtower.settings import read_settings

FILL = (
    "insert into record (object, id, state, provenance, created_at, changed_at) "
    "select 'lead', 'L' || i, '{\"stage\": \"mql\"}', '{}', now(), now() from generate_series(1, :records) i",
    "insert into journal (source, id, type, object, record, time, received_at, data, body_hash, layer) "
    "select 'crm', 'e' || i, 'record.updated', 'lead', 'L' || i, now(), now(), '{}', '\\x00', 'core' "
    "from generate_series(1, :records) i",
    "insert into alert (id, rule, rulebook, object, record, since, opened_at, status, severity, queue, owner, because, "
    "ai_informed, causes, reads) select 'a' || i, 'r' || i % 40, 'v', 'lead', 'L' || i, now(), now(), "
    "case when i <= :standing then 'open' else 'resolved' end, 'high', 'attention-needed', 'o', 'b', false, '[]', '{}' "
    "from generate_series(1, :records) i",
    "insert into outbox (id, receiver, event, type, ai_informed, rank, state, body, created_at, due_at) "
    "select 'm' || i, 'ops', 'e', 't', false, 1, case when i <= 1000 then 'pending' else 'delivered' end, '{}', now(), "
    "now() from generate_series(1, :records) i",
    "insert into span (rule, object, record, state, since, until, opens_at, opened) select 'r', 'lead', 'L' || i, "
    "'holds', now(), null, now() + interval '1 day', i % 2 = 0 from generate_series(1, :records) i",
)
COUNTS = (
    "select layer, count(*) from journal group by layer",
    "select count(*) from record where deleted_at is null",
    "select status, count(*) from proposal group by status",
    "select receiver, state, count(*) from outbox group by receiver, state",
)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--standing", type=int, default=20_000, help="alerts that stand")
    parser.add_argument("--scrapes", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchtower-bench-", ignore_cleanup_errors=True) as folder:
        with build(read_settings(data=Path(folder), database_url=None)) as tower:
            measured(tower, options.records, options.standing, options.scrapes)


def measured(tower: Tower, records: int, standing: int, scrapes: int) -> None:
    with tower.database.begin() as conn:
        for statement in FILL:
            conn.execute(text(statement), {"records": records, "standing": standing})
    with tower.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        conn.execute(text("vacuum analyze"))
    exposition.FRESH = -1.0
    said = exposition.Exposition(tower)

    def count() -> None:
        with tower.database.read() as conn:
            for statement in COUNTS:
                conn.execute(text(statement)).all()

    ours, theirs = [], []
    for _ in range(scrapes):
        ours.append(_seconds(said.text))
        theirs.append(_seconds(count))
    size = len(said.text())
    mine, counted = statistics.median(ours) * 1000, statistics.median(theirs) * 1000
    figure(
        f"a scrape of /metrics, {records:,} records", mine, "ms", better="lower", peer="counting the tables",
        of_peer=mine / counted,
    )  # fmt: skip
    print(f"{records:,} records, {standing:,} alerts that stand; a scrape says {size:,} bytes")
    print(f"scrape    median {statistics.median(ours) * 1000:8.1f} ms, worst {max(ours) * 1000:8.1f} ms")
    print(f"counting  median {statistics.median(theirs) * 1000:8.1f} ms, worst {max(theirs) * 1000:8.1f} ms")
    print(f"counting / scrape: {statistics.median(theirs) / statistics.median(ours):.1f}")


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
