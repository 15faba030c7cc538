"""A backup is whole or not there; restoring is whole or undone.

`backup_campaign.py --count 20` takes them under load."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, inside
from faults.backup_campaign import campaign, event, tower_of

from watchtower.errors import InputError, StoreError
from watchtower.store import backup
from watchtower.store.database import open_database
from watchtower.store.embedded import EmbeddedServer
from watchtower.store.migrations import HEAD

NOW = datetime(2026, 4, 1, 9, tzinfo=UTC)


def test_backups_under_load_are_prefixes_of_the_journal(server: EmbeddedServer, tmp_path: Path) -> None:
    report = campaign(server, tmp_path, backups=3)
    assert report.wrong == []
    assert report.backups == 3 and sorted(report.entries) == report.entries and report.entries[0] < report.entries[-1]


@pytest.fixture
def saved(database_url: str, tmp_path: Path) -> Path:
    """A backup of a tower with some events, an alert, and a letter that no text format likes."""
    import random

    draw = random.Random(7)
    with tower_of(database_url, tmp_path) as tower:
        tower.take([event(str(n), draw) for n in range(200)])
        note = "tab\there, back\\slash, new\nline, \\N, è, \U0001f600"
        tower.take([event("x", draw) | {"type": "activity.logged", "data": {"note": note}}, {"id": "bad\x00"}])
        tower.tick()
        backup.back_up(tower.database, tmp_path / "saved.zip", NOW)
    return tmp_path / "saved.zip"


def contents(url: str) -> dict[str, list[Any]]:
    database = open_database(url)
    try:
        with database.read() as conn:
            tables = conn.exec_driver_sql("select tablename from pg_tables where schemaname = 'public'").scalars().all()
            found = {
                name: [tuple(row) for row in conn.exec_driver_sql(f"select t::text from {name} t order by 1")]
                for name in tables
            }
            if "audit" in found:  # the one row that a restore adds to what was
                found["audit"] = [row for row in found["audit"] if "database.restore" not in row[0]]
            return found
    finally:
        database.close()


def test_what_is_restored_is_what_was_backed_up_to_the_byte(saved: Path, database_url: str, empty_url: str) -> None:
    database = open_database(empty_url)
    manifest = backup.restore(database, saved, NOW)
    database.close()
    assert contents(empty_url) == contents(database_url)
    assert manifest.revision == HEAD and {t.name: t.rows for t in manifest.tables}["journal"] > 200
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_restored_tower_numbers_on_from_where_it_was(saved: Path, empty_url: str, tmp_path: Path) -> None:
    import random

    database = open_database(empty_url)
    last = backup.restore(database, saved, NOW).last_seq
    database.close()
    with tower_of(empty_url, tmp_path) as tower:
        assert [v.status for v in tower.take([event("new", random.Random(1))])] == ["accepted"]
        with tower.database.read() as conn:
            assert conn.exec_driver_sql("select seq from journal where id = 'new'").scalar_one() > last


def test_a_database_that_holds_something_is_left_alone_unless_one_insists(saved: Path, database_url: str) -> None:
    before = contents(database_url)
    database = open_database(database_url)
    try:
        with pytest.raises(StoreError, match="is not empty .*journal") as told:
            backup.restore(database, saved, NOW)
        assert "--force" in told.value.remedy
        with database.begin() as conn:
            conn.exec_driver_sql("delete from link; delete from span; update record set state = '{}'")
        backup.restore(database, saved, NOW, force=True)
    finally:
        database.close()
    assert contents(database_url) == before


def without(name: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda entries: {key: content for key, content in entries.items() if key != name}


def with_(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda entries: entries | {name: change(entries[name])}


def later(manifest: bytes) -> bytes:
    return json.dumps(json.loads(manifest) | {"revision": "9999_later"}).encode()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (with_("tables/record", lambda raw: raw.replace(b"mql", b"sql", 1)), "table record is not as it was written"),
        (with_("tables/journal", lambda raw: raw[: raw.rindex(b"\n", 0, -1) + 1]), "table journal is not as it was"),
        (without("tables/version"), "no whole backup"),
        (without("manifest.json"), "no whole backup"),
        (with_("manifest.json", lambda raw: b"{}"), "manifest.json"),
        (with_("manifest.json", later), "does not know"),
    ],
    ids=["a value", "a row missing", "a table missing", "no manifest", "an empty manifest", "a later revision"],
)
def test_a_damaged_backup_restores_nothing(
    saved: Path, empty_url: str, damage: Callable[[dict[str, bytes]], dict[str, bytes]], words: str
) -> None:
    with zipfile.ZipFile(saved) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in damage(entries).items():
            archive.writestr(name, content)
    database = open_database(empty_url)
    try:
        with pytest.raises((InputError, StoreError), match=words):
            backup.restore(database, saved, NOW)
    finally:
        database.close()
    assert contents(empty_url) == {}


def test_a_file_that_is_cut_short_is_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "short.zip").write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(InputError, match="no whole backup"):
        backup.check(tmp_path / "short.zip")


def test_backup_and_restore_at_the_command_line(
    saved: Path,
    database_url: str,
    empty_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wt(url: str, *arguments: object) -> Ended:
        monkeypatch.setenv("DATABASE_URL", url)
        return Ended(*inside(capsys, *arguments))

    file = tmp_path / "again.zip"
    assert wt(database_url, "backup", file, "--json").json()["revision"] == HEAD
    assert "is whole" in wt(database_url, "restore", file, "--check").out
    assert "is not empty" in wt(database_url, "restore", file).err
    assert wt(empty_url, "restore", file).code == 0
    assert contents(empty_url) == contents(database_url)
    assert "is no folder" in wt(database_url, "backup", tmp_path / "nowhere" / "x.zip").err
