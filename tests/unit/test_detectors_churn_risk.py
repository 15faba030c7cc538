"""Who will come to an outcome: learnt from those who did, calibrated, with drivers; leaks are refused by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from detectors import ROSTER
from detectors.churn_risk import FittedRisk, score
from detectors.horizon import area, is_outcome
from detectors.snapshot import read_versions
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
OLD, LEFT, NEW = AT - timedelta(days=100), AT - timedelta(days=20), AT - timedelta(days=10)
KIND = pa.timestamp("us", tz="UTC")
Bools = NDArray[np.bool_]


def request(**changes: Any) -> DetectionRequest:
    values: dict[str, Any] = {
        "id": "run-1", "signal": "churn", "detector": "churn_risk", "object": "customer", "budget": 0.05, "at": AT,
        "parameters": {"label": "churned", "horizon_days": 60},
    }  # fmt: skip
    return DetectionRequest(**{**values, **changes})


def fitted(table: Any, asked: DetectionRequest | None = None) -> FittedRisk:
    asked = asked or request()
    found: FittedRisk = ROSTER[asked.detector].fit(table, asked)
    return found


def raised(table: Any, asked: DetectionRequest | None = None) -> list[Signal]:
    asked = asked or request()
    return list(ROSTER[asked.detector].raise_signals(table, fitted(table, asked), asked))


class Company:
    """`told` customers that stood 100 days ago, of whom some left 20 days ago, and `fresh` ones as they came."""

    def __init__(self, seed: int = 1, told: int = 900, fresh: int = 600, *, effect: float = 1.0) -> None:
        random = np.random.default_rng(seed)
        count = told + fresh
        self.seats = np.ceil(np.exp(random.normal(3, 1, count)))
        self.plan = random.choice(["monthly", "yearly"], count)
        self.noise = random.normal(0, 1, count)
        logit = -1.5 + effect * (1.5 * (self.plan == "monthly") - 0.8 * (np.log(self.seats) - 3))
        self.chance = 1 / (1 + np.exp(-logit))
        self.left: Bools = random.random(count) < self.chance
        self.told = np.arange(count) < told

    def snapshot(self, **more: Any) -> pa.Table:
        """`more`: columns, each a value for each customer, before and after leaving."""
        told, gone, fresh = (np.flatnonzero(x) for x in (self.told, self.told & self.left, ~self.told))
        rows = np.concatenate([told, gone, fresh])
        late = np.concatenate([np.zeros(told.size, bool), np.ones(gone.size, bool), np.zeros(fresh.size, bool)])
        ends = [LEFT if self.left[n] else None for n in told] + [None] * (gone.size + fresh.size)
        return pa.table(
            {
                "record": pa.array([f"C-{n:04}" for n in rows]),
                "valid_from": pa.array([OLD] * told.size + [LEFT] * gone.size + [NEW] * fresh.size, KIND),
                "valid_to": pa.array(ends, KIND),
                "churned": pa.array(late),
                "seats": pa.array(self.seats[rows]),
                "plan": pa.array(self.plan[rows]),
                "noise": pa.array(self.noise[rows]),
                **{name: pa.array(value(rows, late)) for name, value in more.items()},
            }
        )


def test_those_who_will_leave_are_raised_with_what_drives_it() -> None:
    company = Company()
    signals = raised(company.snapshot())
    assert signals
    first = signals[0]
    assert (first.unit, first.direction, first.window_from) == ("percent", "up", AT - timedelta(days=60))
    assert first.began_at == OLD, "since then its fields are as they are"
    assert "likely to come to churned=true within 60 days (" in first.explanation
    assert "plan 'monthly' (odds x" in first.explanation
    assert {contributor.name.split()[0] for contributor in first.contributors[:2]} == {"plan", "seats"}
    assert sum(contributor.weight for contributor in first.contributors) == pytest.approx(1.0)
    assert signals == sorted(signals, key=lambda s: (s.p_value, -s.strength, s.subject))


def test_only_those_that_still_stand_are_raised_and_all_of_them_are_tested() -> None:
    company = Company()
    standing = {f"customer/C-{n:04}" for n in np.flatnonzero(~(company.told & company.left))}
    table = company.snapshot()
    assert {signal.subject for signal in raised(table)} <= standing
    assert fitted(table).tested == len(standing)


def scored(company: Company) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Risk and p-value of the fresh customers, in their order."""
    table = company.snapshot()
    versions = read_versions(table, AT)
    found = score(versions, is_outcome(versions, "churned", ("true",)), fitted(table))
    place = {record: n for n, record in enumerate(found.ids)}
    rows = [place[f"C-{n:04}"] for n in np.flatnonzero(~company.told)]
    return found.risk[rows], found.p_values[rows]


def test_the_probability_is_calibrated_and_the_budget_holds_for_those_who_stay() -> None:
    """6 companies of 900 told and 2,000 fresh customers, judged by what becomes of the fresh ones."""
    false, errors, areas = [], [], []
    for seed in range(6):
        company = Company(seed, fresh=2_000)
        risk, p_values = scored(company)
        left = company.left[~company.told]
        false.append((p_values[~left] <= 0.05).mean())
        errors.append(
            np.mean([abs(risk[part].mean() - left[part].mean()) for part in np.array_split(np.argsort(risk), 5)])
        )
        areas.append(area(company.chance[~company.told], left) - area(risk, left))
    assert abs(np.mean(false) - 0.05) < 0.02
    assert np.mean(errors) < 0.05
    assert np.mean(areas) < 0.02, "against an oracle that knows each customer's true chance"


def test_a_column_that_alone_tells_the_outcome_is_refused_by_name() -> None:
    company = Company()
    fee = np.where(company.left, 50.0, 0.0)
    fee[:3] = 50.0 - fee[:3]
    found = fitted(company.snapshot(fee=lambda rows, late: fee[rows]))
    assert found.abstentions["fee"].startswith("refused: it tells the outcome by itself (area under the curve 0.9")
    assert "fee" not in found.fields
    assert found.area < 0.9


def test_a_column_whose_gaps_tell_the_outcome_is_refused_too() -> None:
    company = Company()
    found = fitted(company.snapshot(reason=lambda rows, late: ["price" if company.left[n] else None for n in rows]))
    assert found.abstentions["reason"].startswith("refused: it tells the outcome by itself")


def test_a_column_that_is_filled_only_once_the_outcome_has_come_is_refused_by_name() -> None:
    company = Company()
    found = fitted(company.snapshot(exit_survey=lambda rows, late: [7.5 if gone else None for gone in late]))
    assert found.abstentions["exit_survey"] == "refused: it is filled only once the outcome has come (100% of them)"


def test_a_leak_that_is_asked_for_by_name_is_refused_all_the_same() -> None:
    company = Company()
    table = company.snapshot(fee=lambda rows, late: np.where(company.left[rows], 50.0, 0.0))
    found = fitted(table, request(parameters={"label": "churned", "horizon_days": 60, "features": "fee,plan"}))
    assert found.fields == ("plan",)
    assert "fee" in found.abstentions


def test_too_few_labels_are_not_learnt_from_and_the_reason_is_given() -> None:
    company = Company(told=120)
    found = fitted(company.snapshot())
    came = int((company.told & company.left).sum())
    assert found.abstentions["labels"] == (
        f"{came} of 120 customers came to churned=true in 60 days; at least 50 with and 50 without are needed"
    )
    assert raised(company.snapshot()) == []
    assert found.tested == 0


def test_fields_that_tell_nothing_are_not_made_a_risk_of() -> None:
    found = fitted(Company(effect=0.0).snapshot())
    assert found.abstentions["fields"].startswith("they tell nothing of churned=true (area under the curve 0.")
    assert found.folds == ()


def test_what_comes_after_the_request_changes_nothing_and_order_neither() -> None:
    table = Company().snapshot()
    later = pa.table(
        {**{name: table[name][:1] for name in table.column_names}, "valid_from": pa.array([AT + timedelta(1)], KIND)}
    )
    whole = pa.concat_tables([later.select(table.column_names).cast(table.schema), table])
    shuffled = whole.take(pa.array(np.random.default_rng(0).permutation(whole.num_rows)))
    assert raised(shuffled) == raised(table) != []


def test_leads_are_scored_by_the_same_code_with_the_value_of_a_stage() -> None:
    company = Company()
    stage = lambda rows, late: ["sql" if gone else "mql" for gone in late]  # noqa: E731
    table = company.snapshot(stage=stage).drop_columns("churned")
    asked = request(
        detector="lead_score", object="lead",
        parameters={"label": "stage", "is": "sql,opportunity", "horizon_days": 60},
    )  # fmt: skip
    signals = raised(table, asked)
    assert signals[0].detector == "lead_score"
    assert "likely to come to stage=sql/opportunity within 60 days" in signals[0].explanation


def test_a_name_is_no_feature_and_a_gap_or_a_new_kind_is_borne() -> None:
    company = Company()
    random = np.random.default_rng(3)
    gaps = random.random(company.left.size) < 0.3

    def region(rows: Any, late: Any) -> list[Any]:
        return ["north" if company.told[n] else "moon" for n in rows]

    table = company.snapshot(
        name=lambda rows, late: [f"name {n}" for n in rows],
        age=lambda rows, late: [None if gaps[n] else float(n % 7) for n in rows],
        region=region,
        since=lambda rows, late: pa.array([OLD - timedelta(days=int(n % 90)) for n in rows], KIND),
    )
    found = fitted(table)
    assert found.abstentions["name"] == "left out: it has 900 values; a category has at most 30"
    assert "age" in found.fields
    assert "since" in found.fields
    assert raised(table)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"parameters\.label: missing"),
        ({"label": "gone"}, "'gone' is not in the snapshot; its fields are churned, seats, plan, noise"),
        ({"label": "churned", "features": "churned"}, "'churned' is the label itself"),
        ({"label": "churned", "is": ""}, "names no value"),
        ({"label": "churned", "horizon_days": 0}, "horizon_days: 0 is not a whole number"),
        ({"label": "churned", "model": "x"}, r"parameters\.model: not known to detector churn_risk"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(Company(told=10, fresh=5).snapshot(), request(parameters=parameters))


def test_on_public_data_it_is_no_worse_than_logistic_regression(shared_data: Path) -> None:
    from benchmarks.churn_risk import measured

    if not (shared_data / "churn/telco_churn.csv").is_file():
        pytest.skip("../shared/data/churn is not here")
    found = measured(1)
    assert found["churn_risk"]["auc"] >= found["logistic regression"]["auc"] - 0.005
    assert found["churn_risk"]["ece"] < 0.04
    assert found["churn_risk"]["false"] < 0.07
