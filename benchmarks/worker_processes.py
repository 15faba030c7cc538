"""One, two and four `watchtower worker` processes that share the work of one PostgreSQL: what more processes bring.

    python -m benchmarks.worker_processes [--seconds 12] [--slots 8] [--latency 0.4] [--processes 1,2,4] [--rounds 1]

The endpoint is a local HTTP server in a process of its own that answers each call after `--latency`, however many
come: the work is waiting, as with a paid model. Each worker has `--slots` calls at once, so the ideal of k processes is
k times that of one. The clock starts when each worker has answered something (its libraries are loaded) and requests
for about `--seconds` of the ideal are handed down; it stops with the last answer. Counted besides: calls about a record
beyond its first (there may be none), answers to a request beyond its first, and the processor time of the workers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.enrichment_throughput import request
from benchmarks.figures import arguments, figure
from benchmarks.llm_endpoint import Running, endpoint
from watchtower.bootstrap import Tower, build
from watchtower.contract.batch import ENRICHMENT
from watchtower.logs import configure
from watchtower.settings import Settings

AIMS = {2: 1.7, 4: 2.5}
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 300.0
"""Seconds until workers that do not answer are given up."""


@dataclass(frozen=True)
class Round:
    """What so many processes did. `cpu`: seconds of all workers."""

    processes: int
    records: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.records / self.seconds


@contextmanager
def workers(tower: Tower, there: Running, processes: int, slots: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many worker processes; each is known to the endpoint by its path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "watchtower.cli.main", "worker"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=kept | {
                "WATCHTOWER_JOBS_URL": tower.jobs_url, "WATCHTOWER_LLM_BASE_URL": f"{there.address}/{path}/v1",
                "WATCHTOWER_LLM_MODEL": "stub", "WATCHTOWER_LLM_API_KEY": "none", "WATCHTOWER_LLM_SLOTS": str(slots),
            },
        )
        for path in paths(processes)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def paths(processes: int) -> list[str]:
    return [f"of{processes}w{number}" for number in range(processes)]


def measured(tower: Tower, there: Running, numbers: Iterator[int], processes: int, records: int, slots: int) -> Round:
    """Wait until each worker works, then time so many records."""
    before = there.asked().by
    with workers(tower, there, processes, slots) as started:
        deadline = time.monotonic() + PATIENCE
        while any(there.asked().by.get(path, 0) < before.get(path, 0) + slots for path in paths(processes)):
            assert time.monotonic() < deadline, f"not all of {processes} workers work"
            assert all(process.poll() is None for process in started), "a worker ended"
            if waiting(tower) < 20 * processes:
                hand_down(tower, numbers, 40 * processes)
            time.sleep(0.1)
        until_answered(tower, deadline)
        cpu = sum(processor_time(process.pid) for process in started)
        began = time.perf_counter()
        hand_down(tower, numbers, records)
        until_answered(tower, time.monotonic() + PATIENCE)
        seconds = time.perf_counter() - began
        return Round(processes, records, seconds, sum(processor_time(process.pid) for process in started) - cpu)


def hand_down(tower: Tower, numbers: Iterator[int], records: int) -> None:
    tower.desk.ask_fields([request(next(numbers)) for _ in range(records)], {}, ENRICHMENT)


def until_answered(tower: Tower, deadline: float) -> None:
    while waiting(tower):
        assert time.monotonic() < deadline, "no answers"
        time.sleep(0.02)


def waiting(tower: Tower) -> int:
    """Requests without an answer."""
    with tower.desk.database.begin() as conn:
        return int(conn.execute(text("select count(*) from asked where answered_at is null")).scalar_one())


def processor_time(pid: int) -> float:
    """Seconds of a process, in itself and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def told(done: Round, given: Any) -> None:
    """Print one round."""
    share, each = done.rate * given.latency / given.slots / done.processes, done.cpu / done.records * 1000
    print(
        f"{done.processes} worker processes: {done.rate:6.1f} records/s, {share:.3f} of the ideal, {each:.2f} ms of "
        f"processor time a record (load {os.getloadavg()[0]:.1f})"
    )


def main() -> None:
    options = arguments(__doc__)
    options.add_argument("--seconds", type=float, default=12.0, help="of the ideal, for each number of processes")
    options.add_argument("--slots", type=int, default=8, help="calls at once of each worker")
    options.add_argument("--latency", type=float, default=0.4, help="seconds")
    options.add_argument("--processes", default="1,2,4")
    options.add_argument("--rounds", type=int, default=1, help="all in turn so often; the best of each counts")
    given: Any = options.parse_args()
    configure()
    several = [int(number) for number in given.processes.split(",")]
    numbers, best = count(), dict[int, Round]()
    with tempfile.TemporaryDirectory() as folder, endpoint(given.latency) as there:
        settings = Settings(data=Path(folder), llm_model="stub", llm_calls_per_day=10**9)
        with build(settings) as tower:
            for _ in range(given.rounds):
                for processes in several:
                    records = int(given.seconds * processes * given.slots / given.latency)
                    done = measured(tower, there, numbers, processes, records, given.slots)
                    told(done, given)
                    best[processes] = max(done, best.get(processes, done), key=lambda one: one.rate)
            with tower.desk.database.begin() as conn:
                asked, answers = conn.execute(
                    text("select (select count(*) from asked), (select count(*) from result)")
                ).one()
        calls = there.asked()
    assert calls.companies == asked == answers, f"{asked} asked, {answers} answered, {calls.companies} calls"
    print(f"{asked} records, {answers} answers, {calls.repeats} calls repeated")
    figure("calls repeated", calls.repeats, "", better="lower", aim=0)
    figure("answers beyond the first", answers - asked, "", better="lower", aim=0)
    one = best[several[0]]
    for processes, done in best.items():
        figure(f"{processes} worker processes", done.rate, "records/s")
        if processes in AIMS and one.processes == 1:
            ratio = done.rate / one.rate
            print(f"{processes} worker processes do {ratio:.2f} times what one does (aim {AIMS[processes]})")
            figure(f"{processes} worker processes of one", ratio, "times", aim=AIMS[processes],
                   peer="one process", of_peer=ratio)  # fmt: skip


if __name__ == "__main__":
    main()
