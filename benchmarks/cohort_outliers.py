"""Is the false-discovery rate of cohort_outlier at most its budget on public sets, and what does it find?

    python -m benchmarks.cohort_outliers [--splits 20] [--budget 0.1] [--json]

Of each set (benchmarks/outlier_sets.py), at random and anew for each split: of what belongs, a part is the reference
and others are new; one new record in ten is of those that do not belong. The detector reads a snapshot, as in a tower.
`dirty`: one record of the reference in twenty does not belong either. `labelled`: the same, and for the 50 calibration
records that the detector names first, a person has said whether they belong. A false discovery is a signal about a
record that belongs; the rate is the mean share of these over the splits (0 where nothing is raised), the power the mean
share of the strange that are found. Peers, on the dirty reference, in the same run: `contamination`, pyod's own
threshold at a twentieth; `unsplit`, p-values against the scores of the very records that trained the model;
`trimmed`, the highest twentieth of the calibration scores thrown away unseen. `over` marks a rate that is above the
budget by more than two standard errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.outlier_sets import Floats, OutlierSet, outlier_sets
from detectors import ROSTER
from detectors.cohort_outlier import _centre, _scaled
from detectors.pvalues import benjamini_hochberg, conformal
from watchtower.contract import DetectionRequest

AT = datetime(2026, 1, 1, tzinfo=UTC)
MOST_REFERENCE, MOST_NEW = 2_000, 300
STRANGE_SHARE, DIRT = 0.1, 0.05
LABELS = 50
KIND = pa.timestamp("us", tz="UTC")

Bools = NDArray[np.bool_]


class Split:
    """One drawing: a reference and new records, with what only the judge knows."""

    def __init__(self, of: OutlierSet, random: np.random.Generator, *, dirty: bool) -> None:
        belongs = of.belongs[random.permutation(len(of.belongs))]
        strange = of.strange[random.permutation(len(of.strange))]
        new = min(MOST_NEW, len(belongs) // 3)
        odd = max(2, round(new * STRANGE_SHARE / (1 - STRANGE_SHARE)))
        clean = min(MOST_REFERENCE, len(belongs) - new)
        dirt = max(1, round(clean * DIRT / (1 - DIRT))) if dirty else 0
        dirt = min(dirt, len(strange) - odd)
        self.reference = np.vstack([belongs[new : new + clean], strange[odd : odd + dirt]])
        self.reference_odd = np.arange(clean + dirt) >= clean
        self.new = np.vstack([belongs[:new], strange[:odd]])
        self.new_odd = np.arange(new + odd) >= new

    def snapshot(self, confirmed: Bools | None = None) -> pa.Table:
        values = np.vstack([self.reference, self.new])
        count, old = len(values), len(self.reference)
        since = [AT - timedelta(days=90)] * old + [AT - timedelta(days=1)] * (count - old)
        said = np.zeros(count, dtype=bool)
        if confirmed is not None:
            said[:old] = confirmed
        columns = {f"f{i}": pa.array(values[:, i]) for i in range(values.shape[1])}
        return pa.table(
            {
                "record": pa.array([f"R-{n:05}" for n in range(count)]),
                "valid_from": pa.array(since, KIND),
                "valid_to": pa.nulls(count, KIND),
                "odd": pa.array(said),
                **columns,
            }
        )

    def number(self, record: str) -> int:
        return int(record.rpartition("-")[2])


def detector(split: Split, budget: float, *, labelled: bool = False) -> Bools:
    """Which of the new records the detector raises."""
    found = ROSTER["cohort_outlier"]
    features = ",".join(f"f{i}" for i in range(split.new.shape[1]))
    parameters: dict[str, str | float | int | bool] = {"features": features}
    confirmed = None
    if labelled:
        parameters["confirmed"] = "odd"
        table = split.snapshot()
        asked = request(budget, parameters)
        first = found.fit(table, asked).to_label[:LABELS]
        confirmed = np.zeros(len(split.reference), dtype=bool)
        confirmed[[split.number(record) for record in first]] = True
        confirmed &= split.reference_odd
    table, asked = split.snapshot(confirmed), request(budget, parameters)
    raised = np.zeros(len(split.new), dtype=bool)
    for signal in found.raise_signals(table, found.fit(table, asked), asked):
        raised[split.number(signal.subject) - len(split.reference)] = True
    return raised


def request(budget: float, parameters: dict[str, str | float | int | bool]) -> DetectionRequest:
    return DetectionRequest(
        id="b", signal="odd", detector="cohort_outlier", object="record", budget=budget, at=AT, parameters=parameters
    )


def knn(train: Floats) -> object:
    from pyod.models.knn import KNN

    return KNN(contamination=DIRT).fit(train)


def contamination(split: Split, budget: float) -> Bools:
    median, spread = _centre(split.reference)
    model = knn(_scaled(split.reference, median, spread))
    return np.asarray(model.predict(_scaled(split.new, median, spread))) == 1  # type: ignore[attr-defined]


def unsplit(split: Split, budget: float) -> Bools:
    from pyod.models.iforest import IForest

    median, spread = _centre(split.reference)
    model = IForest(random_state=0).fit(_scaled(split.reference, median, spread))
    scores = model.decision_function(_scaled(split.new, median, spread))
    return benjamini_hochberg(conformal(np.asarray(model.decision_scores_), np.asarray(scores)), budget)


def trimmed(split: Split, budget: float) -> Bools:
    random = np.random.default_rng(1)
    reference = split.reference[random.permutation(len(split.reference))]
    train, calibration = np.split(reference, 2) if len(reference) % 2 == 0 else np.split(reference[1:], 2)
    median, spread = _centre(train)
    model = knn(_scaled(train, median, spread))
    scores = np.sort(model.decision_function(_scaled(calibration, median, spread)))  # type: ignore[attr-defined]
    kept = scores[: round(len(scores) * (1 - DIRT))]
    tested = model.decision_function(_scaled(split.new, median, spread))  # type: ignore[attr-defined]
    return benjamini_hochberg(conformal(kept, np.asarray(tested)), budget)


METHODS: tuple[tuple[str, bool, Callable[[Split, float], Bools]], ...] = (
    ("clean", False, detector),
    ("dirty", True, detector),
    ("labelled", True, lambda split, budget: detector(split, budget, labelled=True)),
    ("contamination", True, contamination),
    ("unsplit", True, unsplit),
    ("trimmed", True, trimmed),
)


def measured(of: OutlierSet, splits: int, budget: float) -> dict[str, tuple[float, float, float]]:
    """For each method: the false-discovery rate, its standard error, the power."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in METHODS}
    for seed in range(splits):
        drawn = {dirty: Split(of, np.random.default_rng(seed), dirty=dirty) for dirty in (False, True)}
        for name, dirty, run in METHODS:
            split = drawn[dirty]
            raised = run(split, budget)
            false = (raised & ~split.new_odd).sum() / max(1, raised.sum())
            rows[name].append((float(false), float((raised & split.new_odd).sum() / split.new_odd.sum())))
    found = {}
    for name, pairs in rows.items():
        false, power = np.array(pairs).T
        found[name] = (float(false.mean()), float(false.std() / np.sqrt(len(false))), float(power.mean()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20, help="Drawings of each set (default 20).")
    parser.add_argument("--budget", type=float, default=0.1, help="The false-discovery rate asked for (default .1).")
    parser.add_argument("--json", action="store_true", help="One JSON object instead of the table.")
    asked = parser.parse_args()
    sets, absent = outlier_sets()
    begun = perf_counter()
    found = {of.name: measured(of, asked.splits, asked.budget) for of in sets}
    if asked.json:
        print(json.dumps({"budget": asked.budget, "splits": asked.splits, "absent": absent, "sets": found}))
        return
    for name in absent:
        print(f"absent: {name}")
    names = [name for name, _, _ in METHODS]
    print(f"false-discovery rate / power at {asked.budget:g}, {asked.splits} splits of {len(sets)} sets")
    print(f"{'set':24}" + "".join(f"{name:>20}" for name in names))
    for of in sets:
        cells = []
        for name in names:
            rate, error, power = found[of.name][name]
            over = " over" if rate - 2 * error > asked.budget else ""
            cells.append(f"{f'{rate:.3f} / {power:.2f}{over}':>20}")
        print(f"{of.name:24}" + "".join(cells))
    means = [f"{np.mean([row[name][0] for row in found.values()]):.3f}" for name in names]
    powers = [f"{np.mean([row[name][2] for row in found.values()]):.2f}" for name in names]
    print(f"{'mean':24}" + "".join(f"{f'{a} / {b}':>20}" for a, b in zip(means, powers, strict=True)))
    held = [sum(row[n][0] - 2 * row[n][1] <= asked.budget for row in found.values()) for n in names]
    print(f"{'within the budget':24}" + "".join(f"{f'{n} of {len(sets)}':>20}" for n in held))
    print(f"{perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
