"""How well does churn_risk tell who leaves, beside its peers on the same held-out customers?

    python -m benchmarks.churn_risk [--splits 5] [--json]

Telco (7,043 customers of ../shared/data/churn, 1,869 of whom left). Of each split 70% are told: they stood 60 days ago,
and those who left did so since. The other 30% came later; who of them left is known to the judge only. The detector
reads one snapshot, as in a tower. Area under the curve of who leaves (majority: .5 by definition); Brier score and
expected calibration error (ten bins of equal size) of the probabilities; the share of those who stay that a budget of
.05 raises, which it promises to be at most that, and the share of those who leave that it finds. Peers on the same
split: logistic regression on the plain columns, scikit-learn's gradient boosting, pyod's isolation forest on the same
columns (it knows no label), and the majority (everybody's risk is the share that left). At the end the same with two
leaks planted, and with the labels shuffled.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.figures import arguments, figure
from detectors import ROSTER
from detectors.churn_risk import score
from detectors.horizon import area, is_outcome
from detectors.snapshot import read_versions
from watchtower.contract import DetectionRequest

TELCO = Path(__file__).parents[2] / "shared/data/churn/telco_churn.csv"
AT = datetime(2026, 1, 1, tzinfo=UTC)
OLD, LEFT, NEW = AT - timedelta(days=90), AT - timedelta(days=20), AT - timedelta(days=10)
NUMBERS = ("tenure", "MonthlyCharges", "TotalCharges")
KIND = pa.timestamp("us", tz="UTC")
BUDGET = 0.05

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def telco(path: Path = TELCO) -> tuple[dict[str, list[Any]], Bools]:
    """The columns without the id, and who left."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    left = np.array([row["Churn"] == "Yes" for row in rows])
    columns: dict[str, list[Any]] = {}
    for name in rows[0]:
        if name in NUMBERS:
            columns[name] = [float(row[name]) if row[name].strip() else None for row in rows]
        elif name not in ("customerID", "Churn"):
            columns[name] = [row[name] for row in rows]
    return columns, left


def snapshot(columns: dict[str, list[Any]], left: Bools, held_out: Bools, *, leak: bool = False) -> pa.Table:
    """The told customers' versions (one more for those who left), and the held-out ones as they came."""
    told = np.flatnonzero(~held_out)
    gone = np.flatnonzero(~held_out & left)
    rows = np.concatenate([told, gone, np.flatnonzero(held_out)])
    since = [OLD] * told.size + [LEFT] * gone.size + [NEW] * int(held_out.sum())
    until = [LEFT if left[n] else None for n in told] + [None] * (rows.size - told.size)
    churned = [False] * told.size + [True] * gone.size + [False] * int(held_out.sum())
    table = {
        "record": pa.array([f"C-{n:05}" for n in rows]),
        "valid_from": pa.array(since, KIND),
        "valid_to": pa.array(until, KIND),
        "churned": pa.array(churned),
        **{name: pa.array([values[n] for n in rows]) for name, values in columns.items()},
    }
    if leak:
        random = np.random.default_rng(7)
        almost = np.where(random.random(left.size) < 0.005, ~left, left)
        table["cancellation_fee"] = pa.array(np.where(almost, 50.0, 0.0)[rows])
        table["exit_reason"] = pa.array(["price" if gone else None for gone in churned], pa.string())
    return pa.table(table)


def request(**parameters: str | int) -> DetectionRequest:
    return DetectionRequest(
        id="b", signal="churn", detector="churn_risk", object="customer", budget=BUDGET, at=AT,
        parameters={"label": "churned", "horizon_days": 60, **parameters},
    )  # fmt: skip


def ours(table: pa.Table, left: Bools, held_out: Bools) -> tuple[Floats, Floats]:
    """Probability and p-value of each held-out customer, in their order."""
    detector, asked = ROSTER["churn_risk"], request()
    fitted = detector.fit(table, asked)
    versions = read_versions(table, AT)
    scored = score(versions, is_outcome(versions, "churned", ("true",)), fitted)
    place = {record: n for n, record in enumerate(scored.ids)}
    rows = [place[f"C-{n:05}"] for n in np.flatnonzero(held_out)]
    return scored.risk[rows], scored.p_values[rows]


def plain(columns: dict[str, list[Any]]) -> Floats:
    """The columns as any tutorial has them: numbers scaled, the rest one-hot."""
    parts: list[Floats] = []
    for name, values in columns.items():
        if name in NUMBERS:
            number = np.array([0.0 if value is None else value for value in values])
            parts.append((number - number.mean()) / number.std())
        else:
            parts.extend((np.array(values) == kind).astype(np.float64) for kind in sorted(set(values))[1:])
    return np.column_stack(parts)


def peers(values: Floats, left: Bools, held_out: Bools) -> dict[str, tuple[Floats, bool]]:
    """The score of each held-out customer, and whether it is a probability."""
    from pyod.models.iforest import IForest
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    train, test, known = values[~held_out], values[held_out], left[~held_out]
    boosted = HistGradientBoostingClassifier(random_state=0).fit(train, known)
    return {
        "logistic regression": (LogisticRegression(max_iter=2_000).fit(train, known).predict_proba(test)[:, 1], True),
        "gradient boosting": (boosted.predict_proba(test)[:, 1], True),
        "IForest": (np.asarray(IForest(random_state=0).fit(train).decision_function(test)), False),
        "majority": (np.full(len(test), known.mean()), True),
    }


def calibration_error(risk: Floats, came: Bools, bins: int = 10) -> float:
    """The mean distance of promised and realised shares over bins of equal size, in [0, 1]."""
    order = np.argsort(risk, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(part.size * abs(risk[part].mean() - came[part].mean()) for part in parts) / risk.size)


def measured(splits: int) -> dict[str, dict[str, float]]:
    columns, left = telco()
    values = plain(columns)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(splits):
        held_out = np.random.default_rng(seed).random(left.size) < 0.3
        truth = left[held_out]
        risk, p_values = ours(snapshot(columns, left, held_out), left, held_out)
        found = {"churn_risk": (risk, True), **peers(values, left, held_out)}
        for name, (scores, probable) in found.items():
            row = {"auc": area(scores, truth)}
            if probable:
                row |= {"brier": float(np.mean((scores - truth) ** 2)), "ece": calibration_error(scores, truth)}
            if name == "churn_risk":
                row |= {
                    "false": float((p_values[~truth] <= BUDGET).mean()),
                    "found": float((p_values[truth] <= BUDGET).mean()),
                }
            rows.setdefault(name, []).append(row)
    return {
        name: {key: float(np.mean([row[key] for row in several])) for key in several[0]}
        for name, several in rows.items()
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--splits", type=int, default=5, help="Random splits (default 5).")
    asked = parser.parse_args()
    if not TELCO.is_file():
        print(f"no figures: {TELCO.name} is not in the shared data")
        return
    found = measured(asked.splits)
    columns, left = telco()
    held_out = np.random.default_rng(0).random(left.size) < 0.3
    detector = ROSTER["churn_risk"]
    leaking = detector.fit(snapshot(columns, left, held_out, leak=True), request())
    shuffled = np.random.default_rng(1).permutation(left)
    nothing = detector.fit(snapshot(columns, shuffled, held_out), request())
    print(f"{'':22}{'AUC':>8}{'Brier':>8}{'ECE':>8}{'stay, raised':>14}{'leave, found':>14}")
    for name, row in found.items():
        cells = [("auc", 8), ("brier", 8), ("ece", 8), ("false", 14), ("found", 14)]
        print(f"{name:22}" + "".join(f"{f'{row[key]:.3f}' if key in row else '':>{width}}" for key, width in cells))
    first, *others = found.items()
    for name, row in others:
        figure(f"churn risk, AUC beside {name}", first[1]["auc"], peer=name, of_peer=first[1]["auc"] / row["auc"])
    for what, fitted in (("with leaks", leaking), ("labels shuffled", nothing)):
        for name, reason in fitted.abstentions.items():
            print(f"{what}: {name}: {reason}")


if __name__ == "__main__":
    main()
