"""The drawings of the report, as inline SVG: intervals on a rail, and reliability diagrams. Every number is ours."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from evals.confidence import Bin
from evals.score import Metric


def bar(metric: Metric) -> Markup:
    """The interval as a bar on [0, 1], the figure as a tick."""
    if metric.value is None:
        return Markup("")
    left, width, tick = 100 * metric.low, 100 * (metric.high - metric.low), 100 * metric.value
    return Markup(
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" x="0" y="3.5" width="100" height="1"/>'
        '<rect class="range" x="{:.2f}" y="1.5" width="{:.2f}" height="5"/>'
        '<rect class="tick" x="{:.2f}" y="0" width="1.4" height="8"/></svg>'
    ).format(left, max(width, 0.5), min(max(tick - 0.7, 0), 98.6))


SIDE, EDGE, FOOT = 160, 26, 34
"""Of the square, of the margin to its left and top, and of the strip below it that shows how many answers."""


def _x(share: float) -> float:
    return EDGE + SIDE * share


def _y(share: float) -> float:
    return 8 + SIDE * (1 - share)


def reliability_diagram(name: str, bins: Sequence[Bin]) -> Markup:
    """Share right over stated confidence. The diagonal is a worker whose word can be taken; below it, it boasts.

    A dot a bin, as wide as its share of the answers, with its 95% interval; beneath, how many answers it holds.
    """
    most = max(one.answers for one in bins)
    parts = [
        Markup('<svg class="reliability" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            EDGE + SIDE + 12, 8 + SIDE + FOOT + 18, f"Reliability of {name}: {_spoken(bins)}"
        ),
        Markup('<rect class="square" x="{}" y="8" width="{}" height="{}"/>').format(EDGE, SIDE, SIDE),
    ]
    for share in (0.25, 0.5, 0.75):
        parts.append(
            Markup('<path class="grid" d="M{} 8v{}M{} {}h{}"/>').format(_x(share), SIDE, EDGE, _y(share), SIDE)
        )
    parts.append(Markup('<path class="diagonal" d="M{} {}L{} {}"/>').format(_x(0), _y(0), _x(1), _y(1)))
    for one in bins:
        x, size = _x(one.confidence), 2.5 + 3.5 * (one.answers / most) ** 0.5
        parts.append(
            Markup('<path class="whisker" d="M{0:.1f} {1:.1f}V{2:.1f}"/>').format(x, _y(one.low), _y(one.high))
        )
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(x, _y(one.right), size))
        height = max(1.0, (FOOT - 10) * one.answers / most)
        left, wide = _x(one.start) + 1, SIDE * (one.end - one.start) - 2
        parts.append(
            Markup('<rect class="count" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left, 8 + SIDE + FOOT - height, wide, height
            )
        )
    for share in (0.0, 0.5, 1.0):
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{:g}</text>').format(EDGE - 4, _y(share) + 4, share))
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{:g}</text>').format(
                _x(share), 8 + SIDE + FOOT + 13, share
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _spoken(bins: Sequence[Bin]) -> str:
    """For who cannot see the diagram."""
    return "; ".join(f"said {one.confidence:.2f}, right {one.right:.2f} of {one.answers}" for one in bins)
