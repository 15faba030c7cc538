"""CSV and Parquet files: what is read as what, what is set aside, and what stops the file."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from watchtower.connectors import Batch, load_mapping, open_source
from watchtower.errors import InputError

ROOT = Path(__file__).parents[2]
LOG = ROOT.parent / "shared/data/process/bpic2012_loan.parquet"
MAPPING = "source: crm\nevents:\n  - {subject: 'lead/{id}', time: at, type: seen, data: {n: n}}\n"
AT = "2026-03-02T09:00:00Z"
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def _read(path: Path, more: str = "", mapping: str = MAPPING, size: int = 5000) -> Batch:
    (path.parent / "mapping.yaml").write_text(mapping + more)
    batches = list(open_source(path, load_mapping(path.parent / "mapping.yaml")).batches(size))
    done = [batch.done for batch in batches]
    assert done == sorted(done)
    assert done[-1:] in ([], [1.0])
    return Batch([e for b in batches for e in b.events], [r for b in batches for r in b.refused], 1.0)


def _csv(folder: Path, text: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.xes", "t.xes.gz", "T.CSV"])
def test_a_table_without_a_mapping_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("id,at,n\n")
    with pytest.raises(InputError, match="--mapping"):
        open_source(tmp_path / name)


def test_events_with_a_mapping_are_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(InputError, match="leave --mapping away"):
        _read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.xes"])
def test_a_table_that_is_missing_empty_or_a_folder_is_an_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        _read(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        _read(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="is a directory"):
        _read(tmp_path / name)


def test_a_csv_row_gives_its_event(tmp_path: Path) -> None:
    (event,) = _read(_csv(tmp_path, f'n,at,id\n"Acme, ""the"" one\nand only",{AT},L-17\n')).events
    assert (event.source, event.type, event.subject, event.time) == ("crm", "seen", "lead/L-17", NINE)
    assert event.data == {"n": 'Acme, "the" one\nand only'}


def test_a_wrong_header_names_the_missing_column_and_lists_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no column at, n, which the mapping reads; it has: id, At, name"):
        _read(_csv(tmp_path, "id,At,name\n"))


def test_another_delimiter_is_hinted_at_and_can_be_said(tmp_path: Path) -> None:
    path = _csv(tmp_path, f"id;at;n\n1;{AT};x\n")
    with pytest.raises(InputError, match="say csv: {delimiter: ';'} in the mapping"):
        _read(path)
    assert len(_read(path, "csv: {delimiter: ';'}\n").events) == 1


def test_a_column_that_stands_twice_is_refused_only_where_it_is_read(tmp_path: Path) -> None:
    assert _read(_csv(tmp_path, f"id,at,n,z,z\n1,{AT},x,1,2\n")).events[0].data == {"n": "x"}
    with pytest.raises(InputError, match="has the column n more than once"):
        _read(_csv(tmp_path, f"id,at,n,n\n1,{AT},x,y\n"))


def test_a_wrong_encoding_sets_aside_the_rows_it_spoils_with_the_remedy(tmp_path: Path) -> None:
    path = _csv(tmp_path, f"id,at,n\n1,{AT},Müller\n2,{AT},Smith\n".encode("cp1252"))
    read = _read(path)
    assert [event.subject for event in read.events] == ["lead/2"]
    (refused,) = read.refused
    assert refused.place == "t.csv:2"
    assert refused.reason.startswith("n: 'M\ufffdller' is not utf-8 (byte 0xfc)")
    assert "csv: {encoding: cp1252}" in refused.reason
    assert _read(path, "csv: {encoding: cp1252}\n").events[0].data == {"n": "Müller"}


def test_utf16_is_an_input_error_until_it_is_said(tmp_path: Path) -> None:
    path = _csv(tmp_path, f"id,at,n\n1,{AT},Müller\n".encode("utf-16"))
    with pytest.raises(InputError, match="encoding: utf-16"):
        _read(path)
    assert _read(path, "csv: {encoding: utf-16}\n").events[0].data == {"n": "Müller"}


def test_rows_that_are_no_csv_are_named_by_line_and_the_rest_goes_in(tmp_path: Path) -> None:
    rows = f'1,{AT},"two\nlines"\n2,{AT}\n\n3,{AT},"x"y\n4,{AT},a,b\n5,{AT},\0\n6,{AT},fine\n'
    read = _read(_csv(tmp_path, "\ufeffid,at,n\r\n" + rows))
    assert [event.subject for event in read.events] == ["lead/1", "lead/6"]
    assert [(one.place, one.reason) for one in read.refused] == [
        ("t.csv:4", "row: has 2 cells; the header has 3"),
        ("t.csv:6", "row: is not CSV: ',' expected after '\"'"),
        ("t.csv:7", "row: has 4 cells; the header has 3"),
        ("t.csv:8", "row: has a NUL character"),
    ]


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    read = _read(_csv(tmp_path, f'id,at,n\n1,{AT},x\n2,{AT},"open\n'))
    assert len(read.events) == 1
    assert [one.place for one in read.refused] == ["t.csv:3"]


def test_a_header_alone_gives_nothing(tmp_path: Path) -> None:
    assert _read(_csv(tmp_path, "id,at,n\n")) == Batch([], [], 1.0)


def test_parquet_values_keep_their_types(tmp_path: Path) -> None:
    cells: dict[str, Any] = {
        "text": "x",
        "word": pa.array(["word"]).dictionary_encode(),
        "whole": 7,
        "part": 1.5,
        "flag": True,
        "when": datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC),
        "day": date(2026, 3, 2),
        "price": Decimal("19.90"),
        "tags": ["a", "b"],
        "more": {"k": 1},
        "nan": float("nan"),
        "null": pa.nulls(1),
    }
    columns = {name: cell if isinstance(cell, pa.Array) else [cell] for name, cell in cells.items()}
    data = ", ".join(f"{name}: '{name}'" for name in cells)
    path = _parquet(tmp_path, id=[12.0], at=[NINE], **columns)
    (event,) = _read(path, mapping=MAPPING.replace("n: n", data)).events
    assert event.subject == "lead/12"
    assert event.data == {
        "text": "x",
        "word": "word",
        "whole": 7,
        "part": 1.5,
        "flag": True,
        "when": "2026-03-02T09:00:00.123456Z",
        "day": "2026-03-02",
        "price": 19.9,
        "tags": ["a", "b"],
        "more": {"k": 1},
    }


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "+05:30"])
def test_a_typed_instant_is_that_instant_whatever_zone_its_type_names(tmp_path: Path, unit: str, zone: str) -> None:
    at = pa.array([NINE, None], pa.timestamp(unit, zone))
    read = _read(_parquet(tmp_path, id=["1", "2"], at=at, n=["x", "y"]))
    assert [event.time for event in read.events] == [NINE]
    assert [(one.place, one.reason) for one in read.refused] == [("t.parquet row 2", "time: the column at: is empty")]


def test_a_typed_time_without_zone_needs_the_timezone_of_the_mapping(tmp_path: Path) -> None:
    path = _parquet(tmp_path, id=["1"], at=pa.array([datetime(2026, 3, 2, 10)], pa.timestamp("us")), n=["x"])  # noqa: DTZ001
    with pytest.raises(InputError, match="times without offset"):
        _read(path)
    assert _read(path, "timezone: Europe/Rome\n").events[0].time == NINE


def test_a_time_beyond_the_calendar_sets_its_row_aside(tmp_path: Path) -> None:
    at = pa.array([2**62, 0], pa.int64()).cast(pa.timestamp("us", "UTC"))
    read = _read(_parquet(tmp_path, id=["1", "2"], at=at, n=["x", "y"]))
    assert (len(read.events), [one.place for one in read.refused]) == (1, ["t.parquet row 1"])


def test_an_infinite_number_sets_its_row_aside(tmp_path: Path) -> None:
    read = _read(_parquet(tmp_path, id=["1", "2"], at=[NINE, NINE], n=[float("inf"), 1.0]))
    assert [event.data for event in read.events] == [{"n": 1.0}]
    assert read.refused[0].reason == "n: the column n: inf is not a number that JSON can hold"
    assert read.refused[0].raw == {"id": "1", "at": "2026-03-02T09:00:00.000000Z", "n": "inf"}


def test_rows_are_numbered_through_batches_and_row_groups(tmp_path: Path) -> None:
    ids = [str(n) if n != 17 else None for n in range(1, 31)]
    table = pa.table({"id": ids, "at": [NINE] * 30, "n": list(range(30))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=8)
    read = _read(tmp_path / "t.parquet", size=5)
    assert [event.subject for event in read.events] == [f"lead/{n}" for n in range(1, 31) if n != 17]
    assert [(one.place, one.reason) for one in read.refused] == [
        ("t.parquet row 17", "subject: the column id is empty")
    ]


def test_a_parquet_file_that_was_cut_short_is_an_input_error(tmp_path: Path) -> None:
    path = _parquet(tmp_path, id=["1"] * 1000, at=[NINE] * 1000, n=list(range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is not a complete Parquet file"):
        _read(path)


def test_a_damaged_page_is_an_input_error_and_no_crash(tmp_path: Path) -> None:
    path = _parquet(tmp_path, id=[str(n) for n in range(1000)], at=[NINE] * 1000, n=list(range(1000)))
    content = bytearray(path.read_bytes())
    content[4:600] = b"\xff" * 596
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read on after row 0"):
        _read(path)


def test_a_parquet_file_without_a_mapped_column_lists_its_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column n, which the mapping reads; it has: id, at"):
        _read(_parquet(tmp_path, id=["1"], at=[NINE]))


@pytest.mark.skipif(not LOG.exists(), reason=f"the BPI Challenge 2012 log is not at {LOG}")
def test_the_loan_log_becomes_262200_events_in_seconds_in_its_own_order() -> None:
    mapping = load_mapping(ROOT / "examples/bpic2012/mapping.yaml")
    began = time.process_time()
    batches = list(open_source(LOG, mapping).batches())
    spent = time.process_time() - began
    events = [event for batch in batches for event in batch.events]
    assert sum(len(batch.refused) for batch in batches) == 0
    assert len(events) == len({event.id for event in events}) == 262_200
    rows = pq.read_table(LOG)
    assert [event.data["activity"] for event in events] == rows["activity"].to_pylist()
    assert [event.subject for event in events] == [f"application/{case}" for case in rows["case_id"].to_pylist()]
    assert [event.time for event in events[:5000]] == rows["timestamp"][:5000].to_pylist()
    assert {event.type for event in events} == {"application.state", "offer.state", "work.item"}
    assert spent < 9, f"{spent:.1f} s of processor time; measured about 1.5 where nothing else runs"


@pytest.mark.skipif(not LOG.exists(), reason=f"the BPI Challenge 2012 log is not at {LOG}")
def test_reading_parquet_leaves_pandas_alone() -> None:
    program = (
        "import sys; from pathlib import Path; from watchtower.connectors import load_mapping, open_source;"
        "mapping = load_mapping(Path('examples/bpic2012/mapping.yaml'));"
        f"batch = next(open_source(Path({str(LOG)!r}), mapping).batches());"
        "assert batch.events; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)
