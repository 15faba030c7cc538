"""Records whose numbers do not belong."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from detectors import ROSTER
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW = AT - timedelta(days=100), AT - timedelta(days=2)
KIND = pa.timestamp("us", tz="UTC")
Floats = NDArray[np.float64]


def request(**changes: Any) -> DetectionRequest:
    values: dict[str, Any] = {
        "id": "run-1",
        "signal": "odd",
        "detector": "cohort_outlier",
        "object": "account",
        "budget": 0.1,
        "at": AT,
        "parameters": {"features": "employees,arr"},
    }
    return DetectionRequest(**{**values, **changes})


def raised(table: Any, asked: DetectionRequest) -> list[Signal]:
    detector = ROSTER[asked.detector]
    return list(detector.raise_signals(table, detector.fit(table, asked), asked))


def numbers(seed: int, count: int) -> tuple[Floats, Floats]:
    """Employees and revenue: both long-tailed, the one following the other."""
    random = np.random.default_rng(seed)
    employees = np.exp(random.normal(4.0, 1.0, count))
    return employees, employees * 50 * np.exp(random.normal(0.0, 0.5, count))


def accounts(employees: Floats, arr: Floats, new: int) -> Any:
    """One version each; the last `new` of them came two days before the request, the others long before."""
    count = len(employees)
    return pa.table(
        {
            "record": pa.array([f"A-{number}" for number in range(count)]),
            "valid_from": pa.array([OLD] * (count - new) + [NEW] * new, KIND),
            "valid_to": pa.nulls(count, KIND),
            "employees": pa.array(employees),
            "arr": pa.array(arr),
        }
    )


def test_an_absurd_new_account_is_told_with_the_feature_that_makes_it_so() -> None:
    employees, arr = numbers(1, 620)
    employees[-1] = 5_000_000
    signal = raised(accounts(employees, arr, new=20), request())[0]
    assert signal.subject == "account/A-619"
    assert signal.explanation.startswith("Unlike 600 accounts: employees 5,000,000 (usually ")
    assert signal.contributors[0].name == "employees"
    assert signal.contributors[0].weight > 0.9
    assert signal.began_at == NEW
    assert signal.direction == "up"
    assert signal.p_value == pytest.approx(1 / 301)


def test_an_odd_combination_of_ordinary_numbers_is_called_one() -> None:
    employees, arr = numbers(2, 620)
    employees[-1], arr[-1] = 200.0, 200.0
    signals = raised(accounts(employees, arr, new=20), request())
    told = {signal.subject: signal.explanation for signal in signals}
    assert told["account/A-619"].startswith("An unusual combination among 600 accounts: ")


def test_the_share_of_false_signals_is_held_and_most_planted_accounts_are_found() -> None:
    """100 runs, 40 new accounts each of which 3 have a hundred times the employees, at a rate of .1."""
    false, found = [], []
    for seed in range(100):
        employees, arr = numbers(seed, 640)
        employees[-3:] *= 100
        signals = raised(accounts(employees, arr, new=40), request())
        planted = sum(int(signal.subject.rpartition("-")[2]) >= 637 for signal in signals)
        false.append((len(signals) - planted) / max(1, len(signals)))
        found.append(planted / 3)
    assert np.mean(false) < 0.15
    assert np.mean(found) > 0.9


def test_where_nothing_is_odd_a_signal_comes_in_about_one_run_of_ten_at_most() -> None:
    alarms = [bool(raised(accounts(*numbers(seed, 640), new=40), request())) for seed in range(150)]
    assert np.mean(alarms) < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 150)


@pytest.mark.parametrize("model", ["knn", "iforest", "hbos"])
def test_each_model_gives_the_same_bytes_for_the_same_request(model: str) -> None:
    employees, arr = numbers(3, 640)
    employees[-10:] *= 30
    arr[-10:] *= 300
    table = accounts(employees, arr, new=40)
    asked = request(budget=0.4, parameters={"features": "employees,arr", "model": model})
    one, other = raised(table, asked), raised(table, asked)
    assert [signal.to_data() for signal in one] == [signal.to_data() for signal in other] != []
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    assert raised(shuffled, asked) == one


def test_what_comes_after_the_request_changes_nothing() -> None:
    employees, arr = numbers(4, 640)
    employees[-3:] *= 100
    table = accounts(employees, arr, new=40)
    later = AT + timedelta(seconds=1)
    closed = table["valid_to"].to_pylist()
    closed[5] = closed[-1] = later
    changed = table.set_column(2, "valid_to", pa.array(closed, KIND))
    rows = {"record": ["A-5", "A-639", "Z-1"], "employees": [1.0, 9e9, 9e9], "arr": [1.0, 1.0, 9e9]}
    after = pa.table({**rows, "valid_from": pa.array([later] * 3, KIND), "valid_to": pa.nulls(3, KIND)})
    whole = pa.concat_tables([changed, after.select(table.column_names)])
    assert raised(whole, request()) == raised(table, request()) != []


def test_an_account_that_has_long_stood_so_is_part_of_the_cohort() -> None:
    employees, arr = numbers(5, 640)
    employees[0] = 5_000_000
    signals = raised(accounts(employees, arr, new=40), request())
    assert "account/A-0" not in {signal.subject for signal in signals}


def test_a_change_of_numbers_is_tested_and_dated_from_the_change() -> None:
    """A-0 went to 5,000,000 employees two days ago; a version since then changed something else."""
    table = accounts(*numbers(6, 600), new=0)
    closed = pa.array([NEW] + [None] * 599, KIND)
    touched = NEW + timedelta(hours=5)
    rows = {"record": ["A-0", "A-0"], "employees": [5e6, 5e6], "arr": [9.0, 9.0]}
    since = {"valid_from": pa.array([NEW, touched], KIND), "valid_to": pa.array([touched, None], KIND)}
    whole = pa.concat_tables(
        [
            table.set_column(2, "valid_to", closed),
            pa.table({**rows, **since}).select(table.column_names),
        ]
    )
    (signal,) = raised(whole, request())
    assert (signal.subject, signal.began_at) == ("account/A-0", NEW)


def test_fewer_than_50_records_are_not_judged_and_the_reason_is_given() -> None:
    employees, arr = numbers(7, 55)
    employees[-1] = 5_000_000
    table = accounts(employees, arr, new=6)
    fitted = ROSTER["cohort_outlier"].fit(table, request())
    assert fitted.abstentions == {"cohort": "49 complete records stood 7 days before; at least 50 are needed"}
    assert raised(table, request()) == []


def test_an_account_that_lacks_a_feature_is_not_judged_and_counted() -> None:
    employees, arr = numbers(8, 640)
    employees[-1] = 5_000_000
    arr[:4] = arr[-1] = np.nan
    table = accounts(employees, arr, new=40)
    assert raised(table, request()) == []
    fitted = ROSTER["cohort_outlier"].fit(table, request())
    assert fitted.abstentions == {"reference": "4 of 600 records lack a feature"}


def test_verdicts_on_the_named_records_give_back_the_power_that_a_contaminated_reference_takes() -> None:
    """1,200 accounts of which 30 are odd already; 40 new ones, 4 of them odd. A person looks at the 50 named ones."""
    without, with_verdicts, false = [], [], []
    for seed in range(8):
        employees, arr = numbers(seed, 1_240)
        employees[:30] *= 100
        employees[-4:] *= 100
        table = accounts(employees, arr, new=40)
        asked = request(parameters={"features": "employees,arr", "confirmed": "odd"})
        unseen = table.append_column("odd", pa.nulls(1_240, pa.bool_()))
        named = {int(record[2:]) for record in ROSTER["cohort_outlier"].fit(unseen, asked).to_label}
        assert len(named) == 50
        said = [number < 30 if number in named else None for number in range(1_240)]
        seen = table.append_column("odd", pa.array(said))
        for found, whole in ((without, unseen), (with_verdicts, seen)):
            found.append(sum(int(s.subject.rpartition("-")[2]) >= 1_236 for s in raised(whole, asked)))
        signals = raised(seen, asked)
        false.append(sum(int(s.subject.rpartition("-")[2]) < 1_236 for s in signals) / max(1, len(signals)))
    assert np.mean(without) < 1 < 3 < np.mean(with_verdicts)
    assert np.mean(false) < 0.2


def test_a_verdict_moves_no_other_record_between_training_and_calibration() -> None:
    employees, arr = numbers(11, 640)
    table = accounts(employees, arr, new=40)
    asked = request(parameters={"features": "employees,arr", "confirmed": "odd"})
    before, after = (
        ROSTER["cohort_outlier"].fit(table.append_column("odd", pa.array(said)), asked)
        for said in (pa.nulls(640, pa.bool_()), pa.array([True if n == 7 else None for n in range(640)]))
    )
    assert before.records - after.records == 1
    assert len(set(before.to_label) & set(after.to_label)) >= 45


def test_the_records_that_are_worth_a_verdict_are_named_until_they_have_one() -> None:
    employees, arr = numbers(14, 640)
    employees[3] = 9e6
    table = accounts(employees, arr, new=40)
    asked = request(parameters={"features": "employees,arr", "confirmed": "odd"})
    detector = ROSTER["cohort_outlier"]
    fitted = detector.fit(table.append_column("odd", pa.nulls(640, pa.bool_())), asked)
    (named,) = fitted.abstentions
    assert named == ", ".join(fitted.to_label[:5]) + " and 45 more"
    assert fitted.abstentions[named] == "the strangest of the reference; say in odd whether they are odd, to find more"
    verdicts = [False if f"A-{n}" in fitted.to_label else None for n in range(640)]
    assert detector.fit(table.append_column("odd", pa.array(verdicts)), asked).to_label == ()


def test_a_cohort_too_small_for_its_budget_is_not_judged_and_the_reason_is_given() -> None:
    table = accounts(*numbers(12, 90), new=0)
    fitted = ROSTER["cohort_outlier"].fit(table, request(budget=0.01))
    assert fitted.abstentions["cohort"] == (
        "45 records to compare with: no p-value is below 0.0217, so none is strange at a budget of 0.01"
    )


def test_the_fit_says_how_many_records_are_tested() -> None:
    employees, arr = numbers(13, 640)
    arr[-1] = np.nan
    assert ROSTER["cohort_outlier"].fit(accounts(employees, arr, new=40), request()).tested == 39


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"features": "employees", "mode": "knn"}, r"parameters\.mode: not known to detector cohort_outlier"),
        ({}, r"parameters\.features: missing"),
        ({"features": "employees,employees"}, "names a field twice"),
        ({"features": "employees,seats"}, "'seats' is not in the snapshot; its fields are employees, arr"),
        ({"features": "employees", "model": "ecod"}, "'ecod' is not known; accepted are knn, iforest, hbos"),
        ({"features": "employees", "recent_days": 0}, "recent_days: 0 is not a whole number"),
        ({"features": "employees", "confirmed": "arr"}, "'arr' is a double; accepted is a boolean"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(accounts(*numbers(9, 60), new=0), request(parameters=parameters))


def test_a_text_is_no_feature() -> None:
    table = accounts(*numbers(9, 60), new=0)
    texts = table.append_column("name", pa.array(["x"] * 60))
    with pytest.raises(ValueError, match="'name' is a string; accepted here are numbers"):
        raised(texts, request(parameters={"features": "employees,name"}))


def test_the_roster_is_read_without_importing_pyod_or_scikit_learn(project: Path) -> None:
    code = "import detectors, sys; print([n for n in ('pyod', 'sklearn', 'numba') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
