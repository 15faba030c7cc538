"""Deals that stand too long in their stage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import ROSTER
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
Row = tuple[str, float, float | None, str | None]
"""Record, from and to (days before AT, counted backwards: 41 is 41 days ago), stage."""


def ago(days: float | None) -> datetime | None:
    return None if days is None else AT - timedelta(days=days)


def snapshot(rows: Sequence[Row], segments: Sequence[str] | None = None) -> Any:
    columns = {
        "record": pa.array([row[0] for row in rows], pa.string()),
        "valid_from": pa.array([ago(row[1]) for row in rows], KIND),
        "valid_to": pa.array([ago(row[2]) for row in rows], KIND),
        "stage": pa.array([row[3] for row in rows], pa.string()),
    }
    return pa.table(columns if segments is None else {**columns, "segment": pa.array(segments, pa.string())})


def request(**changes: Any) -> DetectionRequest:
    values: dict[str, Any] = {
        "id": "run-1",
        "signal": "stuck",
        "detector": "stage_dwell",
        "object": "deal",
        "field": "stage",
        "budget": 0.05,
        "at": AT,
    }
    return DetectionRequest(**{**values, **changes})


def raised(table: Any, asked: DetectionRequest) -> list[Signal]:
    detector = ROSTER[asked.detector]
    return list(detector.raise_signals(table, detector.fit(table, asked), asked))


def silences(table: Any, asked: DetectionRequest) -> dict[str, str]:
    return dict(ROSTER[asked.detector].fit(table, asked).abstentions)


def left_after(days: Sequence[float], stage: str = "proposal", prefix: str = "L") -> list[Row]:
    """Deals that were in the stage for so many days each, then won."""
    rows: list[Row] = []
    for number, length in enumerate(days):
        rows += [
            (f"{prefix}-{number}", 200, 200 - length, stage),
            (f"{prefix}-{number}", 200 - length, None, "won"),
        ]
    return rows


def test_a_stuck_deal_is_told_in_a_plain_sentence() -> None:
    lengths = [10.0] * 200 + [20.0] * 105 + [60.0] * 7
    (signal,) = raised(snapshot([*left_after(lengths), ("D-9", 41.2, None, "proposal")]), request())
    assert signal.explanation == "In 'proposal' for 41 days; 97% of 312 deals left it sooner."
    assert signal.subject == "deal/D-9"
    assert signal.cohort == "stage=proposal"
    assert signal.began_at == ago(41.2)
    assert (signal.window_from, signal.window_to) == (ago(41.2), AT)
    assert (signal.unit, signal.direction) == ("hours", "up")
    assert signal.strength == pytest.approx((41.2 - 10) * 24)
    # 7 of 312 stayed longer, and the deal itself may be anywhere among its equals
    assert 7 / 313 < signal.p_value < 8 / 313


def test_a_deal_of_ordinary_age_raises_nothing() -> None:
    lengths = [10.0] * 200 + [20.0] * 105 + [60.0] * 7
    assert raised(snapshot([*left_after(lengths), ("D-9", 15, None, "proposal")]), request()) == []


def company(random: np.random.Generator, deals: int, stuck: int) -> list[Row]:
    """Deals that began over the last year, in two stages of about 15 days each; some stand for 120 days."""
    rows: list[Row] = []
    for number in range(deals):
        now = random.uniform(0, 365)
        for stage in ("demo", "proposal"):
            end = now - random.gamma(2.0, 7.5)
            rows.append((f"D-{number}", now, max(end, 0) or None, stage))
            now = end
            if end <= 0:
                break
        else:
            rows.append((f"D-{number}", now, None, "won"))
    rows += [(f"S-{number}", 120, None, "proposal") for number in range(stuck)]
    return rows


def test_injected_stuck_deals_are_found_and_few_others() -> None:
    """3,000 deals, 20 of them stuck, at 1%: all the stuck ones, and of the stays far less than 1%."""
    random = np.random.default_rng(4)
    signals = raised(snapshot(company(random, 3_000, 20)), request(budget=0.01))
    found = {signal.subject for signal in signals}
    assert {f"deal/S-{number}" for number in range(20)} <= found
    assert len(found) - 20 <= 0.01 * 6_000
    assert signals == sorted(signals, key=lambda signal: (signal.p_value, signal.subject))
    assert all(0 < signal.p_value <= 0.01 for signal in signals)


def test_a_running_spell_does_not_change_its_own_verdict() -> None:
    """The same deal, judged by a cohort that holds it and by one that does not."""
    others = company(np.random.default_rng(8), 600, 0)
    mine: Row = ("S-1", 60, None, "proposal")
    detector, asked = ROSTER["stage_dwell"], request(budget=0.5)
    whole = snapshot([*others, mine])
    apart = detector.raise_signals(whole, detector.fit(snapshot(others), asked), asked)
    within = detector.raise_signals(whole, detector.fit(whole, asked), asked)
    (one,) = [signal for signal in within if signal.subject == "deal/S-1"]
    (other,) = [signal for signal in apart if signal.subject == "deal/S-1"]
    assert one.p_value == pytest.approx(other.p_value)
    assert one.explanation == other.explanation


def test_a_fit_from_before_may_be_asked_now_but_not_the_reverse() -> None:
    table = snapshot(company(np.random.default_rng(8), 600, 3))
    detector, now, before = ROSTER["stage_dwell"], request(), request(at=AT - timedelta(days=20))
    found = detector.raise_signals(table, detector.fit(table, before), now)
    assert {"deal/S-0", "deal/S-1", "deal/S-2"} <= {signal.subject for signal in found}
    with pytest.raises(ValueError, match="is before 2026-06-01"):
        detector.raise_signals(table, detector.fit(table, now), before)


def test_a_cohort_with_29_completed_spells_is_silent_and_says_why() -> None:
    rows: list[Row] = [*left_after([5.0] * 29), ("D-9", 150, None, "proposal")]
    assert raised(snapshot(rows), request()) == []
    assert silences(snapshot(rows), request()) == {
        "stage=proposal": "29 completed stays; at least 30 are needed",
        "stage=won": "terminal: no record has ever left it",
    }


def test_a_cohort_with_30_completed_spells_speaks() -> None:
    rows: list[Row] = [*left_after([5.0] * 30), ("D-9", 150, None, "proposal")]
    assert [signal.subject for signal in raised(snapshot(rows), request())] == ["deal/D-9"]


def test_a_named_terminal_stage_raises_nothing_though_some_left_it() -> None:
    rows: list[Row] = [*left_after([5.0] * 100, stage="lost"), ("D-9", 190, None, "lost")]
    table = snapshot(rows)
    assert [signal.subject for signal in raised(table, request())] == ["deal/D-9"]
    asked = request(parameters={"terminal": "won, lost"})
    assert raised(table, asked) == []
    assert silences(table, asked)["stage=lost"] == "terminal, as the request says"


def test_a_stage_in_which_many_stay_for_good_is_silent_and_says_why() -> None:
    rows: list[Row] = left_after([5.0] * 60)
    rows += [(f"D-{number}", 150, None, "proposal") for number in range(40)]
    assert raised(snapshot(rows), request()) == []
    expected = "40% had not ended at the longest completed stay: none is strange at p <= 0.05"
    assert silences(snapshot(rows), request())["stage=proposal"] == expected


def test_each_stratum_is_its_own_cohort() -> None:
    """60 days are long for a small customer and usual for a large one."""
    rows: list[Row] = [*left_after([5.0] * 100, prefix="A"), *left_after([90.0] * 100, prefix="B")]
    segments = ["smb"] * 200 + ["enterprise"] * 200
    rows += [("D-1", 60, None, "proposal"), ("D-2", 60, None, "proposal"), ("D-3", 60, None, "proposal")]
    table = snapshot(rows, [*segments, "smb", "enterprise", "midmarket"])
    asked = request(parameters={"by": "segment"})
    (signal,) = raised(table, asked)
    assert signal.subject == "deal/D-1"
    assert signal.cohort == "stage=proposal, segment=smb"
    assert signal.explanation == ("In 'proposal' for 60 days; all 100 deals with segment 'smb' left it sooner.")
    reason = silences(table, asked)["stage=proposal, segment=midmarket"]
    assert reason == "0 completed stays; at least 30 are needed"


STAGES = st.sampled_from(["demo", "proposal", "won", None])


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Up to 12 deals with up to 5 versions each, from 100 days before the request to 50 after it."""
    rows: list[Row] = []
    for number in range(draw(st.integers(1, 12))):
        times = sorted(draw(st.sets(st.integers(-50, 100), min_size=1, max_size=5)), reverse=True)
        for time, following in zip(times, [*times[1:], None], strict=True):
            rows.append((f"D-{number}", time, following, draw(STAGES)))
    return rows


BASIS = left_after(list(np.linspace(1, 40, 80)), stage="demo", prefix="P")


@settings(max_examples=60, deadline=None)
@given(histories())
def test_what_comes_after_the_request_changes_nothing(rows: list[Row]) -> None:
    asked = request(budget=0.5)
    known = [
        (record, start, end if end is not None and end >= 0 else None, stage)
        for record, start, end, stage in rows
        if start >= 0
    ]
    everything, cut = snapshot([*BASIS, *rows]), snapshot([*BASIS, *known])
    assert raised(everything, asked) == raised(cut, asked)
    assert silences(everything, asked) == silences(cut, asked)


@settings(max_examples=30, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_the_same_records_in_another_order_give_the_same_signals(rows: list[Row], random: Any) -> None:
    asked = request(budget=0.5)
    shuffled = [*BASIS, *rows]
    random.shuffle(shuffled)
    assert raised(snapshot(shuffled), asked) == raised(snapshot([*BASIS, *rows]), asked)


def test_the_same_request_gives_the_same_bytes() -> None:
    table = snapshot(company(np.random.default_rng(4), 500, 5))
    one, other = ([signal.to_data() for signal in raised(table, request())] for _ in range(2))
    assert one == other != []


def test_looking_again_under_another_request_draws_no_other_number() -> None:
    table = snapshot([*left_after([5.0] * 60), *((f"D-{n}", 5, None, "proposal") for n in range(40))])
    detector = ROSTER["stage_dwell"]
    looks = []
    for number in range(5):
        asked = request(id=f"run-{number}", budget=0.95)
        signals = detector.raise_signals(table, detector.fit(snapshot(left_after([5.0] * 60)), asked), asked)
        looks.append({signal.subject: signal.p_value for signal in signals})
    assert all(look == looks[0] for look in looks)
    assert len(set(looks[0].values())) == len(looks[0]) > 30


def test_of_many_looks_at_the_same_stays_the_promised_share_ever_stands_out() -> None:
    """60 cohorts of 30, 50 fresh stays each, looked at daily at 10%: a stay alarms if it ever had p <= .1."""
    random = np.random.default_rng(6)
    detector, alarmed = ROSTER["stage_dwell"], 0
    for _ in range(60):
        basis = left_after(random.gamma(1.5, 5.0, 30).tolist())
        fitted = detector.fit(snapshot(basis), request(at=AT - timedelta(days=100)))
        lengths = random.gamma(1.5, 5.0, 50)
        stays = snapshot([(f"D-{n}", 99, 99 - length, "proposal") for n, length in enumerate(lengths)])
        found: set[str] = set()
        for day in range(60):
            looked = request(id=f"run-{day}", budget=0.1, at=AT - timedelta(days=99 - day))
            found |= {signal.subject for signal in detector.raise_signals(stays, fitted, looked)}
        alarmed += len(found)
    assert 0.06 < alarmed / 3_000 < 0.115


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"parameters": {"bye": "segment"}},
            r"parameters\.bye: not known .*stage_dwell.*by, terminal",
        ),
        ({"field": "status"}, "'status' is not in the snapshot; its fields are stage"),
        ({"parameters": {"by": "segment"}}, "'segment' is not in the snapshot"),
        ({"field": ""}, "signal 'stuck' names none"),
        ({"budget": 0.0}, "budget: 0.0 of signal 'stuck'"),
        ({"at": AT.replace(tzinfo=None)}, "has no offset"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(snapshot([("D-1", 5, None, "demo")]), request(**changes))


def test_an_empty_snapshot_raises_nothing() -> None:
    assert raised(snapshot([]), request()) == []
