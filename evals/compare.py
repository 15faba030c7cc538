"""Is this run worse than that one? Paired, per field, corrected for asking often; must-pass cases beside.

Two questions per field: are fewer cases right, and is more filled in wrongly? A regression is one that is
both certain (exact McNemar, Holm over all questions) and large enough to matter, or any must-pass case that
is not right.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evals import statistics
from evals.flags import FieldFlags, read_flags
from evals.statistics import Interval
from watchtower.errors import InputError

QUESTIONS: Mapping[str, str] = {"right": "right", "unharmed": "no harm"}
"""No harm: nothing wrong was filled in."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One paired test. `difference` is run minus baseline, in [-1, 1]; above 0 is better."""

    field: str
    about: str
    pairs: int
    baseline: float
    run: float
    difference: float
    interval: Interval
    lost: int
    gained: int
    p_value: float
    adjusted: float
    """After Holm, over all questions of the comparison. In [0, 1]; smaller is stranger."""
    verdict: Literal["regression", "improvement", "no clear change"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed between two runs over the same cases."""

    questions: tuple[Question, ...]
    must_pass: int
    must_pass_failed: tuple[str, ...]
    newly_failed: tuple[str, ...]
    """Those must-pass cases that were right in the baseline."""
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
        """1 where something got worse, or a must-pass case is not right; else 0."""
        return 1 if self.regressions or self.must_pass_failed else 0


def _answer(flags: FieldFlags, about: str) -> bool:
    return flags.right if about == "right" else not flags.harmed


def compare(
    baseline_dir: Path,
    run_dir: Path,
    *,
    alpha: float = 0.05,
    minimum_effect: float = 0.02,
    seed: int = 0,
) -> Comparison:
    """Compares the outcomes of two runs' folders, case by case.

    `minimum_effect` is the smallest loss (share of cases) that counts as one. InputError where the runs share
    no unchanged case.
    """
    baseline, run = read_flags(baseline_dir), read_flags(run_dir)
    common = [name for name in run if name in baseline]
    changed = tuple(name for name in common if run[name].content != baseline[name].content)
    paired = [name for name in common if run[name].content == baseline[name].content]
    if not paired:
        raise InputError(
            f"{baseline_dir} and {run_dir} share no unchanged case",
            remedy="Run both on the same cases, with the same seed, limit and mask.",
        )
    fields = sorted({field for name in paired for field in run[name].fields})
    drafts = []
    for field in fields:
        rows = [name for name in paired if field in run[name].fields and field in baseline[name].fields]
        clusters = [run[name].cluster for name in rows]
        for about in QUESTIONS:
            before = np.array([_answer(baseline[name].fields[field], about) for name in rows])
            after = np.array([_answer(run[name].fields[field], about) for name in rows])
            lost, gained = int((before & ~after).sum()), int((~before & after).sum())
            drafts.append(
                Question(
                    field=field,
                    about=about,
                    pairs=len(rows),
                    baseline=float(before.mean()),
                    run=float(after.mean()),
                    difference=(gained - lost) / len(rows),
                    interval=statistics.paired_bootstrap(before, after, clusters, seed=seed),
                    lost=lost,
                    gained=gained,
                    p_value=statistics.mcnemar_exact(lost, gained),
                    adjusted=1.0,
                    verdict="no clear change",
                )
            )
    adjusted = statistics.holm([draft.p_value for draft in drafts])
    must = [one for one in run.values() if one.must_pass]
    failed = tuple(one.case for one in must if not one.passes)
    return Comparison(
        questions=tuple(_judged(d, p, alpha, minimum_effect) for d, p in zip(drafts, adjusted, strict=True)),
        must_pass=len(must),
        must_pass_failed=failed,
        newly_failed=tuple(name for name in failed if name in paired and baseline[name].passes),
        compared=len(paired),
        changed=changed,
        only_baseline=sum(1 for name in baseline if name not in run),
        only_run=sum(1 for name in run if name not in baseline),
        alpha=alpha,
        minimum_effect=minimum_effect,
    )


def _judged(draft: Question, adjusted: float, alpha: float, minimum_effect: float) -> Question:
    verdict: Literal["regression", "improvement", "no clear change"] = "no clear change"
    if adjusted <= alpha and abs(draft.difference) >= minimum_effect:
        verdict = "regression" if draft.difference < 0 else "improvement"
    return msgspec.structs.replace(draft, adjusted=adjusted, verdict=verdict)


def render_comparison(comparison: Comparison) -> Group:
    """The comparison for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("field", "share", "before", "now", "change", "95%", "lost", "won", "p", ""):
        table.add_column(name, justify="left" if name in ("field", "share", "") else "right")
    styles = {"regression": "bold red", "improvement": "green", "no clear change": "dim"}
    for q in comparison.questions:
        table.add_row(
            q.field,
            QUESTIONS[q.about],
            f"{q.baseline:.3f}",
            f"{q.run:.3f}",
            f"{q.difference:+.3f}",
            f"{q.interval.low:+.2f}{q.interval.high:+.2f}",
            str(q.lost),
            str(q.gained),
            f"{q.adjusted:.3g}",
            Text("" if q.verdict == "no clear change" else q.verdict, style=styles[q.verdict]),
        )
    failed = comparison.must_pass_failed
    notes: list[Text | Table] = [table]
    if comparison.must_pass:
        said = f"must-pass: {comparison.must_pass - len(failed)} of {comparison.must_pass} right"
        said += f"; not right: {', '.join(failed)}" if failed else ""
        said += f"; right in the baseline: {', '.join(comparison.newly_failed)}" if comparison.newly_failed else ""
        notes.append(Text(said, style="bold red" if failed else "green"))
    left = f"{comparison.compared} cases compared; {len(comparison.changed)} changed since the baseline, "
    left += f"{comparison.only_baseline} only in the baseline, {comparison.only_run} only in the run: "
    left += "not compared. No harm: nothing wrong filled in; p after Holm."
    notes.append(Text(left, style="dim"))
    return Group(*notes)
