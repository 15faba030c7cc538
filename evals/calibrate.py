"""Acceptance thresholds from evidence: the smallest at which enough of what is accepted is right.

The promise: of the values that a field accepts, at least `target` are right, and a procedure that says so is
wrong for at most `risk` of the samples it could have seen. Each threshold on a grid is a hypothesis ("its
precision is below the target"), tested with an exact binomial bound on the calibration split; several are
tested at once by the fallback procedure, which goes down the grid and hands the level of each rejected
hypothesis on to the next. Where the sequence starts is chosen by the confidences of the check split, whose
labels it does not see, so that it is fixed before the calibration split is looked at.

Sources: Angelopoulos, Bates, Candes, Jordan and Lei (2021), Learn then Test, arXiv:2110.01052; Wiens and
Dmitrienko (2005), J. Biopharm. Stat. 15, for the fallback procedure; Clopper and Pearson (1934).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from scipy import stats

from evals import statistics
from evals.statistics import Interval

STEPS = 100
"""Thresholds are whole hundredths: what a person can read in a rulebook."""
STARTS = (1.5, 4.0)
"""The sequence starts where this many times the fewest answers that can prove the target are to be expected,
and at the bottom of the grid. Higher up a single wrong answer ends it."""

FEW = 5
"""Fewer answers than this do not move a threshold that is itself shown to keep its promise."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a field would be given, were its confidence enough: everything else that acceptance asks for holds."""

    cluster: str
    confidence: float
    right: bool


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold lets through on a split. `precision` in [0, 1], higher is better; None where nothing."""

    accepted: int
    right: int
    of: int
    """Answers in all, below the threshold or not."""
    precision: float | None
    interval: Interval
    """Two-sided 95%, exact."""


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """One field. `threshold` is None where the calibration split proves none."""

    field: str
    target: float
    risk: float
    before: float
    threshold: float | None
    calibration: Held
    """At the threshold, or at `before` where there is none."""
    check: Held
    promise: Literal["kept", "not refuted", "broken", "unproven"]
    """On the check split: at least the target; below it, by what chance explains; below it, by more than that.
    Unproven: there is no threshold to check."""
    because: str


def needed(target: float, risk: float) -> int:
    """The fewest answers, all of them right, that show a precision of at least `target`."""
    return math.ceil(math.log(risk) / math.log(target))


def p_value(right: int, accepted: int, target: float) -> float:
    """That so many or more are right though the precision is below `target`. In (0, 1]; smaller is stranger."""
    return float(stats.binom.sf(right - 1, accepted, target)) if accepted else 1.0


def independent(answers: Sequence[Answer], seed: int) -> list[Answer]:
    """One answer a cluster, drawn by the seed: a binomial bound counts what is independent."""
    by_cluster: dict[str, list[Answer]] = {}
    for one in answers:
        by_cluster.setdefault(one.cluster, []).append(one)
    generator = np.random.default_rng(seed)
    return [some[int(generator.integers(len(some)))] if len(some) > 1 else some[0] for some in by_cluster.values()]


def _grid(lowest: float) -> list[float]:
    """Hundredths from 1 down to `lowest`."""
    return [step / STEPS for step in range(STEPS, max(math.ceil(lowest * STEPS - 1e-9), 0) - 1, -1)]


def _accepted(answers: Iterable[Answer], thresholds: Sequence[float]) -> tuple[list[int], list[int]]:
    """(accepted, right) at each of the descending thresholds."""
    ordered = sorted(answers, key=lambda one: -one.confidence)
    accepted, right, place, good = [], [], 0, 0
    for threshold in thresholds:
        while place < len(ordered) and ordered[place].confidence >= threshold:
            good += ordered[place].right
            place += 1
        accepted.append(place)
        right.append(good)
    return accepted, right


def _levels(expected: Sequence[float], target: float, risk: float) -> list[float]:
    """What of the risk each threshold of the grid starts with; it depends on no label and not on the calibration."""
    fewest = needed(target, risk)
    starts = [next((i for i, n in enumerate(expected) if n >= times * fewest), None) for times in STARTS]
    bottom = len(expected) - 1
    # The first threshold at which the last answers come in is as low as the bottom of the grid.
    bottom = next(i for i, n in enumerate(expected) if n == expected[bottom])
    chosen = [bottom if start is None else start for start in starts] + [bottom]
    levels = [0.0] * len(expected)
    for start in chosen:
        levels[start] += risk / len(chosen)
    return levels


def smallest(
    calibration: Sequence[Answer],
    reference: Sequence[Answer],
    *,
    target: float,
    risk: float,
    lowest: float = 0.0,
    before: float | None = None,
) -> float | None:
    """The smallest threshold whose precision is shown to be at least `target`; None where none is shown.

    Both splits hold one answer a cluster. Of `reference` only the confidences are read. `lowest`: not below this.
    Of thresholds that let the same answers through it is the highest: nothing was seen between them. `before`
    stands where it is shown too and lets through all but fewer than FEW of them: a change that changes nothing,
    or rests on an answer or two, is none.
    """
    thresholds = _grid(lowest)
    seen, _ = _accepted(reference, thresholds)
    scale = len(calibration) / len(reference) if reference else 0.0
    levels = _levels([n * scale for n in seen], target, risk)
    accepted, right = _accepted(calibration, thresholds)
    carried, shown = 0.0, []
    for index in range(len(thresholds)):
        level = levels[index] + carried
        proven = level > 0 and p_value(right[index], accepted[index], target) <= level
        carried = level if proven else 0.0
        if proven:
            shown.append(index)
    if not shown:
        return None
    alike = [thresholds[index] for index in shown if accepted[index] == accepted[shown[-1]]]
    kept = [thresholds[i] for i in shown if accepted[shown[-1]] - accepted[i] < FEW]
    return before if before in kept else alike[0]


def held(answers: Sequence[Answer], threshold: float) -> Held:
    """What the threshold lets through."""
    some = [one.right for one in answers if one.confidence >= threshold]
    return Held(
        accepted=len(some),
        right=sum(some),
        of=len(answers),
        precision=sum(some) / len(some) if some else None,
        interval=statistics.clopper_pearson(sum(some), len(some)),
    )


def calibrate_field(
    field: str,
    calibration: Sequence[Answer],
    check: Sequence[Answer],
    *,
    target: float,
    before: float,
    lowest: float = 0.0,
    risk: float = 0.05,
    seed: int = 0,
) -> Calibrated:
    """The threshold of one field from its calibration split, and whether the check split bears it out."""
    first, second = independent(calibration, seed), independent(check, seed + 1)
    threshold = smallest(first, second, target=target, risk=risk, lowest=lowest, before=before)
    at = before if threshold is None else threshold
    seen, checked = held(first, at), held(second, at)
    if threshold is None:
        fewest = needed(target, risk)
        because = f"no threshold is shown to keep {target:g}: {seen.right} of {seen.accepted} right at {before:g}"
        if len(first) < fewest:
            because += f"; it takes at least {fewest} independent answers, and here are {len(first)}"
        promise: Literal["kept", "not refuted", "broken", "unproven"] = "unproven"
    else:
        because = f"{seen.right} of {seen.accepted} right at {at:g} on the calibration split"
        if checked.precision is None or checked.precision >= target:
            promise = "kept"
        elif float(stats.binom.cdf(checked.right, checked.accepted, target)) <= risk:
            promise = "broken"
        else:
            promise = "not refuted"
    return Calibrated(
        field=field,
        target=target,
        risk=risk,
        before=before,
        threshold=threshold,
        calibration=seen,
        check=checked,
        promise=promise,
        because=because,
    )


def split_in_two(clusters: Iterable[str], seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """Clusters, in two random halves."""
    names = sorted(set(clusters))
    order = np.random.default_rng(seed).permutation(len(names))
    half = len(names) // 2
    return frozenset(names[i] for i in order[:half]), frozenset(names[i] for i in order[half:])
