"""Worker processes killed in the middle of calls to a model: no call is made twice, no record is lost.

    python tests/faults/kill_workers.py --count 100 --seed 7

prints what was killed and counted. CI runs a few kills (test_kill_workers.py).
"""

from __future__ import annotations

import argparse
import random
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from command_line import begin
from llm_stub import Stub, model, text_of
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.store import embedded, jobs

BOOK = """
name: chiefs
timezone: UTC
objects:
  account:
    fields:
      chief: {type: text, fill: enrichment}
rules:
  - {id: led_by_nobody, object: account, when: chief = 'Nobody'}
acceptance:
  account.chief: {accept_at: 0.5, review_at: 0.1}
"""
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@dataclass
class Outcome:
    """What a campaign came to."""

    kills: int
    records: int
    filled: int
    repeats: int
    calls: int
    cap: int
    outcomes: dict[str, int]


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def name_of(number: int) -> str:
    """A, B, ... as words without digits: digits would be patterns' business."""
    letters = ""
    while True:
        number, rest = divmod(number, 26)
        letters = string.ascii_lowercase[rest] + letters
        if not number:
            return "Q" + letters


def prepared(tower: Tower, records: int) -> None:
    """Accounts whose chief stands in a document, and nowhere else."""
    events: list[dict[str, Any]] = []
    for number in range(records):
        common = {"specversion": "1.0", "source": "crm", "subject": f"account/A{number}", "time": format_time(START)}
        events.append(common | {"id": f"r{number}", "type": "record.updated", "data": {"fields": {}}})
        said = {"document": "d1", "text": text_of(name_of(number))}
        events.append(common | {"id": f"d{number}", "type": "document.added", "data": said})
    assert {verdict.status for verdict in tower.take(events)} == {"accepted"}


def worker(url: str, stub: Stub) -> subprocess.Popen[str]:
    """A worker process: the jobs database and the model are all that it is told."""
    return begin(
        "worker", WATCHTOWER_JOBS_URL=url, WATCHTOWER_LLM_BASE_URL=stub.url, WATCHTOWER_LLM_MODEL="stub",
        WATCHTOWER_LLM_API_KEY="none",
    )  # fmt: skip


def campaign(core: str, folder: Path, *, kills: int, records: int, seed: int, seconds: float = 0.1) -> Outcome:
    """Kill so many workers, each at a random moment of its calls; then let one finish."""
    dice, clock, cap = random.Random(seed), Clock(), records + kills
    book = folder / "book.yaml"
    book.write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(core), llm_model="stub", llm_calls_per_day=cap)
    with model(seconds) as stub, build(settings, rulebook=book, clock=clock) as tower:
        prepared(tower, records)
        done = 0
        while True:
            tower.hand_down(detections=False, limit=records)
            running = worker(tower.jobs_url, stub)
            try:
                before = stub.calls.total()
                if done < kills:
                    while stub.calls.total() == before and running.poll() is None and waiting(tower):
                        time.sleep(0.01)
                    time.sleep(dice.uniform(0, 5 * seconds))
                else:
                    deadline = time.monotonic() + 60 + records * seconds * 2
                    while waiting(tower) and time.monotonic() < deadline and running.poll() is None:
                        time.sleep(0.05)
            finally:
                running.kill()
                running.communicate()
            done += 1
            tower.desk.tend(silent=0.0)
            tower.desk.collect()
            tower.desk.tend(silent=0.0)
            if done > kills and not waiting(tower) and not tower.requests(limit=1, means="stub", write=False):
                break
            # What was given up with its batch is asked again after a while.
            clock.now += timedelta(hours=1)
        with tower.desk.database.begin() as conn:
            outcomes = jobs.calls(conn)
        with tower.database.read() as conn:
            filled = conn.execute(text("select count(*) from record where state ? 'chief'")).scalar_one()
        repeats = sum(count - 1 for count in stub.calls.values())
        return Outcome(kills, records, filled, repeats, stub.calls.total(), cap, outcomes)


def waiting(tower: Tower) -> int:
    """Requests that no worker has answered yet."""
    with tower.desk.database.begin() as conn:
        return int(conn.execute(text("select count(*) from asked where answered_at is null")).scalar_one())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=20, help="kills")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        print(campaign(server.url, Path(folder), kills=given.count, records=given.count * 6, seed=given.seed))


if __name__ == "__main__":
    main()
