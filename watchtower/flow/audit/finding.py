"""What an audit finds: each gap with its evidence, its priority, the reason for that, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PRIORITIES = {"P0": "now", "P1": "next", "P2": "accepted"}
"""P0: work is being lost, or other parts cannot stand without it. P1: it will cost. P2: known, and may stay."""
EXAMPLES = 5
"""How many records, names or rules a finding shows; it always says how many there are."""


@dataclass(frozen=True)
class Finding:
    """One gap. `subject`: the part of the audit it belongs to. `evidence`: what it was computed from, a line each.
    `records`: some of the records it was seen on."""

    priority: str
    subject: str
    title: str
    reason: str
    do: str
    evidence: tuple[str, ...]
    records: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "priority": self.priority, "subject": self.subject, "title": self.title, "reason": self.reason,
            "do": self.do, "evidence": list(self.evidence), "records": list(self.records),
        }  # fmt: skip


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """P0 first; within a priority in the order in which they were found."""
    return sorted(findings, key=lambda finding: finding.priority)


def listed(names: Sequence[str], shown: int = EXAMPLES) -> str:
    """`a, b and 4 more`; `none` of none."""
    more = len(names) - shown
    text = ", ".join(names[:shown])
    return (f"{text} and {more} more" if more > 0 else text) or "none"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 rule`, `2 rules`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """`37%`; a share that is not quite all, or not quite none, never reads as such."""
    text = f"{share:.0%}"
    if (text == "100%" and share < 1) or (text == "0%" and share > 0):
        return f"{share:.1%}"
    return text
