"""The audit as one HTML file: no script, no request to anywhere, light and dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from watchtower.flow.audit.finding import PRIORITIES, counted, listed, percent
from watchtower.flow.audit.maturity import STAGES
from watchtower.flow.audit.reps import ASPECTS, CASES, LEVEL, StateUse, Use
from watchtower.flow.audit.review import Review
from watchtower.flow.audit.rework import KINDS

FIRST = 5
"""How many findings the summary shows; the head of a list that is read."""
PEOPLE = 12
"""People shown for each state; the JSON has all."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals.update(percent=percent, listed=listed, counted=counted)


def bar(share: float) -> Markup:
    """A share in [0, 1] as a bar. Inline SVG; every number is ours."""
    return Markup(
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" x="0" y="1" width="100" height="6" rx="1"/>'
        '<rect class="fill" x="0" y="1" width="{:.1f}" height="6" rx="1"/></svg>'
    ).format(100 * min(max(share, 0.0), 1.0))


def parts(shares: list[float]) -> Markup:
    """Shares that add up to 1, side by side in one bar."""
    drawn, left = Markup(""), 0.0
    for n, share in enumerate(shares):
        drawn += Markup('<rect class="shade-{}" x="{:.1f}" y="0" width="{:.1f}" height="8"/>').format(
            n % 6, 100 * left, max(100 * share - 0.4, 0.0)
        )
        left += share
    return Markup('<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(drawn)


def targets(use: StateUse) -> list[str]:
    """Every state that records went on to from this one."""
    return sorted({target for one in use.uses for target in one.next})


def _shown(use: StateUse) -> list[Use]:
    """Who departs from the others, then those with the most records."""
    odd = {aspect.rep for aspect in use.aspects if aspect.differs}
    return sorted(use.uses, key=lambda one: (one.rep not in odd, -one.cases, one.rep))[:PEOPLE]


def html(review: Review) -> str:
    """The whole page. All text from the rulebook and from events is escaped."""
    people = {(use.lifecycle, use.state): _shown(use) for use in review.uses}
    return _TEMPLATES.get_template("audit.html.j2").render(
        review=review, book=review.program.book, seen=review.seen, maturity=review.maturity, stages=STAGES,
        priorities=PRIORITIES, kinds=KINDS, aspects=ASPECTS, cases=CASES, level=LEVEL, first=review.findings[:FIRST],
        bar=bar, parts=parts, targets=targets, people=people,
    )  # fmt: skip
