"""Traces: what the core says and does (L), and what workers say in between (A), from the core's own pools of names.

A step happens at its time. The workers' steps are drawn knowing the whole of L: also the ids, records and times that
the core will use later.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from subordination.company import QUOTES, TEXT

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
RECORDS = ("lead/L1", "lead/L2", "lead/L3", "account/A1", "account/A2")
GAPS = (timedelta(seconds=1), timedelta(minutes=20), timedelta(hours=1), timedelta(hours=5), timedelta(hours=26))
VERBS = ("acknowledge", "snooze", "resolve", "assign", "comment")


@dataclass(frozen=True)
class Step:
    """`kind` of the core: take, tick, act, cross; of workers: enrich, forge, detect, pairs, door, verdict."""

    at: datetime
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def core(self) -> bool:
        return self.kind in ("take", "tick", "act", "cross")


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def core_trace(rng: random.Random, length: int) -> list[Step]:
    """Events (late, ahead, doubled, contradicting, malformed), ticks, people's actions, handoffs."""
    steps: list[Step] = []
    at, said = START, list[dict[str, Any]]()
    for record in RECORDS:
        document = {"document": "d1", "text": TEXT}
        said.append(_event(f"e{len(said)}", "document.added", record, at, document))
    steps.append(Step(at, "take", {"events": list(said)}))
    for _ in range(length):
        at += rng.choice(GAPS)
        roll = rng.random()
        if roll < 0.6:
            batch = [_draw(rng, f"e{len(said) + n}", at) for n in range(rng.choice((1, 1, 2, 3)))]
            if rng.random() < 0.15:
                again = rng.choice(said)
                batch.append(again if rng.random() < 0.5 else again | {"data": {"fields": {"stage": "raw"}}})
            said += batch
            steps.append(Step(at, "take", {"events": batch}))
        elif roll < 0.78:
            steps.append(Step(at, "tick"))
        elif roll < 0.92:
            until = at + rng.choice(GAPS)
            steps.append(Step(at, "act", {"nth": rng.randrange(9), "verb": rng.choice(VERBS), "until": until}))
        else:
            action, record = rng.choice(("offer", "offer", "accept", "reject")), rng.choice(RECORDS[:3])
            steps.append(Step(at, "cross", {"subject": record, "action": action}))
    return [*steps, Step(at + timedelta(days=3), "tick")]


def _event(id_: str, kind: str, subject: str, time: datetime, data: dict[str, Any], source: str = "crm") -> Any:
    return {"id": id_, "source": source, "type": kind, "subject": subject, "time": iso(time), "data": data}


def _draw(rng: random.Random, id_: str, at: datetime) -> dict[str, Any]:
    shift = rng.choice((0, 0, 0, 0, -3600, -86400, -3 * 86400, 200, 900))
    time, subject = at + timedelta(seconds=shift), rng.choice(RECORDS)
    kind = rng.choice(("record.updated",) * 7 + ("activity.logged",) * 4 + ("record.deleted",) * 2 + ("no.such",))
    data: dict[str, Any] = {}
    if kind == "activity.logged":
        data = {"kind": rng.choice(("call", "call", "note"))}
    elif kind == "record.updated":
        data = {"fields": _fields(rng, subject, time)}
    return _event(id_, kind, subject, time, data, rng.choice(("crm", "crm", "billing", "person:anna")))


def _fields(rng: random.Random, subject: str, time: datetime) -> dict[str, Any]:
    values: dict[str, Any]
    if subject.startswith("lead"):
        values = {
            "account": rng.choice(("A1", "A2", None)), "stage": rng.choice(("raw", "mql", "mql", "sql", "nonsense")),
            "mql_at": iso(time - timedelta(hours=rng.choice((0, 20, 47)))), "amount": rng.choice((5, 500, None)),
            "contacted_at": rng.choice((None, iso(time))), "waits": rng.choice((True, None)),
        }  # fmt: skip
    else:
        values = {"segment": rng.choice(("smb", "mid")), "region": rng.choice(("north", None)), "employees": 50}
    picked = rng.sample(sorted(values), k=rng.randrange(1, min(4, len(values))))
    return {key: values[key] for key in picked}


def worker_steps(rng: random.Random, core: Sequence[Step], share: float = 0.65) -> list[Step]:
    """What workers do after each step of the core, if anything, and before the next."""
    said = [event for step in core if step.kind == "take" for event in step.data["events"]]
    found = []
    for step, after in zip(core, core[1:], strict=False):
        at = step.at
        while rng.random() < share and len(found) < 30:
            at += (after.at - at) * rng.choice((0.2, 0.5, 0.9))
            kind = rng.choice(
                ("enrich", "enrich", "enrich", "forge", "detect", "detect", "pairs", "door", "door", "verdict")
            )
            found.append(Step(at, kind, {"seed": rng.randrange(10**9), "said": said, "during": rng.random() < 0.6}))
    return found


def merged(core: Sequence[Step], workers: Sequence[Step]) -> list[Step]:
    """Both, in the order of their times; at one time the core first."""
    return sorted([*core, *workers], key=lambda step: (step.at, not step.core))


# ---- what a hostile worker says


def values_of(rng: random.Random, said: Sequence[dict[str, Any]]) -> Any:
    """A value from the core's pools, or one that breaks what takes it."""
    event = rng.choice(said)
    return rng.choice((
        event["id"], event["subject"], event["subject"].partition("/")[2], event["time"], event["source"],
        event["type"], event["data"], 7, True, "bolts", "A1", "A2", 0, -1, 10**30, float("nan"), "x" * 20_000,
        "\x00", "\ud800",
        "9999-12-31T00:00:00Z", None, [], {"fields": {"stage": "sql"}}, "watchtower", "<script>", object(),
    ))  # fmt: skip


def proposals_of(rng: random.Random, requests: Sequence[str], said: Sequence[dict[str, Any]], count: int) -> list[Any]:
    """Grounded answers, and hostile ones, as the keyword arguments of `Proposal`."""
    found = []
    for _ in range(count):
        quote = rng.choice(QUOTES)
        begin = TEXT.index(quote)
        fields = ("employees", "industry", "likely", "waits")
        given: dict[str, Any] = {
            "request": rng.choice(requests) if requests else "rq_none", "field": rng.choice(fields),
            "confidence": rng.choice((0.99, 0.99, 0.6, 0.4)), "method": "model", "model": rng.choice(("", "m")),
            "evidence": [{"document": "d1", "quote": quote, "start": begin, "end": begin + len(quote)}],
        }  # fmt: skip
        given["value"] = {"employees": 7, "industry": "bolts", "likely": "A1", "waits": True}[given["field"]]
        if rng.random() < 0.5:
            key = rng.choice(("request", "field", "value", "value", "confidence", "method", "model", "prompt"))
            names = ("stage", "mql_at", "touches", "calls", "last_at", "leads", "account", "to_sales.status", "segment")
            given[key] = rng.choice(names) if key == "field" else values_of(rng, said)
        found.append(given)
    return found


def pairs_of(rng: random.Random, requests: Sequence[str], said: Sequence[dict[str, Any]], count: int) -> list[Any]:
    """Pairs of the core's records as the keyword arguments of `Likeness`, sure beyond doubt, and hostile ones."""
    found = []
    for _ in range(count):
        name = rng.choice(("account", "lead"))
        a, b = rng.sample([record.partition("/")[2] for record in RECORDS if record.startswith(name)], 2)
        weights = [{"comparison": "name", "outcome": "same", "bits": 30.0}]
        given = {"request": rng.choice(requests), "a": a, "b": b, "bits": 30.0, "weights": weights}
        if rng.random() < 0.3:
            given[rng.choice(("request", "a", "b", "bits"))] = values_of(rng, said)
        found.append(given)
    return found


def forged_events(rng: random.Random, said: Sequence[dict[str, Any]], at: datetime) -> list[dict[str, Any]]:
    """Events sent to the door by a worker: the core's own, before or after the core says them, and decisions."""
    found = []
    kinds = ("field.accepted", "signal.admitted", "record.merged", "alert.resolved", "field.proposed")
    for _ in range(rng.randrange(1, 5)):
        event = dict(rng.choice(said))
        for _ in range(rng.randrange(3)):
            other = rng.choice(said)
            event |= rng.choice((
                {"source": rng.choice(("enrichment", "detectors", "watchtower", "ai", other["source"]))},
                {"type": rng.choice(kinds)},
                {"time": iso(at)}, {"time": iso(at + timedelta(days=900))}, {"subject": other["subject"]},
                {"id": other["id"]},
                {"data": {"fields": {"stage": "sql", "amount": 1}}},
                {"data": {"field": "stage", "value": "sql", "by": "person"}},
                {"data": {"into": "A2"}},
            ))  # fmt: skip
        found.append(event)
    return found
