"""Core events beside a flood from workers: how long until the rules have spoken, with the flood and without.

    python tests/faults/liveness_campaign.py --seconds 60 --rate 10000

An event of the core goes through the door twenty times a second: journal, fold, rules and the alert that it opens, in
one transaction; its latency is that of the whole. A process with the rights of a worker answers every open request with
hostile proposals, `--rate` of them a second in all, while the tower collects them as `watchtower up` does, in a thread
of the same process. CI runs a few seconds (test_liveness.py) and looks at what was said, not at the time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psycopg
from job_scene import START, Clock
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store import embedded, jobs

BOOK = """
name: liveness
timezone: UTC
objects:
  account:
    fields:
      chief: {type: text, fill: enrichment}
  lead:
    fields:
      stage: {type: enum, values: [raw, mql]}
rules:
  - {id: waits, object: lead, when: stage = 'mql', severity: high}
  - {id: led_by_nobody, object: account, when: chief = 'Nobody'}
acceptance:
  account.chief: {accept_at: 0.5, review_at: 0.1}
"""
PROPOSALS = 250
"""In one answer: as many as are looked at, nearly."""
EVERY = 0.05
"""Seconds from one core event to the next."""


@dataclass
class Outcome:
    """Latencies in milliseconds, of the events of each phase; what workers said meanwhile; how many alerts opened."""

    calm: list[float]
    flooded: list[float]
    proposals: int
    seconds: float
    alerts: int
    events: int
    refused: int

    def __str__(self) -> str:
        calm, flooded = percentile(self.calm, 99), percentile(self.flooded, 99)
        return (
            f"{len(self.calm)} events in calm: median {percentile(self.calm, 50):.1f} ms, p99 {calm:.1f} ms\n"
            f"{len(self.flooded)} beside {self.proposals / self.seconds:,.0f} proposals a second: "
            f"median {percentile(self.flooded, 50):.1f} ms, p99 {flooded:.1f} ms, {flooded / calm:.2f} times\n"
            f"{self.alerts} alerts of {self.events} events; {self.refused:,} proposals decided on"
        )


def percentile(values: list[float], of: int) -> float:
    return statistics.quantiles(values, n=100)[of - 1]


def campaign(core: str, folder: Path, *, seconds: float, rate: int) -> Outcome:
    """So many seconds in calm, then as many in the flood."""
    (folder / "book.yaml").write_text(BOOK)
    clock = Clock()
    settings = Settings(data=folder, database_url=SecretStr(core))
    with build(settings, rulebook=folder / "book.yaml", clock=clock) as tower:
        requests = int(seconds * rate / PROPOSALS) + 1
        _ask(tower, requests)
        latencies: list[list[float]] = []
        stop, done = threading.Event(), threading.Event()
        collector = threading.Thread(target=_collect, args=(tower, stop, done))
        spawn = multiprocessing.get_context("spawn")
        flag, said = spawn.Event(), spawn.Value("L", 0)
        flood = spawn.Process(target=_flood, args=(tower.jobs_url, rate, flag, said))
        collector.start()
        try:
            _core(tower, 2.0, "warm")
            latencies.append(_core(tower, seconds, "calm"))
            flood.start()
            while flood.is_alive() and not said.value:
                time.sleep(0.05)
            begun, before = time.monotonic(), said.value
            latencies.append(_core(tower, seconds, "flood"))
            lasted, proposals = time.monotonic() - begun, said.value - before
        finally:
            flag.set()
            stop.set()
            collector.join()
            if flood.pid is not None:
                flood.join(30)
        tower.desk.collect()
        with tower.database.read() as conn:
            alerts = int(conn.execute(text("select count(*) from alert where rule = 'waits'")).scalar_one())
            refused = int(conn.execute(text("select count(*) from proposal")).scalar_one())
        events = sum(map(len, latencies)) + int(2.0 / EVERY)
        return Outcome(latencies[0], latencies[1], proposals, lasted, alerts, events, refused)


def _ask(tower: Tower, requests: int) -> None:
    common = {"specversion": "1.0", "source": "crm", "time": format_time(START)}
    for first in range(0, requests, 1000):
        events: list[dict[str, Any]] = []
        for number in range(first, min(first + 1000, requests)):
            about = common | {"subject": f"account/A{number}"}
            events.append(about | {"id": f"r{number}", "type": "record.updated", "data": {"fields": {}}})
            document = {"document": "d1", "text": "Acme is led by Ann."}
            events.append(about | {"id": f"d{number}", "type": "document.added", "data": document})
        tower.take(events)
    tower.hand_down(detections=False, limit=requests)


def _core(tower: Tower, seconds: float, phase: str) -> list[float]:
    found, begun = [], time.monotonic()
    for number in range(int(seconds / EVERY)):
        time.sleep(max(begun + number * EVERY - time.monotonic(), 0))
        event = {
            "id": f"{phase}{number}", "source": "crm", "type": "record.updated", "subject": f"lead/{phase}{number}",
            "time": format_time(START), "data": {"fields": {"stage": "mql"}},
        }  # fmt: skip
        at = time.perf_counter()
        (verdict,) = tower.take([event])
        found.append(1000 * (time.perf_counter() - at))
        assert verdict.status == "accepted", verdict
    return found


def _collect(tower: Tower, stop: threading.Event, done: threading.Event) -> None:
    while not stop.is_set():
        tower.desk.collect()
        stop.wait(1.0)
    done.set()


def _flood(url: str, rate: int, stop: Flag, said: Any) -> None:
    """Answers as a hostile worker gives them: as fast as it is asked to, whether or not anybody waits for them."""
    quote = {"document": "d1", "quote": "led by Ann", "start": 8, "end": 18}
    with psycopg.connect(jobs.plain(url), autocommit=True) as conn:
        open_ = conn.execute(
            "select batch, request from asked where answered_at is null order by batch, place"
        ).fetchall()
        begun, number = time.monotonic(), 0
        while not stop.is_set():
            batch, request = open_[number % len(open_)]
            proposal = {
                "request": request, "field": "chief", "value": f"N{number}", "confidence": 0.2, "method": "flood",
                "evidence": [quote],
            }  # fmt: skip
            several = [proposal | {"value": f"N{number}.{n}"} for n in range(PROPOSALS)]
            body = json.dumps({"proposals": several})
            conn.execute("select answer(%s, %s, array[%s])", (batch, request, body))
            number += 1
            said.value = number * PROPOSALS
            ahead = begun + number * PROPOSALS / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=30, help="of each phase")
    options.add_argument("--rate", type=int, default=10_000, help="proposals a second")
    given = options.parse_args()
    configure()
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        print(campaign(server.url, Path(folder), seconds=given.seconds, rate=given.rate))


if __name__ == "__main__":
    main()
