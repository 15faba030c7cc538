"""The components that a revenue system needs, what each is built on, and which of them a rulebook has.

The table says what is needed; the checks (`component_checks`) look for it in the rulebook. A component whose
foundation is missing is blocked by it: mended alone it would not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from watchtower.flow.audit import component_checks as checks
from watchtower.flow.audit.component_checks import Test
from watchtower.flow.audit.finding import Finding, counted, listed
from watchtower.rules.compile import Program


@dataclass(frozen=True)
class Part:
    """What a revenue system needs. `needs`: the components it is built on."""

    key: str
    title: str
    what: str
    needs: tuple[str, ...]
    check: Callable[[Program], list[Test]]


TABLE = (
    Part("definitions", "Data definitions", "one meaning for each term", (), checks.definitions),
    Part("ownership", "Ownership", "who answers for each record, rule and queue", ("definitions",), checks.ownership),
    Part("qualification", "ICP and qualification", "whom we sell to, and what qualified means", ("definitions",),
         checks.qualification),
    Part("lifecycle", "Lifecycle", "the few states and the moves between them", ("definitions",), checks.lifecycle),
    Part("handoffs", "Handoffs", "contracts between roles", ("lifecycle", "ownership"), checks.handoffs),
    Part("slas", "Time limits", "how long is too long, in each state", ("lifecycle", "ownership"), checks.slas),
    Part("routing", "Routing", "who gets what, and who notices what nobody got", ("qualification", "ownership"),
         checks.routing),
    Part("approvals", "Approvals", "what may be promised, and who may go beyond it", ("ownership",), checks.approvals),
    Part("forecast", "Forecast", "what will come, held against what came", ("lifecycle", "ownership"), checks.forecast),
    Part("retention", "Retention", "what follows the sale", ("handoffs",), checks.retention),
    Part("facts", "Facts that rules need", "who fills them, and when a machine's word is good enough",
         ("definitions",), checks.facts),
    Part("proof", "Proven rules", "each rule with a record that hits and one that misses", ("definitions",),
         checks.proof),
    Part("metrics", "Metrics", "the numbers to steer by", ("definitions", "lifecycle"), checks.metrics),
    Part("scorecards", "Scorecards", "what each role answers for, in numbers", ("metrics", "ownership"),
         checks.scorecards),
    Part("cadences", "Cadences", "who looks at what, how often", ("metrics", "ownership"), checks.cadences),
    Part("feedback", "Feedback", "why things end, and what is learned from it", ("lifecycle",), checks.feedback),
    Part("warning", "Early warning", "signals of what is about to go wrong", ("facts", "slas"), checks.warning),
)  # fmt: skip
"""In order: each stands after what it is built on."""

OPTIONAL = frozenset({"warning"})
"""A revenue system runs without; it only learns later."""


@dataclass(frozen=True)
class Component:
    """One component of this rulebook. `status`: in place, partial or missing. `blocked_by`: the foundations, however
    deep, that are missing; `carries`: the components that are built on it, however far up."""

    part: Part
    status: str
    tests: tuple[Test, ...]
    blocked_by: tuple[str, ...]
    carries: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.part.key, "title": self.part.title, "what": self.part.what, "needs": list(self.part.needs),
            "status": self.status, "blocked_by": list(self.blocked_by), "carries": list(self.carries),
            "tests": [{"says": t.says, "met": t.met, "evidence": t.evidence} for t in self.tests],
        }  # fmt: skip


def components(program: Program, table: Sequence[Part] = TABLE) -> list[Component]:
    """Every component, in the order of the table."""
    tests = {part.key: tuple(part.check(program)) for part in table}
    status = {key: _status(found) for key, found in tests.items()}
    below: dict[str, set[str]] = {}
    for part in table:
        below[part.key] = set(part.needs).union(*(below[need] for need in part.needs))
    titles = {part.key: part.title for part in table}
    return [
        Component(
            part, status[part.key], tests[part.key],
            tuple(titles[p.key] for p in table if p.key in below[part.key] and status[p.key] == "missing"),
            tuple(titles[p.key] for p in table if part.key in below[p.key]),
        )
        for part in table
    ]  # fmt: skip


def _status(tests: Sequence[Test]) -> str:
    """The first test says whether it is there at all."""
    if not tests[0].met:
        return "missing"
    return "in place" if all(test.met for test in tests) else "partial"


def findings(found: Sequence[Component]) -> list[Finding]:
    """What is missing or half there: P0 where others cannot stand without it."""
    told = []
    for component in found:
        part, failed = component.part, [test for test in component.tests if not test.met]
        if component.status == "in place":
            continue
        carries = listed(component.carries, 6)
        if component.status == "missing":
            if part.key in OPTIONAL:
                priority, reason = "P2", "The system runs without it, and learns later what goes wrong."
            elif component.blocked_by:
                priority, reason = "P1", f"Blocked by {listed(component.blocked_by)}: build that first."
            elif component.carries:
                priority = "P0"
                reason = f"It blocks {counted(len(component.carries), 'component')} built on it: {carries}."
            else:
                priority, reason = "P1", "Nothing else waits for it, and nobody does its work."
            told.append(
                Finding(
                    priority,
                    "components",
                    f"{part.title}: missing",
                    reason,
                    f"Write down {part.what}.",
                    (failed[0].evidence,),
                )
            )
            continue
        for test in failed:
            grave = bool(component.carries) and test.grave
            reason = f"{carries} {'rests' if len(component.carries) == 1 else 'rest'} on it." if grave else test.why
            told.append(
                Finding("P1" if grave else "P2", "components", f"{part.title}: {test.gap}", reason, test.do,
                        (test.evidence,))
            )  # fmt: skip
    return told
