"""How well two company names are told to be one company or two: best F1 and AUC, on pairs that nothing was tuned on.

    python -m benchmarks.name_matching [--data ../shared/data/names] [--learn]

name_pairs_dev.csv is split in two by a hash of the company: the weights of enrichment/matching/tables/names.tsv were
learnt on the one half (`--learn` writes them anew), and the other is only measured. name_match_dev.csv (pairs of
companies, organisations and legal entities) was not used to learn either. F1 is told twice: the best over thresholds,
and at the threshold that is best on the learning half. Peers, in the same run: rapidfuzz's token_sort_ratio, WRatio and
Jaro-Winkler, each on texts in lower case.
"""

from __future__ import annotations

import csv
import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve, roc_auc_score

from benchmarks.figures import arguments, figure
from enrichment.matching.names import compare, ready
from enrichment.matching.weights import LEVELS, of_names, outcomes

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "enrichment/matching/tables/names.tsv"
COMPANIES = ("Company", "Organization", "LegalEntity")
Pair = tuple[str, str, bool]


def learning(company: str) -> bool:
    """Whether a company belongs to the half that is learnt from."""
    return hashlib.sha256(company.encode()).digest()[-1] % 2 == 0


def name_pairs(path: Path) -> tuple[list[Pair], list[Pair]]:
    """The half to learn from, and the half held out."""
    halves: tuple[list[Pair], list[Pair]] = ([], [])
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            same = next(row[key] for key in ("is_match", "match", "label", "same") if key in row) in ("1", "True")
            halves[0 if learning(row["company_id"]) else 1].append((row["name_a"], row["name_b"], same))
    return halves


def company_like(path: Path) -> list[Pair]:
    """The pairs of name_match_dev.csv that are no people and no ships."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["name1"], row["name2"], row["is_match"] == "True") for row in rows if row["schema"] in COMPANIES]


def learn(pairs: Sequence[Pair]) -> str:
    """The table of weights: for each comparison and level its bits; the bias of the fit is spread into the first."""
    steps = [(name, index) for name, floors in LEVELS.items() for index in range(1, len(floors))]
    rows = []
    for a, b, _ in pairs:
        found = outcomes(compare(ready(a), ready(b)))
        rows.append([float(found[name] + 1e-9 >= LEVELS[name][index]) for name, index in steps])
    labels = np.array([same for _, _, same in pairs])
    model = LogisticRegression(C=1.0, max_iter=5000, class_weight="balanced").fit(np.array(rows), labels)
    gains = dict(zip(steps, model.coef_[0] / math.log(2), strict=True))
    lines = [
        "# Weights of two names in bits, learnt on one half of name_pairs_dev.csv (benchmarks/name_matching.py).",
        "# comparison<TAB>from this value on<TAB>bits",
    ]
    bias = float(model.intercept_[0]) / math.log(2)
    for number, (name, floors) in enumerate(LEVELS.items()):
        bits = bias if number == 0 else 0.0
        for index, floor in enumerate(floors):
            bits += float(gains.get((name, index), 0.0))
            lines.append(f"{name}\t{floor:g}\t{bits:.3f}")
    return "\n".join(lines) + "\n"


def ours(a: str, b: str) -> float:
    return sum(weight.bits for weight in of_names(compare(ready(a), ready(b))))


SCORERS: dict[str, Callable[[str, str], float]] = {
    "watchtower": ours,
    "token_sort_ratio": lambda a, b: fuzz.token_sort_ratio(a.lower(), b.lower()),
    "WRatio": lambda a, b: fuzz.WRatio(a.lower(), b.lower()),
    "Jaro-Winkler": lambda a, b: JaroWinkler.similarity(a.lower(), b.lower()),
}


def best(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The best F1 over thresholds, and its threshold."""
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    at = int(f1[:-1].argmax())
    return float(f1[at]), float(thresholds[at])


def at_threshold(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """F1, precision and recall where a pair from this score on counts as the same."""
    said = scores >= threshold
    hits = int((said & labels).sum())
    precision, recall = hits / max(int(said.sum()), 1), hits / max(int(labels.sum()), 1)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def scored(scorer: Callable[[str, str], float], pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([same for _, _, same in pairs]), np.array([scorer(a, b) for a, b, _ in pairs])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/names")
    parser.add_argument("--learn", action="store_true")
    options = parser.parse_args()
    if not (options.data / "name_pairs_dev.csv").is_file():
        sys.exit(f"{options.data}: no name_pairs_dev.csv there; --data names the folder")
    learnt, held_out = name_pairs(options.data / "name_pairs_dev.csv")
    if options.learn:
        TABLE.write_text(learn(learnt), encoding="utf-8")
        print(f"{TABLE.relative_to(ROOT)}: learnt from {len(learnt)} pairs")
    others = company_like(options.data / "name_match_dev.csv")
    print(f"{len(learnt)} pairs learnt from, {len(held_out)} held out, {len(others)} company-like pairs")
    print(f"{'':<18} {'best F1':>8} {'F1 set':>7} {'prec.':>6} {'recall':>6} {'AUC':>6} | {'company-like AUC':>16}")
    for name, scorer in SCORERS.items():
        _, threshold = best(*scored(scorer, learnt))
        labels, scores = scored(scorer, held_out)
        f1, precision, recall = at_threshold(labels, scores, threshold)
        auc = roc_auc_score(*scored(scorer, others))
        first = name == next(iter(SCORERS))
        figure(f"company names, best F1: {name}", best(labels, scores)[0], aim=0.93 if first else None)
        figure(f"company-like names, AUC: {name}", auc, aim=0.9 if first else None)
        print(
            f"{name:<18} {best(labels, scores)[0]:>8.3f} {f1:>7.3f} {precision:>6.3f} {recall:>6.3f} "
            f"{roc_auc_score(labels, scores):>6.3f} | {auc:>16.3f}"
        )


if __name__ == "__main__":
    main()
