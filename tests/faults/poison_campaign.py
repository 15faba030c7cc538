"""One event in a hundred is poison: each is set aside with its reason, and nothing else is any different.

    python tests/faults/poison_campaign.py --events 100000

Two towers take the same good events; one takes the poison too, in between. Their records, versions, spans and alerts
must then be equal row by row. Redriving must add nothing, however often; once the rulebook has been mended, what was
refused for the rulebook's sake goes in, once.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.rulebook import load
from watchtower.settings import Settings
from watchtower.store import deadletters, embedded

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = START + timedelta(days=30)
BATCH = 1000
BOOK = """
name: poison
timezone: Europe/Rome
objects:
  account:
    fields:
      segment: {type: enum, values: [smb, enterprise]}
  lead:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql, sal, sql]}
      score: {type: integer, min: 0, max: 100}
      mql_at: {type: timestamp}
      contacted_at: {type: timestamp}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
rules:
  - {id: uncontacted, object: lead, owner: sales,
     when: "stage = 'mql' and contacted_at is null and mql_at <= now() - interval '48 hours'"}
  - {id: hot, object: lead, owner: sales, when: "score > 95 and account.segment = 'enterprise'"}
"""
MENDED = BOOK.replace("  lead:\n", "  rocket:\n    fields: {name: {type: text}}\n  lead:\n")
"""The rulebook that knows rockets, too."""
TABLES = {
    "record": "object, id, state, provenance, created_at, changed_at, deleted_at",
    "version": "object, id, valid_from, valid_to, state",
    "span": "rule, object, record, state, since, until, opens_at, opened, closed",
    "alert": "id, rule, rulebook, object, record, since, opened_at, status, owner, causes, reads, resolved_at",
}

Event = dict[str, Any]


def good(number: int, draw: random.Random) -> Event:
    """An ordinary event, mostly in order, now and then late."""
    at = START + timedelta(seconds=number * 20 - draw.choice((0, 0, 0, 86_400)))
    fields: dict[str, Any] = {
        "account": f"A-{draw.randrange(50)}", "stage": draw.choice(("raw", "mql", "sal", "sql")),
        "score": draw.randrange(101), "mql_at": format_time(at),
        "contacted_at": draw.choice((None, format_time(at))),
    }  # fmt: skip
    if draw.random() < 0.05:
        subject, fields = f"account/A-{draw.randrange(50)}", {"segment": draw.choice(("smb", "enterprise"))}
    else:
        subject = f"lead/L-{draw.randrange(2000)}"
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "crm", "type": "record.updated", "subject": subject,
        "time": format_time(at), "data": {"fields": fields},
    }  # fmt: skip


POISON: dict[str, tuple[str, Callable[[Event, Event], Any]]] = {
    "no offset": ("has no offset", lambda e, before: e | {"time": "2026-03-02T09:00:00"}),
    "no time": ("time: missing", lambda e, before: {k: v for k, v in e.items() if k != "time"}),
    "no subject": ("subject:", lambda e, before: {k: v for k, v in e.items() if k != "subject"}),
    "an id that is a number": ("id:", lambda e, before: e | {"id": int(e["id"][1:])}),
    "no object": ("no object 'rocket'", lambda e, before: e | {"subject": f"rocket/{e['id']}"}),
    "a value that is not allowed": ("'moon'", lambda e, before: e | {"data": {"fields": {"stage": "moon"}}}),
    "out of bounds": ("101", lambda e, before: e | {"data": {"fields": {"score": 101}}}),
    "fields that are a list": ("data.fields", lambda e, before: e | {"data": {"fields": [1]}}),
    "a worker's word": ("spoken by workers", lambda e, before: e | {"type": "field.accepted"}),
    "a reserved source": ("is reserved", lambda e, before: e | {"source": "watchtower"}),
    "a NUL": ("NUL character", lambda e, before: e | {"data": {"note": "a\x00b", "n": e["id"]}}),
    "half a character": ("surrogate pair", lambda e, before: e | {"data": {"note": "\ud83d", "n": e["id"]}}),
    "nested too deeply": ("cannot be written as JSON", lambda e, before: e | {"data": {"n": nested(2000)}}),
    "a subject too long": ("subject:", lambda e, before: e | {"subject": "lead/" + "é" * 1000 + e["id"]}),
    "another body": ("another body", lambda e, before: before | {"data": {"fields": {"stage": "raw", "x": e["id"]}}}),
    "the year 9999": ("more than a year ahead", lambda e, before: e | {"time": "9999-12-31T00:00:00Z"}),
}  # fmt: skip
"""What comes of an event: (a part of the reason, how it is made of a good one and of one that came before)."""


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@dataclass
class Report:
    """What the campaign found. `wrong` is empty where all is as promised."""

    events: int = 0
    poison: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    seconds_without: float = 0.0
    mended: int = 0
    wrong: list[str] = field(default_factory=list)

    def demand(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


@contextmanager
def towers(server: embedded.EmbeddedServer, folder: Path) -> Iterator[list[Tower]]:
    """Two towers, each on a database of its own."""
    (folder / "rules.yaml").write_text(BOOK)
    found: list[Tower] = []
    try:
        for name in ("poisoned", "clean"):
            with psycopg.connect(server.url, autocommit=True) as conn:
                conn.execute(f"create database campaign_{name}")
            url = server.url.replace("@/watchtower?", f"@/campaign_{name}?")
            settings = Settings(data=folder, database_url=SecretStr(url))
            found.append(build(settings, rulebook=folder / "rules.yaml", clock=lambda: NOW))
        yield found
    finally:
        for tower in found:
            tower.close()
        for name in ("poisoned", "clean"):
            with psycopg.connect(server.url, autocommit=True) as conn:
                conn.execute(f"drop database if exists campaign_{name} with (force)")


def campaign(server: embedded.EmbeddedServer, folder: Path, *, events: int, seed: int = 1) -> Report:
    """The whole of it. `events` counts the good and the poisoned ones together."""
    draw, report = random.Random(seed), Report()
    kinds, previous = list(POISON), {}
    stream: list[tuple[str, Any]] = []
    for number in range(events):
        event = good(number, draw)
        # Poison is of a lead: on an account, a lead's fields are words that mean nothing, and harm nothing.
        lead = event if event["subject"].startswith("lead/") else event | {"subject": "lead/L-1"}
        if number and number % 100 == 50:
            kind = kinds[report.poison % len(kinds)]
            stream.append((kind, POISON[kind][1](lead, previous)))
            report.kinds[kind] += 1
            report.poison += 1
        else:
            previous = event
            stream.append(("", event))
    report.events = events
    with towers(server, folder) as (poisoned, clean):
        began = time.perf_counter()
        for at in range(0, events, BATCH):
            part = stream[at : at + BATCH]
            for (kind, _), verdict in zip(part, poisoned.take([e for _, e in part]), strict=True):
                expected = ("refused", "conflict") if kind else ("accepted",)
                fits = verdict.status in expected and (not kind or POISON[kind][0] in verdict.reason)
                report.demand(fits, f"{kind or 'good'}: {verdict.status} {verdict.reason}")
        report.seconds = time.perf_counter() - began
        began = time.perf_counter()
        for at in range(0, events, BATCH):
            clean.take([event for kind, event in stream[at : at + BATCH] if not kind])
        report.seconds_without = time.perf_counter() - began
        for table, columns in TABLES.items():
            mine, other = rows(poisoned, table, columns), rows(clean, table, columns)
            report.demand(bool(mine), f"{table} is empty")
            report.demand(mine == other, f"{table} differs: {len(mine)} rows beside {len(other)}")
        _letters(poisoned, report, [(kind, event) for kind, event in stream if kind])
        _redrive(poisoned, report, folder)
    return report


def _letters(tower: Tower, report: Report, poison: list[tuple[str, Any]]) -> None:
    """Every poisoned event is there, once, with its reason, whole."""
    with tower.database.read() as conn:
        listed = deadletters.letters(conn, limit=len(poison) + 1)
        found = [letter for one in listed if (letter := deadletters.letter(conn, one.seq)) is not None]
    found.reverse()
    report.demand(len(found) == len(poison), f"{len(found)} letters of {len(poison)}")
    for (kind, event), letter in zip(poison, found, strict=False):
        report.demand(POISON[kind][0] in letter.reason, f"{kind}: {letter.reason}")
        whole = letter.redrivable and letter.body == event
        report.demand(whole or kind == "nested too deeply", f"{kind}: the body was not kept as it came")


def _redrive(tower: Tower, report: Report, folder: Path) -> None:
    """Twice without a change of rules, then mended, then twice again."""
    before = {table: rows(tower, table, columns) for table, columns in TABLES.items()}
    journal = rows(tower, "journal", "seq, id")
    for _ in range(2):
        again = tower.redrive()
        report.demand(set(again) <= {"refused", "conflict"}, f"redriving unmended: {dict(again)}")
    report.demand(rows(tower, "journal", "seq, id") == journal, "redriving added to the journal")
    report.demand(
        {table: rows(tower, table, columns) for table, columns in TABLES.items()} == before, "redriving changed a table"
    )
    (folder / "rules.yaml").write_text(MENDED)
    tower.activate(load(folder / "rules.yaml"), by="campaign")
    report.mended = tower.redrive()["accepted"]
    report.demand(report.mended == report.kinds["no object"], f"mended: {report.mended}")
    report.demand("accepted" not in tower.redrive(), "redriving once more took something again")


def rows(tower: Tower, table: str, columns: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        found = conn.exec_driver_sql(f"select {columns} from {table}")
        return sorted((tuple(row) for row in found), key=repr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, embedded.start(Path(name) / "data") as server:
        report = campaign(server, Path(name), events=options.events, seed=options.seed)
    print(f"{report.events} events, {report.poison} of them poison of {len(report.kinds)} kinds")
    print(f"taken in {report.seconds:.1f} s; the good ones alone in {report.seconds_without:.1f} s")
    print(f"{report.mended} went in after the rulebook was mended")
    for line in report.wrong[:20]:
        print(f"WRONG {line}")
    print("all as promised" if not report.wrong else f"{len(report.wrong)} faults")
    raise SystemExit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
