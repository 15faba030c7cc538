"""The acceptance step against proposals whose fate is known: invented quotes, shifted spans, values out of nothing.

A worker is asked nothing here. What it might say, if it were wrong or hostile, is written into the case; the rule
layer decides as in production. There is no partial credit: each decision is the expected one or it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Group
from rich.text import Text

from evals import statistics
from evals.cases import Case, CaseInput, checked, content_hash
from evals.decision import Accept
from evals.fields import FIELDS
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.report import pretty
from evals.statistics import Interval
from watchtower.contract import Evidence, Proposal, format_time
from watchtower.errors import InputError

Outcome = Literal["accept", "review", "refuse"]


class Quote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence as a worker gives it. `start`: where it says the quote stands; where it does stand unless given."""

    quote: str
    document: int | str = 0
    """Position among the case's documents, or an id of whatever kind."""
    start: int | None = None


class GateCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One proposal about one record, and what acceptance must do with it."""

    id: str
    provenance: str
    input: CaseInput
    asked: tuple[str, ...]
    """The fields of the request."""
    field: str
    value: object
    confidence: float
    evidence: tuple[Quote, ...]
    expected: Outcome
    because: str = ""
    """A part of the reason that the decision must give."""
    tags: tuple[str, ...] = ()
    must_pass: bool = True
    """False for a fault that is known and open: it is counted, and fails nothing."""

    def case(self) -> Case:
        """As the enrichment suite has it; its labels are not looked at."""
        return Case(
            id=self.id,
            suite="acceptance",
            provenance=self.provenance,
            split="test",
            input=self.input,
            expected=dict.fromkeys(self.asked),
        )

    def proposal(self) -> Proposal:
        documents = self.case().documents()
        evidence = []
        for one in self.evidence:
            named = isinstance(one.document, str)
            text = "" if named else documents[int(one.document)].text
            start = one.start if one.start is not None else max(text.find(one.quote), 0)
            ident = str(one.document) if named else documents[int(one.document)].id
            evidence.append(Evidence(document=ident, quote=one.quote, start=start, end=start + len(one.quote)))
        return Proposal(
            request=self.id,
            field=self.field,
            value=self.value,
            confidence=self.confidence,
            evidence=tuple(evidence),
            method="model",
        )


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One case: what was decided, why, and whether that was right."""

    id: str
    expected: Outcome
    decided: Outcome
    because: str
    right: bool
    must_pass: bool


class GateScores(msgspec.Struct, frozen=True, kw_only=True):
    """All cases of one run."""

    suite_hash: str
    accept: str
    right: int
    of: int
    share: float
    """In [0, 1]; higher is better."""
    interval: Interval
    let_through: int
    """Accepted though the case says otherwise: lower is better."""
    results: tuple[GateResult, ...]
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """1 where a decision that must be the expected one is not."""
        return 1 if any(one.must_pass and not one.right for one in self.results) else 0


def read_gate_cases(path: Path) -> list[GateCase]:
    """The cases of a JSONL file or folder. InputError names the file, the line and what is wrong."""
    found: dict[str, GateCase] = {}
    for place, one in read_lines(path, GateCase):
        if one.id in found:
            raise InputError(f"{place}: id: {one.id!r} stands there already")
        if one.field not in FIELDS:
            raise InputError(f"{place}: field: {one.field!r} is unknown", remedy=f"accepted: {', '.join(FIELDS)}")
        checked(one.case(), place)
        for quote in one.evidence:
            if isinstance(quote.document, int) and not 0 <= quote.document < len(one.input.documents):
                raise InputError(f"{place}: evidence.document: {quote.document} is not among the case's documents")
        found[one.id] = one
    if not found:
        raise InputError(f"{path}: holds no cases", remedy="Give a JSONL file with a case a line.")
    return list(found.values())


def score_gate(cases: Sequence[GateCase], accept: Accept, name: str) -> GateScores:
    """Decides on each proposal."""
    results = []
    for case in cases:
        made = accept(case.proposal(), case.case())
        right = made.outcome == case.expected and case.because in made.because
        results.append(
            GateResult(
                id=case.id,
                expected=case.expected,
                decided=made.outcome,
                because=made.because,
                right=right,
                must_pass=case.must_pass,
            )
        )
    good = sum(one.right for one in results)
    return GateScores(
        suite_hash=content_hash([content_hash(case) for case in cases]),
        accept=name,
        right=good,
        of=len(results),
        share=good / len(results),
        interval=statistics.wilson(good, len(results)),
        let_through=sum(one.decided == "accept" != one.expected for one in results),
        results=tuple(results),
    )


def run_acceptance(cases_path: Path, out: Path, *, accept: Accept, name: str, now: datetime) -> GateScores:
    """Scores the cases; writes scores.json and manifest.json to `out`. `now` goes into the manifest only."""
    scores = score_gate(read_gate_cases(cases_path), accept, name)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.json", pretty(scores))
    manifest = {"at": format_time(now), "cases_file": cases_path.name, "suite_hash": scores.suite_hash}
    write_whole(out / "manifest.json", pretty(manifest))
    return scores


def render_acceptance(scores: GateScores) -> Group:
    """Each decision that is not the expected one, for a terminal."""
    lines = []
    for one in scores.results:
        if not one.right:
            known = "" if one.must_pass else " (known and open)"
            said = f"{one.id}: {one.decided}, not {one.expected}: {one.because}{known}"
            lines.append(Text(said, style="bold red" if one.must_pass else "yellow"))
    said = f"{scores.right} of {scores.of} decisions as expected "
    said += f"(95% {scores.interval.low:.3f} to {scores.interval.high:.3f}); {scores.let_through} let through wrongly"
    lines.append(Text(said, style="green" if scores.right == scores.of else "bold"))
    return Group(*lines)
