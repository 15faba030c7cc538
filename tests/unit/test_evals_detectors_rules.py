"""Detectors and rules held against what is known to be odd, and what is known to follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from detectors import ROSTER
from evals.detector_worlds import write
from evals.detectors import read_detector_cases, run_detectors
from evals.rules import Scenario, read_scenarios, run_rules, score_rules
from watchtower.contract import DetectionRequest, Signal, parse_event, parse_time
from watchtower.errors import InputError
from watchtower.flow.backtest import duckdb_engine, held_between
from watchtower.flow.history import fold_history
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook

CASES = Path(__file__).resolve().parents[2] / "evals" / "cases"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Above:
    """Signals every record whose number is above the fitted quantile: a detector that is easy to count."""

    name = "above"
    version = "1"

    def fit(self, snapshot: Any, request: DetectionRequest) -> Any:
        return request.parameters["bound"]

    def raise_signals(self, snapshot: Any, fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
        return [
            Signal(
                request=request.id,
                signal=request.signal,
                subject=f"{request.object}/{row['record']}",
                detector=self.name,
                version=self.version,
                p_value=0.01,
                strength=1.0,
                unit="",
                direction="up",
                explanation="above",
                began_at=request.at,
                window_from=request.at,
                window_to=request.at,
            )
            for row in snapshot.to_pylist()
            if row["size"] > fitted
        ]


def detector_file(folder: Path, **changes: Any) -> Path:
    case = {
        "id": "d1",
        "provenance": "this test",
        "request": {
            "id": "r",
            "signal": "big",
            "detector": "above",
            "object": "deal",
            "budget": 0.05,
            "at": "2026-03-01T00:00:00Z",
            "parameters": {"bound": 5},
        },
        "anomalous": ["a", "b", "c"],
        "columns": {"record": list("abcdefghij"), "size": [9, 8, 1, 7, 1, 1, 1, 1, 1, 1]},
    } | changes
    path = folder / "detectors.jsonl"
    path.write_text(json.dumps(case) + "\n")
    return path


def test_found_missed_and_false_alarms_are_counted_by_record(tmp_path: Path) -> None:
    scores = run_detectors(detector_file(tmp_path), tmp_path / "out", detectors={"above": Above()}, now=NOW)
    (one,) = scores.detectors
    assert (one.found, one.missed, one.false_alarms, one.normal) == (2, 1, 1, 7)
    assert one.precision == pytest.approx(2 / 3)
    assert one.recall == pytest.approx(2 / 3)
    assert one.false_alarm_interval.low < 1 / 7 < one.false_alarm_interval.high
    assert one.promise == "kept"  # one of seven does not refute a budget of 0.05
    assert scores.exit_code == 0
    assert json.loads((tmp_path / "out/scores.json").read_text())["detectors"][0]["found"] == 2


def test_a_promise_that_the_counts_refute_is_broken(tmp_path: Path) -> None:
    many = {"record": [str(n) for n in range(100)], "size": [9] * 30 + [1] * 70}
    path = detector_file(tmp_path, columns=many, anomalous=[])
    scores = run_detectors(path, tmp_path / "out", detectors={"above": Above()}, now=NOW)
    assert scores.detectors[0].promise == "broken"
    assert scores.detectors[0].recall is None
    assert scores.exit_code == 1


def test_the_first_signals_and_the_days_gained_are_counted(tmp_path: Path) -> None:
    many = {"record": [f"r{n}" for n in range(30)], "size": [9] * 16 + [1] * 14}
    odd = [f"r{n}" for n in range(8)]
    trouble = {f"r{n}": f"2026-03-{3 + n:02}T00:00:00Z" for n in range(7)}
    path = detector_file(tmp_path, columns=many, anomalous=odd, trouble=trouble)
    (one,) = run_detectors(path, tmp_path / "out", detectors={"above": Above()}, now=NOW).detectors
    # All signals are as strange: the order is by name, so r0, r1, r10 to r15 and r2, r3 come first.
    assert one.precision_at_k == pytest.approx(0.4) and one.precision == pytest.approx(0.5)
    assert (one.lead_days, one.lead_of) == (5.0, 7)  # 2 to 8 days after 1 March
    assert one.lead_interval is not None and one.lead_interval.low < 5 < one.lead_interval.high


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trouble": {"j": "2026-03-03T00:00:00Z"}}, "trouble: 'j' is not among the odd records"),
        ({"columns": {}}, "needs either snapshot or columns"),
        ({"anomalous": ["z"]}, "'z' is no judged record"),
        ({"request": {"id": "r"}}, "detectors.jsonl:1"),
    ],
)
def test_a_wrong_detector_case_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run_detectors(detector_file(tmp_path, **changes), tmp_path / "out", detectors={"above": Above()}, now=NOW)


def test_an_unknown_detector_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'above' is not known\n  Accepted: ") as refused:
        run_detectors(detector_file(tmp_path), tmp_path / "out", detectors=ROSTER, now=NOW)
    assert ", ".join(sorted(ROSTER)) in str(refused.value)


class From(Above):
    """Signals the records whose number is above the bound from their `day` on."""

    def __init__(self) -> None:
        self.fits: list[datetime] = []

    def fit(self, snapshot: Any, request: DetectionRequest) -> Any:
        self.fits.append(request.at)
        return super().fit(snapshot, request)

    def raise_signals(self, snapshot: Any, fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
        return super().raise_signals(snapshot.filter(pc.less_equal(snapshot["day"], request.at.day)), fitted, request)


@pytest.mark.parametrize("fit_once", [False, True])
def test_lead_is_counted_from_the_first_weekly_look_that_names_the_record(tmp_path: Path, fit_once: bool) -> None:
    columns = {"record": ["a", "b", "c", "d"], "size": [9, 9, 9, 1], "day": [8, 15, 29, 1]}
    path = detector_file(
        tmp_path, columns=columns, looks=3, fit_once=fit_once,
        request={"id": "r", "signal": "big", "detector": "above", "object": "deal", "budget": 0.05,
                 "at": "2026-03-15T00:00:00Z", "parameters": {"bound": 5}},
        trouble={"a": "2026-03-20T00:00:00Z", "b": "2026-03-20T00:00:00Z"},
    )  # fmt: skip
    detector = From()
    (one,) = run_detectors(path, tmp_path / "out", detectors={"above": detector}, now=NOW).detectors
    assert (one.found, one.missed) == (2, 1)
    assert (one.lead_days, one.lead_of) == (8.5, 2)  # 12 days from the look of 8 March, 5 from that of the 15th
    assert [at.day for at in detector.fits] == ([1] if fit_once else [1, 8, 15])


def test_a_case_reads_its_own_world_of_a_shared_file(tmp_path: Path) -> None:
    table = {"record": ["a", "b", "c"], "size": [9, 9, 1], "world": ["one", "two", "one"]}
    pq.write_table(pa.table(table), tmp_path / "shared.parquet")
    path = detector_file(tmp_path, columns={}, snapshot="shared.parquet", world="one", anomalous=["a"])
    (one,) = run_detectors(path, tmp_path / "out", detectors={"above": Above()}, now=NOW).detectors
    assert (one.found, one.false_alarms, one.normal) == (1, 0, 1)
    path = detector_file(tmp_path, columns={}, snapshot="shared.parquet", world="three", anomalous=["a"])
    with pytest.raises(InputError, match="has no rows of 'three'"):
        run_detectors(path, tmp_path / "out", detectors={"above": Above()}, now=NOW)


@pytest.mark.parametrize(("bound", "found"), [(5, 1), (50, 0)])
def test_a_snapshot_judged_as_a_whole_is_found_by_any_signal(tmp_path: Path, bound: int, found: int) -> None:
    request = {"id": "r", "signal": "big", "detector": "above", "object": "deal", "budget": 0.05,
               "at": "2026-03-01T00:00:00Z", "parameters": {"bound": bound}}  # fmt: skip
    path = detector_file(tmp_path, anomalous=["snapshot"], whole=True, request=request)
    (one,) = run_detectors(path, tmp_path / "out", detectors={"above": Above()}, now=NOW).detectors
    assert (one.found, one.missed, one.normal) == (found, 1 - found, 0)


def test_every_detector_of_the_roster_has_cases() -> None:
    assert {case.request.detector for case in read_detector_cases(CASES / "detectors")} == set(ROSTER)


@pytest.mark.parametrize("name", ["close_push", "lead_score", "payment_failed", "ticket_shift"])
def test_the_shipped_worlds_are_those_that_their_seeds_make(tmp_path: Path, name: str) -> None:
    write(tmp_path, [name])
    assert (tmp_path / f"{name}.jsonl").read_text() == (CASES / "detectors" / f"{name}.jsonl").read_text()
    shipped = pq.read_table(CASES / "detectors" / f"{name}.parquet")
    assert pq.read_table(tmp_path / f"{name}.parquet").equals(shipped)


def test_the_shipped_detectors_keep_their_promise_on_the_shipped_cases(tmp_path: Path) -> None:
    scores = run_detectors(CASES / "detectors", tmp_path, detectors=ROSTER, now=NOW)
    assert [one.detector for one in scores.detectors if one.promise == "broken"] == []
    dwell = next(one for one in scores.detectors if one.detector == "stage_dwell")
    assert dwell.found >= 3
    assert dwell.cases == 4


def backtest(folder: Path, scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
    book = folder / f"{scenario.id}.yaml"
    book.write_text(scenario.rulebook)
    program = compile_rulebook(load(book))
    history = fold_history(program, [parse_event(event) for event in scenario.events])
    assert history.problems == []
    with duckdb_engine(history.versions) as engine:
        held = held_between(engine, program, parse_time(scenario.start), parse_time(scenario.end))
    return {"intervals": [one.to_json() for one in held]}


def test_the_backtest_gives_what_was_derived_by_hand(tmp_path: Path) -> None:
    scores = run_rules(CASES / "rules", tmp_path / "out", evaluate=lambda one: backtest(tmp_path, one), now=NOW)
    assert [(one.id, one.missing, one.unexpected) for one in scores.results if not one.right] == []
    assert scores.of >= 10
    assert scores.exit_code == 0


def test_an_interval_that_is_a_microsecond_off_is_wrong(tmp_path: Path) -> None:
    def late(scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
        given = backtest(tmp_path, scenario)["intervals"]
        return {"intervals": [one | {"since": one["since"].replace("000000Z", "000001Z")} for one in given]}

    scenario = next(one for one in read_scenarios(CASES / "rules") if one.id.startswith("holds-from"))
    (result,) = score_rules([scenario], late).results
    assert not result.right
    assert "since=2026-03-04T09:00:00.000000Z" in result.missing[0]
    assert "since=2026-03-04T09:00:00.000001Z" in result.unexpected[0]


def test_an_interval_too_many_is_unexpected_even_where_none_is_expected() -> None:
    scenario = next(one for one in read_scenarios(CASES / "rules") if one.id == "contacted-in-time")
    extra = {"rule": "uncontacted", "record": "lead/L-9", "since": "2026-03-04T09:00:00Z", "until": None}
    (result,) = score_rules([scenario], lambda one: {"intervals": [extra]}).results
    assert len(result.unexpected) == 1


def test_a_rulebook_that_does_not_load_is_a_scenario_that_is_not_right(tmp_path: Path) -> None:
    scenario = read_scenarios(CASES / "rules")[0]

    def refused(one: Scenario) -> dict[str, list[dict[str, Any]]]:
        raise InputError("no such field")

    scores = score_rules([scenario], refused)
    assert scores.results[0].failed == "no such field"
    assert scores.exit_code == 1
