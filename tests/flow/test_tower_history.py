"""However events arrive, the tower ends with the spans and the alerts of the whole history read at once."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from oracles.asking import Oracle
from oracles.fields import CALENDARS, EPOCH, MICRO, SCHEMA, ZONES
from oracles.grammar import Grammar
from oracles.histories import draw_history
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import build
from watchtower.settings import Settings
from watchtower.store.alerts import told

END = datetime(2027, 2, 1, tzinfo=UTC)
DELAYS = {"": timedelta(), "2 hours": timedelta(hours=2), "36 hours": timedelta(hours=36)}


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_arrival_ends_in_the_spans_and_alerts_of_the_whole_history(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    zone = ZONES[seed % len(ZONES)]
    history, grammar = draw_history(rng, zone, deals=4), Grammar(rng, zone)
    drawn = [grammar.rule() for _ in range(10)]
    delays = [rng.choice(list(DELAYS)) for _ in drawn]
    rules = [
        {"id": f"r{n}", "object": "deal", "when": rule.text("rule"), **({"for": delay} if delay else {})}
        for n, (rule, delay) in enumerate(zip(drawn, delays, strict=True))
    ]
    book = {
        "name": "history", "timezone": zone, "rules": rules, "calendars": CALENDARS,
        "objects": {name: {"fields": fields} for name, fields in SCHEMA.items()},
    }  # fmt: skip
    (tmp_path / "rules.yaml").write_text(json.dumps(book))
    now = datetime(2025, 6, 1, tzinfo=UTC)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: now) as tower:
        waiting, sent = list(history.events), []
        while waiting:
            size = rng.randrange(1, 9)
            batch, waiting = waiting[:size], waiting[size:]
            now = max(now, *(datetime.fromisoformat(event["time"]) for event in batch))
            again = rng.sample(sent, min(len(sent), rng.randrange(3)))
            statuses = [verdict.status for verdict in tower.take(batch + again)]
            assert statuses == ["accepted"] * len(batch) + ["duplicate"] * len(again)
            sent += batch
            if rng.random() < 0.3:
                tower.tick()
        now = END
        tower.tick()
        expected_spans, expected_alerts = set(), set()
        with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as conn:
            oracle = Oracle(conn, history)
            oracle.load(history.events)
            for n, rule in enumerate(drawn):
                for record, first, last, truth in oracle.stretches(rule):
                    if truth is False:
                        continue
                    since, until = EPOCH + first * MICRO, None if last is None else EPOCH + last * MICRO
                    expected_spans.add((f"r{n}", record, "holds" if truth else "unknown", since, until))
                    opens = since + DELAYS[delays[n]]
                    if truth and opens <= END and (until is None or until > opens):
                        expected_alerts.add((f"r{n}", record, since))
        with tower.database.read() as conn:
            rows = conn.execute(text("select rule, object || '/' || record, state, since, until from span"))
            assert {tuple(row) for row in rows} == expected_spans
            found = told(conn)
            assert len(found) == len(set(found))
            assert set(found) == expected_alerts
            # Exactly once: an alert is opened once more than it is withdrawn, and never while it stands.
            lines = conn.execute(text("select alert, verb, note from action order by seq")).all()
            standing: set[str] = set()
            for alert, verb, note in lines:
                if verb == "opened":
                    assert alert not in standing
                    standing.add(alert)
                elif verb == "corrected" and note.startswith("withdrawn"):
                    standing.remove(alert)
            assert len(standing) == len(expected_alerts)
