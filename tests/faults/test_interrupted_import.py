"""An import that is killed, or stopped by Ctrl-C, in the middle: the same command again, and all is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from command_line import PROJECT, RULEBOOK, begin, database_of, ended, many_leads, write_events, wt

from watchtower.store import embedded

EVENTS = 20_000
BATCH = 5000

TABLES = {
    "journal": "select source, id, type, object, record, time, layer, encode(body_hash, 'hex') from journal "
    "where layer = 'core' order by source, id",
    "decisions": "select type, object, record, time, data from journal where layer <> 'core' "
    "and type not in ('rulebook.activated', 'clock.held') order by 1, 2, 3, 4, id",
    "record": "select object, id, state, provenance, created_at, changed_at, deleted_at from record order by 1, 2",
    "version": "select object, id, valid_from, valid_to, state from version order by 1, 2, 3",
    "span": "select * from span order by rule, object, record, state, since",
    "alert": "select id, rule, object, record, since, opened_at, status, severity, queue, owner, resolution, "
    "resolved_at from alert order by id",
}
"""All that an import leaves behind, but for the times of its own runs."""


@pytest.fixture
def real_or_made(tmp_path: Path) -> list[object]:
    """Arguments of `import`: the first loan applications of the real log, else made leads."""
    log = PROJECT.parent / "shared" / "data" / "process" / "bpic2012_loan.parquet"
    if not log.exists():
        return made(tmp_path)
    table = pq.read_table(log)
    names = table["case_id"].cast("string")
    cases = pc.unique(names)[: EVENTS // 20]
    path = tmp_path / "loans.parquet"
    pq.write_table(table.filter(pc.is_in(names, cases)).slice(0, EVENTS), path)
    return [path, "--mapping", PROJECT / "examples" / "bpic2012" / "mapping.yaml"]


def made(folder: Path) -> list[object]:
    (folder / "book.yaml").write_text(RULEBOOK)
    return [write_events(folder / "leads.jsonl", many_leads(EVENTS, 1000)), "--rulebook", folder / "book.yaml"]


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url, connect_timeout=10) as conn:
        return conn.execute(sql).fetchall()


def journalled(data: Path) -> int:
    """Acknowledged events, seen from outside through the database's own socket; -1 while there is none."""
    try:
        return int(rows(socket_of(data), "select count(*) from journal where layer = 'core'")[0][0])
    except (OSError, psycopg.Error, IndexError):
        return -1


def socket_of(data: Path) -> str:
    folder = (data / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://watchtower@/watchtower?host={folder}"


def until(process: subprocess.Popen[str], true: Callable[[], bool]) -> None:
    """Wait until it is so, while the process goes on."""
    deadline = time.monotonic() + 90
    while not true():
        if process.poll() is not None:
            raise AssertionError(f"the import ended before it could be interrupted: {ended(process)}")
        assert time.monotonic() < deadline, "the import does not get on"
        time.sleep(0.03)


def test_three_kills_in_an_import_lose_nothing_and_double_nothing(
    tmp_path: Path, real_or_made: list[object], server: embedded.EmbeddedServer, template: str
) -> None:
    data = tmp_path / "data"
    for batches in (1, 2, 3):
        process = begin("import", *real_or_made, "--data", data)
        until(process, lambda enough=batches * BATCH: journalled(data) >= enough)  # type: ignore[misc]
        time.sleep(0.05)  # into the next batch's transaction
        assert process.poll() is None, "the import ended before it could be killed"
        process.kill()
        assert ended(process).code == -signal.SIGKILL
    last = wt("import", *real_or_made, "--data", data, "--json").json()
    assert last["duplicate"] >= 3 * BATCH and last["refused"] == last["conflict"] == 0
    total = last["accepted"] + last["duplicate"]
    with database_of(server.url, template, "undisturbed") as url:
        whole = wt("import", *real_or_made, "--json", DATABASE_URL=url).json()
        assert (whole["accepted"], whole["duplicate"]) == (total, 0)
        with embedded.start(data) as restarted:
            for name, sql in TABLES.items():
                assert rows(restarted.url, sql) == rows(url, sql), name
        assert rows(url, "select count(*) from alert")[0][0] > 0


def test_ctrl_c_in_an_import_keeps_what_is_acknowledged_and_the_next_run_goes_on(tmp_path: Path) -> None:
    data, arguments = tmp_path / "data", made(tmp_path)
    process = begin("import", *arguments, "--data", data)
    until(process, lambda: journalled(data) >= BATCH)
    os.kill(process.pid, signal.SIGINT)
    stopped = ended(process)
    assert stopped.code == 130
    assert "events are in; run the same command again to go on" in stopped.err
    again = wt("import", *arguments, "--data", data, "--json").json()
    assert again["duplicate"] >= BATCH and again["accepted"] + again["duplicate"] == EVENTS
    assert (again["conflict"], again["refused"]) == (0, 0)
