"""What nobody uses: fields that nothing reads, metrics that nobody looks at, queues and roles without work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchtower.flow.audit.facts import owner_field
from watchtower.flow.audit.finding import Finding, counted, listed, percent
from watchtower.flow.audit.observe import Observed
from watchtower.rulebook import FieldModel, Rulebook
from watchtower.rulebook.model import ObjectModel

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
    joins: bool = False
    """A reference: it joins records, and is seldom typed in."""

    @property
    def rate(self) -> float | None:
        """In [0, 1]."""
        return self.filled / self.records if self.records and self.filled is not None else None

    @property
    def costly(self) -> bool:
        """Whether somebody is kept busy by it."""
        return not self.joins and (self.records or 0) >= FEW and (self.rate or 0) >= WORK

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


def _for_others(model: ObjectModel, spec: FieldModel) -> bool:
    """Whether somebody else reads it: a person who writes or calls, or a worker, what is written about a record of
    which something is to be found out."""
    written = spec.type in ("text", "domain", "url") and any(other.fill for other in model.fields.values())
    return written or spec.type in ("email", "phone")


def unused(book: Rulebook, read: Mapping[tuple[str, str], tuple[str, ...]], seen: Observed | None) -> Unused:
    """`read`: who reads each field. People read who owns a record, and workers what is written about it."""
    fields = []
    for name, model in book.objects.items():
        for key, spec in model.fields.items():
            if read.get((name, key)) or key == owner_field(book, name) or _for_others(model, spec):
                continue
            joins = spec.type == "ref"
            if seen is None or (name, key) not in seen.filled:
                fields.append(UnreadField(name, key, joins=joins))
            else:
                fields.append(UnreadField(name, key, seen.records[name], seen.filled[name, key], joins))
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
        tuple(fields), sum(len(model.fields) for model in book.objects.values()),
        tuple(metric for metric in book.metrics if metric not in looked_at), len(book.metrics),
        tuple(queue for queue in book.queues if queue not in filled),
        tuple(role for role in book.roles if role not in busy),
    )  # fmt: skip


def findings(found: Unused) -> list[Finding]:
    """One for each object on which people are kept busy for nothing; then what only stands there."""
    told = []
    costly = [field for field in found.fields if field.costly]
    for name in dict.fromkeys(field.object for field in costly):
        mine = [field for field in costly if field.object == name]
        most = max(field.filled or 0 for field in mine)
        told.append(
            Finding(
                "P1",
                "unused",
                f"{name}: {counted(len(mine), 'field')} filled in, and nothing reads "
                f"{'it' if len(mine) == 1 else 'them'}",
                f"Up to {counted(most, 'record')} carry each: work that no rule, metric or report uses.",
                "Stop asking for them, or say what is decided by them.",
                tuple(
                    f"{name}.{field.field}: filled on {percent(field.rate or 0)} of "
                    f"{counted(field.records or 0, 'record')}"
                    for field in mine
                ),
            )  # fmt: skip
        )
    idle = [f"{field.object}.{field.field}" for field in found.fields if field not in costly]
    if idle:
        told.append(
            Finding(
                "P2",
                "unused",
                f"{counted(len(idle), 'field')} that nothing reads",
                "They cost little, and make every form longer."
                if any(f.records for f in found.fields)
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
