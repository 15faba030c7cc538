"""One history and some rules, on each engine and on the oracle: every difference is named."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from oracles.asking import Oracle, expected_intervals, expected_states, micros
from oracles.fields import CALENDARS, EPOCH, MICRO, SCHEMA, ZONES
from oracles.grammar import Condition, Grammar
from oracles.histories import draw_history
from oracles.moments import moment_of


@dataclass
class Tally:
    """How much was compared, and every difference."""

    rules: int = 0
    pairs: int = 0
    answers: int = 0
    differences: list[str] = field(default_factory=list)


def rulebook_text(zone: str, rules: Sequence[Condition]) -> str:
    book = {
        "name": "oracle",
        "timezone": zone,
        "calendars": CALENDARS,
        "objects": {name: {"fields": fields} for name, fields in SCHEMA.items()},
        "rules": [{"id": f"r{n:03}", "object": "deal", "when": rule.text("rule")} for n, rule in enumerate(rules)],
    }
    return json.dumps(book)


def compare_batch(
    url: str,
    seed: int,
    rules: int,
    tally: Tally,
    engines: Sequence[str] = ("duckdb", "live"),
    spark: Any = None,
    *,
    instants: int = 3,
) -> None:
    """Draw one history and some rules; compare a backtest and evaluations at some instants on each engine.

    `spark` is a session, where `engines` has spark.
    """
    from watchtower.contract import parse_event
    from watchtower.flow.backtest import duckdb_engine, held_between, states_at
    from watchtower.flow.history import fold_history
    from watchtower.flow.spark import spark_engine
    from watchtower.rulebook import load
    from watchtower.rules.compile import compile_rulebook
    from watchtower.store.bulk import scratch_engine
    from watchtower.store.database import open_database

    rng = random.Random(seed)
    zone = rng.choice(ZONES)
    history, grammar = draw_history(rng, zone), Grammar(rng, zone)
    drawn = [grammar.rule() for _ in range(rules)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(rulebook_text(zone, drawn))
        program = compile_rulebook(load(path))
    events = [parse_event(event) for event in history.events]
    database = open_database(url)
    try:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as conn:
            oracle = Oracle(conn, history)
            rows = oracle.load(history.events)
            whole = [oracle.stretches(rule) for rule in drawn]
            edges = [at for stretches in whole for _, since, until, _ in stretches for at in (since, until) if at]
            moments = []
            for _ in range(instants):
                edge = EPOCH + rng.choice(edges) * MICRO if edges else moment_of(rng, zone)
                moments.append(min(edge, datetime(2027, 6, 1, tzinfo=UTC)) + rng.choice((-1, 0, 0, 1)) * MICRO)
            start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
            if rng.random() < 0.5:
                start, end = sorted((moment_of(rng, zone), moment_of(rng, zone) + timedelta(days=40)))
            asked: list[tuple[str, Any, list[Any]]] = []
            expected = [expected_intervals(stretches, start, end) for stretches in whole]
            asked.append(("backtest", (start, end), expected))
            for at in moments:
                known = [event for event in history.events if datetime.fromisoformat(event["time"]) <= at]
                rows = oracle.load(known)
                states = []
                for rule in drawn:
                    absent = oracle.missing(rule, rows, at)
                    states.append([
                        (*found, absent[found[0]] if found[1] == "unknown" else [])
                        for found in expected_states(oracle.stretches(rule), at)
                    ])  # fmt: skip
                asked.append(("eval", at, states))
        for kind, when, expected in asked:
            folded = fold_history(program, events, until=None if kind == "backtest" else when)
            assert not folded.problems, folded.problems
            tables = {name: table.arrow() for name, table in folded.versions.items()}
            for engine_name in engines:
                opened: Any = {
                    "duckdb": lambda: duckdb_engine(folded.versions),  # noqa: B023 - called here
                    "live": lambda: scratch_engine(database, tables),  # noqa: B023
                    "spark": lambda: spark_engine(spark, tables),  # noqa: B023
                }[engine_name]()
                answers: dict[str, list[Any]] = {}
                with opened as engine:
                    if kind == "backtest":
                        for held in held_between(engine, program, *when):
                            answers.setdefault(held.rule, []).append(
                                (held.record, micros(held.since), micros(held.until))
                            )
                    else:
                        for state in states_at(engine, program, when):
                            times = [None if t is None else micros(t) for t in (state.since, state.until, state.due)]
                            found = (state.record, state.state, *times, sorted(state.unknown))
                            answers.setdefault(state.rule, []).append(found)
                for number, wanted in enumerate(expected):
                    got = answers.get(f"r{number:03}", [])
                    tally.answers += max(len(wanted), 1)
                    if got != wanted:
                        extra = [a for a in got if a not in wanted][:3]
                        lacking = [a for a in wanted if a not in got][:3]
                        tally.differences.append(
                            f"seed {seed}, {zone}, {engine_name}, {kind} {when}: {drawn[number].text('rule')}\n"
                            f"    said     {extra}\n    expected {lacking}"
                        )
    finally:
        database.close()
    tally.rules += rules
    tally.pairs += rules * len({row["subject"] for row in history.events if row["subject"].startswith("deal/")})
