"""Kill Watchtower's processes thousands of times under load, at named places and at random, and count what is lost.

    python tests/faults/kill_campaign.py --kills 300 --seed 1
    python tests/faults/kill_campaign.py --kills 3000          for a release

Seven processes share one database: all in one (`up`), the API alone (`serve`, three times), the clock (`tick`),
notifications (`deliver`) and enrichment (`enrich`). Clients feed events throughout. Each process is killed by SIGKILL,
every other time at a crash point, and begun anew; every now and then the database's own postmaster is killed as well.
At the end nothing acknowledged may be lost and nothing doubled (campaign_check.py). Exit 1 if anything is.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign_check import as_json, book, check
from campaign_load import SECRET, VARIABLE, Receiver, Source, now
from nursery import POINTS, Nursery
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.settings import Settings
from watchtower.store import embedded, outbox

PATIENCE = 6.0
"""Seconds until a process that does not come by its crash point is killed where it is."""


@dataclass
class Score:
    """How the campaign stands."""

    wanted: int
    kills: Counter[str] = field(default_factory=Counter)
    at: Counter[str] = field(default_factory=Counter)
    failed_starts: Counter[str] = field(default_factory=Counter)
    database: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def total(self) -> int:
        return self.kills.total() + self.database


class Watch(threading.Thread):
    """Starts one process over and over, and kills it each time."""

    def __init__(self, role: str, arguments: Sequence[str], nursery: Nursery, log: Path, score: Score, seed: int):
        super().__init__(daemon=True)
        self._role, self._arguments, self._nursery, self._log, self._score = role, arguments, nursery, log, score
        self._random = random.Random(f"{seed} {role}")
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            number = 0
            while self._score.total() < self._score.wanted:
                self._one(number)
                number += 1
        except BaseException as fault:  # noqa: BLE001  (told by the main thread)
            self.fault = fault

    def _one(self, number: int) -> None:
        points = POINTS[self._role]
        point, turn = "", 0
        if number % 2:
            point = points[number // 2 % len(points)]
            turn = self._random.randint(1, 60 if point == "statement" else 8)
        child = self._nursery.start(
            list(self._arguments), log=self._log, again=self._role in ("tick", "enrich"), point=point, turn=turn
        )
        # The API takes most of a second to listen; the others work at once.
        life = self._random.uniform(0.2, 3) if self._role in ("up", "serve") else self._random.uniform(0, 1.2)
        ended = child.wait(PATIENCE if point else life)
        if ended and child.code != -signal.SIGKILL:
            # It could not start: the database is down, or its port not free yet.
            self._score.failed_starts[self._role] += 1
            time.sleep(0.1)
            return
        if not ended:
            child.kill()
        with self._score.lock:
            self._score.kills[self._role] += 1
            self._score.at[point if ended else "random"] += 1


def campaign(
    kills: int, seed: int, folder: Path, *, database_kills: int | None = None
) -> tuple[list[str], dict[str, Any]]:
    """Run it: every broken promise, and the figures."""
    os.environ[VARIABLE] = SECRET
    score = Score(kills)
    database_kills = max(kills // 60, 1) if database_kills is None else database_kills
    with Receiver(seed).listening() as receiver, embedded.start(folder / "database") as server:
        path = folder / "book.yaml"
        path.write_text(book(receiver.port, VARIABLE))
        settings = Settings(data=folder / "tower", database_url=SecretStr(server.url))
        with build(settings, rulebook=path) as tower:
            seconds = _under_fire(score, seed, folder, server, database_kills, sources := _sources(seed))
            at = now()
            tower.tick(at)
            deliver_all(tower)
            deliverers = score.kills["up"] + score.kills["deliver"]
            # A postmaster's end cuts off what every delivering process had under way.
            cuts = {"each lane": deliverers + 2 * score.database + 2}
            faults, figures = check(tower, server.url, at, sources, receiver, cuts)
    return faults, {
        "kills": score.total(), "of": dict(score.kills) | {"postmaster": score.database}, "at": dict(score.at),
        "seconds": round(seconds, 1), "kills a second": round(score.total() / seconds, 2),
        "failed starts": score.failed_starts.total(), "failed requests": sum(s.failures for s in sources), **figures,
    }  # fmt: skip


_PORTS: list[int] = []


def _sources(seed: int) -> list[Source]:
    _PORTS[:] = [free_port() for _ in range(4)]
    return [Source(name, _PORTS, seed) for name in ("crm", "billing", "product", "support")]


def _under_fire(
    score: Score, seed: int, folder: Path, server: embedded.EmbeddedServer, database_kills: int, sources: list[Source]
) -> float:
    env = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_")} | {"DATABASE_URL": server.url}
    nursery = Nursery(env)
    ports = [str(port) for port in _PORTS]
    commands = [
        ["up", "--data", str(folder / "up"), "--port", ports[0], "--no-model"],
        *(["serve", "--data", str(folder / f"serve-{port}"), "--port", port] for port in ports[1:]),
        ["tick", "--data", str(folder / "tick")],
        ["deliver", "--data", str(folder / "deliver")],
        ["enrich", "--data", str(folder / "enrich"), "--no-model"],
    ]
    watches = [
        Watch(command[0], command, nursery, folder / f"{number}-{command[0]}.log", score, seed + number)
        for number, command in enumerate(commands)
    ]
    began = time.monotonic()
    shares: list[embedded.EmbeddedServer] = []
    try:
        for thread in (*sources, *watches):
            thread.start()
        while any(watch.is_alive() for watch in watches):
            time.sleep(0.1)
            if score.total() >= (score.database + 1) * score.wanted // (database_kills + 1) and (
                score.database < database_kills
            ):
                os.kill(server.pid, signal.SIGKILL)
                score.database += 1
                shares.append(embedded.start(folder / "database"))
            if fault := next((watch.fault for watch in watches if watch.fault), None):
                raise fault
        seconds = time.monotonic() - began
        last = nursery.start(commands[1], log=folder / "last.log")
        for source in sources:
            source.stop()
        last.kill()
        return seconds
    finally:
        nursery.close()
        for share in shares:
            share.close()


def deliver_all(tower: Tower) -> None:
    """What is left is delivered, as a process that is not killed would."""
    deadline = time.monotonic() + 120
    with tower.courier() as courier:
        while time.monotonic() < deadline:
            courier.deliver()
            with tower.database.read() as conn:
                if not any(state == "pending" for _, state, _ in outbox.counts(conn)):
                    return
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-kills", type=int, help="of them, kills of the postmaster (default: one in 60)")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs there, and name it")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="watchtower-kills-"))
    try:
        faults, figures = campaign(given.kills, given.seed, folder, database_kills=given.database_kills)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(as_json(figures))
    for fault in faults[:50]:
        print(f"broken: {fault}", file=sys.stderr)
    print(f"{len(faults)} promises broken" + (f"; the logs are in {folder}" if given.keep else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
