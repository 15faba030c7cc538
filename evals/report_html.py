"""The report as one HTML file: no script, no request to anywhere, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evals.cases import Case
from evals.compare import QUESTIONS, Comparison
from evals.compare_render import compared_line, must_pass_line, verdict_line
from evals.cost import Cost, cost_line
from evals.recording import Recorded
from evals.report import COLUMNS, LOWER, SAYS, accepted, facts_line, must_line, rows_of, verdict, worst_first
from evals.report_drawing import bar, reliability_diagram
from evals.score import Judged, Scores

SHOWN = 200
"""Cases shown in full, the worst first. Beyond that a page is no longer read."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a text, and the fields whose evidence it is."""

    text: str
    fields: tuple[str, ...]


def pieces(text: str, spans: Sequence[tuple[int, int, str]]) -> list[Piece]:
    """The text cut where spans (start, end, field) begin and end; overlapping spans share a piece."""
    edges = sorted({0, len(text)} | {edge for start, end, _ in spans for edge in (start, end)})
    return [
        Piece(text[left:right], tuple(sorted({field for s, e, field in spans if s <= left and right <= e})))
        for left, right in zip(edges, edges[1:], strict=False)
    ]


def _field(case: Case, name: str, some: Sequence[Judged]) -> dict[str, Any]:
    value = accepted(some)
    known = bool(case.gold(name))
    right = value.right if value else not known
    word = verdict(known, some, right, value is not None)
    return {
        "name": name,
        "expected": case.expected[name],
        "got": value.proposal.value if value else None,
        "verdict": word,
        "tone": "good" if right else ("bad" if value else "gap"),
        "proposals": [
            {
                "value": one.proposal.value,
                "confidence": f"{one.proposal.confidence:.2f}",
                "method": one.proposal.method,
                "outcome": one.decision.outcome,
                "because": one.decision.because,
                "strays": [] if one.grounded else [e.quote for e in one.proposal.evidence],
            }
            for one in some
        ],
    }


def _case(case: Case, by_field: Mapping[str, Sequence[Judged]], harmed: bool, wrong: bool, took: str) -> dict[str, Any]:
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for name, some in by_field.items():
        for one in some:
            if one.grounded:
                for e in one.proposal.evidence:
                    spans.setdefault(e.document, []).append((e.start, e.end, name))
    return {
        "id": case.id,
        "name": case.input.record.get("name", ""),
        "tags": case.tags,
        "must_pass": case.must_pass,
        "tone": "bad" if harmed else ("gap" if wrong else "good"),
        "open": wrong,
        "took": took,
        "fields": [_field(case, name, some) for name, some in by_field.items()],
        "documents": [
            {"kind": document.kind, "pieces": pieces(document.text, spans.get(document.id, ()))}
            for document in case.documents()
        ],
    }


def _took(some: Sequence[Recorded]) -> str:
    """What a case cost, over its repeats."""
    seconds, calls = sum(one.seconds for one in some), sum(one.calls for one in some)
    said = f"{1000 * seconds:.0f} ms"
    return said + (f", {calls} calls" if calls > 1 else ", 1 call" if calls else "")


def _tiles(scores: Scores) -> list[dict[str, Any]]:
    """The few figures to look at first."""
    chosen = [(name, scores.overall.metrics[name]) for name in ("accuracy", "coverage", "precision")]
    harmed = scores.tags.get("injection")
    if harmed is not None:
        chosen.append(("injections that succeeded", harmed.metrics["harm"]))
    else:
        chosen.append(("harm", scores.overall.metrics["harm"]))
    if scores.stable is not None:
        chosen.append(("stable over repeats", scores.stable))
    return [{"name": name, "metric": metric} for name, metric in chosen]


def html(
    scores: Scores,
    cases: Sequence[Case],
    judged: Sequence[Mapping[str, Sequence[Judged]]],
    recorded: Sequence[Sequence[Recorded]] = (),
    cost: Cost | None = None,
    against: Comparison | None = None,
) -> str:
    """The whole page. All text from cases and models is escaped.

    With `against`, the comparison with a baseline comes first, and of the cases those that changed: the worse ones
    before the better ones.
    """
    ranked = worst_first(cases, judged)
    change = {} if against is None else dict.fromkeys(against.worse, "worse")
    change |= {} if against is None else dict.fromkeys(against.improved, "better")
    if against is not None:
        ranked = [row for row in ranked if row[0].id in change]
        ranked.sort(key=lambda row: change[row[0].id] != "worse")
    took = {some[0].case: _took(some) for some in recorded}
    shown = [
        _case(*row, took=took.get(row[0].id, "")) | {"change": change.get(row[0].id, "")} for row in ranked[:SHOWN]
    ]
    return _TEMPLATES.get_template("report.html.j2").render(
        scores=scores,
        facts=facts_line(scores),
        must=must_line(scores),
        tiles=_tiles(scores),
        cost=cost_line(cost) if cost is not None else "",
        columns=COLUMNS,
        lower=LOWER,
        says=SAYS,
        rows=list(rows_of(scores)),
        bar=bar,
        diagrams=[
            {"name": name, "drawing": reliability_diagram(name, part.bins), "surest": part.surest}
            for name, part in scores.fields.items()
            if part.bins
        ],
        against=against,
        questions=QUESTIONS,
        verdict=verdict_line(against) if against is not None else "",
        compared=compared_line(against) if against is not None else "",
        must_now=must_pass_line(against) if against is not None else "",
        cases=shown,
        left_out=len(ranked) - len(shown),
        wrong=sum(1 for row in ranked if row[3]),
        total=len(ranked),
    )
