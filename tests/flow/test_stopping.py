"""SIGTERM: what is at hand is finished, within the stated time, and the process ends."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command_line import RULEBOOK, begin, ended, lead
from job_scene import BOOK, START, prepared, waiting, worker
from llm_stub import model
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from watchtower.bootstrap import build
from watchtower.cli.service import GRACE
from watchtower.settings import Settings
from watchtower.store.turns import TICK
from watchtower.workers.run import GRACE as WORKER_GRACE


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def scene(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "book.yaml").write_text(RULEBOOK)
    env = {"DATABASE_URL": database_url, "WATCHTOWER_DATA": str(tmp_path)}
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", clock=lambda: START) as tower:
        tower.take([lead("e1", "L-1", START, stage="mql", mql_at=START.isoformat())])
    return env


def waits_for_a_lock(conn: psycopg.Connection[Any], seconds: float = 30) -> None:
    """Return once another session of this database waits for a lock."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = conn.execute(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        ).fetchone()
        if found and found[0]:
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits for a lock")


def test_a_tick_that_is_told_to_stop_finishes_what_it_does(scene: dict[str, str]) -> None:
    with psycopg.connect(libpq(scene["DATABASE_URL"]), autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [TICK])
        process = begin("tick", "--json", **scene)
        waits_for_a_lock(holder)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None, "it gave up in the middle"
        holder.execute("select pg_advisory_unlock(%s)", [TICK])
    done = ended(process, seconds=30)
    assert done.code == 0 and json.loads(done.out)["opened"] == 1


def test_a_request_under_way_is_answered_before_the_service_ends(scene: dict[str, str], free_port: int) -> None:
    process = begin("serve", "--port", free_port, **scene)
    assert process.stdout is not None and "review page" in process.stdout.readline()
    said: list[Any] = []

    def post() -> None:
        event = lead("e2", "L-2", datetime.now(UTC), stage="raw")  # noqa: TID251
        request = urllib.request.Request(
            f"http://127.0.0.1:{free_port}/events", json.dumps(event).encode(),
            {"content-type": "application/cloudevents+json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            said.append(json.load(answer))

    with psycopg.connect(libpq(scene["DATABASE_URL"])) as holder:
        holder.execute("lock table journal in exclusive mode")
        poster = threading.Thread(target=post)
        poster.start()
        with psycopg.connect(libpq(scene["DATABASE_URL"]), autocommit=True) as looker:
            waits_for_a_lock(looker)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        holder.rollback()
    poster.join(timeout=30)
    done = ended(process, seconds=30)
    assert done.code == 0 and "stopped" in done.err
    assert [verdict["status"] for verdict in said[0]["verdicts"]] == ["accepted"]


def test_up_ends_within_its_grace_while_a_part_of_it_hangs(scene: dict[str, str], free_port: int) -> None:
    process = begin("up", "--port", free_port, "--no-model", **scene)
    assert process.stdout is not None and "review page" in process.stdout.readline()
    with psycopg.connect(libpq(scene["DATABASE_URL"]), autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [TICK])
        waits_for_a_lock(holder)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        done = ended(process, seconds=GRACE + 25)
        assert done.code == 0 and time.monotonic() - begun < GRACE + 20
    with psycopg.connect(libpq(scene["DATABASE_URL"])) as looker:
        found = looker.execute("select count(*) from pg_stat_activity where wait_event_type = 'Lock'").fetchone()
    assert found == (0,), "what hung is rolled back"


def test_a_worker_ends_within_its_grace_and_leaves_the_rest_unasked(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url), llm_model="stub")
    with build(settings, rulebook=tmp_path / "book.yaml", clock=lambda: START) as tower, model(1.0) as stub:
        prepared(tower, 20)
        assert tower.hand_down() == 20
        process = worker(tower.jobs_url, stub)
        while stub.calls.total() < 2:
            assert process.poll() is None
            time.sleep(0.02)
        begun = time.monotonic()
        process.terminate()
        done = ended(process, seconds=30)
        assert done.code == 0 and "stopped" in done.err
        assert time.monotonic() - begun < WORKER_GRACE + 10
        left = waiting(tower)
        assert 0 < left < 20 and set(stub.calls.values()) == {1}
        # Each call that was answered is kept; of those cut off there is one at most.
        assert 20 - left <= stub.calls.total() <= 20 - left + 1
        assert tower.take_up().decided.accepted == 20 - left
