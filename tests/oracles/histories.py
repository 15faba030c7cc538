"""Histories: the events that are drawn, and the fold written again, as segments in which nothing changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oracles.fields import COLUMNS, SCHEMA, Json
from oracles.moments import day_text, moment_of, moment_text


@dataclass
class History:
    """Events in the order of their arrival, as plain JSON."""

    zone: str
    events: list[Json] = field(default_factory=list)


def draw_history(rng: random.Random, zone: str, deals: int = 3) -> History:
    history = History(zone)
    times = [moment_of(rng, zone) for _ in range(8)]

    def value(name: str, spec: Json) -> Any:
        if rng.random() < 0.25:
            return None
        kind = spec["type"]
        if kind == "timestamp":
            if rng.random() < 0.3:
                return rng.choice(times).isoformat()
            return moment_text(rng, zone)
        if kind == "ref":
            return rng.choice(("A1", "A2", "A3"))
        if kind == "enum":
            return rng.choice(spec["values"])
        if kind == "date":
            return day_text(rng)
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "list":
            return rng.choice(([], ["vip"], ["x", "vip"], ["x"]))
        if kind == "text":
            return rng.choice(("Acme", "ACME", "Beta", ""))
        return rng.choice((0, 1, 2, 3, 100)) if kind == "integer" else rng.choice((0, 0.1, 0.3, 2.5, -1, 100))

    subjects = [f"deal/D{n}" for n in range(deals)] + ["account/A1", "account/A2"]
    for subject in subjects:
        name = subject.split("/")[0]
        fields = {key: spec for key, spec in SCHEMA[name].items() if "rollup" not in spec}
        for _ in range(rng.randrange(3, 9) if name == "deal" else rng.randrange(1, 5)):
            at = rng.choice(times) if rng.random() < 0.3 else moment_of(rng, zone)
            for _ in range(rng.choice((1, 1, 1, 2))):
                roll = rng.random()
                data: Json = {}
                if roll < 0.1:
                    kind = "record.deleted"
                elif roll < 0.3:
                    kind, data = "activity.logged", {"kind": rng.choice(("call", "note", "email"))}
                    if rng.random() < 0.5:
                        seats = rng.choice((3, 0.5, 0.1, -2, None, "many"))
                        kind, data = "usage.recorded", {"metric": rng.choice(("seats", "seats", "gb")), "value": seats}
                else:
                    share = rng.choice((0.3, 0.6, 1.0))
                    picked = {key: value(key, spec) for key, spec in fields.items() if rng.random() < share}
                    kind, data = "record.updated", {"fields": picked}
                history.events.append({
                    "specversion": "1.0", "id": f"e{len(history.events)}", "type": kind, "subject": subject,
                    "source": rng.choice(("crm", "billing", "person:anna")), "time": at.isoformat(), "data": data,
                })  # fmt: skip
    rng.shuffle(history.events)
    return history


# ---- the fold, again


def state_at(events: Sequence[Json], subject: str, at: datetime) -> Json | None:
    """The record's columns at an instant; None where it does not exist then. `events` in order of time and arrival."""
    state: Json | None = None
    for event in events:
        if event["subject"] != subject:
            continue
        when = datetime.fromisoformat(event["time"])
        if when > at:
            break
        if event["type"] == "record.deleted":
            state = None
            continue
        if state is None:
            state = {"calls": 0, "pauses": []}
        who = "person" if event["source"].startswith("person") else event["source"]
        for key, value in event["data"].get("fields", {}).items():
            if state.get(key) != value and _instant(state.get(key)) != _instant(value):
                state[f"changed_at({key})"] = event["time"]
                state[f"previous({key})"] = state.get(key)
            state[key] = value
            state[f"source_of({key})"] = None if value is None else who
        if event["type"] == "activity.logged":
            state["calls"] += event["data"]["kind"] == "call"
            state["last_at"] = event["time"]
        if event["type"] in ("activity.logged", "usage.recorded"):
            state.setdefault("begun_at", event["time"])
        if event["type"] == "usage.recorded":
            _use(state, event["data"])
        _pause(state, event["time"])
    return state


def _use(state: Json, data: Json) -> None:
    value = data["value"]
    if not isinstance(value, int | float):
        return
    if data["metric"] == "seats":
        state["used"] = state["used"] + value if "used" in state else value
    state["least"] = min(value, state.get("least", value))
    state.setdefault("first_used", value)


def _pause(state: Json, time: str) -> None:
    """The stretches in which the deal was hot, the last perhaps without end."""
    pauses = state["pauses"]
    running = bool(pauses) and pauses[-1][1] == "infinity"
    if state.get("hot") is True and not running:
        pauses.append([time, "infinity"])
    elif state.get("hot") is not True and running:
        pauses[-1][1] = time


def _gathered(deals: Sequence[Json]) -> Json:
    """What an account's rollups over its deals are."""
    counted = [deal["calls"] for deal in deals if deal.get("stage") == "won" or deal.get("hot") is True]
    amounts = [deal["amount"] for deal in deals if deal.get("amount") is not None]
    due = [deal["due_at"] for deal in deals if deal.get("due_at") is not None]
    return {
        "deals": len(deals), "called": sum(counted) if counted else None, "top": max(amounts, default=None),
        "first_due": min(due, key=datetime.fromisoformat, default=None),
    }  # fmt: skip


def _instant(value: Any) -> Any:
    """Two texts of one instant are one value."""
    if isinstance(value, str) and "T" in value:
        return datetime.fromisoformat(value)
    return value


def segments(events: Sequence[Json]) -> list[Json]:
    """Each stretch of each deal in which nothing changes: rec, vfrom, vto and the columns."""
    ordered = sorted(events, key=lambda event: datetime.fromisoformat(event["time"]))
    times = sorted({datetime.fromisoformat(event["time"]) for event in ordered})
    found = []
    subjects = sorted({event["subject"] for event in ordered if event["subject"].startswith("deal/")})
    states = {(subject, at): state_at(ordered, subject, at) for subject in subjects for at in times}
    for subject in subjects:
        for at, after in zip(times, [*times[1:], None], strict=True):
            state = states[subject, at]
            if state is None:
                continue
            account = state_at(ordered, f"account/{state['account']}", at) if state.get("account") else None
            if account is not None:
                deals = [other for name in subjects if (other := states[name, at]) is not None]
                account |= _gathered([deal for deal in deals if deal.get("account") == state["account"]])
            state["pauses(hot)"] = "{" + ",".join(f'["{begin}","{end}")' for begin, end in state["pauses"]) + "}"
            row = {name: state.get(name) for name in COLUMNS if "account." not in name}
            for name in COLUMNS:
                if "account." in name:
                    row[name] = (account or {}).get(name.replace("account.", ""))
            row |= {"rec": subject, "vfrom": at.isoformat(), "vto": after.isoformat() if after else "infinity"}
            found.append(row)
    return found
