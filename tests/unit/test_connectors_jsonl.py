"""Files of events: what is read, what is set aside, and what stops the file."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.connectors import Batch, open_source
from watchtower.connectors.jsonl import LINE_LIMIT
from watchtower.contract import Event, event_json
from watchtower.errors import InputError

GOOD = (
    '{"specversion":"1.0","id":"e1","source":"crm","type":"record.updated","subject":"lead/L-17",'
    '"time":"2026-03-02T10:00:00+01:00","data":{"fields":{"stage":"mql","contacted_at":null}}}'
)

_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=8,
)
_events = st.builds(
    Event,
    id=_names,
    source=_names,
    type=_names,
    subject=st.builds(lambda kind, record: f"{kind.replace('/', '_')}/{record}", _names, _names),
    time=st.datetimes(timezones=st.just(UTC)),
    data=st.dictionaries(_names, _values, max_size=4),
)


def _write(folder: Path, *lines: str | bytes, name: str = "events.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return path


def _read(path: Path, size: int = 5000) -> Batch:
    batches = list(open_source(path).batches(size))
    assert batches[-1].done == 1.0
    assert [batch.done for batch in batches] == sorted(batch.done for batch in batches)
    return Batch(
        [event for batch in batches for event in batch.events],
        [one for batch in batches for one in batch.refused],
        batches[-1].done,
    )


@settings(deadline=None)
@given(st.lists(_events, min_size=1, max_size=6), st.integers(1, 4), st.booleans())
def test_events_written_as_lines_come_back_equal_and_in_order(events: list[Event], size: int, ascii: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), *(json.dumps(event_json(event), ensure_ascii=ascii) for event in events))
        read = _read(path, size)
    assert read.refused == []
    assert read.events == events


def test_a_time_with_another_offset_becomes_utc(tmp_path: Path) -> None:
    (event,) = _read(_write(tmp_path, GOOD)).events
    assert event.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert event.time.tzinfo is UTC


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"id": "e2", ', "not JSON"),
        ("[1, 2]", "not a JSON object"),
        (GOOD.replace("+01:00", ""), "has no offset"),
        (GOOD.replace('"lead/L-17"', '"lead"'), "not of the form object/id"),
        (GOOD.replace('"id":"e1",', ""), "id: None"),
        (GOOD.replace('"2026-03-02T10:00:00+01:00"', "17"), "not an ISO 8601 time"),
        (GOOD.replace('"mql"', "NaN"), "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        (GOOD.replace('"mql"', "1e400"), "not JSON"),
        (GOOD.replace('"mql"', "[" * 60 + "]" * 60), "nests deeper than 50 levels"),
        (GOOD.replace('"id":"e1"', '"id":"e1","id":"e2"'), "the key 'id' stands twice"),
        (GOOD.replace('"stage":', '"stage": null, "stage" :'), "the key 'stage' stands twice"),
        (b'{"id": "\xff"}', "not UTF-8"),
        ('{"id": "' + "x" * LINE_LIMIT + '"}', f"longer than {LINE_LIMIT} bytes"),
    ],
    ids=[
        "broken",
        "list",
        "no-offset",
        "subject",
        "no-id",
        "time",
        "nan",
        "infinite",
        "deep",
        "deeper",
        "id-twice",
        "field-twice",
        "bytes",
        "long",
    ],
)
def test_a_bad_line_is_named_and_set_aside_and_the_rest_goes_in(tmp_path: Path, line: str | bytes, says: str) -> None:
    read = _read(_write(tmp_path, GOOD, "", line, GOOD.replace("e1", "e3"), ""))
    assert [event.id for event in read.events] == ["e1", "e3"]
    (refused,) = read.refused
    assert refused.place == "events.jsonl:3"
    assert says in refused.reason
    assert refused.raw


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = _write(tmp_path, b"\xef\xbb\xbf" + GOOD.encode() + b"\r", GOOD.replace("e1", "e2") + "\r", name="a.ndjson")
    read = _read(path)
    assert (len(read.events), read.refused) == (2, [])


def test_texts_that_look_like_keys_are_no_keys(tmp_path: Path) -> None:
    line = GOOD.replace('"mql"', json.dumps('say "stage": twice, "stage": thrice'))
    read = _read(_write(tmp_path, line, GOOD.replace('":', '" :').replace("e1", "e2")))
    assert ([event.id for event in read.events], read.refused) == (["e1", "e2"], [])


def test_a_time_in_small_letters_is_a_time(tmp_path: Path) -> None:
    """RFC 3339, section 5.6: T and Z may be small."""
    (event,) = _read(_write(tmp_path, GOOD.replace("2026-03-02T10:00:00+01:00", "2026-03-02t09:00:00.5z"))).events
    assert event.time == datetime(2026, 3, 2, 9, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("name", ["events", "events.json", "a.b/events"])
def test_events_in_a_file_of_another_name_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    assert len(_read(_write(tmp_path, GOOD, name=name)).events) == 1


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: there is no such file"):
        open_source(tmp_path / "none.jsonl")


def test_an_empty_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        open_source(_write(tmp_path, ""))


def test_a_directory_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        open_source(tmp_path / "folder.jsonl")


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.jsonl, \.ndjson, \.json, \.csv, \.parquet, \.xlsx, .*\.xes, \.xes\.gz"):
        open_source(_write(tmp_path, GOOD, name="events.docx"))


def test_a_utf16_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is UTF-16"):
        open_source(_write(tmp_path, GOOD.encode("utf-16")))
