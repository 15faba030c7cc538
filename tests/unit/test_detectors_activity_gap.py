"""Records that have been silent for longer than their own rhythm explains."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import gamma

from detectors import ROSTER
from detectors.rhythm import SHAPES, Gaps, Rhythm
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
Row = tuple[str, float]
"""Record, and how many days ago it was active."""


def snapshot(rows: Sequence[Row], ended: Sequence[str] = ()) -> Any:
    """Versions as the tower writes them: each activity moves `last_activity_at`."""
    ordered = sorted(rows, key=lambda row: (row[0], -row[1]))
    times = [AT - timedelta(days=days) for _, days in ordered]
    ends: list[datetime | None] = [
        times[place + 1] if place + 1 < len(times) and ordered[place + 1][0] == ordered[place][0] else None
        for place in range(len(times))
    ]
    for place, (record, _) in enumerate(ordered):
        if record in ended and ends[place] is None:
            ends[place] = times[place] + timedelta(hours=1)
    return pa.table(
        {
            "record": pa.array([record for record, _ in ordered], pa.string()),
            "valid_from": pa.array(times, KIND),
            "valid_to": pa.array(ends, KIND),
            "last_activity_at": pa.array(times, KIND),
            "name": pa.array([record for record, _ in ordered], pa.string()),
        }
    )


def request(**changes: Any) -> DetectionRequest:
    values: dict[str, Any] = {
        "id": "run-1",
        "signal": "fallen_silent",
        "detector": "activity_gap",
        "object": "account",
        "field": "last_activity_at",
        "budget": 0.01,
        "at": AT,
    }
    return DetectionRequest(**{**values, **changes})


def raised(table: Any, asked: DetectionRequest) -> list[Signal]:
    detector = ROSTER["activity_gap"]
    return list(detector.raise_signals(table, detector.fit(table, asked), asked))


def regular(record: str, every: float, last: float, count: int = 12, seed: int = 1) -> list[Row]:
    """Active about every so many days, up to `last` days ago."""
    steps = np.random.default_rng(seed).gamma(4.0, every / 4.0, count - 1) + 0.5
    return [(record, last + float(days)) for days in np.concatenate([[0.0], np.cumsum(steps)])]


def cohort(count: int = 60) -> list[Row]:
    rows: list[Row] = []
    for number in range(count):
        every = [3.0, 10.0, 30.0][number % 3]
        rows += regular(f"A-{number:02d}", every, 0.3 * every, seed=number)
    return rows


def test_the_same_silence_is_strange_for_one_record_and_usual_for_another() -> None:
    rows = [*cohort(), *regular("daily", 3.0, 25.0, seed=91), *regular("monthly", 30.0, 25.0, seed=92)]
    (signal,) = raised(snapshot(rows), request())
    assert signal.subject == "account/daily"
    assert 0 < signal.p_value < 0.001
    assert (signal.unit, signal.direction) == ("hours", "up")
    assert 19 * 24 < signal.strength < 24 * 24
    assert signal.began_at == signal.window_from == AT - timedelta(days=25)
    assert signal.explanation.startswith("Silent for 25 days, where ")
    assert signal.explanation.endswith("its rhythm is told by 11 gaps before.")
    assert signal.cohort == "62 accounts"


def test_many_events_of_one_afternoon_are_one_activity() -> None:
    rows = [*cohort(), *regular("A-x", 10.0, 25.0, seed=93)]
    burst = [("A-x", 25.0 + minute / 1440) for minute in range(1, 60)]
    one, other = raised(snapshot(rows), request(budget=0.9)), raised(snapshot([*rows, *burst]), request(budget=0.9))
    p_values = [next(s.p_value for s in found if s.subject == "account/A-x") for found in (one, other)]
    assert p_values[0] == pytest.approx(p_values[1], rel=0.02)


def test_a_record_with_four_gaps_is_not_judged_and_the_reason_is_given() -> None:
    rows = [*cohort(), *regular("young", 2.0, 90.0, count=5), *regular("older", 2.0, 90.0, count=6)]
    assert [signal.subject for signal in raised(snapshot(rows), request())] == ["account/older"]
    assert ROSTER["activity_gap"].fit(snapshot(rows), request()).abstentions == {
        "rhythm": "1 of 62 accounts have fewer than 5 earlier gaps: no rhythm of their own"
    }


def test_a_cohort_of_29_is_silent_and_says_why() -> None:
    rows = [*cohort(28), *regular("daily", 3.0, 90.0)]
    assert raised(snapshot(rows), request()) == []
    assert ROSTER["activity_gap"].fit(snapshot(rows), request()).abstentions == {
        "cohort": "29 accounts have a rhythm; at least 30 are needed"
    }


def test_a_deleted_record_is_not_silent() -> None:
    rows = [*cohort(), *regular("gone", 3.0, 90.0)]
    assert raised(snapshot(rows, ended=["gone"]), request()) == []


def test_what_lies_after_the_request_is_not_read() -> None:
    rows = [*cohort(), *regular("daily", 3.0, 40.0)]
    early = request(at=AT - timedelta(days=15), budget=0.2)
    known = [row for row in rows if row[1] >= 15]
    assert raised(snapshot(rows), early) == raised(snapshot(known), early) != []


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(random: Any) -> None:
    table = snapshot([*cohort(40), *regular("daily", 3.0, 25.0)])
    rows = list(range(table.num_rows))
    random.shuffle(rows)
    found = [signal.to_data() for signal in raised(table.take(pa.array(rows)), request(budget=0.3))]
    told = [signal.to_data() for signal in raised(table, request(budget=0.3))]
    assert [one["subject"] for one in found] == [one["subject"] for one in told] != []
    assert [one["p_value"] for one in found] == pytest.approx([one["p_value"] for one in told])


def test_an_empty_snapshot_raises_nothing() -> None:
    assert raised(snapshot(cohort()).slice(0, 0), request()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field": ""}, "signal 'fallen_silent' names none"),
        ({"field": "name"}, "'name' is a string; accepted here are timestamps"),
        ({"field": "nothing"}, "'nothing' is not in the snapshot"),
        ({"parameters": {"by": "x"}}, r"parameters\.by: not known"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(snapshot(cohort()), request(**changes))


def at_shape(shape: float) -> Rhythm:
    shares = np.zeros(SHAPES.size)
    shares[np.abs(SHAPES - shape).argmin()] = 1.0
    return Rhythm(shares)


@pytest.mark.parametrize("length", [0.5, 4.0, 30.0])
def test_the_p_value_is_that_of_numerical_integration_over_the_scale(length: float) -> None:
    """Gamma gaps with a scale of which nothing is known (density 1 / scale): the predictive tail, by quadrature."""
    earlier, shape = np.array([2.0, 3.5, 1.0, 6.0, 2.2]), float(SHAPES[12])

    def inside(log_scale: float, tail: bool) -> float:
        scale = np.exp(log_scale)
        said = np.prod(gamma.pdf(earlier, shape, scale=scale))
        return float(said * (gamma.sf(length, shape, scale=scale) if tail else 1.0))

    above, whole = (quad(inside, -6, 6, args=(tail,), limit=300, epsabs=0)[0] for tail in (True, False))
    found = at_shape(shape).p_values(Gaps.of(np.zeros(5, dtype=np.int64), earlier, 1), np.array([length]))
    assert found[0] == pytest.approx(above / whole, rel=1e-5)


def test_of_a_hundred_healthy_gaps_one_has_a_p_value_of_one_percent() -> None:
    """40,000 records of three kinds, poisson to regular, 5 to 20 gaps each; the next gap is judged by the earlier."""
    random = np.random.default_rng(2)
    count = random.integers(5, 21, 40_000)
    shape, scale = random.choice([0.8, 2.0, 6.0], 40_000), random.lognormal(2.0, 1.0, 40_000)
    owner = np.repeat(np.arange(40_000), count)
    gaps = Gaps.of(owner, random.gamma(shape[owner], scale[owner]) + 1e-9, 40_000)
    p_values = Rhythm.fit(gaps).p_values(gaps, random.gamma(shape, scale))
    assert (p_values <= 0.01).mean() == pytest.approx(0.01, abs=0.0015)
    assert (p_values <= 0.05).mean() == pytest.approx(0.05, abs=0.004)


def test_the_usual_gap_is_the_median_of_the_next() -> None:
    random = np.random.default_rng(3)
    owner = np.repeat(np.arange(20_000), 8)
    gaps = Gaps.of(owner, random.gamma(2.0, 1.0, owner.size), 20_000)
    assert (random.gamma(2.0, 1.0, 20_000) > at_shape(2.0).usual(gaps)).mean() == pytest.approx(0.5, abs=0.02)
