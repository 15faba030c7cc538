"""Whether records have begun to take other ways: features of traces, change points, and the signal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.process_drift import CHANGES, make_log, matched, this_detector
from detectors import ROSTER
from detectors.segmentation import BLOCK, _permuted, segment
from detectors.trace_features import features_of
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
STAGES = ["a", "b", "c"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(STAGES), min_size=1, max_size=6), min_size=1, max_size=12))
def test_a_feature_is_what_its_name_says(traces: list[list[str]]) -> None:
    trace = np.array([number for number, steps in enumerate(traces) for _ in steps])
    stage = np.array([STAGES.index(step) for steps in traces for step in steps])
    found = features_of(trace, stage, STAGES)
    truth: dict[str, list[bool]] = {}
    for a in STAGES:
        truth[f"passes {a!r}"] = [a in steps for steps in traces]
        truth[f"passes {a!r} again"] = [steps.count(a) > 1 for steps in traces]
        for b in STAGES:
            if a != b:
                both = [a in steps and b in steps and steps.index(a) < steps.index(b) for steps in traces]
                truth[f"passes {a!r} before {b!r}"] = both
    for name, column in zip(found.names, found.values.T, strict=True):
        assert column.astype(bool).tolist() == truth[name]
    kept = {tuple(column) for column in found.values.T.astype(bool).tolist()}
    for column in truth.values():
        opposite = tuple(not one for one in column)
        assert len(set(column)) == 1 or tuple(column) in kept or opposite in kept


def rows(shares: Sequence[tuple[int, float]], seed: int = 1, noise: int = 20) -> Any:
    """One feature with these shares, one stretch after the other, beside features that stay as they are."""
    random = np.random.default_rng(seed)
    one = np.concatenate([random.random(count) < share for count, share in shares])
    others = random.random((one.size, noise)) < 0.3
    return np.column_stack((one, others)).astype(np.float64)


def test_a_change_is_found_where_it_is() -> None:
    (split,) = segment(rows([(300, 0.2), (200, 0.6)]), 0.01, seed=1)
    assert abs(split.at - 300) <= 15
    assert split.p_value <= 0.01


def test_changes_to_and_fro_are_all_found() -> None:
    found = segment(rows([(150, 0.2), (150, 0.7)] * 3), 0.01, seed=1)
    assert len(found) == 5
    assert all(abs(split.at - 150 * (number + 1)) <= 20 for number, split in enumerate(found))


def test_where_nothing_changes_nothing_is_found_and_the_promise_is_kept() -> None:
    alarms = sum(bool(segment(rows([(200, 0.3)], seed=seed, noise=5), 0.1, seed, rounds=49)) for seed in range(150))
    assert alarms <= 26  # 15 are promised at most; 26 has a chance of 2 in 1,000


@settings(max_examples=60, deadline=None)
@given(st.integers(80, 300), st.integers(0, BLOCK - 1), st.integers(0, 999))
def test_rows_are_permuted_in_whole_blocks_and_what_is_left_over_stays(size: int, offset: int, seed: int) -> None:
    order = _permuted(size, offset, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(size))
    end = offset + (size - offset) // BLOCK * BLOCK
    left = [*range(offset), *range(end, size)]
    assert order[left].tolist() == left
    blocks = order[offset:end].reshape(-1, BLOCK)
    assert ((blocks[:, 0] - offset) % BLOCK == 0).all()
    assert (np.diff(blocks, axis=1) == 1).all()


def test_rows_too_few_for_two_windows_have_no_change() -> None:
    assert segment(rows([(40, 0.0), (39, 1.0)]), 0.05, seed=1) == []
    assert segment(np.zeros((0, 3)), 0.05, seed=1) == []


def test_a_budget_that_so_few_permutations_cannot_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"budget: 0\.001 is below 1/200"):
        segment(rows([(300, 0.1), (300, 0.9)]), 0.001, seed=1)


@pytest.mark.parametrize("change", ["skip a step", "sequence to parallel", "synchronise"])
def test_a_changed_process_is_found_in_a_log_that_goes_to_and_fro(change: str) -> None:
    log = make_log(CHANGES[change], 2_500, 0.0, np.random.default_rng(4))
    found = this_detector(log)
    right = matched(found, [250 * number for number in range(1, 10)], 50)
    assert 2 * len(right) / (len(found) + 9) >= 0.85


def deals(change_at: int = 240, count: int = 400) -> Any:
    """One comes to its end every 6 hours; from `change_at` on 60% skip the proposal, before 10%."""
    random = np.random.default_rng(5)
    table: list[tuple[str, datetime, datetime | None, str]] = []
    for number in range(count):
        end = AT - timedelta(hours=6 * (count - number))
        skips = random.random() < (0.6 if number >= change_at else 0.1)
        last = "won" if random.random() < 0.5 else "lost"
        ways = ["discovery", last] if skips else ["discovery", "proposal", last]
        for place, stage in enumerate(ways):
            begun = end - timedelta(days=len(ways) - 1 - place)
            until = None if place == len(ways) - 1 else begun + timedelta(days=1)
            table.append((f"D-{number:03d}", begun, until, stage))
    names, kinds = ("record", "valid_from", "valid_to", "stage"), (pa.string(), KIND, KIND, pa.string())
    columns = zip(*table, strict=True)
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip(names, columns, kinds, strict=True)})


def raised(table: Any, budget: float = 0.01, **parameters: Any) -> list[Signal]:
    request = DetectionRequest(
        id="r", signal="other_ways", detector="process_drift", object="deal", field="stage", budget=budget, at=AT,
        parameters=parameters,
    )  # fmt: skip
    detector = ROSTER["process_drift"]
    return list(detector.raise_signals(table, detector.fit(table, request), request))


def test_a_drift_is_told_with_both_shares_and_since_when() -> None:
    (signal,) = raised(deals())
    assert signal.explanation.startswith("Since 2026-04-")
    assert "deals pass 'proposal', " in signal.explanation
    assert abs(signal.began_at - (AT - timedelta(hours=6 * 160))) <= timedelta(days=5)
    assert signal.direction == "down"
    assert 35 <= signal.strength <= 65
    assert signal.unit == "points"
    assert signal.p_value <= 0.01
    assert signal.contributors[0].weight >= signal.contributors[-1].weight


def test_the_signal_stands_on_a_record_that_shows_the_change() -> None:
    (signal,) = raised(deals())
    passed = {row["record"] for row in deals().to_pylist() if row["stage"] == "proposal"}
    record = signal.subject.removeprefix("deal/")
    assert record not in passed
    assert record >= "D-220"


def test_an_old_drift_is_not_told_again() -> None:
    assert raised(deals(), recent_days=20) == []


def test_the_order_of_the_snapshot_does_not_matter() -> None:
    table = deals()
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    assert raised(shuffled) == raised(table)


def test_deals_that_have_not_ended_are_no_traces() -> None:
    table = deals(count=70, change_at=80)
    request = DetectionRequest(id="r", signal="s", detector="process_drift", object="deal", field="stage", at=AT)
    fitted = ROSTER["process_drift"].fit(table, request)
    assert fitted.abstentions == {"deals": "70 have come to an end; at least 80 are needed"}
