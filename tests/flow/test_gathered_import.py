"""A history that is imported record by record leaves what the same history leaves in order of time."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.connectors import Batch, gathered
from watchtower.contract import Event, format_time
from watchtower.settings import Settings

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = START + timedelta(days=60)
BOOK = """
name: two objects
timezone: Europe/Rome
objects:
  account:
    fields:
      segment: {type: enum, values: [smb, enterprise]}
      deals: {type: integer, rollup: {count: records, over: deal, via: account}}
  deal:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [open, won, lost]}
      due_at: {type: timestamp}
      calls: {type: integer, rollup: {count: events, of: activity.logged}}
rules:
  - {id: overdue, object: deal, when: "stage = 'open' and due_at <= now() - interval '1 day'"}
  - {id: grave, object: deal, when: "stage = 'open' and account.segment = 'enterprise' and calls < 2", for: 2 days}
  - {id: still, object: deal, when: "changed_at(stage) <= now() - interval '10 days' and stage <> 'won'"}
"""
TABLES = (
    "select source, id, type, object, record, time, data, layer from journal where type <> 'clock.held' "
    "and type <> 'rulebook.activated' order by 1, 2",
    "select * from record order by object, id",
    "select * from version order by object, id, valid_from",
    "select * from span order by rule, object, record, state, since",
    "select * from link order by 1, 2, 3, 4, 5",
    "select * from alert order by id",
)


def history(seed: int, count: int) -> list[Event]:
    rng = random.Random(seed)
    found = []
    for n in range(count):
        at = START + timedelta(hours=n // 3)  # some bear the same time
        kind, data = "record.updated", {}
        if rng.random() < 0.2:
            subject, fields = f"account/A{rng.randrange(5)}", {"segment": rng.choice(["smb", "enterprise", None])}
        else:
            subject = f"deal/D{rng.randrange(25)}"
            fields = {
                "stage": rng.choice(["open", "won", "lost"]), "due_at": format_time(at + timedelta(days=2)),
                "account": f"A{rng.randrange(5)}",
            }  # fmt: skip
            fields = dict(rng.sample(list(fields.items()), k=2))
            if rng.random() < 0.1:
                kind = "record.deleted"
            elif rng.random() < 0.2:
                kind, data = "activity.logged", {"kind": "call"}
        data = data or ({} if kind == "record.deleted" else {"fields": fields})
        found.append(Event(id=f"e{n}", source="crm", type=kind, subject=subject, time=at, data=data))
    return found


def lived(url: str, folder: Path, batches: Iterable[Batch]) -> list[list[Any]]:
    """The rows that an import leaves."""
    (folder / "book.yaml").write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(url))
    with build(settings, rulebook=folder / "book.yaml", clock=lambda: NOW) as tower:
        with tower.importing():
            statuses = [v.status for batch in batches for v in tower.take_events(batch.events)]
        assert set(statuses) == {"accepted"}
        found = [_rows(tower, sql) for sql in TABLES]
        replayed = tower.replay()
        assert not replayed.differences, replayed.differences
    return found


def _rows(tower: Tower, sql: str) -> list[Any]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def test_records_spans_and_alerts_are_the_same_record_by_record_as_in_order_of_time(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    events = history(7, 600)
    batches = [Batch(events[at : at + 50], [], 0.0) for at in range(0, len(events), 50)]
    in_time = lived(database_url, tmp_path, batches)
    by_record = lived(empty_url, tmp_path, gathered(batches, size=50, run=90))
    for sql, one, other in zip(TABLES, in_time, by_record, strict=True):
        assert one == other, sql
    assert all(in_time), "each table has rows"
