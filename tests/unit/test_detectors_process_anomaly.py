"""Traces that run as almost none do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.process_anomaly import CHOSEN_ON, GRID, chosen, flagged, look, rare, scores
from benchmarks.process_logs import FOUR_LOGS, four_logs
from detectors import ROSTER
from detectors.process_anomaly import ACTOR, STEP, shares_as_strange, strangeness, view_of, views_of
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
Step = tuple[str, str | None]
"""Stage and actor."""


def snapshot(traces: Sequence[Sequence[Step]], last: float = 1.0) -> Any:
    """Records D-0, D-1, ...: a day for each step, the last of which began `last` days before AT."""
    rows = []
    for number, trace in enumerate(traces):
        for place, (stage, actor) in enumerate(trace):
            begun = AT - timedelta(days=last + len(trace) - 1 - place)
            ended = None if place == len(trace) - 1 else begun + timedelta(days=1)
            rows.append((f"D-{number}", begun, ended, stage, actor))
    kinds = {"record": pa.string(), "valid_from": KIND, "valid_to": KIND, "stage": pa.string(), "owner": pa.string()}
    columns = zip(kinds.items(), zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.array(values, kind) for (name, kind), values in columns})


def raised(table: Any, budget: float = 0.05, **parameters: Any) -> list[Signal]:
    request = DetectionRequest(
        id="r", signal="odd", detector="process_anomaly", object="deal", field="stage", budget=budget, at=AT,
        parameters=parameters,
    )  # fmt: skip
    detector = ROSTER["process_anomaly"]
    return list(detector.raise_signals(table, detector.fit(table, request), request))


def usual(count: int) -> list[list[Step]]:
    """Half of the deals go through negotiation, by one of two owners each."""
    direct = ["discovery", "proposal", "won"]
    long = ["discovery", "proposal", "negotiation", "won"]
    return [[(stage, ("ann", "bob")[n // 2 % 2]) for stage in (direct, long)[n % 2]] for n in range(count)]


def test_a_step_that_almost_no_deal_takes_is_named_with_its_counts() -> None:
    (signal,) = raised(snapshot([*usual(200), [("discovery", "ann"), ("won", "ann")]]))
    assert signal.subject == "deal/D-200"
    assert signal.explanation == "'discovery' followed by 'won': 1 of 201 times."
    assert signal.p_value == pytest.approx(1 / 201)
    assert signal.unit == "times rarer than an even choice"
    assert signal.strength > 100
    assert signal.began_at == AT - timedelta(days=1)
    assert signal.cohort == "201 deals"


def test_an_unlikely_actor_is_told_where_few_share_the_work_and_not_where_many_do() -> None:
    few = [*usual(200), [("discovery", "ann"), ("proposal", "ann"), ("won", "eve")]]
    (signal,) = raised(snapshot(few), actor="owner")
    assert signal.explanation == "'won' brought by 'eve': 1 of 201 times."
    assert raised(snapshot(few)) == []
    many = [[("discovery", f"rep-{n}"), ("won", f"rep-{n}")] for n in range(200)]
    assert raised(snapshot(many), actor="owner") == []


def test_a_deal_that_goes_on_is_not_strange_for_standing_where_none_ends() -> None:
    traces = [*usual(200), [("discovery", "ann")], [("discovery", "ann"), ("proposal", "bob")]]
    assert raised(snapshot(traces)) == []


def test_only_the_strangest_share_is_told() -> None:
    odd: list[list[Step]] = [[("discovery", "ann"), ("won", "ann")]] * 4
    assert len(raised(snapshot([*usual(200), *odd]), budget=0.05)) == 4
    assert raised(snapshot([*usual(200), *odd]), budget=0.01) == []


def test_what_ended_long_ago_is_not_told() -> None:
    table = snapshot([*usual(200), [("discovery", "ann"), ("won", "ann")]], last=90)
    assert raised(table) == []
    assert len(raised(table, recent_days=100)) == 1


def test_too_few_traces_are_said() -> None:
    request = DetectionRequest(id="r", signal="odd", detector="process_anomaly", object="deal", field="stage", at=AT)
    fitted = ROSTER["process_anomaly"].fit(snapshot(usual(99)), request)
    assert fitted.abstentions == {"deals": "99 have a trace; at least 100 are needed"}


def test_the_order_of_the_snapshot_does_not_matter() -> None:
    table = snapshot([*usual(200), [("discovery", "ann"), ("won", "ann")], [("won", "eve"), ("discovery", "bob")]])
    shuffled = table.take(pa.array(np.random.default_rng(3).permutation(table.num_rows)))
    assert raised(shuffled, actor="owner") == raised(table, actor="owner")
    assert len(raised(table, actor="owner")) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=60))
def test_a_lift_is_the_share_times_the_perplexity_of_its_context(pairs: list[tuple[int, int]]) -> None:
    context, value = (np.array(column) for column in zip(*pairs, strict=True))
    view = view_of(np.arange(len(pairs)), context, value)
    counts, of = Counter(pairs), Counter(one for one, _ in pairs)
    for row, (c, v) in enumerate(pairs):
        entropy = -sum(n / of[c] * math.log(n / of[c]) for (other, _), n in counts.items() if other == c)
        assert view.lift[row] == pytest.approx(counts[c, v] / of[c] * math.exp(entropy))
        assert (view.count[row], view.of[row]) == (counts[c, v], of[c])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=20))
def test_a_record_is_as_strange_as_its_strangest_step(traces: list[list[int]]) -> None:
    record = np.array([n for n, trace in enumerate(traces) for _ in trace])
    stage = np.array([one for trace in traces for one in trace])
    views = views_of(record, stage, np.full(stage.size, -1), np.ones(stage.size, dtype=np.bool_))
    found = strangeness(record, views)
    ways = [list(zip([9, *trace], [*trace, 9], strict=True)) for trace in traces]

    def lift(pair: tuple[int, int], side: int) -> float:
        here = Counter(one for way in ways for one in way if one[side] == pair[side])
        total = sum(here.values())
        return here[pair] / total * math.exp(-sum(n / total * math.log(n / total) for n in here.values()))

    for number, way in enumerate(ways):
        assert found[number] == pytest.approx(min(lift(pair, side) for pair in way for side in (0, 1)) / STEP)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_no_more_than_the_budget_have_a_share_within_it(values: list[int], budget: float) -> None:
    shares = shares_as_strange(np.array(values, dtype=np.float64))
    assert (shares <= budget).mean() <= budget + 1e-12
    assert shares.max() == 1.0


@pytest.mark.skipif(not FOUR_LOGS.exists(), reason="the process logs are not in ../shared/data")
def test_one_configuration_finds_labelled_anomalies_in_four_logs() -> None:
    logs = [look(log) for log in four_logs()]
    ours = [scores(flagged(one, STEP, ACTOR), one.log.anomalous)[2] for one in logs]
    plain = [scores(rare(one, 0.01, 0.0), one.log.anomalous)[2] for one in logs]
    assert np.mean(ours) > 0.88
    assert np.mean(ours) > np.mean(plain) + 0.1
    tuning = [one for one in logs if one.name in CHOSEN_ON]
    assert chosen(tuning, GRID, GRID, flagged) == (STEP, ACTOR)
