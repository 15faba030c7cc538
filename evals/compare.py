"""Is this run worse than that one? Paired, over all fields and per field, corrected for asking often.

Two questions of all fields together and of each: are fewer cases right, and is more filled in wrongly? A
regression is one that is both certain (an exact paired test, Holm over all questions) and large enough to
matter, or any must-pass case that does not pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from evals import statistics
from evals.flags import Asked, read_flags
from evals.paired import cluster_sums, sign_flip
from evals.statistics import Interval
from watchtower.errors import InputError

QUESTIONS: Mapping[str, str] = {"right": "right", "unharmed": "no harm"}
"""No harm: nothing wrong was filled in."""
ALL = "all fields"
ALPHA = 0.05
MINIMUM_EFFECT = 0.02

Verdict = Literal["regression", "improvement", "no clear change"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One paired test. `difference` is run minus baseline, in [-1, 1]; above 0 is better."""

    field: str
    about: str
    pairs: int
    baseline: float
    run: float
    difference: float
    interval: Interval
    """95%, paired bootstrap over clusters."""
    lost: int
    """Cases that do worse in the run."""
    gained: int
    p_value: float
    """That the run is no worse. In (0, 1]; smaller is stranger."""
    adjusted: float
    """After Holm, over all questions of the comparison. In [0, 1]; smaller is stranger."""
    better: float
    """That the run is no better, after Holm."""
    verdict: Verdict


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed between two runs over the same cases."""

    questions: tuple[Question, ...]
    must_pass: int
    must_pass_failed: tuple[str, ...]
    newly_failed: tuple[str, ...]
    """Those must-pass cases that passed in the baseline."""
    worse: tuple[str, ...]
    """Cases in which a field is less often right than in the baseline."""
    improved: tuple[str, ...]
    compared: int
    changed: tuple[str, ...]
    """Cases with another text or label than in the baseline: not compared."""
    only_baseline: int
    only_run: int
    alpha: float
    minimum_effect: float

    @property
    def regressions(self) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.verdict == "regression")

    @property
    def exit_code(self) -> int:
        """1 where something got worse, or a must-pass case does not pass; else 0."""
        return 1 if self.regressions or self.must_pass_failed else 0


class _Row(msgspec.Struct, frozen=True):
    """How often a field of a case came out well, and how often it was asked: in the baseline, and in the run."""

    case: str
    cluster: str
    before: tuple[int, int]
    after: tuple[int, int]


def _well(asked: Asked, field: str, about: str) -> tuple[int, int]:
    if about == "right":
        return sum(one.fields[field].right for one in asked), len(asked)
    return sum(not one.fields[field].harmed for one in asked), len(asked)


def compare(
    baseline_dir: Path,
    run_dir: Path,
    *,
    alpha: float = ALPHA,
    minimum_effect: float = MINIMUM_EFFECT,
    seed: int = 0,
    by_id: bool = False,
) -> Comparison:
    """Compares the outcomes of two runs' folders, case by case. See `compare_flags`."""
    try:
        return compare_flags(
            read_flags(baseline_dir),
            read_flags(run_dir),
            alpha=alpha,
            minimum_effect=minimum_effect,
            seed=seed,
            by_id=by_id,
        )
    except _NothingShared:
        raise InputError(
            f"{baseline_dir} and {run_dir} share no unchanged case",
            remedy="Run both on the same cases, with the same seed, limit and mask.",
        ) from None


class _NothingShared(Exception):
    pass


def compare_flags(
    baseline: Mapping[str, Asked],
    run: Mapping[str, Asked],
    *,
    alpha: float = ALPHA,
    minimum_effect: float = MINIMUM_EFFECT,
    seed: int = 0,
    resamples: int = statistics.RESAMPLES,
    by_id: bool = False,
) -> Comparison:
    """Two runs, by case. A case may have been asked several times in either.

    `by_id` also pairs cases of one id that have another text: the same company with and without its name.

    `alpha` bounds how often a run of the same system is called a regression. `minimum_effect` is the smallest
    loss (share of cases) that counts as one. `resamples` are for the intervals, on which no verdict depends.
    """
    common = [name for name in run if name in baseline]
    other = {name for name in common if run[name][0].content != baseline[name][0].content and not by_id}
    changed = tuple(name for name in common if name in other)
    paired = [name for name in common if name not in other]
    if not paired:
        raise _NothingShared
    fields = sorted({field for name in paired for field in run[name][0].fields})
    drafts: list[Question] = []
    worse, improved = set[str](), set[str]()
    for about in QUESTIONS:
        whole: list[_Row] = []
        for field in fields:
            rows = [
                _Row(
                    name,
                    run[name][0].cluster,
                    _well(baseline[name], field, about),
                    _well(run[name], field, about),
                )
                for name in paired
                if field in run[name][0].fields and field in baseline[name][0].fields
            ]
            whole += rows
            drafts.append(_asked(field, about, rows, seed, resamples))
            if about == "right":
                for row in rows:
                    change = row.after[0] * row.before[1] - row.before[0] * row.after[1]
                    if change:
                        (worse if change < 0 else improved).add(row.case)
        if len(fields) > 1:
            drafts.append(_asked(ALL, about, whole, seed, resamples))
    drafts.sort(key=lambda q: (q.field != ALL, q.field, q.about))
    lost = statistics.holm([draft.p_value for draft in drafts])
    won = statistics.holm([draft.better for draft in drafts])
    must = {name: asked for name, asked in run.items() if asked[0].must_pass}
    failed = tuple(name for name, asked in must.items() if not all(one.passes for one in asked))
    passed_before = {name for name in paired if all(one.passes for one in baseline[name])}
    return Comparison(
        questions=tuple(
            _judged(draft, p, q, alpha, minimum_effect) for draft, p, q in zip(drafts, lost, won, strict=True)
        ),
        must_pass=len(must),
        must_pass_failed=failed,
        newly_failed=tuple(name for name in failed if name in passed_before),
        worse=tuple(name for name in paired if name in worse),
        improved=tuple(name for name in paired if name in improved - worse),
        compared=len(paired),
        changed=changed,
        only_baseline=sum(1 for name in baseline if name not in run),
        only_run=sum(1 for name in run if name not in baseline),
        alpha=alpha,
        minimum_effect=minimum_effect,
    )


def _asked(field: str, about: str, rows: Sequence[_Row], seed: int, resamples: int) -> Question:
    table = np.array([(*row.before, *row.after) for row in rows], dtype=np.int64)
    clusters = [row.cluster for row in rows]
    scale = lcm(*map(int, {*table[:, 1], *table[:, 3]}))
    differences = table[:, 2] * (scale // table[:, 3]) - table[:, 0] * (scale // table[:, 1])
    p_value, better = sign_flip(cluster_sums(differences, clusters))
    before, after = table[:, 0] / table[:, 1], table[:, 2] / table[:, 3]
    return Question(
        field=field,
        about=about,
        pairs=len(rows),
        baseline=float(before.mean()),
        run=float(after.mean()),
        difference=float(differences.sum()) / scale / len(rows),
        interval=statistics.paired_bootstrap(before, after, clusters, seed=seed, resamples=resamples),
        lost=int((differences < 0).sum()),
        gained=int((differences > 0).sum()),
        p_value=p_value,
        adjusted=1.0,
        better=better,
        verdict="no clear change",
    )


def _judged(draft: Question, worse: float, better: float, alpha: float, minimum_effect: float) -> Question:
    verdict: Verdict = "no clear change"
    if worse <= alpha and -draft.difference >= minimum_effect:
        verdict = "regression"
    elif better <= alpha and draft.difference >= minimum_effect:
        verdict = "improvement"
    return msgspec.structs.replace(draft, adjusted=worse, better=better, verdict=verdict)
