"""A database as this version leaves it, kept so that every later version can be tried on it.

    python tests/faults/upgrade_fixture.py

writes tests/fixtures/upgrade/REVISION.zip for each revision that has none: a backup, with `expected.json` in it, which
says what its records, versions, alerts, actions and proposals are. Run it with the code that brings a revision, and
commit the file; one that has been committed is never written anew. Where one commit brings several revisions, those
before the newest are made by stepping back from it. test_upgrade.py demands one for each.
"""

from __future__ import annotations

import json
import random
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory

from watchtower.bootstrap import Tower, build
from watchtower.contract import Evidence, FieldRequest, Proposal, format_time
from watchtower.settings import Settings
from watchtower.store import backup
from watchtower.store.database import Database, migration_config
from watchtower.store.migrations import HEAD

FOLDER = Path(__file__).parents[1] / "fixtures" / "upgrade"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: upgrade
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
      employees: {type: integer, min: 1, fill: enrichment}
      segment: {type: enum, values: [smb, enterprise]}
  lead:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql, sal, sql]}
      mql_at: {type: timestamp}
      contacted_at: {type: timestamp}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
rules:
  - id: waiting
    object: lead
    when: stage = 'mql' and contacted_at is null and mql_at <= now() - interval '48 hours'
    severity: high
    queue: attention
    owner: sales_manager
    because: An MQL has waited 48 hours.
  - {id: small, object: account, when: employees < 10, owner: sales, for: 2 hours}
  - {id: called_much, object: lead, when: calls > 2 and account.segment = 'enterprise', owner: sales}
acceptance:
  account.employees: {accept_at: 0.9, review_at: 0.5}
"""
TABLES = ("record", "version", "alert", "action", "proposal")
TEXT = "Acme makes bolts. It has 7 employees in Turin."


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


class Worker:
    """Proposes 7 employees, with varying confidence."""

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        quote = "7 employees"
        at = TEXT.index(quote)
        evidence = (Evidence(document="d1", quote=quote, start=at, end=at + len(quote)),)
        return [
            Proposal(request=r.id, field="employees", value=7, confidence=0.6 + 0.35 * (n % 2), method="pattern",
                     evidence=evidence)
            for n, r in enumerate(requests)
        ]  # fmt: skip


def events() -> list[dict[str, Any]]:
    """Three hundred, of accounts and leads, some late, some of one instant, some bad."""
    draw, found = random.Random(2026), []
    for number in range(300):
        at = START + timedelta(hours=number // 2 - draw.choice((0, 0, 0, 30)))
        lead, account = f"lead/L-{draw.randrange(40)}", f"account/A-{draw.randrange(8)}"
        subject, kind, data = lead, "record.updated", {}
        if number % 10 == 0:
            segment = draw.choice(("smb", "enterprise"))
            subject, data = account, {"fields": {"name": f"Società {number}", "segment": segment}}
        elif number % 10 == 1:
            subject, kind, data = account, "document.added", {"document": "d1", "kind": "about", "text": TEXT}
        elif number % 10 < 5:
            kind, data = "activity.logged", {"kind": "call"}
        elif number == 77:
            kind = "record.deleted"
        elif number == 78:
            data = {"fields": {"stage": "no such stage"}}
        else:
            fields = {"account": account.partition("/")[2], "stage": draw.choice(("raw", "mql", "sal", "sql"))}
            data = {
                "fields": fields | {"mql_at": format_time(at), "contacted_at": draw.choice((None, format_time(at)))}
            }
        found.append({
            "specversion": "1.0", "id": f"e{number}", "source": "crm", "type": kind, "subject": subject,
            "time": format_time(at), "data": data,
        })  # fmt: skip
    return found


def expected(conn: Any) -> dict[str, list[Any]]:
    """The tables' rows as JSON, in an order of their own."""
    return {
        table: sorted(
            (row for (row,) in conn.exec_driver_sql(f"select to_jsonb(t) from {table} t")),
            key=lambda row: json.dumps(row, sort_keys=True),
        )
        for table in TABLES
    }


def revisions() -> list[str]:
    """Every revision, the newest first."""
    scripts = ScriptDirectory.from_config(migration_config(None)).walk_revisions("base", "heads")
    return [script.revision for script in scripts]


def write(folder: Path, data: Path, wanted: list[str]) -> list[Path]:
    """Make the fixtures of these revisions (the newest first), with an embedded database in `data`."""
    clock = Clock()
    data.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (data / "rules.yaml").write_text(BOOK)
    with build(Settings(data=data / "data", database_url=None), rulebook=data / "rules.yaml", clock=clock) as tower:
        _furnish(tower, clock)
        return [_save(tower.database, revision, folder, clock.now) for revision in wanted]


def _furnish(tower: Tower, clock: Clock) -> None:
    stream = events()
    for at in range(0, len(stream), 25):
        clock.now = START + timedelta(hours=(at + 25) // 2)
        tower.take(stream[at : at + 25])
        tower.tick()
    tower.enrich(Worker())
    clock.now += timedelta(hours=3)
    tower.tick()
    with tower.database.read() as conn:
        standing = conn.exec_driver_sql("select id from alert where status = 'open' order by id").scalars().all()
        review = conn.exec_driver_sql("select id from proposal where status = 'review' order by id").scalars().all()
    tower.act(standing[0], "acknowledge", actor="anna")
    tower.act(standing[1], "comment", actor="bruno", note="called them: è vero")
    tower.act(standing[2], "resolve", actor="anna", note="not ours")
    tower.decide(review[0], "accept", actor="anna")


def _save(database: Database, revision: str, folder: Path, now: datetime) -> Path:
    file = folder / f"{revision}.zip"
    if revision != HEAD:
        with database.begin() as conn:
            command.downgrade(migration_config(conn), revision)
    backup.back_up(database, file, now)
    with database.read() as conn:
        rows = expected(conn)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("expected.json", json.dumps(rows, ensure_ascii=False))
    file.chmod(0o644)
    return file


if __name__ == "__main__":
    missing = [revision for revision in revisions() if not (FOLDER / f"{revision}.zip").exists()]
    if not missing:
        raise SystemExit(f"each revision has its fixture in {FOLDER}")
    with tempfile.TemporaryDirectory() as name:
        print(*write(FOLDER, Path(name), missing), sep="\n")
