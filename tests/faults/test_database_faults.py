"""The database goes away under a running service: each fault once. `database_campaign.py --count 50` is the whole."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from database_campaign import campaign

from watchtower.errors import StoreError
from watchtower.store import embedded
from watchtower.store.database import migrate, open_database


def test_each_fault_of_the_database_shows_and_passes_and_loses_nothing(own_folder: Path) -> None:
    faults, figures = campaign(1, 3, own_folder)
    assert faults == []
    assert set(figures["faults"]) | ({"full"} if figures["left out"] else set()) == {"restart", "cut", "full", "locks"}
    assert figures["failed requests"] > 0 and figures["lost"] == 0


def test_an_embedded_server_that_was_killed_is_started_again_by_whoever_needs_it(own_folder: Path) -> None:
    with embedded.start(own_folder / "data") as server:
        database = open_database(server.url, server=server)
        migrate(database)
        database.check_ready()
        before = server.pid
        os.kill(before, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            # A connection that stands may answer for a moment longer: its process outlives the one that was killed.
            with suppress(StoreError):
                database.check_ready()
                if server.pid != before:
                    break
            assert time.monotonic() < deadline, "nobody started it again"
            time.sleep(0.1)
        database.close()
    assert not (own_folder / "data" / "postgres" / "postmaster.pid").exists(), "and stopped with its last user"


def test_a_server_that_hangs_is_not_ready_within_five_seconds(own_folder: Path) -> None:
    with embedded.start(own_folder / "data") as server:
        database = open_database(server.url, server=server)
        migrate(database)
        database.check_ready()
        with database.engine.connect() as conn:
            pid = conn.exec_driver_sql("select pg_backend_pid()").scalar_one()
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(StoreError, match="no answer within"):
                database.check_ready()
            assert time.monotonic() - began < 5
        finally:
            os.kill(pid, signal.SIGCONT)
        while time.monotonic() - began < 15:
            try:
                database.check_ready()
                break
            except StoreError:
                time.sleep(0.1)
        database.check_ready()
        database.close()
