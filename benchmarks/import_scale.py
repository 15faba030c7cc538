"""A history that goes in: `watchtower import` of ever more events, its speed and its memory.

    python -m benchmarks.import_scale [--events 1000000,10000000] [--rules 4]

The events are those of benchmarks/backtest_scale.py, under the first few of its rules, into an embedded PostgreSQL in a
folder that goes with the run (about 2 GB for a million events). Journal, fold, versions and rules, one transaction a
batch. Peak memory is that of the importing process; the server's is bounded by its settings. The peer, in the same run,
is DuckDB reading the lines; what COPY would take stands in benchmarks/ingest.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import yaml

from benchmarks.backtest_scale import generate, resident
from benchmarks.figures import arguments, figure
from benchmarks.full_evaluation_rules import BOOK


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", default="1000000,10000000")
    parser.add_argument("--rules", type=int, default=4)
    options = parser.parse_args()
    for count in map(int, options.events.split(",")):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            book, events, data = (Path(folder) / name for name in ("deals.yaml", "events.jsonl", "data"))
            book.write_text(yaml.safe_dump(BOOK | {"rules": BOOK["rules"][: options.rules]}))
            generate(events, count)
            began = time.perf_counter()
            with duckdb.connect() as peer:
                columns = "{subject: 'VARCHAR', data: 'JSON'}"
                read = f"read_json('{events}', format='newline_delimited', columns={columns})"
                peer.execute(f"SELECT data->>'$.fields.stage', count(*) FROM {read} GROUP BY 1").fetchall()
            reading = time.perf_counter() - began
            command = [sys.executable, "-m", "watchtower.cli.main", "import", str(events), "--rulebook", str(book)]
            seconds, peak, answer = imported([*command, "--data", str(data), "--json"])
            size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) / 1e9
        figure(
            f"import of {count:,} events", count / seconds, "events a second", peer="DuckDB reading the lines",
            of_peer=reading / seconds, bound=True,
        )  # fmt: skip
        figure(f"import of {count:,} events, peak memory", peak, "MB", better="lower")
        print(
            f"{count:>11,} events, {options.rules} rules: {answer['accepted']:,} in, {seconds:,.0f} s, "
            f"{count / seconds:,.0f} events/s, peak {peak:,.0f} MB, {size:.1f} GB on disk; DuckDB alone reads them in "
            f"{reading:.1f} s ({seconds / reading:.0f} times)",
            flush=True,
        )


def imported(command: list[str]) -> tuple[float, float, dict[str, int]]:
    """Seconds, the peak of the process's memory in MB, and what it answered."""
    peak, began = 0, time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"TERM": "dumb"}
    )
    assert process.stdout is not None
    ended = threading.Event()
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        ended.wait(0.5)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - began, peak / 1024, json.load(process.stdout)


if __name__ == "__main__":
    main()
