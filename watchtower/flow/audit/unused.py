"""What nobody uses: fields that nothing reads, metrics that nobody looks at, queues and roles without work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.audit.observe import Observed
from watchtower.rulebook import Rulebook

FEW = 20
WORK = 0.5
"""From this share of filled records on, somebody is kept busy by a field."""


@dataclass(frozen=True)
class UnreadField:
    """A field that nothing reads. `records` live at the end, `filled` of them have it; None without events."""

    object: str
    field: str
    records: int | None = None
    filled: int | None = None

    @property
    def rate(self) -> float | None:
        """In [0, 1]."""
        return self.filled / self.records if self.records and self.filled is not None else None

    def to_json(self) -> dict[str, Any]:
        return {
            "object": self.object, "field": self.field, "records": self.records, "filled": self.filled,
            "fill_rate": self.rate,
        }  # fmt: skip


@dataclass(frozen=True)
class Unused:
    fields: tuple[UnreadField, ...]
    of_fields: int
    metrics: tuple[str, ...]
    of_metrics: int
    queues: tuple[str, ...]
    roles: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "fields": [field.to_json() for field in self.fields], "of_fields": self.of_fields,
            "metrics": list(self.metrics), "of_metrics": self.of_metrics, "queues": list(self.queues),
            "roles": list(self.roles),
        }  # fmt: skip


def unused(book: Rulebook, read: Mapping[tuple[str, str], tuple[str, ...]], seen: Observed | None) -> Unused:
    """`read`: who reads each field."""
    every = [(name, key) for name, model in book.objects.items() for key in model.fields]
    fields = []
    for name, key in every:
        if read.get((name, key)):
            continue
        if seen is None or (name, key) not in seen.filled:
            fields.append(UnreadField(name, key))
        else:
            fields.append(UnreadField(name, key, seen.records[name], seen.filled[name, key]))
    looked_at = {metric for card in book.scorecards.values() for metric in card.measures}
    looked_at |= {metric for cadence in book.cadences.values() for metric in cadence.agenda}
    busy = {rule.owner for rule in book.rules} | {metric.owner for metric in book.metrics.values()}
    busy |= {queue.owner for queue in book.queues.values()} | set(book.scorecards)
    for handoff in book.handoffs.values():
        busy |= {handoff.from_, handoff.to}
    for cycle in book.lifecycles.values():
        busy |= {cycle.owner, *(state.owner for state in cycle.states.values())}
    filled = {rule.queue for rule in book.rules}
    return Unused(
        tuple(fields), len(every),
        tuple(metric for metric in book.metrics if metric not in looked_at), len(book.metrics),
        tuple(queue for queue in book.queues if queue not in filled),
        tuple(role for role in book.roles if role not in busy),
    )  # fmt: skip


def findings(found: Unused) -> list[Finding]:
    """Fields that keep people busy for nothing come first; then those that only stand there."""
    told = []
    costly = [field for field in found.fields if (field.records or 0) >= FEW and (field.rate or 0) >= WORK]
    for field in sorted(costly, key=lambda field: -(field.filled or 0)):
        told.append(
            Finding(
                "P1", "unused", f"{field.object}.{field.field} is filled in and nothing reads it",
                f"{counted(field.filled or 0, 'record')} carry it: work that no rule, metric or report uses.",
                "Stop asking for it, or say what is decided by it.",
                (f"filled on {percent(field.rate or 0)} of {counted(field.records or 0, 'record')}; no rule, "
                 "lifecycle, handoff, metric, rollup or signal reads it",),
            )  # fmt: skip
        )
    idle = [f"{field.object}.{field.field}" for field in found.fields if field not in costly]
    if idle:
        told.append(
            Finding(
                "P2", "unused", f"{counted(len(idle), 'field')} that nothing reads",
                "They cost little, and make every form longer." if any(f.records for f in found.fields)
                else "Whether anybody fills them in only events can tell.",
                "Drop them, or say what is decided by them.",
                (listed(idle, 12), f"{len(found.fields)} of {found.of_fields} fields are read by nothing"),
            )  # fmt: skip
        )
    for names, noun, plural, reason, do in (
        (found.metrics, "metric that nobody looks at", "metrics that nobody looks at",
         "In no scorecard and on no agenda: nothing follows from the number.",
         "Put it on the scorecard of who can move it, or drop it."),
        (found.queues, "queue that no rule fills", "queues that no rule fills",
         "Somebody may be waiting at it.", "Point a rule at it, or drop it."),
        (found.roles, "role that answers for nothing", "roles that answer for nothing",
         "It owns no rule, state, handoff, queue or metric.", "Give it what it answers for, or drop it."),
    ):  # fmt: skip
        if names:
            told.append(
                Finding("P2", "unused", counted(len(names), noun, plural), reason, do, (listed(names, 12),))
            )  # fmt: skip
    return told
