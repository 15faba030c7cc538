"""From versions to spells, up to the time of the request and not beyond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from detectors.snapshot import read_versions
from detectors.spells import Spells, read_spells

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
NAIVE = pa.array([datetime(2026, 3, 1)], pa.timestamp("us"))  # noqa: DTZ001 - what is to be refused


def day(number: float | None) -> datetime | None:
    return None if number is None else MIDNIGHT + timedelta(days=number)


def snapshot(*rows: tuple[str, float, float | None, str | None]) -> Any:
    """Rows of record, from day, to day, stage."""
    return pa.table(
        {
            "record": pa.array([row[0] for row in rows], pa.string()),
            "valid_from": pa.array([day(row[1]) for row in rows], KIND),
            "valid_to": pa.array([day(row[2]) for row in rows], KIND),
            "stage": pa.array([row[3] for row in rows], pa.string()),
        }
    )


def spells(table: Any, at: float = 30, by: str = "") -> Spells:
    time = day(at)
    assert time is not None
    return read_spells(read_versions(table, time), "stage", by=by)


def told(found: Spells) -> list[tuple[str, str, float, bool, bool]]:
    """Record, stage, days, completed, running."""
    return [
        (
            found.ids[int(found.record[row])].as_py(),
            found.stages[found.stage[row]],
            found.duration[row] / 86_400e6,
            bool(found.completed[row]),
            bool(found.running[row]),
        )
        for row in range(found.stage.size)
    ]


def test_versions_in_one_stage_are_one_spell() -> None:
    table = snapshot(("D-1", 0, 2, "demo"), ("D-1", 2, 5, "demo"), ("D-1", 5, None, "proposal"))
    assert told(spells(table)) == [("D-1", "demo", 5, True, False), ("D-1", "proposal", 25, False, True)]


def test_a_return_to_a_stage_is_a_new_spell() -> None:
    table = snapshot(("D-1", 0, 2, "demo"), ("D-1", 2, 5, "proposal"), ("D-1", 5, None, "demo"))
    assert [row[:3] for row in told(spells(table))] == [
        ("D-1", "demo", 2),
        ("D-1", "proposal", 3),
        ("D-1", "demo", 25),
    ]


def test_a_deleted_record_neither_runs_nor_left() -> None:
    assert told(spells(snapshot(("D-1", 0, 4, "demo")))) == [("D-1", "demo", 4, False, False)]


def test_a_gap_ends_a_spell_without_completing_it() -> None:
    table = snapshot(("D-1", 0, 2, "demo"), ("D-1", 3, None, "demo"))
    assert told(spells(table)) == [("D-1", "demo", 2, False, False), ("D-1", "demo", 27, False, True)]


def test_a_cleared_stage_is_not_known_to_have_been_left() -> None:
    table = snapshot(("D-1", 0, 2, "demo"), ("D-1", 2, None, None))
    assert told(spells(table)) == [("D-1", "demo", 2, False, False)]


def test_an_end_after_the_request_is_still_open() -> None:
    table = snapshot(("D-1", 0, 10, "demo"), ("D-1", 10, None, "proposal"))
    assert told(spells(table, at=7)) == [("D-1", "demo", 7, False, True)]


def test_a_change_at_the_very_time_of_the_request_counts() -> None:
    table = snapshot(("D-1", 0, 10, "demo"), ("D-1", 10, None, "proposal"))
    assert told(spells(table, at=10)) == [
        ("D-1", "demo", 10, True, False),
        ("D-1", "proposal", 0, False, True),
    ]


def test_versions_without_duration_are_passed_over() -> None:
    table = snapshot(("D-1", 0, 3, "demo"), ("D-1", 3, 3, "lost"), ("D-1", 3, None, "proposal"))
    assert told(spells(table)) == [("D-1", "demo", 3, True, False), ("D-1", "proposal", 27, False, True)]


def test_the_order_of_records_does_not_matter() -> None:
    mixed = snapshot(("D-2", 0, 1, "demo"), ("D-1", 0, 4, "demo"), ("D-2", 1, None, "won"), ("D-1", 4, None, "won"))
    assert sorted(told(spells(mixed))) == [
        ("D-1", "demo", 4, True, False),
        ("D-1", "won", 26, False, True),
        ("D-2", "demo", 1, True, False),
        ("D-2", "won", 29, False, True),
    ]


def test_the_stratum_is_the_one_at_the_start_of_the_spell() -> None:
    table = snapshot(("D-1", 0, 2, "demo"), ("D-1", 2, None, "demo"), ("D-2", 0, None, "demo"))
    table = table.append_column("segment", pa.array(["smb", "enterprise", None]))
    found = spells(table, by="segment")
    assert [found.cohort_names(int(cohort)) for cohort in found.cohort] == [
        ("demo", "smb"),
        ("demo", "unknown"),
    ]


def test_an_empty_snapshot_has_no_spells() -> None:
    assert told(spells(snapshot())) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "valid_from",
            NAIVE,
            "valid_from is a timestamp",
        ),
        ("valid_from", pa.array([None], KIND), "must not be null"),
        ("record", pa.array([None], pa.string()), "must not be null"),
        ("stage", pa.array([["a"]]), "'stage' is a list"),
    ],
)
def test_a_snapshot_that_cannot_be_read_is_refused_by_name(column: str, values: Any, message: str) -> None:
    table = snapshot(("D-1", 0, None, "demo"))
    broken = table.set_column(table.column_names.index(column), column, values)
    with pytest.raises(ValueError, match=message):
        spells(broken)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column 'valid_to'"):
        spells(snapshot(("D-1", 0, None, "demo")).drop(["valid_to"]))
