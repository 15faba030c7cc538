"""Backups taken while events come in: each, restored, is a prefix of the journal, and what follows from it.

    python tests/faults/backup_campaign.py --count 20

Four threads send events while the clock ticks. Each backup is restored into a database of its own. Its journal must be
a prefix of the final one, row by row; its records must be what that prefix folds to; every span that is told must have
its alert; and the tower must go on from it: the rest of the events, sent again in full, must lead to the same records.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.flow.apply import Engine
from watchtower.flow.streams import folded
from watchtower.rules.fold import Record
from watchtower.settings import Settings
from watchtower.store import backup, embedded, journal
from watchtower.store.database import Database, open_database

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = START + timedelta(days=30)
BOOK = """
name: backup
timezone: Europe/Rome
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sal, sql]}
      mql_at: {type: timestamp}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
rules:
  - {id: waiting, object: lead, owner: sales, when: "stage = 'mql' and mql_at <= now() - interval '48 hours'"}
"""
JOURNAL = "select seq, source, id, type, object, record, time, received_at, data, body_hash, layer from journal"
_numbers = count(1)


@dataclass
class Report:
    """What the campaign found. `wrong` is empty where all is as promised."""

    backups: int = 0
    entries: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def demand(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)


@contextmanager
def fresh(server: embedded.EmbeddedServer) -> Iterator[str]:
    """The address of an empty database."""
    name = f"backup_{next(_numbers)}"
    with psycopg.connect(server.url.replace("@/watchtower?", "@/postgres?"), autocommit=True) as conn:
        conn.execute(f"create database {name} template template0")
        try:
            yield server.url.replace("@/watchtower?", f"@/{name}?")
        finally:
            conn.execute(f"drop database {name} with (force)")


def tower_of(url: str, folder: Path) -> Tower:
    (folder / "rules.yaml").write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(url))
    return build(settings, rulebook=folder / "rules.yaml", clock=lambda: NOW)


def event(id: str, draw: random.Random) -> dict[str, Any]:
    at = START + timedelta(minutes=draw.randrange(40_000))
    return {
        "specversion": "1.0", "id": id, "source": "crm", "type": "record.updated",
        "subject": f"lead/L-{draw.randrange(300)}", "time": format_time(at),
        "data": {"fields": {"stage": draw.choice(("raw", "mql", "sal", "sql")), "mql_at": format_time(at)}},
    }  # fmt: skip


def campaign(server: embedded.EmbeddedServer, folder: Path, *, backups: int, seed: int = 1) -> Report:
    """Take `backups` backups under load, then try each."""
    report, stop = Report(), threading.Event()
    sent: list[dict[str, Any]] = []
    faults: list[BaseException] = []
    with fresh(server) as url, tower_of(url, folder) as tower:

        def send(who: int) -> None:
            draw = random.Random(seed * 100 + who)
            try:
                for number in count():
                    if stop.is_set():
                        return
                    batch = [event(f"{who}.{number}.{n}", draw) for n in range(draw.randrange(1, 20))]
                    tower.take(batch)
                    sent.extend(batch)
            except BaseException as error:  # noqa: BLE001 - told in the report
                faults.append(error)

        threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        files = []
        try:
            for number in range(backups):
                time.sleep(0.2)
                files.append(folder / f"backup{number}.zip")
                began = time.perf_counter()
                backup.back_up(tower.database, files[-1], NOW)
                report.seconds.append(time.perf_counter() - began)
                if number % 3 == 0:
                    tower.tick()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        report.demand(not faults, f"a sender failed: {faults}")
        with tower.database.read() as conn:
            final = [tuple(row) for row in conn.exec_driver_sql(f"{JOURNAL} order by seq")]
        final_state = _states(tower.database)
        for file in files:
            _try(server, folder, file, final, final_state, sent, report)
    return report


def _try(
    server: embedded.EmbeddedServer,
    folder: Path,
    file: Path,
    final: list[tuple[Any, ...]],
    final_state: dict[str, Any],
    sent: list[dict[str, Any]],
    report: Report,
) -> None:
    report.backups += 1
    with fresh(server) as url:
        database = open_database(url)
        manifest = backup.restore(database, file, NOW)
        with database.read() as conn:
            mine = [tuple(row) for row in conn.exec_driver_sql(f"{JOURNAL} order by seq")]
            told = conn.exec_driver_sql(
                "select count(*) from span s where s.opened and s.state = 'holds' and not exists "
                "(select 1 from alert a where (a.rule, a.object, a.record, a.since) = "
                "(s.rule, s.object, s.record, s.since))"
            ).scalar_one()
        database.close()
        report.entries.append(len(mine))
        report.demand(bool(mine) and mine == final[: len(mine)], f"{file.name}: the journal is no prefix")
        report.demand(manifest.last_seq == (mine[-1][0] if mine else 0), f"{file.name}: the manifest's last number")
        report.demand(told == 0, f"{file.name}: {told} told spans have no alert")
        with tower_of(url, folder) as tower:
            report.demand(_states(tower.database) == _folded(tower), f"{file.name}: records are not the journal's")
            for at in range(0, len(sent), 1000):
                tower.take(sent[at : at + 1000])
            report.demand(_states(tower.database) == final_state, f"{file.name}: going on leads elsewhere")


def _states(database: Database) -> dict[str, Any]:
    """Records by id, as JSON values, where events of one instant may have come in another order: without those."""
    with database.read() as conn:
        rows = conn.exec_driver_sql(
            "select id, state from record r where not exists (select 1 from journal j join journal k on "
            "k.object = j.object and k.record = j.record and k.time = j.time and k.seq <> j.seq "
            "where j.object = r.object and j.record = r.id and j.layer = 'core' and k.layer = 'core')"
        )
        return {row.id: row.state for row in rows}


def _folded(tower: Tower) -> dict[str, Any]:
    """The records that the journal folds to, among those that `_states` shows."""
    engine = Engine.of(tower.program)
    shown = _states(tower.database)
    found: dict[str, Any] = {}
    with tower.database.read() as conn:
        for _, entry, layer in journal.events_of(conn, "lead", sorted(shown)):
            if folded(entry.type, layer):
                record = found.setdefault(entry.record_id, Record())
                engine.folds["lead"].apply(record, entry)
    return {id: record.state for id, record in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="backups")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, embedded.start(Path(name) / "data") as server:
        report = campaign(server, Path(name), backups=options.count, seed=options.seed)
    print(f"{report.backups} backups under load, of {min(report.entries)} to {max(report.entries)} journal entries")
    print(f"each took {min(report.seconds):.2f} to {max(report.seconds):.2f} s")
    for line in report.wrong[:20]:
        print(f"WRONG {line}")
    print("each is a prefix of the journal" if not report.wrong else f"{len(report.wrong)} faults")
    raise SystemExit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
