"""Single events from many callers at once: sharing transactions (group commit), beside a transaction for each.

    python -m benchmarks.posting [--events 3000] [--callers 1,8,32]

Each caller is a thread that gives the tower one event, waits for its verdict, then gives the next: what the threads
of the HTTP service do. The rulebook is the shipped one, the database embedded. The two ways take turns.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figures import arguments, figure
from watchtower.bootstrap import Tower, build
from watchtower.flow import intake
from watchtower.settings import read_settings

NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)


def events(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "specversion": "1.0", "id": f"{name}.{n}", "source": "crm", "type": "record.updated",
            "subject": f"lead/{name}-{n % 500}", "time": (NOW - timedelta(days=1, seconds=-n)).isoformat(),
            "data": {"fields": {"stage": "raw", "company": f"Company {n}"}},
        }
        for n in range(count)
    ]  # fmt: skip


def alone(tower: Tower, event: dict[str, Any]) -> None:
    verdicts = tower._take(intake.decode([event], None), "api")
    assert verdicts[0].status == "accepted", verdicts


def shared(tower: Tower, event: dict[str, Any]) -> None:
    verdicts = tower.take([event])
    assert verdicts[0].status == "accepted", verdicts


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--callers", default="1,8,32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(data=Path(folder) / "data", database_url=None)
        with build(settings, clock=lambda: NOW) as tower:
            for way in (alone, shared):
                for event in events(f"warm-{way.__name__}", 50):
                    way(tower, event)
            for callers in map(int, options.callers.split(",")):
                rate = {}
                for way in (alone, shared):
                    given = events(f"{way.__name__}-{callers}", options.events)
                    begun = time.perf_counter()
                    with ThreadPoolExecutor(callers) as pool:
                        for _ in pool.map(lambda event, way=way: way(tower, event), given):  # type: ignore[misc]
                            pass
                    rate[way] = options.events / (time.perf_counter() - begun)
                figure(
                    f"single events from {callers} callers", rate[shared], "events a second",
                    peer="a transaction for each", of_peer=rate[shared] / rate[alone],
                )  # fmt: skip
                print(
                    f"{callers:>3} callers: alone {rate[alone]:,.0f} events/s, shared {rate[shared]:,.0f} "
                    f"({rate[shared] / rate[alone]:.1f} times)"
                )


if __name__ == "__main__":
    main()
