"""Is the false-discovery rate of cohort_outlier at most its budget on public sets, and what does it find?

    python -m benchmarks.cohort_outliers [--splits 20] [--budget 0.1] [--json]

Of each set (benchmarks/outlier_sets.py), at random and anew for each split: of what belongs, a part is the reference
and others are new; one new record in ten is of those that do not belong. The detector reads a snapshot, as in a tower.
`dirty`: one record of the reference in twenty does not belong either. `labelled`: the same, and for the 50 calibration
records that the detector names first, a person has said whether they belong. A false discovery is a signal about a
record that belongs; the rate is the mean share of these over the splits (0 where nothing is raised), the power the
mean share of the strange that are found. Where nothing is raised in any split, a rate of 0 proves nothing: therefore
`belong, p <= budget` is the share of new records that belong whose p-value is that small, which is what the rate rests
on: at most the budget with a clean reference, and less with a dirty one. Peers, on the dirty reference, in the same
run: `contamination`, pyod's own threshold at a twentieth; `unsplit`, p-values against the scores of the very records
that trained the model; `trimmed`, the highest twentieth of the calibration scores thrown away unseen. `over` marks a
rate that is above the budget by more than two standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.figures import arguments, figure
from benchmarks.outlier_sets import Floats, OutlierSet, outlier_sets
from detectors import ROSTER
from detectors.cohort_outlier import _centre, _scaled
from detectors.partitions import judge, narrow
from detectors.pvalues import benjamini_hochberg, conformal
from watchtower.contract import DetectionRequest, Signal

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
        said: list[bool | None] = [None] * count
        if confirmed is not None:
            said[:old] = [True if odd else None for odd in confirmed]
        columns = {f"f{i}": pa.array(values[:, i]) for i in range(values.shape[1])}
        return pa.table(
            {
                "record": pa.array([f"R-{n:05}" for n in range(count)]),
                "valid_from": pa.array(since, KIND),
                "valid_to": pa.nulls(count, KIND),
                "odd": pa.array(said, pa.bool_()),
                **columns,
            }
        )

    def number(self, record: str) -> int:
        return int(record.rpartition("-")[2])


def detector(split: Split, budget: float, *, labelled: bool = False) -> tuple[Bools, Bools]:
    """Which of the new records the detector raises, and whose p-value is at most the budget."""
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
    fitted = found.fit(table, asked)
    small = judge(found, table, fitted, asked)

    def marked(signals: Sequence[Signal]) -> Bools:
        marks = np.zeros(len(split.new), dtype=bool)
        marks[[split.number(signal.subject) - len(split.reference) for signal in signals]] = True
        return marks

    return marked(narrow(found, small, fitted, asked)), marked(small)


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


OURS: tuple[tuple[str, bool, bool], ...] = (("clean", False, False), ("dirty", True, False), ("labelled", True, True))
"""Name, whether the reference is dirty, whether it is labelled."""
PEERS: tuple[tuple[str, bool, Callable[[Split, float], Bools]], ...] = (
    ("contamination", True, contamination),
    ("unsplit", True, unsplit),
    ("trimmed", True, trimmed),
)


NAMES = (*(name for name, _, _ in OURS), *(name for name, _, _ in PEERS))


def measured(of: OutlierSet, splits: int, budget: float) -> dict[str, dict[str, float]]:
    """For each method: rate, its standard error, power, the share of splits that raise, of ours the small p-values."""
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in NAMES}

    def add(name: str, split: Split, raised: Bools, small: Bools | None = None) -> None:
        false = (raised & ~split.new_odd).sum() / max(1, raised.sum())
        power = (raised & split.new_odd).sum() / split.new_odd.sum()
        low = np.nan if small is None else small[~split.new_odd].mean()
        rows[name].append((float(false), float(power), float(raised.any()), float(low)))

    for seed in range(splits):
        drawn = {dirty: Split(of, np.random.default_rng(seed), dirty=dirty) for dirty in (False, True)}
        for name, dirty, labelled in OURS:
            add(name, drawn[dirty], *detector(drawn[dirty], budget, labelled=labelled))
        for name, dirty, run in PEERS:
            add(name, drawn[dirty], run(drawn[dirty], budget))
    found = {}
    for name, several in rows.items():
        false, power, any_, low = np.array(several).T
        found[name] = {
            "rate": float(false.mean()), "error": float(false.std() / np.sqrt(len(false))),
            "power": float(power.mean()), "raised": float(any_.mean()),
        }  # fmt: skip
        if not np.isnan(low).any():
            found[name]["small"] = float(low.mean())
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--splits", type=int, default=20, help="Drawings of each set (default 20).")
    parser.add_argument("--budget", type=float, default=0.1, help="The false-discovery rate asked for (default .1).")
    asked = parser.parse_args()
    sets, absent = outlier_sets()
    begun = perf_counter()
    found = {of.name: measured(of, asked.splits, asked.budget) for of in sets}
    for name in absent:
        print(f"absent: {name}")
    print(f"false-discovery rate / power at {asked.budget:g}, {asked.splits} splits of {len(sets)} sets")
    print(f"{'set':16}" + "".join(f"{name:>19}" for name in NAMES) + "   belong, p <= budget: clean, dirty, labelled")
    for of in sets:
        cells = []
        for name in NAMES:
            row = found[of.name][name]
            over = " over" if row["rate"] - 2 * row["error"] > asked.budget else ""
            rate, power = row["rate"], row["power"]
            cells.append(f"{f'{rate:.3f} / {power:.2f}{over}' if row['raised'] else 'none raised':>19}")
        low = ", ".join(f"{found[of.name][name]['small']:.3f}" for name, _, _ in OURS)
        print(f"{of.name:16}" + "".join(cells) + f"   {low}")
    means = [[np.mean([row[name][key] for row in found.values()]) for name in NAMES] for key in ("rate", "power")]
    print(f"{'mean':16}" + "".join(f"{f'{rate:.3f} / {power:.2f}':>19}" for rate, power in zip(*means, strict=True)))
    held = [sum(row[n]["rate"] - 2 * row[n]["error"] <= asked.budget for row in found.values()) for n in NAMES]
    for name, within in zip(NAMES, held, strict=True):
        figure(f"outlier sets within the budget: {name}", within / len(sets), aim=1.0 if name in NAMES[:3] else None)
    raised = [sum(row[n]["raised"] > 0 for row in found.values()) for n in NAMES]
    print(f"{'within budget':16}" + "".join(f"{f'{n} of {len(sets)}':>19}" for n in held))
    print(f"{'sets that raise':16}" + "".join(f"{f'{n} of {len(sets)}':>19}" for n in raised))
    print(f"{perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
