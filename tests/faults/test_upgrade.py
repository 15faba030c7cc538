"""A database of every revision there ever was comes up to this version, and says what it said."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.upgrade_fixture import FOLDER, START, TABLES, expected, revisions, write
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.flow.apply import evaluate_records, rebuild_records
from watchtower.settings import Settings
from watchtower.store import backup, rulebooks
from watchtower.store.database import open_database, revision_of
from watchtower.store.migrations import HEAD


@pytest.mark.parametrize("revision", revisions()[::-1])
def test_a_database_of_each_revision_upgrades_and_says_what_it_said(
    revision: str, empty_url: str, tmp_path: Path
) -> None:
    file = FOLDER / f"{revision}.zip"
    assert file.exists(), f"revision {revision} has no fixture: python tests/faults/upgrade_fixture.py makes one"
    with zipfile.ZipFile(file) as archive:
        said = json.loads(archive.read("expected.json"))
    assert len(said["alert"]) > 10 and len(said["action"]) > len(said["alert"]) and said["proposal"]
    database = open_database(empty_url)
    try:
        assert backup.restore(database, file, START).revision == revision
        with database.read() as conn:
            assert revision_of(conn) == HEAD
            assert _told(expected(conn), said) == said
    finally:
        database.close()
    settings = Settings(data=tmp_path, database_url=SecretStr(empty_url))
    with build(settings, clock=lambda: START + timedelta(days=60)) as tower:
        _rebuilt(tower, said)
        assert tower.tick().corrected == 0
        with tower.database.read() as conn:
            after = {row["id"]: row for row in expected(conn)["alert"]}
        for row in said["alert"]:
            now = after[row["id"]]
            assert [now[key] for key in ("rule", "since", "opened_at", "causes", "reads")] == [
                row[key] for key in ("rule", "since", "opened_at", "causes", "reads")
            ]


def _rebuilt(tower: Tower, said: dict[str, Any]) -> None:
    """Folded and evaluated anew from the journal by today's code, nothing is any different."""
    with tower._write() as conn:
        known = rulebooks.records_after(conn, "", "", 10_000)
        rebuild_records(conn, tower._engine, known)
        applied = evaluate_records(conn, tower._engine, known)
        assert (applied.withdrawn, applied.reopened) == ([], [])
        assert _told(expected(conn), said) == said


def _told(found: dict[str, list[Any]], said: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Only the columns that the fixture knows: later revisions may add some."""
    assert all(len(found[table]) == len(said[table]) for table in TABLES)
    kept = {
        table: [{key: row[key] for key in known} for row in found[table] for known in said[table][:1]]
        for table in TABLES
    }
    return {table: sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for table, rows in kept.items()}


def test_a_fixture_is_made_by_one_command_the_same_each_time(tmp_path: Path) -> None:
    (made,) = write(tmp_path / "fixtures", tmp_path / "work", [HEAD])
    with zipfile.ZipFile(made) as archive, zipfile.ZipFile(FOLDER / f"{HEAD}.zip") as kept:
        assert json.loads(archive.read("expected.json")) == json.loads(kept.read("expected.json"))
