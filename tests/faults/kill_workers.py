"""Worker processes killed in the middle of calls to a model: no call is made twice, no record is lost.

    python tests/faults/kill_workers.py --count 100 --seed 7
    python tests/faults/kill_workers.py --count 20 --records 10000 --slots 32

prints what was killed and counted. CI runs a few kills (test_kill_workers.py).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from job_scene import BOOK, Clock, prepared, waiting, worker
from llm_stub import model
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import build
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store import embedded, ledger
from watchtower.workers.models import at_once


@dataclass
class Outcome:
    """What a campaign came to."""

    kills: int
    records: int
    filled: int
    repeats: int
    calls: int
    cap: int
    together: int
    """Calls of one worker whose end may be unknown, at most."""
    outcomes: dict[str, int]


def campaign(
    core: str, folder: Path, *, kills: int, records: int, seed: int, seconds: float = 0.1, slots: int = 1
) -> Outcome:
    """Kill so many workers of so many calls at once, each at a random moment; then let one finish.

    The kills are spread over the records: each worker is left to answer its share before its moment comes.
    """
    # A call whose answer is not written yet has given its slot to the next one.
    together = at_once(slots)
    dice, clock, cap = random.Random(seed), Clock(), records + kills * together
    share = records / (kills + 1) if records > 10 * kills * slots else 0
    book = folder / "book.yaml"
    book.write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(core), llm_model="stub", llm_calls_per_day=cap)
    with model(seconds) as stub, build(settings, rulebook=book, clock=clock) as tower:
        prepared(tower, records)
        done = 0
        while True:
            tower.hand_down(detections=False, limit=records)
            running = worker(tower.jobs_url, stub, slots)
            try:
                before = stub.calls.total()
                if done < kills:
                    while stub.calls.total() <= before + share and running.poll() is None and waiting(tower):
                        time.sleep(0.01 if not share else 0.2)
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
            outcomes = ledger.calls(conn)
        with tower.database.read() as conn:
            filled = conn.execute(text("select count(*) from record where state ? 'chief'")).scalar_one()
        repeats = sum(count - 1 for count in stub.calls.values())
        return Outcome(kills, records, filled, repeats, stub.calls.total(), cap, together, outcomes)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=20, help="kills")
    options.add_argument("--records", type=int, help="records (default: 6 for each kill)")
    options.add_argument("--slots", type=int, default=1, help="calls at once of each worker")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    configure()
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        records = given.records or given.count * 6
        began = time.monotonic()
        done = campaign(
            server.url, Path(folder), kills=given.count, records=records, seed=given.seed, slots=given.slots
        )
        print(done, f"in {time.monotonic() - began:.0f} s")
        unknown = done.outcomes.get("unknown", 0)
        sys.exit(done.repeats > 0 or unknown > done.kills * done.together or done.filled < done.records - unknown)


if __name__ == "__main__":
    main()
