"""Detection in parts says what one run says: in this process, in a pool, and under Spark."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import ROSTER
from detectors.partitions import part_numbers, part_of, raise_in_parts, raise_on_spark
from evals.detectors import read_detector_cases, snapshot_of
from watchtower.contract import DetectionRequest, Signal

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
AT = MONDAY
CASES = Path(__file__).parents[2] / "evals/cases/detectors"
KIND = pa.timestamp("us", tz="UTC")
WEEKS = 44


def company(records: int = 240) -> pa.Table:
    """Accounts over 44 weeks with everything that some detector reads, in weekly versions; some of it odd."""
    random = np.random.default_rng(1)
    bursts = random.gamma(3.0, 1 / 3, (records, WEEKS))
    tickets = random.poisson(random.gamma(1.0, 0.8, (records, 1)) * bursts).astype(float)
    tickets[:12, -4:] += 9
    mood = random.normal(5, 1, (records, WEEKS))
    mood[20:32, -4:] -= 4
    size = np.exp(random.normal(4, 1, records))[:, None] * np.ones(WEEKS)
    size[:30, -1] = size[:30, -2] * 1_000
    stage = np.where(random.random((records, WEEKS)) < 0.4, "trial", "live").astype(object)
    stage[:8, 4:] = "trial"
    plan = random.choice(["monthly", "yearly"], records)
    left = (random.random(records) < np.where(plan == "monthly", 0.7, 0.2)) & (np.arange(records) % 3 > 0)
    paid = np.where((np.arange(records) % 9 == 0)[:, None] & (np.arange(WEEKS) > 40), "failed", "ok")
    starts = [MONDAY - timedelta(weeks=WEEKS - n, hours=-1) for n in range(WEEKS)]
    gone = left[:, None] & (np.arange(WEEKS) >= WEEKS - 3)
    return pa.table(
        {
            "record": pa.array(np.repeat([f"A-{n:04}" for n in range(records)], WEEKS)),
            "valid_from": pa.array(starts * records, KIND),
            "valid_to": pa.array([*starts[1:], None] * records, KIND),
            "tickets": pa.array(tickets.cumsum(axis=1).ravel()),
            "mood": pa.array(mood.ravel()),
            "size": pa.array(size.ravel()),
            "stage": pa.array(stage.ravel()),
            "plan": pa.array(np.repeat(plan, WEEKS)),
            "churned": pa.array(gone.ravel()),
            "payment_status": pa.array(paid.ravel()),
        }
    )


ASKED: dict[str, dict[str, Any]] = {
    "stage_dwell": {"field": "stage", "budget": 0.05},
    "cohort_outlier": {"parameters": {"features": "size,mood"}, "budget": 0.2},
    "churn_risk": {"parameters": {"label": "churned", "features": "plan,size,mood"}, "budget": 0.4},
    "payment_failed": {"field": "payment_status"},
    "ticket_shift": {"field": "tickets", "budget": 0.05},
    "sentiment_shift": {"field": "mood", "budget": 0.05, "parameters": {"by": "plan"}},
}


def request(detector: str) -> DetectionRequest:
    return DetectionRequest(id="r", signal="s", detector=detector, object="account", at=AT, **ASKED[detector])


def ordered(signals: Sequence[Signal]) -> list[Signal]:
    return sorted(signals, key=lambda signal: signal.subject)


def whole(table: pa.Table, detector: str) -> list[Signal]:
    asked, found = request(detector), ROSTER[detector]
    return ordered(found.raise_signals(table, found.fit(table, asked), asked))


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return company()


@pytest.mark.parametrize("detector", ASKED)
def test_signals_of_parts_are_those_of_one_run(table: pa.Table, detector: str) -> None:
    expected = whole(table, detector)
    assert expected
    for parts in (1, 3, 17):
        assert ordered(raise_in_parts(ROSTER[detector], table, request(detector), parts)) == expected


PARTED = sorted(name for name, detector in ROSTER.items() if getattr(detector, "in_parts", False))


def own_case(detector: str) -> tuple[pa.Table, DetectionRequest, list[Signal]]:
    """The detector's first labelled case in which something is raised, and what one run says of it."""
    for case in read_detector_cases(CASES / f"{detector}.jsonl"):
        table, found = snapshot_of(case, CASES), ROSTER[detector]
        signals = ordered(found.raise_signals(table, found.fit(table, case.request), case.request))
        if signals:
            return table, case.request, signals
    raise AssertionError(detector)


@pytest.mark.parametrize("detector", PARTED)
def test_each_detector_that_works_in_parts_says_of_its_cases_what_one_run_says(detector: str) -> None:
    table, asked, expected = own_case(detector)
    for parts in (2, 13):
        assert ordered(raise_in_parts(ROSTER[detector], table, asked, parts)) == expected


@pytest.mark.parametrize("detector", sorted(set(ROSTER) - set(PARTED)))
def test_each_of_the_others_says_why_it_does_not(detector: str) -> None:
    with pytest.raises(ValueError, match=f"detector {detector}: does not work in parts: .*[a-z]{{4}}"):
        raise_in_parts(ROSTER[detector], None, request("stage_dwell"), 2)


def test_several_workers_say_the_same_as_one(table: pa.Table) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = raise_in_parts(ROSTER["cohort_outlier"], table, request("cohort_outlier"), 6, run=pool.map)
    assert ordered(found) == whole(table, "cohort_outlier")


def test_a_record_is_in_one_part_with_all_its_versions(table: pa.Table) -> None:
    parts = [part_of(table, part, 5) for part in range(5)]
    assert sum(part.num_rows for part in parts) == table.num_rows
    ids = [set(part["record"].to_pylist()) for part in parts]
    assert sum(map(len, ids)) == len(set(table["record"].to_pylist()))
    assert min(map(len, ids)) > 20, "even enough"
    assert part_numbers(table[:1], 5)[0] == part_numbers(table, 5)[0], "it does not depend on the others"


def test_a_detector_that_does_not_work_in_parts_is_refused_by_name(table: pa.Table) -> None:
    class Whole:
        name, version = "whole", "1"

        def fit(self, snapshot: Any, request: DetectionRequest) -> None: ...

        def raise_signals(self, snapshot: Any, fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
            return []

    for run in (raise_in_parts, lambda *given: raise_on_spark(None, *given)):
        refused: Callable[..., Any] = run
        with pytest.raises(ValueError, match="detector whole: does not work in parts"):
            refused(Whole(), table, request("stage_dwell"), 2)


def test_under_spark_the_signals_are_the_same() -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra: spark)")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and there is none")
    from watchtower.flow.spark import spark_session

    with spark_session("local[2]") as session:
        for detector in PARTED:
            table, asked, expected = own_case(detector)
            found = raise_on_spark(session, ROSTER[detector], table, asked, 2)
            assert ordered(found) == expected, detector
