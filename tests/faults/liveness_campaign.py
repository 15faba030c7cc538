"""Core events beside a flood from workers: how long until the rules have spoken, with the flood and without.

    python tests/faults/liveness_campaign.py --seconds 10 --rounds 5 --rate 10000

An event of the core goes through the door twenty times a second: journal, fold, rules and the alert that it opens, in
one transaction; its latency is that of the whole. A process with the rights of a worker answers open requests with
hostile proposals, `--rate` of them a second in all, while the tower collects them as `watchtower up` does, in a thread
of the same process; with `--apart`, in a process of its own, as `watchtower tick --stay` beside `serve`. Calm and flood
take turns, so that what else the machine does meets both. CI runs a few seconds (test_liveness.py) and looks at what
was said, not at the time.
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
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
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


LEFT = 30.0
"""Seconds in which the tower is to have decided on what a flood left."""


@dataclass
class Outcome:
    """Latencies in milliseconds, of the events of each phase by round; what workers said meanwhile; how many alerts
    opened."""

    calm: list[list[float]] = field(default_factory=list)
    flooded: list[list[float]] = field(default_factory=list)
    proposals: int = 0
    seconds: float = 0.0
    alerts: int = 0
    events: int = 0
    refused: int = 0

    def __str__(self) -> str:
        calm, flooded = sum(self.calm, []), sum(self.flooded, [])
        times = percentile(flooded, 99) / percentile(calm, 99)
        each = [percentile(two, 99) / percentile(one, 99) for one, two in zip(self.calm, self.flooded, strict=True)]
        return (
            f"{len(calm)} events in calm: {_told(calm)}\n"
            f"{len(flooded)} beside {self.proposals / self.seconds:,.0f} proposals a second: "
            f"{_told(flooded)}, {times:.2f} times; "
            f"by round {statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})\n"
            f"{self.alerts} alerts of {self.events} events; {self.refused:,} proposals decided on"
        )


def _told(values: list[float]) -> str:
    median, nine_tenths, p99 = (percentile(values, of) for of in (50, 90, 99))
    return f"median {median:.1f} ms, p90 {nine_tenths:.1f} ms, p99 {p99:.1f} ms"


def percentile(values: list[float], of: int) -> float:
    return statistics.quantiles(values, n=100)[of - 1]


def campaign(core: str, folder: Path, *, seconds: float, rate: int, rounds: int = 1, apart: bool = False) -> Outcome:
    """So many seconds in calm, then as many in the flood, so many times."""
    (folder / "book.yaml").write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(core))
    spawn = multiprocessing.get_context("spawn")
    stop, flooding, ready, said = spawn.Event(), spawn.Event(), spawn.Event(), spawn.Value("L", 0)
    with build(settings, rulebook=folder / "book.yaml", clock=Clock()) as tower:
        # Some more than the rate asks for: a flood that has fallen behind catches up.
        requests = int(1.2 * rounds * seconds * rate / PROPOSALS) + 10
        _ask(tower, requests)
        collector: threading.Thread | BaseProcess
        if apart:
            collector = spawn.Process(target=_collect_apart, args=(settings, stop))
        else:
            collector = threading.Thread(target=_collect, args=(tower, stop))
        flood = spawn.Process(target=_flood, args=(tower.jobs_url, rate, stop, flooding, ready, said))
        found = Outcome()
        collector.start()
        flood.start()
        try:
            assert ready.wait(60), "no flood"
            _core(tower, 2.0, "warm")
            for turn in range(rounds):
                found.calm.append(_core(tower, seconds, f"calm{turn}."))
                flooding.set()
                time.sleep(0.2)
                begun, before = time.monotonic(), said.value
                found.flooded.append(_core(tower, seconds, f"flood{turn}."))
                found.seconds += time.monotonic() - begun
                found.proposals += said.value - before
                flooding.clear()
                _drained(tower)
        finally:
            stop.set()
            collector.join()
            flood.join(30)
        tower.desk.collect()
        with tower.database.read() as conn:
            found.alerts = int(conn.execute(text("select count(*) from alert where rule = 'waits'")).scalar_one())
            found.refused = int(conn.execute(text("select count(*) from proposal")).scalar_one())
        found.events = sum(map(len, found.calm + found.flooded)) + int(2.0 / EVERY)
        return found


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


def _drained(tower: Tower) -> None:
    """Until what the flood said is decided on: the next calm is to be one."""
    until = time.monotonic() + LEFT
    while time.monotonic() < until:
        with tower.desk.database.begin() as conn:
            if not conn.execute(text("select count(*) from asked where answered_at is not null")).scalar_one():
                return
        time.sleep(0.2)
    raise AssertionError(f"answers were left {LEFT:.0f} s after the flood")


def _collect(tower: Tower, stop: Flag) -> None:
    while not stop.is_set():
        tower.desk.collect()
        stop.wait(1.0)


def _collect_apart(settings: Settings, stop: Flag) -> None:
    configure()
    with build(settings, clock=Clock()) as tower:
        _collect(tower, stop)


def _flood(url: str, rate: int, stop: Flag, flooding: Flag, ready: Flag, said: Any) -> None:
    """Answers as a hostile worker gives them: as fast as it is asked to, whether or not anybody waits for them."""
    quote = {"document": "d1", "quote": "led by Ann", "start": 8, "end": 18}
    with psycopg.connect(jobs.plain(url), autocommit=True) as conn:
        open_ = conn.execute(
            "select batch, request from asked where answered_at is null order by batch, place"
        ).fetchall()
        ready.set()
        number = 0
        while not stop.is_set():
            if not flooding.wait(0.1):
                continue
            begun, first = time.monotonic(), number
            while flooding.is_set() and not stop.is_set():
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
                ahead = begun + (number - first) * PROPOSALS / rate - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=10, help="of each phase")
    options.add_argument("--rounds", type=int, default=5, help="of calm and flood")
    options.add_argument("--rate", type=int, default=10_000, help="proposals a second")
    options.add_argument("--apart", action="store_true", help="collect in a process of its own")
    given = options.parse_args()
    configure()
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        print(campaign(server.url, Path(folder), **vars(given)))


if __name__ == "__main__":
    main()
