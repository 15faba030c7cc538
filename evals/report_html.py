"""The report as one HTML file: no script, no request to anywhere, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evals.cases import Case
from evals.report import COLUMNS, SAYS, accepted, facts_line, must_line, rows_of, verdict, worst_first
from evals.score import CALIBRATION, Judged, Metric, Scores

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


def bar(metric: Metric) -> Markup:
    """The interval as a bar on [0, 1], the figure as a tick. Inline SVG; every number is ours."""
    if metric.value is None:
        return Markup("")
    left, width, tick = 100 * metric.low, 100 * (metric.high - metric.low), 100 * metric.value
    return Markup(
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" x="0" y="3.5" width="100" height="1"/>'
        '<rect class="range" x="{:.2f}" y="1.5" width="{:.2f}" height="5"/>'
        '<rect class="tick" x="{:.2f}" y="0" width="1.4" height="8"/></svg>'
    ).format(left, max(width, 0.5), min(max(tick - 0.7, 0), 98.6))


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


def _case(case: Case, by_field: Mapping[str, Sequence[Judged]], harmed: bool, wrong: bool) -> dict[str, Any]:
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
        "fields": [_field(case, name, some) for name, some in by_field.items()],
        "documents": [
            {"kind": document.kind, "pieces": pieces(document.text, spans.get(document.id, ()))}
            for document in case.documents()
        ],
    }


def html(scores: Scores, cases: Sequence[Case], judged: Sequence[Mapping[str, Sequence[Judged]]]) -> str:
    """The whole page. All text from cases and models is escaped."""
    ranked = worst_first(cases, judged)
    shown = [_case(*row) for row in ranked[:SHOWN]]
    return _TEMPLATES.get_template("report.html.j2").render(
        scores=scores,
        facts=facts_line(scores),
        must=must_line(scores),
        columns=COLUMNS,
        says=SAYS,
        calibration=CALIBRATION,
        rows=list(rows_of(scores)),
        bar=bar,
        cases=shown,
        left_out=len(ranked) - len(shown),
        wrong=sum(1 for row in ranked if row[3]),
        total=len(ranked),
    )
