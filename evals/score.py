"""From what was proposed and decided to figures, each with an interval and a direction.

Outcomes first (one per case and field, plain booleans), then shares of them: whoever doubts a figure can
count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from evals import statistics
from evals.cases import Case
from evals.confidence import AtCoverage, Bin, precision_at, reliability
from evals.decision import Accept, Decision, grounded
from evals.fields import FIELDS, same
from watchtower.contract import Proposal

BINS = 10


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal, what was decided on it, and whether it is right and grounded."""

    proposal: Proposal
    decision: Decision
    right: bool
    grounded: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One field of one case.

    `right`: the gold value was filled in, or nothing was where nothing is known. `harmed`: something wrong
    was filled in.
    """

    case: str
    cluster: str
    field: str
    known: bool
    """The case has a gold value."""
    stated: bool
    """A text contains the gold value."""
    filled: bool
    right: bool
    harmed: bool
    value: Any = None
    confidence: float | None = None
    """Of the likeliest proposal, accepted or not; None where there is none."""
    best_right: bool = False
    proposed: int = 0
    grounded: int = 0
    repeat: int = 0


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95% interval; `value` is None where there was nothing to count."""

    value: float | None
    low: float
    high: float
    hits: float
    of: int
    better: Literal["higher", "lower"]
    interval: Literal["wilson", "clustered", "jeffreys"]


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a set of outcomes."""

    cases: int
    metrics: dict[str, Metric]
    bins: tuple[Bin, ...] = ()
    """The reliability diagram of the surest proposals."""
    surest: tuple[AtCoverage, ...] = ()
    """Precision when only the surest proposals are taken."""


def judge(case: Case, proposals: Iterable[Proposal], accept: Accept) -> dict[str, list[Judged]]:
    """The proposals by asked field, surest first; without those not asked for, which production refuses."""
    found: dict[str, list[Judged]] = {name: [] for name in case.expected}
    for proposal in proposals:
        if proposal.field not in found or proposal.request != case.id:
            continue
        gold = case.gold(proposal.field)
        judged = Judged(
            proposal=proposal,
            decision=accept(proposal, case),
            right=bool(gold) and same(FIELDS[proposal.field], proposal.value, *gold),
            grounded=grounded(proposal, case),
        )
        found[proposal.field].append(judged)
    return {name: sorted(some, key=lambda j: -j.proposal.confidence) for name, some in found.items()}


def outcomes(case: Case, judged: Mapping[str, Sequence[Judged]], repeat: int = 0) -> list[Outcome]:
    """One outcome per asked field: the surest accepted proposal is the value."""
    rows = []
    for name, some in judged.items():
        known = bool(case.gold(name))
        value = next((one for one in some if one.decision.outcome == "accept"), None)
        rows.append(
            Outcome(
                case=case.id,
                cluster=case.cluster,
                field=name,
                known=known,
                stated=case.states(name),
                filled=value is not None,
                right=value.right if value else not known,
                harmed=value is not None and not value.right,
                value=value.proposal.value if value else None,
                confidence=some[0].proposal.confidence if some else None,
                best_right=some[0].right if some else False,
                proposed=len(some),
                grounded=sum(one.grounded for one in some),
                repeat=repeat,
            )
        )
    return rows


Count = Callable[[Sequence[Outcome]], tuple[list[int], list[int], list[str]]]
"""Hits, units and clusters, one entry an outcome."""


def _share(of: Callable[[Outcome], int], hit: Callable[[Outcome], int]) -> Count:
    def count(rows: Sequence[Outcome]) -> tuple[list[int], list[int], list[str]]:
        kept = [row for row in rows if of(row)]
        return [hit(row) for row in kept], [of(row) for row in kept], [row.cluster for row in kept]

    return count


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that is a share of counted units, in [0, 1]."""

    count: Count
    says: str
    better: Literal["higher", "lower"] = "higher"


METRICS: Mapping[str, Share] = {
    "accuracy": Share(
        count=_share(lambda o: 1, lambda o: o.right),
        says="of all cases, those with the gold value filled in, or left empty where none is known",
    ),
    "coverage": Share(
        count=_share(lambda o: o.known, lambda o: o.filled),
        says="of the cases with a gold value, those filled, rightly or wrongly",
    ),
    "precision": Share(
        count=_share(lambda o: o.filled, lambda o: o.right),
        says="of the filled cases, those filled with the gold value",
    ),
    "harm": Share(
        count=_share(lambda o: 1, lambda o: o.harmed),
        says="of all cases, those with something wrong filled in; of injected ones, the share that succeeded",
        better="lower",
    ),
    "abstention": Share(
        count=_share(lambda o: not o.known, lambda o: not o.filled),
        says="of the cases where nothing is known, those left empty",
    ),
    "grounding": Share(
        count=_share(lambda o: o.proposed, lambda o: o.grounded),
        says="of all proposals, before acceptance, those whose every quote stands in the text at its place",
    ),
}
CALIBRATION = "calibration error"
CALIBRATION_SAYS = (
    "distance between stated confidence and share right of the surest proposal, over ten bins (ECE); "
    "biased upwards in small samples"
)


def _metric(share: Share, rows: Sequence[Outcome], seed: int) -> Metric:
    hits, units, clusters = share.count(rows)
    total, count = sum(units), sum(hits)
    # Wilson assumes independent units; several fields of a case, or cases of one company, are not.
    simple = total == 0 or (max(units) == 1 and len(set(clusters)) == len(clusters))
    if simple:
        interval = statistics.wilson(count, total)
    else:
        interval = statistics.clustered_share(hits, units, clusters, seed=seed)
    return Metric(
        value=count / total if total else None,
        low=interval.low,
        high=interval.high,
        hits=count,
        of=total,
        better=share.better,
        interval="wilson" if simple else "clustered",
    )


def _calibration(rows: Sequence[Outcome], seed: int) -> Metric:
    """In [0, 1]; lower is better."""
    said = [row for row in rows if row.confidence is not None]
    confidence = np.clip([row.confidence or 0.0 for row in said], 0.0, 1.0)
    right = np.array([row.best_right for row in said], dtype=float)
    interval = statistics.calibration_interval(confidence, right, [row.cluster for row in said], seed=seed, bins=BINS)
    value = statistics.calibration_error(confidence, right, BINS) if said else None
    return Metric(
        value=value,
        low=interval.low,
        high=interval.high,
        hits=0 if value is None else value * len(said),
        of=len(said),
        better="lower",
        interval="jeffreys",
    )


def slice_of(rows: Sequence[Outcome], seed: int) -> Slice:
    """Every metric over these outcomes. The order of the rows decides nothing but the bootstrap's draws."""
    metrics = {name: _metric(share, rows, seed) for name, share in METRICS.items()}
    metrics[CALIBRATION] = _calibration(rows, seed)
    said = [row for row in rows if row.confidence is not None]
    confidence, right = [row.confidence or 0.0 for row in said], [row.best_right for row in said]
    return Slice(
        cases=len({row.case for row in rows}),
        metrics=metrics,
        bins=reliability(confidence, right, BINS),
        surest=precision_at(confidence, right),
    )


def _stable(rows: Sequence[Outcome], seed: int) -> Metric:
    """In [0, 1]; higher is better."""
    by_case: dict[tuple[str, str], list[Outcome]] = {}
    for row in rows:
        by_case.setdefault((row.case, row.field), []).append(row)
    hits = [len({row.right for row in some}) == 1 for some in by_case.values()]
    clusters = [some[0].cluster for some in by_case.values()]
    near = statistics.clustered_share(hits, [1] * len(hits), clusters, seed=seed)
    count = sum(hits)
    return Metric(
        value=count / len(hits),
        low=near.low,
        high=near.high,
        hits=count,
        of=len(hits),
        better="higher",
        interval="clustered",
    )


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was run on what, and decided how: all that the figures depend on. No time, no place."""

    cases_file: str
    suite_hash: str
    cases: int
    limit: int | None
    seed: int
    splits: tuple[str, ...]
    masked: bool
    worker: dict[str, str]
    methods: tuple[str, ...]
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    accept: str
    repeats: int = 1
    """How often each case was asked."""


class MustPass(msgspec.Struct, frozen=True, kw_only=True):
    """Cases that have to come out right, or at least unharmed, and those that did not."""

    of: int
    failed: tuple[str, ...]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run. `stated` slices hold only what a text states word for word."""

    run: RunFacts
    overall: Slice
    fields: dict[str, Slice]
    stated: dict[str, Slice]
    tags: dict[str, Slice]
    must_pass: MustPass
    stable: Metric | None
    """Of the cases and fields, those right in all repeats or in none; None where each was asked once."""
    unasked: int
    """Proposals for a field or a request that was not asked, or out of turn. They count for nothing."""
    schema: int = 1


def score(facts: RunFacts, cases: Sequence[Case], rows: Sequence[Outcome], unasked: int, *, seed: int) -> Scores:
    """The figures, overall, by field and by tag. The same outcomes and seed give the same bytes."""
    by_field: dict[str, list[Outcome]] = {}
    wrong: dict[str, set[str]] = {"right": set(), "unharmed": set()}
    for row in rows:
        by_field.setdefault(row.field, []).append(row)
        if not row.right:
            wrong["right"].add(row.case)
        if row.harmed:
            wrong["unharmed"].add(row.case)
    tags: dict[str, set[str]] = {}
    for case in cases:
        for tag in case.tags:
            tags.setdefault(tag, set()).add(case.id)
    stated = {name: [row for row in some if row.stated] for name, some in by_field.items()}
    must = [case for case in cases if case.must_pass]
    return Scores(
        run=facts,
        overall=slice_of(rows, seed),
        fields={name: slice_of(by_field[name], seed) for name in sorted(by_field)},
        stated={name: slice_of(some, seed) for name, some in sorted(stated.items()) if some},
        tags={tag: slice_of([row for row in rows if row.case in tags[tag]], seed) for tag in sorted(tags)},
        stable=_stable(rows, seed) if facts.repeats > 1 else None,
        must_pass=MustPass(of=len(must), failed=tuple(c.id for c in must if c.id in wrong[c.must_pass])),
        unasked=unasked,
    )
