"""A backtest of a year and of fifty rules, over histories that grow: seconds, events a second, and peak memory.

    python -m benchmarks.backtest_scale [--events 1000000,2500000,10000000]

A tenth as many deals as events, and a hundredth as many accounts; each event sets some fields of one, as a CRM sends
them, in order of time over 2025. They are written to a JSONL file first, which is not counted. Then `rules backtest
--json` runs in a process of its own, with its answer sent to a file. Peak memory is the largest of the processes that
fold (of which there are as many as cores), and that of the whole where the system tells (cgroup or /proc).

The peer, in the same run: DuckDB alone on the same file, which parses the lines and counts the deals by stage; no fold,
no rules. It is what reading costs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
import msgspec
import yaml

from benchmarks.figures import arguments, figure
from benchmarks.full_evaluation_rules import BOOK
from benchmarks.live import fields
from watchtower.contract import format_time

START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
SEGMENTS = ("smb", "mid", "enterprise")


def generate(path: Path, count: int) -> None:
    rng, encode = Random(7), msgspec.json.encode
    deals, accounts = max(count // 10, 1), max(count // 100, 1)
    with path.open("wb") as file:
        for n in range(count):
            at = START + YEAR * (n / count)
            if n < accounts or rng.random() < 0.02:
                subject = f"account/A-{n % accounts}"
                said = {"segment": rng.choice(SEGMENTS), "employees": rng.randrange(2000)}
            else:
                subject = f"deal/D-{rng.randrange(deals)}"
                said = dict(rng.sample(list(fields(rng, at).items()), k=4))
                said["account"] = f"A-{rng.randrange(accounts)}" if rng.random() < 0.2 else said.get("account")
                said = {key: value for key, value in said.items() if value is not None}
            event = {
                "specversion": "1.0", "id": f"e{n}", "source": "crm", "type": "record.updated", "subject": subject,
                "time": format_time(at), "data": {"fields": said},
            }  # fmt: skip
            file.write(encode(event) + b"\n")


def resident(pid: int) -> int:
    """Kilobytes of a process and of all its children that are its own (proportional set size)."""
    total, open_ = 0, [pid]
    while open_:
        one = open_.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
            open_ += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (OSError, StopIteration, ValueError):
            continue
    return total


def watched(command: list[str], output: Path) -> tuple[float, float]:
    """Seconds, and the peak of resident memory of a process and its children in MB, looked at ten times a second."""
    peak, began = 0, time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
        ended = threading.Event()
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            ended.wait(0.1)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, peak / 1024


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", default="1000000,2500000,10000000")
    options = parser.parse_args()
    for count in map(int, options.events.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            book, events, answer = (Path(folder) / name for name in ("deals.yaml", "events.jsonl", "answer.json"))
            book.write_text(yaml.safe_dump(BOOK))
            generate(events, count)
            window = ["--from", format_time(START), "--to", format_time(START + YEAR)]
            command = [sys.executable, "-m", "watchtower.cli.main", "rules", "backtest", str(book), str(events)]
            seconds, peak = watched([*command, *window, "--json"], answer)
            intervals = sum(line.lstrip().startswith(b'"since"') for line in answer.open("rb"))
            began = time.perf_counter()
            with duckdb.connect() as peer:
                read = (
                    f"read_json('{events}', format='newline_delimited', columns={{subject: 'VARCHAR', data: 'JSON'}})"
                )
                peer.execute(f"SELECT data->>'$.fields.stage', count(*) FROM {read} GROUP BY 1").fetchall()
            reading = time.perf_counter() - began
            size = events.stat().st_size / 1e6
        rules = len(BOOK["rules"])
        figure(
            f"backtest of {count:,} events", count / seconds, "events a second",
            peer="DuckDB reading the lines", of_peer=reading / seconds, bound=True,
        )  # fmt: skip
        figure(f"backtest of {count:,} events, peak memory", peak, "MB", better="lower")
        print(
            f"{count:>11,} events ({size:,.0f} MB), {rules} rules: {seconds:,.0f} s, {count / seconds:,.0f} events/s, "
            f"peak {peak:,.0f} MB, {intervals:,} intervals; DuckDB alone reads it in {reading:.1f} s "
            f"({seconds / reading:.0f} times)",
            flush=True,
        )


if __name__ == "__main__":
    main()
