"""Traces that run as almost none do: a step out of order, skipped, inserted or repeated, or by an unlikely actor.

A step is looked at three ways: what follows a stage, what precedes it, and who brought it there. In each its lift is

    lift = P(value | context) * perplexity of the context,

how likely it was against an even choice among as many values as the context really has. A rare value where one of
two is usual is strange; as rare a value where hundreds of actors share the work is not, and a plain threshold on
the probability must err on one of them. A step is strange at a lift of at most `STEP` (`ACTOR` for actors); a record
is as strange as its strangest step.

The p-value is the share of all records at least as strange, the record itself among them: where a record is like
the others P(p <= a) <= a, whatever the threshold, and anomalies among the others only make it larger. A signal needs
both: a strange step, and p <= budget. Score and order need no labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.pvalues import Floats
from detectors.snapshot import Longs, check_request, micros, names_in, read_versions, time_of
from detectors.spells import read_spells
from detectors.wording import plural
from watchtower.contract import Contributor, DetectionRequest, Signal

STEP = 0.15
ACTOR = 0.02
"""Lifts at which a step, or its actor, is strange. How they were chosen: benchmarks/process_anomaly.py."""
MINIMUM = 100
"""Records under which nothing is judged."""
RECENT_DAYS = 30
VIEWS = ("followed by", "preceded by", "brought by")


@dataclass(frozen=True)
class View:
    """One look at some of n steps, as columns."""

    row: Longs
    """The step it belongs to."""
    context: Longs
    value: Longs
    count: Longs
    """Steps with this context and value."""
    of: Longs
    """Steps with this context."""
    lift: Floats
    """In (0, of]: smaller is stranger; 1: as likely as an even choice."""


def view_of(row: Longs, context: Longs, value: Longs) -> View:
    """Counts and lifts of (context, value) pairs; codes are not negative."""
    if row.size == 0:
        none = np.zeros(0, dtype=np.int64)
        return View(row, context, value, none, none, np.zeros(0))
    base = int(value.max()) + 1
    keys, inverse, counts = np.unique(context * base + value, return_inverse=True, return_counts=True)
    of_context = np.bincount(context)
    contexts = keys // base
    share = counts / of_context[contexts]
    entropy = np.bincount(contexts, weights=-share * np.log(share), minlength=of_context.size)
    lift = share * np.exp(entropy[contexts])
    return View(row, context, value, counts[inverse].astype(np.int64), of_context[context], lift[inverse])


def views_of(record: Longs, stage: Longs, actor: Longs, ended: NDArray[np.bool_]) -> tuple[View, View, View]:
    """The three looks at n steps, records in blocks in order of time.

    `stage` codes; `actor` codes, -1: unknown, not looked at; `ended` (n,): nothing follows this record's last step.
    Start and end count as stages.
    """
    size = stage.size
    marker = int(stage.max(initial=-1)) + 1
    first = np.ones(size, dtype=np.bool_)
    first[1:] = record[1:] != record[:-1]
    last = np.append(first[1:], np.ones(min(1, size), dtype=np.bool_))
    before = np.full(size, marker, dtype=np.int64)
    before[1:] = np.where(first[1:], marker, stage[:-1])
    closing = np.flatnonzero(last & ended)
    row = np.concatenate((np.arange(size), closing))
    source = np.concatenate((before, stage[closing]))
    target = np.concatenate((stage, np.full(closing.size, marker, dtype=np.int64)))
    known = np.flatnonzero(actor >= 0)
    return view_of(row, source, target), view_of(row, target, source), view_of(known, stage[known], actor[known])


def strangeness(record: Longs, views: Sequence[View], step: float = STEP, actor: float = ACTOR) -> Floats:
    """(records,): the least lift over its threshold; at most 1 is strange, smaller is stranger, inf: nothing seen."""
    least = np.full(int(record.max(initial=-1)) + 1, np.inf)
    for view, threshold in zip(views, (step, step, actor), strict=True):
        np.minimum.at(least, record[view.row], view.lift / threshold)
    return least


def shares_as_strange(scores: Floats) -> Floats:
    """(n,) the share of all that are at least as strange, itself included: in (0, 1]."""
    ordered = np.sort(scores)
    shares: Floats = np.searchsorted(ordered, scores, side="right") / scores.size
    return shares


@dataclass(frozen=True)
class FittedTraces:
    """Nothing is kept: a record's score depends on all records, its own among them."""

    abstentions: Mapping[str, str]
    enough: bool


class ProcessAnomaly:
    """One signal for each record with a strange step among the strangest `budget` of all; strength is 1 / lift.

    Parameters: `actor`, the field that says who brought the record into its stage; `terminal`, stages that end a
    trace, parted by commas (a stage that no record has left ends one too); `recent_days`: only records whose last
    step is that recent are told (default 30).
    """

    name = "process_anomaly"
    version = "1"
    whole = "a record is as strange as its rank among all others"
    """Why it does not work in parts."""

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedTraces:
        """Whether there are enough records. ValueError for a missing field or unknown parameter."""
        _recent(request)
        spells, _ = _steps(snapshot, request)
        count = np.unique(spells.record).size
        if count >= MINIMUM:
            return FittedTraces({}, True)
        return FittedTraces({plural(request.object): f"{count} have a trace; at least {MINIMUM} are needed"}, False)

    def raise_signals(self, snapshot: Any, fitted: FittedTraces, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, strangest first, then by subject."""
        if not fitted.enough:
            return []
        spells, actors = _steps(snapshot, request)
        terminal = names_in(request.parameters.get("terminal", ""))
        left = np.unique(spells.stage[spells.completed])
        ends = np.array([name in terminal for name in spells.stages], dtype=np.bool_)
        ends[np.setdiff1d(np.arange(ends.size), left)] = True
        present, record = np.unique(spells.record, return_inverse=True)
        # a record that was deleted, or whose stage was cleared, has ended somewhere by chance
        ended = ends[spells.stage] & spells.running
        views = views_of(record, spells.stage, spells.stratum if actors else np.full(record.size, -1), ended)
        scores = strangeness(record, views)
        p_values = shares_as_strange(scores)
        latest = np.zeros(present.size, dtype=np.int64)
        np.maximum.at(latest, record, spells.start)
        since = micros(request.at - _recent(request))
        told = np.flatnonzero((scores <= 1.0) & (p_values <= request.budget) & (latest > since))
        by_record = [(record[view.row], view) for view in views]
        names: list[str] = spells.ids.take(pa.array(present[told], pa.int64())).to_pylist()
        signals = []
        for code, name in zip(told.tolist(), names, strict=True):
            steps = _strange_steps(code, by_record)
            texts = [_text(kind, view, at, spells.stages, actors) for kind, view, at, _ in steps]
            kind, view, at, _ = steps[0]
            total = sum(1.0 / lift for *_, lift in steps)
            began_at = time_of(min(int(spells.start[view.row[at]]) for _, view, at, _ in steps))
            signals.append(
                Signal(
                    request=request.id, signal=request.signal, subject=f"{request.object}/{name}",
                    detector=self.name, version=self.version, p_value=float(p_values[code]),
                    strength=float(1.0 / view.lift[at]), unit="times rarer than an even choice", direction="up",
                    explanation=f"{texts[0][0].upper()}{texts[0][1:]}: {view.count[at]} of {view.of[at]:,} times.",
                    began_at=began_at, window_from=began_at, window_to=request.at,
                    cohort=f"{present.size} {plural(request.object)}",
                    contributors=tuple(
                        Contributor(name=text, value=float(lift), weight=1.0 / lift / total)
                        for text, (*_, lift) in zip(texts, steps, strict=True)
                    ),
                )
            )  # fmt: skip
        return sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))


def _steps(snapshot: Any, request: DetectionRequest) -> tuple[Any, list[str]]:
    """The spells, with the actor as stratum; and the actors' names, none where they are not asked for."""
    check_request(request, ProcessAnomaly.name, ("actor", "terminal", "recent_days"))
    if not request.field:
        raise ValueError(f"field: signal {request.signal!r} names none; process_anomaly needs the stage field")
    actor = str(request.parameters.get("actor", ""))
    spells = read_spells(read_versions(snapshot, request.at), request.field, by=actor)
    return spells, spells.strata if actor else []


def _strange_steps(code: int, by_record: Sequence[tuple[Longs, View]]) -> list[tuple[int, View, int, float]]:
    """(view's number, view, entry, lift) of a record's strange steps, strangest first; of a step's two sides one."""
    found = []
    for kind, ((records, view), threshold) in enumerate(zip(by_record, (STEP, STEP, ACTOR), strict=True)):
        for at in np.flatnonzero((records == code) & (view.lift <= threshold)).tolist():
            found.append((float(view.lift[at]) / threshold, kind, view, at))
    seen, steps = set(), []
    for _, kind, view, at in sorted(found, key=lambda one: (one[0], one[1], one[3])):
        key = (kind == 2, frozenset({int(view.context[at]), int(view.value[at])}), int(view.row[at]))
        if key not in seen:
            seen.add(key)
            steps.append((kind, view, at, float(view.lift[at])))
    return steps


def _text(kind: int, view: View, at: int, stages: Sequence[str], actors: Sequence[str]) -> str:
    """`'won' followed by 'discovery'`."""
    context, value = int(view.context[at]), int(view.value[at])
    if kind == 2:
        return f"{stages[context]!r} brought by {actors[value]!r}"
    ends = ("the start", "the end") if kind == 0 else ("the end", "the start")
    names = [
        repr(stages[code]) if code < len(stages) else end for code, end in zip((context, value), ends, strict=True)
    ]
    return f"{names[0]} {VIEWS[kind]} {names[1]}"


def _recent(request: DetectionRequest) -> timedelta:
    days = request.parameters.get("recent_days", RECENT_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 36_600:
        raise ValueError(f"parameters.recent_days: {days!r} is not a whole number from 1 to 36600")
    return timedelta(days=days)
