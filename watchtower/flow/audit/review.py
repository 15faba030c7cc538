"""The audit put together: every part, its findings ranked, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.audit import components as parts
from watchtower.flow.audit import handoffs, reps, rework, starved, unused
from watchtower.flow.audit.finding import PRIORITIES, Finding, ranked
from watchtower.flow.audit.maturity import Maturity, maturity
from watchtower.flow.audit.observe import Observed
from watchtower.rules.compile import Program
from watchtower.rules.readers import readers


@dataclass(frozen=True)
class Review:
    """A whole audit. `seen`, `uses` and `redone` are empty where no events were given."""

    program: Program
    seen: Observed | None
    contracts: tuple[handoffs.Contract, ...]
    seams: tuple[handoffs.Seam, ...]
    components: tuple[parts.Component, ...]
    uses: tuple[reps.StateUse, ...]
    unused: unused.Unused
    redone: tuple[rework.Redone, ...]
    findings: tuple[Finding, ...]
    maturity: Maturity

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each priority."""
        found = Counter(finding.priority for finding in self.findings)
        return {priority: found[priority] for priority in PRIORITIES}

    def to_json(self) -> dict[str, Any]:
        book, seen = self.program.book, self.seen
        return {
            "rulebook": {"name": book.name, "version": book.version, "rules": len(self.program.rules)},
            "events": None if seen is None else {
                "from": format_time(seen.first), "at": format_time(seen.at), "count": seen.events,
                "records": dict(seen.records),
            },
            "maturity": self.maturity.to_json(),
            "counts": self.counts,
            "findings": [finding.to_json() for finding in self.findings],
            "handoffs": [contract.to_json() for contract in self.contracts],
            "seams": [seam.to_json() for seam in self.seams],
            "components": [component.to_json() for component in self.components],
            "five_reps": None if seen is None else [use.to_json() for use in self.uses],
            "unused": self.unused.to_json(),
            "rework": None if seen is None else [one.to_json() for one in self.redone],
        }  # fmt: skip


def audit(program: Program, seen: Observed | None) -> Review:
    """A pure function of the compiled rulebook and of what was seen (None: the rulebook alone)."""
    book = program.book
    told = handoffs.contracts(program, seen)
    open_ = handoffs.seams(book, seen)
    found = parts.components(program)
    idle = unused.unused(book, readers(program), seen)
    uses = reps.uses(book, seen) if seen else []
    redone = rework.rework(book, seen) if seen else []
    findings = [*parts.findings(found), *handoffs.findings(told, open_)]
    if seen is not None:
        findings += [
            *starved.findings(program, seen.gaps), *reps.findings(book, uses, seen), *rework.findings(redone),
        ]  # fmt: skip
    findings += unused.findings(idle)
    return Review(
        program, seen, tuple(told), tuple(open_), tuple(found), tuple(uses), idle, tuple(redone),
        tuple(ranked(findings)), maturity(program, found, told, uses, seen),
    )  # fmt: skip
