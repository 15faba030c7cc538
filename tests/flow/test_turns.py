"""One tower ticks at a time, another takes over when it dies, and nobody waits for another in a circle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import RULEBOOK, begin, lead, stamp
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.contract import parse_event
from watchtower.flow.settle import settle
from watchtower.settings import Settings
from watchtower.store import journal

TAKEOVER = 10.0
"""Seconds within which another clock opens what falls due."""
DEAD_MIDWAY = """
import sys
from pydantic import SecretStr
from sqlalchemy import text
from watchtower.settings import Settings
from watchtower.store import journal, turns
from watchtower.store.database import connect
with connect(Settings(database_url=SecretStr(sys.argv[1]))).begin() as conn:
    journal.wait(conn)
    conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": turns.TICK})
    print("ticking", flush=True)
    conn.execute(text("select pg_sleep(300)"))
"""


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(RULEBOOK)
    return path


@pytest.fixture
def tower(database_url: str, tmp_path: Path, book: Path) -> Iterator[Tower]:
    with build(Settings(data=tmp_path / "own", database_url=SecretStr(database_url)), rulebook=book) as built:
        yield built


def due(tower: Tower, record: str, at: datetime) -> None:
    """An alert on this lead falls due at this instant."""
    event = lead(f"e-{record}", record, now(), stage="mql", mql_at=stamp(at - timedelta(hours=48)))
    assert tower.take([event])[0].status == "accepted"


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute(sql).fetchall()


def until(true: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """The seconds until it was so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, otherwise
        time.sleep(0.05)
    return time.monotonic() - began


def opened(url: str) -> dict[str, int]:
    """How often an alert was opened on each lead, by the journal."""
    return dict(rows(url, "select record, count(*) from journal where type = 'alert.opened' group by record"))


def test_a_second_clock_takes_over_from_one_that_is_killed_again_and_again(
    tower: Tower, database_url: str, tmp_path: Path
) -> None:
    clocks = [
        begin("up", "--data", tmp_path / f"clock{n}", "--port", 0, "--no-model", DATABASE_URL=database_url)
        for n in range(2)
    ]
    try:
        for clock in clocks:
            assert clock.stdout is not None and "review page" in clock.stdout.readline()
        start = now() + timedelta(seconds=1)
        for n in range(30):
            due(tower, f"L{n}", start + timedelta(seconds=n * 0.2))
        until(lambda: len(opened(database_url)) >= 8, 15, "no clock ticks")
        clocks[0].kill()
        until(lambda: len(opened(database_url)) >= 30, 6 + TAKEOVER, "nobody took over")
        late = rows(
            database_url,
            "select max(received_at - time) from journal where type = 'alert.opened'",
        )[0][0]
        assert late < timedelta(seconds=TAKEOVER)
        assert set(opened(database_url).values()) == {1}
        assert rows(database_url, "select count(*), count(distinct alert) from action") == [(30, 30)]
    finally:
        for clock in clocks:
            clock.kill()
            clock.communicate()


def test_a_clock_that_is_killed_within_a_tick_holds_nobody_up(tower: Tower, database_url: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    dying = subprocess.Popen([sys.executable, "-c", DEAD_MIDWAY, database_url], stdout=subprocess.PIPE, text=True)
    assert dying.stdout is not None and dying.stdout.readline() == "ticking\n"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(tower.tick)
        time.sleep(0.5)
        assert not waiting.done(), "one ticks at a time"
        dying.kill()
        dying.communicate()
        waiting.result(timeout=TAKEOVER)


def test_an_event_that_comes_in_during_a_tick_does_not_deadlock_with_it(tower: Tower) -> None:
    past = now() - timedelta(minutes=1)
    due(tower, "L1", now() + timedelta(seconds=0.1))
    time.sleep(0.2)
    event = parse_event(lead("e2", "L2", past, stage="raw"))
    with ThreadPoolExecutor(1) as pool, tower.database.begin() as conn:
        journal.append(conn, [event], layer="core", received_at=now())
        ticking = pool.submit(tower.tick)  # it has something to write to the journal, which is ours now
        time.sleep(0.5)
        settle(conn, tower._engine, past)
        conn.commit()
        assert ticking.result(timeout=10).opened == 1


def test_two_ticks_at_once_open_each_alert_once(tower: Tower, database_url: str) -> None:
    for n in range(40):
        due(tower, f"L{n}", now() + timedelta(seconds=3))
    barrier = threading.Barrier(4)

    def tick() -> int:
        barrier.wait()
        return tower.tick(now() + timedelta(seconds=5)).opened

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: tick(), range(4))) == 40
    assert set(opened(database_url).values()) == {1}
