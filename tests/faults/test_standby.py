"""Two `watchtower tick --stay` on one PostgreSQL: one falls in the midst of a tick, and the other takes over.

The first one speaks to the server through a network that falls silent just when it has taken the locks of a tick and
asks for what is due: the worst moment there is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import RULEBOOK, begin, database_of, lead, stamp, write_events, wt
from slow_network import Network, network

from watchtower.bootstrap import system_clock
from watchtower.store import embedded

WITHIN = 10.0
"""Seconds in which the standby is to have taken over."""
DUE_QUERY = "and not opened and (until is null"


class Pair:
    """Two tickers: one that stands by, and one, begun later, whose network hangs in its first tick."""

    def __init__(self, url: str, net: Network, folder: Path, name: str) -> None:
        self.url, self.net, self.folder, self._name = url, net, folder, name
        self.standby = self._ticking("standby", url)
        self.processes = [self.standby]

    def _ticking(self, name: str, url: str) -> subprocess.Popen[str]:
        return begin("tick", "--stay", "--data", self.folder / name, DATABASE_URL=url)

    def first_hangs(self) -> subprocess.Popen[str]:
        """The other one, with the journal's lock in its hands and its question for what is due on the way."""
        self.net.hang_at(DUE_QUERY)
        there = f"postgresql://watchtower@127.0.0.1:{self.net.port}/{self._name}?sslmode=disable&gssencmode=disable"
        self.processes.append(self._ticking("first", there))
        assert self.net.hung.wait(60), "it does not tick"
        held = self.rows(
            "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        assert held[0][0] >= 1, "it hangs with the journal's lock, under which a tick looks for what is due"
        return self.processes[-1]

    def rows(self, sql: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as conn:
            return conn.execute(sql).fetchall()

    def falls_due(self, number: int, seconds: float) -> None:
        """A lead whose 48 hours are over in so many seconds."""
        now = system_clock()
        since = now - timedelta(hours=48) + timedelta(seconds=seconds)
        events = [lead(f"e{number}", f"L-{number}", since, stage="mql", mql_at=stamp(since))]
        wt("import", write_events(self.folder / f"{number}.jsonl", events), DATABASE_URL=self.url)

    def falls_due_now(self, number: int) -> None:
        """Its time has come, as far as the clock's query can tell."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute("update span set opens_at = now() - interval '1 second' where record = %s", [f"L-{number}"])

    def opened(self, number: int, *, within: float) -> float:
        """Seconds until the lead's alert stands."""
        began = time.monotonic()
        while not self.rows(f"select 1 from alert where record = 'L-{number}'"):
            assert time.monotonic() - began < within, f"nobody ticked within {within} s"
            time.sleep(0.05)
        return time.monotonic() - began


@pytest.fixture
def pair(tmp_path: Path, server: embedded.EmbeddedServer, template: str) -> Iterator[Pair]:
    (tmp_path / "book.yaml").write_text(RULEBOOK)
    name = f"standby_{os.getpid()}_{time.monotonic_ns()}"
    with ExitStack() as stack:
        url = stack.enter_context(database_of(server.url, template, name))
        old = lead("e0", "L-0", system_clock() - timedelta(days=3), note="begun")
        wt("import", write_events(tmp_path / "0.jsonl", [old]), "--rulebook", tmp_path / "book.yaml", DATABASE_URL=url)
        with psycopg.connect(url) as conn:
            [place] = conn.execute("show unix_socket_directories").fetchone() or [""]
        net = stack.enter_context(network(Path(str(place).strip('"')) / ".s.PGSQL.5432"))
        two = Pair(url, net, tmp_path, name)
        stack.callback(_end, two)
        yield two


def _end(two: Pair) -> None:
    two.net.recover()
    for process in two.processes:
        process.kill()
        process.communicate()


def test_the_standby_takes_over_within_ten_seconds_when_the_network_of_the_first_hangs(pair: Pair) -> None:
    pair.falls_due(1, seconds=0.5)
    pair.opened(1, within=60)
    pair.falls_due(2, seconds=3600)
    first = pair.first_hangs()
    pair.falls_due_now(2)
    print(f"taken over after {pair.opened(2, within=WITHIN):.1f} s")
    pair.net.recover()
    time.sleep(2)
    assert first.poll() is None, "the first one goes on, now as the standby"
    assert pair.rows("select count(*), count(distinct record) from alert") == [(2, 2)]
    assert pair.rows("select count(*) from journal where type = 'alert.opened'") == [(2,)]


def test_the_standby_takes_over_within_ten_seconds_when_the_first_is_killed(pair: Pair) -> None:
    pair.falls_due(1, seconds=3600)
    first = pair.first_hangs()
    pair.falls_due_now(1)
    os.kill(first.pid, signal.SIGKILL)
    pair.net.recover()
    print(f"taken over after {pair.opened(1, within=WITHIN):.1f} s")
    assert pair.rows("select count(*) from journal where type = 'alert.opened'") == [(1,)]
