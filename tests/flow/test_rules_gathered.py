"""Rollups over records: against a slow count of what refers where, and the live store against a backtest."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import build
from watchtower.contract import format_time, parse_event
from watchtower.flow.backtest import duckdb_engine, held_between, states_at
from watchtower.flow.explain import explain_events
from watchtower.flow.history import fold_history
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import Settings

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
BOOK = """
name: gathered
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
      deals: {type: integer, rollup: {count: records, over: deal, where: state = 'open'}}
      pipeline: {type: money, rollup: {sum: amount, over: deal, via: account, where: state <> 'lost'}}
      least: {type: money, rollup: {min: amount, over: deal}}
      latest: {type: timestamp, rollup: {max: closed_at, over: deal}}
  contact:
    fields:
      account: {type: ref, to: account}
  deal:
    fields:
      account: {type: ref, to: account}
      state: {type: enum, values: [open, won, lost]}
      amount: {type: money}
      closed_at: {type: timestamp}
rules:
  - {id: busy, object: account, when: deals >= 2}
  - {id: rich, object: account, when: pipeline >= 10.3 and deals <> 1}
  - {id: small, object: account, when: least < 0.3 or name = 'x'}
  - {id: closing, object: account, when: latest <= now() - interval '1 day' and deals > 0}
  - {id: through, object: contact, when: account.pipeline < 5 and account.deals >= 1}
"""


def draw(rng: random.Random) -> list[dict[str, Any]]:
    events = []
    for number in range(rng.randrange(10, 40)):
        time = START + timedelta(hours=rng.randrange(200))
        kind = rng.choice(["account", "contact", "deal", "deal", "deal"])
        record, data, type_ = f"{kind}/{rng.randrange(3)}", {}, "record.updated"
        if rng.random() < 0.1:
            type_ = "record.deleted"
        else:
            choices: dict[str, Any] = {
                "account": {"name": ["x", "y", None]},
                "contact": {"account": ["0", "1", None]},
                "deal": {
                    "account": ["0", "1", "2", None], "state": ["open", "won", "lost", None],
                    "amount": [0.1, 0.2, 10, 10.3, None],
                    "closed_at": [format_time(START + timedelta(hours=rng.randrange(200)))],
                },
            }[kind]  # fmt: skip
            data = {"fields": {key: rng.choice(values) for key, values in choices.items() if rng.random() < 0.7}}
        events.append({
            "specversion": "1.0", "id": str(number), "source": "crm", "type": type_, "subject": record,
            "time": format_time(time), "data": data,
        })  # fmt: skip
    return events


def records_at(events: list[dict[str, Any]], at: datetime) -> dict[str, dict[str, Any]]:
    """What there is at an instant, by subject."""
    found: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event["time"]):
        if event["time"] <= format_time(at):
            if event["type"] == "record.deleted":
                found.pop(event["subject"], None)
            else:
                found.setdefault(event["subject"], {}).update(event["data"]["fields"])
    return found


def truths(events: list[dict[str, Any]], at: datetime) -> Iterator[tuple[str, str, bool | None]]:
    """(rule, record, true, false or unknown) by counting, from what is said in words above."""
    found = records_at(events, at)

    def of(parent: str) -> dict[str, Any]:
        kids = [r for key, r in found.items() if key.startswith("deal/") and r.get("account") == parent]
        live = [r["amount"] for r in kids if r.get("state") not in (None, "lost") and r.get("amount") is not None]
        amounts = [r["amount"] for r in kids if r.get("amount") is not None]
        closed = [r["closed_at"] for r in kids if r.get("closed_at")]
        return {
            "deals": sum(r.get("state") == "open" for r in kids), "pipeline": round(sum(live), 6) if live else None,
            "least": min(amounts) if amounts else None, "latest": max(closed) if closed else None,
        }  # fmt: skip

    def both(*parts: bool | None) -> bool | None:
        return False if False in parts else None if None in parts else True

    for key, record in found.items():
        kind, _, id_ = key.partition("/")
        if kind == "account":
            mine = of(id_)
            yield "busy", key, mine["deals"] >= 2
            yield "rich", key, both(None if mine["pipeline"] is None else mine["pipeline"] >= 10.3, mine["deals"] != 1)
            low = None if mine["least"] is None else mine["least"] < 0.3
            named = None if record.get("name") is None else record["name"] == "x"
            yield "small", key, True if True in (low, named) else None if None in (low, named) else False
            past = None if mine["latest"] is None else mine["latest"] <= format_time(at - timedelta(days=1))
            yield "closing", key, both(past, mine["deals"] > 0)
        elif kind == "contact":
            parent = record.get("account")
            there = parent is not None and f"account/{parent}" in found
            mine = of(parent) if there and parent else {"pipeline": None, "deals": None}
            low = None if mine["pipeline"] is None else mine["pipeline"] < 5
            yield "through", key, both(low, None if mine["deals"] is None else mine["deals"] >= 1)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(8))
def test_a_backtest_finds_what_counting_finds_at_every_instant(seed: int, book: Path) -> None:
    rng, program = random.Random(seed), compile_rulebook(load(book))
    events = draw(rng)
    edges = {datetime.fromisoformat(event["time"]) for event in events}
    edges |= {time + timedelta(days=1) for time in edges}
    parsed = [parse_event(event) for event in events]
    for edge in sorted(rng.sample(sorted(edges), min(6, len(edges)))):
        for at in (edge - MICRO, edge, edge + MICRO):
            with duckdb_engine(fold_history(program, parsed, until=at).versions) as engine:
                found = {(s.rule, s.record): s.state for s in states_at(engine, program, at) if s.state != "pending"}
            names = {True: "holds", None: "unknown"}
            wanted = {(rule, record): names[truth] for rule, record, truth in truths(events, at) if truth is not False}
            assert found == wanted, at


@pytest.mark.parametrize("seed", range(4))
def test_the_live_store_ends_with_the_spans_of_a_backtest(
    seed: int, book: Path, database_url: str, tmp_path: Path
) -> None:
    rng, program = random.Random(100 + seed), compile_rulebook(load(book))
    events = draw(rng)
    now = START
    with build(
        Settings(data=tmp_path, database_url=SecretStr(database_url)), rulebook=book, clock=lambda: now
    ) as tower:
        # The same instant twice: the order of arrival decides, so those stay in order.
        waiting = sorted(events, key=lambda event: (rng.random(), event["id"]))
        while waiting:
            size = rng.randrange(1, 6)
            batch, waiting = waiting[:size], waiting[size:]
            now = max(now, *(datetime.fromisoformat(event["time"]) for event in batch))
            assert {verdict.status for verdict in tower.take(batch)} == {"accepted"}
            if rng.random() < 0.3:
                tower.tick()
        now = END
        tower.tick()
        with tower.database.read() as conn:
            order = [row.id for row in conn.execute(text("select id from journal where layer = 'core' order by seq"))]
            rows = conn.execute(
                text("select rule, object || '/' || record, since, coalesce(until, :end) from span "
                     "where state = 'holds' and since < :end"), {"end": END})  # fmt: skip
            live = sorted(tuple(row) for row in rows)
            alerts = conn.execute(text("select id, rule, object || '/' || record, since, reads from alert")).all()
        arrived = [parse_event(next(event for event in events if event["id"] == name)) for name in order]
        with duckdb_engine(fold_history(program, arrived).versions) as engine:
            held = held_between(engine, program, START, END)
        assert live == sorted((h.rule, h.record, h.since, h.until) for h in held)
        for _, rule, record, since, reads in alerts:
            told = explain_events(program, arrived, rule, record, since)
            assert told["state"] == "holds"
            for condition, stored in zip(
                told["conditions"], tower.explain(rule, record, since)["conditions"], strict=True
            ):
                for read, mine in zip(condition["reads"], stored["reads"], strict=True):
                    assert (reads[read["field"]], mine["value"]) == (read["value"], read["value"]), (rule, record, read)
