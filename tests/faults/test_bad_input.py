"""Bad input and full disks: a clear error, an exit code, nothing lost, and the next run works."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import RULEBOOK, database_of, lead, many_leads, write_events, wt

from watchtower.store.embedded import EmbeddedServer

MAPPING = """\
rulebook: book.yaml
source: sheet
timezone: Europe/Rome
events:
  - subject: lead/{lead}
    time: at
    type: record.updated
    fields: {stage: stage}
"""
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, template: str) -> Iterator[str]:
    """One database for the module's imports."""
    with database_of(server.url, template, "bad_input") as address:
        yield address


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    (tmp_path / "book.yaml").write_text(RULEBOOK)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return tmp_path / "mapping.yaml"


def journal(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("select count(*) from journal where layer = 'core'").fetchone()
        return int(row[0]) if row else 0


def test_a_truncated_parquet_file_is_refused_and_the_whole_one_goes_in(tmp_path: Path, mapping: Path, url: str) -> None:
    path = tmp_path / "leads.parquet"
    count = 500
    pq.write_table(
        pa.table({"lead": [f"P-{n}" for n in range(count)], "at": [START] * count, "stage": ["mql"] * count}), path
    )
    whole = path.read_bytes()
    before = journal(url)
    path.write_bytes(whole[: len(whole) // 2])
    said = wt("import", path, "--mapping", mapping, code=1, DATABASE_URL=url).err
    assert "leads.parquet: is not a complete Parquet file" in said and "cut short" in said
    assert journal(url) == before
    path.write_bytes(whole)
    assert wt("import", path, "--mapping", mapping, "--json", DATABASE_URL=url).json()["accepted"] == count


def test_a_csv_with_a_wrong_header_names_the_missing_column_and_what_is_there(
    tmp_path: Path, mapping: Path, url: str
) -> None:
    path = tmp_path / "leads.csv"
    path.write_text("lead,when,stage\nC-1,2026-03-02T09:00:00,mql\n")
    said = wt("import", path, "--mapping", mapping, code=1, DATABASE_URL=url).err
    assert "has no column at, which the mapping reads; it has: lead, when, stage" in said
    path.write_text("lead,at,stage\nC-1,2026-03-02T09:00:00,mql\nC-2,2026-03-02T09:00:00,nonsense\nC-3\n")
    half = wt("import", path, "--mapping", mapping, "--json", code=1, DATABASE_URL=url)
    assert half.json() | {"seconds": 0} == {
        "accepted": 1,
        "duplicate": 0,
        "conflict": 0,
        "quarantined": 0,
        "refused": 2,
        "seconds": 0,
    }
    assert "leads.csv:4: row: has 1 cells; the header has 3" in half.err and "nonsense" in half.err


def test_bad_events_are_named_and_set_aside_and_the_rest_goes_in(tmp_path: Path, mapping: Path, url: str) -> None:
    good, other = lead("b1", "B-1", START, stage="mql"), lead("b2", "B-2", START, stage="raw")
    path = write_events(
        tmp_path / "events.jsonl",
        [
            good,
            lead("b3", "B-3", START, stage="mql") | {"time": "2026-03-02T09:00:00"},
            lead("b4", "B-4", START, stage="mql") | {"subject": "spaceship/S-1"},
            lead("b5", "B-5", START, stage="nonsense"),
            lead("b6", "B-6", START, stage="mql") | {"type": "alert.opened"},
            lead("b1", "B-1", START, stage="sql"),
            other,
        ],
    )
    first = wt("import", path, "--rulebook", mapping.with_name("book.yaml"), "--json", code=1, DATABASE_URL=url)
    assert first.json() | {"seconds": 0} == {
        "accepted": 2,
        "duplicate": 0,
        "conflict": 1,
        "quarantined": 0,
        "refused": 4,
        "seconds": 0,
    }
    for says in (
        "events.jsonl:2: time: '2026-03-02T09:00:00' has no offset",
        "event b4: subject: the rulebook has no object 'spaceship'; it has lead",
        "event b5: stage: 'nonsense'", "event b6: type: 'alert.opened' is spoken by workers", "event b1: ",
    ):  # fmt: skip
        assert says in first.err
    write_events(path, [good, other])
    again = wt("import", path, "--json", DATABASE_URL=url).json()
    assert (again["accepted"], again["duplicate"], again["conflict"]) == (0, 2, 0)


def test_files_that_hold_nothing_or_something_else_are_refused(tmp_path: Path, mapping: Path, url: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    events = write_events(tmp_path / "events.jsonl", [lead("x1", "X-1", START, stage="mql")])
    before = journal(url)
    assert "empty.jsonl: is empty" in wt("import", tmp_path / "empty.jsonl", code=1, DATABASE_URL=url).err
    assert "takes no mapping" in wt("import", events, "--mapping", mapping, code=1, DATABASE_URL=url).err
    events.rename(tmp_path / "events.docx")
    assert "its ending is not one of" in wt("import", tmp_path / "events.docx", code=1, DATABASE_URL=url).err
    assert journal(url) == before


def test_a_database_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.jsonl", [lead("x1", "X-1", START, stage="mql")])
    absent = "postgresql://someone:secret@127.0.0.1:1/nothing"
    said = wt("import", events, code=1, DATABASE_URL=absent).err
    assert "the database cannot be reached" in said and "secret" not in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 320 MB, gone afterwards."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=320m,mode=755", "tmpfs", folder], capture_output=True, check=False
    )
    if not made or made.returncode != 0:
        pytest.skip("a small file system cannot be mounted here (that needs root, and a kernel that lets it)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_said_and_once_there_is_room_the_same_import_goes_on(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "book.yaml").write_text(RULEBOOK)
    noise = random.Random(7)
    leads = many_leads(6000, 1000)
    for event in leads:
        event["data"]["fields"]["note"] = noise.randbytes(3000).hex()
    events = write_events(tmp_path / "leads.jsonl", leads)
    command = ("import", events, "--rulebook", tmp_path / "book.yaml", "--data", small_disk / "data")
    filler = small_disk / "filler"

    fill(filler, leaving=100)
    assert "bytes are free, the database needs" in wt(*command, code=1).err
    filler.unlink()
    wt("tick", "--data", small_disk / "data")

    fill(filler, leaving=34)
    said = wt(*command, code=1).err
    assert "error: " in said and ("disk is full" in said or "No space left" in said), said
    filler.unlink()
    done = wt(*command, "--json").json()
    assert done["accepted"] + done["duplicate"] == len(leads) and done["accepted"] > 0
    assert (done["conflict"], done["refused"]) == (0, 0)


def fill(path: Path, *, leaving: int) -> None:
    """Fill the disk but for `leaving` MB."""
    free = shutil.disk_usage(path.parent).free - leaving * 1024 * 1024
    with path.open("wb") as file:
        for _ in range(free // (1024 * 1024)):
            file.write(b"\0" * 1024 * 1024)
