"""Records that do not keep to the lifecycle that was declared for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.conformance import broken

from benchmarks.conformance import declared, expected, injected, told
from benchmarks.process_logs import FOUR_LOGS, bpi2012, four_logs
from detectors import ROSTER
from detectors.conformance import KINDS, check_traces
from detectors.facts import FACT
from detectors.lifecycle import Lifecycle
from detectors.partitions import raise_in_parts
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
LEAD: dict[str, str | float | int | bool] = {
    "moves": "raw>mql|out; mql>sal|out; sal>sql|out; out>raw",
    "starts": "raw, mql",
    "limits": "mql>48",
    "requires": "sal>need",
    "visits": 2,
}
Row = tuple[str, float, float | None, str | None, bool | None]
"""Record, from and to in days before AT, stage, need."""


def ago(days: float | None) -> datetime | None:
    return None if days is None else AT - timedelta(days=days)


def snapshot(rows: Sequence[Row]) -> Any:
    return pa.table(
        {
            "record": pa.array([row[0] for row in rows], pa.string()),
            "valid_from": pa.array([ago(row[1]) for row in rows], KIND),
            "valid_to": pa.array([ago(row[2]) for row in rows], KIND),
            "stage": pa.array([row[3] for row in rows], pa.string()),
            "need": pa.array([row[4] for row in rows], pa.bool_()),
        }
    )


def raised(rows: Sequence[Row], **parameters: Any) -> list[Signal]:
    asked = DetectionRequest(
        id="r", signal="off_path", detector="conformance", object="lead", field="stage", at=AT,
        parameters={**LEAD, **parameters},
    )  # fmt: skip
    detector = ROSTER["conformance"]
    return list(detector.raise_signals(snapshot(rows), detector.fit(snapshot(rows), asked), asked))


def trace(*stages: str, days: float = 1.0, need: bool | None = True, record: str = "L-1") -> list[Row]:
    """One day each, the last one running."""
    count = len(stages)
    return [
        (record, (count - n) * days, None if n == count - 1 else (count - n - 1) * days, stage, need)
        for n, stage in enumerate(stages)
    ]


def test_a_lead_that_keeps_to_its_lifecycle_raises_nothing() -> None:
    assert raised(trace("raw", "mql", "sal", "sql")) == []


def test_a_skipped_stage_is_named_with_what_was_left_out() -> None:
    (signal,) = raised(trace("raw", "sql"))
    assert signal.explanation == "Went from 'raw' to 'sql' without 'mql' and 'sal'."
    assert (signal.subject, signal.p_value) == ("lead/L-1", FACT)
    assert (signal.strength, signal.unit) == (1.0, "violations")
    assert signal.began_at == ago(1)
    assert [one.name for one in signal.contributors] == ["skip raw>sql"]


def test_a_move_to_where_no_way_leads_is_no_skip() -> None:
    (signal,) = raised(trace("raw", "mql", "sal", "sql", "raw"))
    assert signal.explanation == "Went from 'sql' to 'raw', which is not allowed."


def test_a_stay_over_its_limit_is_told_in_hours_over() -> None:
    (signal,) = raised(trace("raw", "mql", days=2.5))
    assert signal.explanation == "Stood in 'mql' for 2 days; 2 days are allowed."
    assert (signal.strength, signal.unit) == (12.0, "hours over")
    assert signal.began_at == ago(0.5)


def test_a_stay_is_late_at_its_limit_and_not_a_microsecond_before() -> None:
    assert len(raised([("L-1", 2, None, "mql", None)])) == 1
    assert raised([("L-1", 2 - 1e-6 / 86_400, None, "mql", None)]) == []


def test_what_must_be_known_may_come_with_the_move() -> None:
    rows: list[Row] = [("L-1", 3, 2, "mql", None), ("L-1", 2, 1, "sal", None)]
    assert raised([*rows, ("L-1", 1, None, "sql", True)]) == []
    (signal,) = raised([*rows, ("L-1", 1, None, "sql", None)])
    assert signal.explanation == "Left 'sal' without need."
    assert signal.began_at == ago(1)


def test_a_stage_entered_once_too_often_is_a_loop() -> None:
    around = ("raw", "out") * 2
    assert raised(trace(*around, days=0.1)) == []
    (signal,) = raised(trace(*around, "raw", days=0.1))
    assert signal.explanation == "Came into 'raw' more than 2 times."


def test_conformance_in_parts_says_what_one_run_says() -> None:
    table = snapshot([row for n in range(40) for row in trace(*("raw", "sql", "mql")[: 1 + n % 3], record=f"L-{n}")])
    asked = DetectionRequest(
        id="r", signal="off_path", detector="conformance", object="lead", field="stage", at=AT, parameters=LEAD
    )
    detector = ROSTER["conformance"]
    whole = detector.raise_signals(table, detector.fit(table, asked), asked)
    parted = raise_in_parts(detector, table, asked, 5)
    assert len(whole) > 20
    assert sorted(parted, key=lambda one: one.subject) == list(whole)


def test_an_unknown_stage_is_told_once_and_not_as_two_wrong_moves() -> None:
    (signal,) = raised(trace("raw", "parked", "mql"))
    assert signal.explanation == "Stood in 'parked', which the lifecycle does not know."


def test_a_gap_in_which_the_stage_was_empty_is_no_move() -> None:
    rows: list[Row] = [
        ("L-1", 3, 2.5, "sal", True),
        ("L-1", 2.5, 2, None, True),
        ("L-1", 2, None, "sal", True),
    ]
    assert raised(rows, starts="sal") == []


def test_a_lead_may_begin_only_where_the_lifecycle_says() -> None:
    (signal,) = raised(trace("sal"))
    assert signal.explanation == "Began in 'sal', where none may begin."


def test_what_is_long_past_is_not_told_again_but_a_late_stay_that_goes_on_is() -> None:
    assert raised([("L-1", 90, 80, "raw", True), ("L-1", 80, None, "sql", True)]) == []
    assert len(raised([("L-1", 90, 80, "raw", True), ("L-1", 80, None, "mql", True)])) == 1
    assert len(raised([("L-1", 90, 80, "raw", True), ("L-1", 80, None, "sql", True)], recent_days=85)) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"moves": ""}, "parameters.moves: missing"),
        ({"moves": "raw-mql"}, "'raw-mql' cannot be read"),
        ({"limits": "mql>soon"}, "mql>soon: accepted is one number of hours"),
        ({"limits": "ghost>4"}, "parameters.limits: 'ghost' is in none of the moves"),
        ({"starts": "ghost"}, "parameters.starts: 'ghost'"),
        ({"visits": 0}, "parameters.visits: 0 is not a whole number"),
        ({"recent_days": 0}, "parameters.recent_days: 0"),
        ({"moods": "x"}, "parameters.moods: not known to detector conformance"),
    ],
)
def test_a_lifecycle_that_cannot_be_read_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        raised(trace("raw"), **changes)


STAGES = ("a", "b", "c", "d", "e")
MOVES = st.dictionaries(
    st.sampled_from(STAGES[:4]), st.lists(st.sampled_from(STAGES[:4]), min_size=1, unique=True), min_size=1
)
STAYS = st.tuples(st.sampled_from(STAGES), st.integers(0, 9), st.booleans())


@settings(max_examples=300, deadline=None)
@given(
    MOVES, st.lists(st.sampled_from(STAGES[:4]), unique=True),
    st.dictionaries(st.sampled_from(STAGES), st.integers(1, 9)),
    st.integers(1, 3), st.lists(st.lists(STAYS, min_size=1, max_size=12), min_size=1, max_size=6),
)  # fmt: skip
def test_every_stay_breaks_what_the_oracle_says(
    moves: dict[str, list[str]], starts: list[str], limits: dict[str, int], visits: int, traces: list[Any]
) -> None:
    cycle = Lifecycle({key: tuple(value) for key, value in moves.items()}, tuple(starts), limits, {}, visits)
    record = np.array([number for number, stays in enumerate(traces) for _ in stays])
    flat = [stay for stays in traces for stay in stays]
    masks = check_traces(
        record,
        np.array([STAGES.index(stay[0]) for stay in flat]),
        np.array([stay[1] for stay in flat]),
        cycle.compiled(STAGES),
        np.array([stay[2] for stay in flat]),
    )
    truth, begin = set(), 0
    for stays in traces:
        truth |= {(begin + at, kind) for at, kind in broken(stays, moves, starts, limits, visits)}
        begin += len(stays)
    assert told(masks) == truth
    assert set(KINDS) >= {kind for _, kind in truth}


@pytest.mark.skipif(not FOUR_LOGS.exists(), reason="the process logs are not in ../shared/data")
def test_on_real_logs_with_injected_violations_precision_and_recall_are_one() -> None:
    for log in (bpi2012("O_"), *four_logs()):
        trial, cycle = injected(log, seed=2), declared(log)
        compiled = cycle.compiled(trial.names)
        masks = check_traces(trial.record, trial.stage, trial.duration, compiled, trial.lacking)
        truth = expected(trial, cycle)
        assert told(masks) == truth
        assert len(truth) > 500
