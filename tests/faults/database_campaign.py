"""Take the database away from a running service, again and again, and count what is lost.

    python tests/faults/database_campaign.py --count 50        each of the four faults 50 times

One `watchtower up` runs on an embedded PostgreSQL of its own, on a small file system of its own, under load:

restart   the server is stopped, or its postmaster killed by SIGKILL, and kept from coming back for a moment
cut       every connection is ended, and no new one let in for a moment
full      the file system is filled to the last byte
locks     another session locks the journal (every 25th time for longer than the service's own lock timeout)

Each time /readyz must say so within 5 seconds, and take it back within 30 once the fault is over, and events must go
in again. At the end nothing acknowledged may be lost and nothing doubled (campaign_check.py). Needs root for the file
system (a tmpfs); without it `full` is left out, and said so.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
from campaign_check import as_json, book, check
from campaign_load import SECRET, VARIABLE, Receiver, Source, now
from kill_campaign import deliver_all, free_port
from nursery import Nursery

from watchtower.bootstrap import build
from watchtower.settings import Settings
from watchtower.store.locks import exclusive

NOT_READY_WITHIN = 5.0
READY_WITHIN = 30.0
SIZE = "700m"
FAULTS = ("restart", "cut", "full", "locks")


@dataclass
class Seen:
    """How long each fault took to show, and to be over, in seconds."""

    shown: dict[str, list[float]] = field(default_factory=dict)
    over: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """The service under load, and its database."""

    data: Path
    address: str
    sources: Sequence[Source]

    @property
    def postmaster(self) -> int:
        return int((self.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def sql(self, database: str = "watchtower") -> psycopg.Connection[Any]:
        folder = quote((self.data / "postgres" / "postmaster.pid").read_text().splitlines()[4])
        return psycopg.connect(
            f"postgresql://watchtower@/{database}?host={folder}", autocommit=True, application_name="campaign"
        )

    def ready(self) -> bool:
        """What /readyz says now; no answer within its time is a no."""
        try:
            return httpx.get(f"{self.address}/readyz", timeout=NOT_READY_WITHIN).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def restart(scene: Scene, number: int) -> Iterator[None]:
    with exclusive(scene.data / "postgres.lock", seconds=60):
        pid = scene.postmaster
        os.kill(pid, signal.SIGKILL if number % 2 else signal.SIGINT)
        yield


@contextmanager
def cut(scene: Scene, number: int) -> Iterator[None]:
    with scene.sql("postgres") as conn:
        conn.execute("alter database watchtower allow_connections false")
        try:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'watchtower'")
            yield
        finally:
            conn.execute("alter database watchtower allow_connections true")


@contextmanager
def full(scene: Scene, number: int) -> Iterator[None]:
    ballast = scene.data / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue
        yield
    finally:
        ballast.unlink()


@contextmanager
def locks(scene: Scene, number: int) -> Iterator[None]:
    with scene.sql() as conn, conn.transaction():
        conn.execute("lock table journal in access exclusive mode")
        yield
        if number % 25 == 24:
            time.sleep(31)


BRING = {"restart": restart, "cut": cut, "full": full, "locks": locks}


def bring(scene: Scene, seen: Seen, name: str, number: int) -> None:
    """Bring a fault on, wait until it shows, end it, wait until it is over and events go in."""
    began = time.monotonic()
    with BRING[name](scene, number):
        began = time.monotonic()
        shown = _until(lambda: not scene.ready(), NOT_READY_WITHIN)
    ended = time.monotonic()
    seen.shown.setdefault(name, []).append(round(shown - began, 2))
    if shown - began > NOT_READY_WITHIN:
        seen.faults.append(f"{name} {number}: /readyz still said ready after {NOT_READY_WITHIN:g} s")
    over = _until(scene.ready, READY_WITHIN)
    taken = _until(lambda: all(source.acknowledged_at > over for source in scene.sources), READY_WITHIN)
    seen.over.setdefault(name, []).append(round(taken - ended, 2))
    if max(over, taken) - ended > READY_WITHIN:
        seen.faults.append(f"{name} {number}: not recovered {READY_WITHIN:g} s after its end")


def _until(true: Callable[[], bool], seconds: float) -> float:
    """The instant at which it was so; where it was not in time, an instant that is too late."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds + 1:
            break
        time.sleep(0.05)
    return time.monotonic()


@contextmanager
def small_file_system(folder: Path) -> Iterator[bool]:
    """A file system of SIZE in this folder. False: there is none to be had, the folder serves as it is."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder], capture_output=True)
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            for _ in range(50):
                if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
                    break
                time.sleep(0.2)


def campaign(count: int, seed: int, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Run it: every broken promise, and the figures."""
    os.environ[VARIABLE] = SECRET
    seen = Seen()
    port = free_port()
    sources = [Source(name, [port], seed) for name in ("crm", "billing")]
    with small_file_system(folder / "disk") as small, Receiver(seed).listening() as receiver:
        data = folder / "disk" / "tower"
        path = folder / "book.yaml"
        path.write_text(book(receiver.port, VARIABLE))
        names = [name for name in FAULTS if small or name != "full"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
        nursery = Nursery(kept)
        began = time.monotonic()
        try:
            up = nursery.start(
                ["up", "--data", str(data), "--port", str(port), "--no-model", "--rulebook", str(path)],
                log=folder / "up.log",
            )
            scene = Scene(data, f"http://127.0.0.1:{port}", sources)
            assert _until(scene.ready, 60) and scene.ready(), (folder / "up.log").read_text()
            for source in sources:
                source.start()
            for number in range(count):
                for name in names:
                    bring(scene, seen, name, number)
                    assert up.alive(), f"the service ended: {(folder / 'up.log').read_text()[-2000:]}"
            seconds = time.monotonic() - began
            for source in sources:
                source.stop()
            up.send(signal.SIGTERM)
            assert up.wait(60), "the service did not end when told to"
        finally:
            nursery.close()
        with build(Settings(data=data)) as tower:
            at = now()
            tower.tick(at)
            deliver_all(tower)
            assert tower.database.server is not None
            cuts = {"each lane": count * len(names)}
            faults, figures = check(tower, tower.database.server.url, at, sources, receiver, cuts)
    return seen.faults + faults, {
        "faults": {name: len(times) for name, times in seen.shown.items()},
        "left out": [] if small else ["full: no file system could be mounted"],
        "not ready after, at most": {name: max(times) for name, times in seen.shown.items()},
        "recovered after, at most": {name: max(times) for name, times in seen.over.items()},
        "seconds": round(seconds, 1), "failed requests": sum(s.failures for s in sources), **figures,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchtower-faults-", ignore_cleanup_errors=True) as folder:
        faults, figures = campaign(given.count, given.seed, Path(folder))
    print(as_json(figures))
    for fault in faults[:50]:
        print(f"broken: {fault}", file=sys.stderr)
    print(f"{len(faults)} promises broken")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
