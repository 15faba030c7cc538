"""Facts that rules read and nobody has: where the rulebook cannot answer. Needs events."""

from __future__ import annotations

from collections.abc import Sequence

from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.gaps import Gap
from watchtower.rules.compile import Program

SHOWN = 8
WORST = ("high", "critical")
LITTLE, FEW = 0.8, 20
"""A field filled below this share, where that leaves this many records unknown, is a gap that shows."""


def findings(program: Program, gaps: Sequence[Gap]) -> list[Finding]:
    """The heaviest gaps: P0 where a rule of high or critical severity cannot answer because a field is nowhere filled,
    P1 where such a rule is starved on some records or a field is filled below 80 percent."""
    told = []
    for gap in gaps[:SHOWN]:
        severe = [rule for rule in gap.rules if program.by_id[rule].rule.severity in WORST]
        nowhere = gap.fill_rate == 0.0
        shows = (gap.fill_rate or 0.0) < LITTLE and gap.records >= FEW
        priority = "P0" if severe and nowhere else "P1" if severe or shows else "P2"
        reason = (
            f"{listed(severe)} can never answer: no record has it." if severe and nowhere
            else f"{listed(severe)} is of high or critical severity, and cannot answer there." if severe
            else f"No record has it: {listed(gap.rules)} can never answer." if nowhere
            else f"Filled on {percent(gap.fill_rate or 0.0)}; rules of low or medium severity cannot answer."
        )  # fmt: skip
        fill = "nobody's yet" if gap.fill_rate is None else f"{percent(gap.fill_rate)} of records have it"
        worth = f"; those records are worth {gap.value:,.0f} together" if gap.value else ""
        told.append(
            Finding(
                priority,
                "starved",
                f"{gap.object}.{gap.field} is missing where {counted(len(gap.rules), 'rule')} "
                f"{'reads' if len(gap.rules) == 1 else 'read'} it",
                reason,
                _do(program, gap),
                (f"{counted(gap.records, 'record')} unknown to {listed(gap.rules)}", fill + worth),
            )  # fmt: skip
        )
    return told


def _do(program: Program, gap: Gap) -> str:
    if gap.filled_by:
        return "Let enrichment fill it: watchtower enrich."
    spec = program.book.objects[gap.object].fields.get(gap.field)
    if spec is not None and spec.rollup is not None:
        return "It is computed: see whether the events or records behind it arrive."
    return "Say who fills it, and require it."
