"""How often a calibrated threshold keeps its promise of precision, over resampled splits of real companies.

    python -m benchmarks.calibrated_thresholds ../shared/data/firmographics/firmographics_1500.jsonl [--splits 200]

The enrichment worker without a language model answers the 500 held-out rows (its sector classifier learns from
the first 1,000). Then, `--splits` times: the 500 are cut into two random halves, each field's threshold is
calibrated on one (`evals.calibrate`, 95% confidence, the precision that the default rulebook asks for), and the
values that it accepts on the other half are counted. Kept: at least the promised share of them is right, or no
threshold was shown and nothing is accepted by itself. As the other half has chance errors of its own, the share
right over all 500 is given beside it. The peer is what calibration without a bound would do: the smallest
threshold whose observed precision on the calibration half reaches the target.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

import evals
from benchmarks.figures import arguments, figure
from evals.adapters import load_cases
from evals.calibrate import STEPS, Answer, calibrate_field, held, split_in_two
from evals.production import classifier_rows, rule_layer
from evals.stored import read_run
from evals.thresholds import acceptable
from watchtower.bootstrap import system_clock
from watchtower.rulebook import DEFAULT, load
from watchtower.settings import read_settings
from watchtower.workers import open_worker


def naive(answers: Sequence[Answer], target: float, lowest: float) -> float | None:
    """The smallest threshold that looks good enough."""
    for step in range(round(lowest * STEPS), STEPS + 1):
        seen = held(answers, step / STEPS)
        if seen.precision is not None and seen.precision >= target:
            return step / STEPS
    return None


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--splits", type=int, default=200)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    book = load(DEFAULT).rulebook
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with open_worker(read_settings(), classifier_rows(given.cases), use_model=False) as worker:
            evals.run_enrichment(given.cases, out, worker=worker, now=system_clock(), accept=rule_layer(book))
        found = acceptable(read_run(out), book)
    clusters = sorted({case.cluster for case in load_cases(given.cases) if case.split == "heldout"})
    print(f"{len(clusters)} companies held out, {given.splits} splits into halves\n")
    print(f"{'field':22} target  kept on the other half  kept over all  no threshold  accepted | without a bound: kept")
    for key, answers in sorted(found.items()):
        rule = book.acceptance[key]
        if rule.precision is None:
            continue
        kept = pooled = none = bare = 0
        share = 0.0
        for seed in range(given.splits):
            first, second = split_in_two(clusters, seed)
            one, other = ([a for a in answers if a.cluster in half] for half in (first, second))
            made = calibrate_field(
                key, one, other, target=rule.precision, before=rule.accept_at, lowest=rule.review_at, seed=seed
            )
            if made.threshold is None:
                none, kept, pooled = none + 1, kept + 1, pooled + 1
            else:
                kept += made.promise == "kept"
                pooled += (held(answers, made.threshold).precision or 1.0) >= rule.precision
                share += made.check.accepted / max(made.check.of, 1)
            guess = naive(one, rule.precision, rule.review_at)
            bare += guess is None or (held(other, guess).precision or 1.0) >= rule.precision
        splits, shown = given.splits, max(given.splits - none, 1)
        figure(
            f"splits in which the threshold of {key} keeps its promise", kept / splits, aim=0.95,
            peer="a threshold without a bound", of_peer=kept / bare if bare else None,
        )  # fmt: skip
        print(
            f"{key:22} {rule.precision:6.2f}  {kept:4}/{splits} {kept / splits:7.1%}        {pooled:4}/{splits} "
            f"{pooled / splits:6.1%}  {none:12}  {share / shown:8.1%} | {bare:4}/{splits} {bare / splits:6.1%}"
        )


if __name__ == "__main__":
    main()
