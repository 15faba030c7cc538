"""Whole journeys through a tower: events and texts come in, a worker answers, the clock goes on, people look.

The tower is the one that production builds; only the clock and the worker are the journey's own. Journeys under one
rulebook share a tower and happen side by side, each step at its time, so their records must not be the same ones.
What must stand at the end of each is compared in full: there is no partial credit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group
from rich.text import Text

from evals import statistics
from evals.cases import content_hash
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.report import pretty
from evals.statistics import Interval
from watchtower.bootstrap import Tower
from watchtower.contract import Evidence, FieldRequest, Proposal, format_time, parse_event, parse_time
from watchtower.errors import InputError
from watchtower.store import queries
from watchtower.store.rows import AlertFilter

MOST = 1000
"""Alerts and proposals of a journey that are looked at."""


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker says about a field when it is asked. `quote` stands where it stands, else nowhere."""

    record: str
    field: str
    value: Any
    confidence: float
    quote: str


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At a time, events are taken, or the worker answers what the journey's records lack, or only the clock goes on."""

    at: str
    take: tuple[dict[str, Any], ...] = ()
    enrich: tuple[Said, ...] | None = None


class Journey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps in order of time, and what must stand after the last: fields, alerts, decisions on proposals."""

    id: str
    provenance: str
    rulebook: str
    """The rulebook itself, as YAML."""
    steps: tuple[Step, ...]
    fields: dict[str, dict[str, Any]] = {}
    """By object/id, values of fields; null: empty."""
    alerts: tuple[dict[str, str], ...] = ()
    """rule, record and status of every alert on the journey's records."""
    proposals: tuple[dict[str, str], ...] = ()
    """record, field and status of every proposal about them."""
    tags: tuple[str, ...] = ()

    def records(self) -> frozenset[str]:
        return frozenset(event["subject"] for step in self.steps for event in step.take)


class JourneyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One journey: each thing that is not as it must be."""

    id: str
    right: bool
    faults: tuple[str, ...]


class JourneyScores(msgspec.Struct, frozen=True, kw_only=True):
    """All journeys of one run."""

    suite_hash: str
    right: int
    of: int
    share: float
    """In [0, 1]; higher is better."""
    interval: Interval
    results: tuple[JourneyResult, ...]
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """1 where a journey does not end as it must."""
        return 0 if self.right == self.of else 1


class Watch:
    """The clock of a tower in a journey: it shows what was last set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


OpenTower = Callable[[str, Watch], AbstractContextManager[Tower]]
"""A new tower under a rulebook (as YAML) and a clock."""


class _Scripted:
    """Says what the step says, and abstains from the rest."""

    def __init__(self, said: Sequence[Said]) -> None:
        self._said = said

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            subject = f"{request.record.object}/{request.record.id}"
            for one in self._said:
                if one.record == subject and any(spec.name == one.field for spec in request.fields):
                    yield Proposal(
                        request=request.id,
                        field=one.field,
                        value=one.value,
                        confidence=one.confidence,
                        evidence=(_evidence(one.quote, request),),
                        method="model",
                    )


def _evidence(quote: str, request: FieldRequest) -> Evidence:
    for document in request.documents:
        start = document.text.find(quote)
        if start >= 0:
            return Evidence(document=document.id, quote=quote, start=start, end=start + len(quote))
    first = request.documents[0].id if request.documents else "none"
    return Evidence(document=first, quote=quote, start=0, end=len(quote))


def read_journeys(path: Path) -> list[Journey]:
    """The journeys of a JSONL file or folder. InputError names the file, the line and what is wrong."""
    found: dict[str, Journey] = {}
    owner: dict[tuple[str, str], str] = {}
    for place, one in read_lines(path, Journey):
        if one.id in found:
            raise InputError(f"{place}: id: {one.id!r} stands there already")
        try:
            times = [parse_time(step.at) for step in one.steps]
            for step in one.steps:
                for event in step.take:
                    parse_event(event)
        except ValueError as error:
            raise InputError(f"{place}: journey {one.id}: {error}") from None
        if not times or times != sorted(times):
            raise InputError(f"{place}: journey {one.id}: steps are in order of time, and at least one")
        for record in one.records():
            other = owner.setdefault((one.rulebook, record), one.id)
            if other != one.id:
                raise InputError(f"{place}: journey {one.id}: {record} is in {other} too, under the same rulebook")
        found[one.id] = one
    if not found:
        raise InputError(f"{path}: holds no journeys", remedy="Give a JSONL file with a journey a line.")
    return list(found.values())


def score_journeys(journeys: Sequence[Journey], open_tower: OpenTower) -> JourneyScores:
    """Goes every journey."""
    results: dict[str, JourneyResult] = {}
    by_book: dict[str, list[Journey]] = {}
    for one in journeys:
        by_book.setdefault(one.rulebook, []).append(one)
    for book, together in by_book.items():
        steps = sorted(
            ((parse_time(step.at), place, step, one) for one in together for place, step in enumerate(one.steps)),
            key=lambda row: (row[0], row[3].id, row[1]),
        )
        watch = Watch(steps[0][0])
        last = {one.id: len(one.steps) - 1 for one in together}
        with open_tower(book, watch) as tower:
            faults: dict[str, list[str]] = {one.id: [] for one in together}
            for at, place, step, one in steps:
                watch.now = at
                faults[one.id] += _go(tower, step, one)
                if place == last[one.id]:
                    faults[one.id] += _compared(tower, one)
        for name, some in faults.items():
            results[name] = JourneyResult(id=name, right=not some, faults=tuple(some))
    right = sum(one.right for one in results.values())
    return JourneyScores(
        suite_hash=content_hash([content_hash(one) for one in journeys]),
        right=right,
        of=len(journeys),
        share=right / len(journeys),
        interval=statistics.wilson(right, len(journeys)),
        results=tuple(results[one.id] for one in journeys),
    )


def _go(tower: Tower, step: Step, journey: Journey) -> list[str]:
    taken = tower.take(step.take) if step.take else []
    tower.tick()
    if step.enrich is not None:
        tower.enrich(_Scripted(step.enrich), only=journey.records())
        tower.tick()
    return [f"{one.id}: {one.status}: {one.reason}" for one in taken if one.status not in ("accepted", "repeated")]


def _compared(tower: Tower, journey: Journey) -> list[str]:
    faults = []
    records = journey.records()
    with tower.database.read() as conn:
        for subject, wanted in sorted(journey.fields.items()):
            row = queries.record_by_id(conn, *subject.split("/", 1))
            state: Mapping[str, Any] = row.state if row is not None else {}
            for name, value in sorted(wanted.items()):
                if state.get(name) != value:
                    faults.append(f"{subject}.{name}: {state.get(name)!r}, not {value!r}")
        alerts = queries.alerts(conn, AlertFilter(), after=None, limit=MOST)
        proposals = queries.proposals(conn, limit=MOST)
    stood = [{"rule": a.rule, "record": a.subject, "status": a.status} for a in alerts if a.subject in records]
    decided = [{"record": p.subject, "field": p.field, "status": p.status} for p in proposals if p.subject in records]
    for kind, came, must in (("alert", stood, journey.alerts), ("proposal", decided, journey.proposals)):
        left = [dict(one) for one in must]
        for entry in came:
            if entry in left:
                left.remove(entry)
            else:
                faults.append(f"unexpected {kind}: {' '.join(entry.values())}")
        faults += [f"missing {kind}: {' '.join(entry.values())}" for entry in left]
    return faults


def run_journeys(cases_path: Path, out: Path, *, open_tower: OpenTower, now: datetime) -> JourneyScores:
    """Goes the journeys; writes scores.json and manifest.json to `out`. `now` goes into the manifest only."""
    scores = score_journeys(read_journeys(cases_path), open_tower)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.json", pretty(scores))
    manifest = {"at": format_time(now), "cases_file": cases_path.name, "suite_hash": scores.suite_hash}
    write_whole(out / "manifest.json", pretty(manifest))
    return scores


def render_journeys(scores: JourneyScores) -> Group:
    """Each journey that does not end as it must, and why, for a terminal."""
    lines = []
    for one in scores.results:
        if not one.right:
            lines.append(Text(f"{one.id}: not right", style="bold red"))
            lines += [Text(f"  {fault}") for fault in one.faults]
    said = f"{scores.right} of {scores.of} journeys end as they must "
    said += f"(95% {scores.interval.low:.3f} to {scores.interval.high:.3f})"
    lines.append(Text(said, style="green" if scores.right == scores.of else "bold"))
    return Group(*lines)
