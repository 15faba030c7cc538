"""A company's year, lived through under one hash seed and time zone, and replayed under another: byte for byte.

    python tests/faults/replay_campaign.py --events 100000          # the whole figure, about half an hour
    python tests/faults/replay_campaign.py --events 2000 --twice    # also lived twice, and the two compared

The year goes in as it does in life: first a part as history that is imported, then batch by batch, with events that
come late (up to seven days), twice or more, and in disorder, while a simulated clock goes on. Meanwhile the clock
ticks, people act on alerts and decide on proposals, records go through gates, enrichment proposes values, detectors
raise signals, and the rulebook is changed in the middle and changed back later.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build, enrichment
from watchtower.contract import Event
from watchtower.errors import InputError, Missing
from watchtower.flow.company import generate
from watchtower.logs import configure
from watchtower.rulebook import DEFAULT, load
from watchtower.settings import Settings
from watchtower.store import embedded
from watchtower.store.database import migrate, open_database

START, END = datetime(2025, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
AN_ACCOUNT = 85
"""Events that an account's year holds at the least, on average."""
FIRST = {"PYTHONHASHSEED": "1", "TZ": "UTC"}
SECOND = {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu"}
SIZES = (1, 2, 5, 20, 100, 200)
"""Events of a batch; a short run takes small ones only, so that as much happens between them."""
PEOPLE = ("anna", "bruno", "chiara")


def arrivals(count: int, seed: int) -> list[tuple[datetime, Event]]:
    """`count` arrivals in order: each event, when it comes; late ones up to seven days, repeats up to five times."""
    rng = Random(f"{seed}/arrivals")
    year = generate(seed, accounts=max(20, count // AN_ACCOUNT), start=START, end=END)
    once = {(event.source, event.id): event for event in year.events}
    found: list[tuple[datetime, int, Event]] = []
    for number, event in enumerate(sorted(once.values(), key=lambda e: (e.time, e.source, e.id))):
        roll = rng.random()
        delay = rng.uniform(0, 7 * 86400) if roll < 0.03 else rng.uniform(0, 7200 if roll < 0.15 else 60)
        at = event.time + timedelta(seconds=delay)
        found.append((at, number, event))
        if rng.random() < 0.03:
            repeats = rng.randrange(1, 6)
            found += [(at + timedelta(seconds=rng.uniform(0, 86400)), number, event) for _ in range(repeats)]
    found.sort(key=lambda arrival: arrival[:2])
    if len(found) < count:
        raise SystemExit(f"the company has {len(found)} arrivals only; raise AN_ACCOUNT")
    # All accounts, for a shorter time: what a year leaves out is its end.
    return [(at, event) for at, _, event in found[:count]]


class Life:
    """A tower in use, under a clock of its own. Everything in it follows from the seed."""

    def __init__(self, tower: Tower, rng: Random, clock: list[datetime], folder: Path) -> None:
        self.tower, self.rng, self.clock, self.folder = tower, rng, clock, folder
        self.counts: Counter[str] = Counter()

    def live(self, coming: list[tuple[datetime, Event]], worker: Any) -> None:
        tower, rng = self.tower, self.rng
        history = len(coming) // 10
        with tower.importing():
            for start, end in pairwise([*range(0, history, 1500), history]):
                self._take(coming[start:end])
        position, middle, later = history, len(coming) // 2, 3 * len(coming) // 4
        looked, sizes = position, SIZES if len(coming) > 20_000 else SIZES[2:5]
        first = tower.rulebook.version
        while position < len(coming):
            size = rng.choice(sizes)
            self._take(coming[position : position + size])
            before, position = position, position + size
            if rng.random() < 0.3:
                self.counts["ticks"] += 1
                tower.tick()
            if rng.random() < 0.5:
                self._act()
            if rng.random() < 0.2:
                self._cross()
            if rng.random() < 0.06:
                self.counts["proposals"] += tower.enrich(worker, limit=3).proposals
            if rng.random() < 0.15:
                self._review()
            if position - looked > len(coming) // 4:
                looked = position
                self.counts["signals"] += sum(done.raised for done in tower.detect())
            if before < middle <= position:
                tower.activate(load(changed_rulebook(self.folder)), by="anna", note="less patience")
            if before < later <= position:
                tower.roll_back(first, by="bruno", note="too many alerts")
        self.clock[0] = max(self.clock[0], END) + timedelta(days=30)
        tower.tick()

    def _take(self, coming: list[tuple[datetime, Event]]) -> None:
        self.clock[0] = max(self.clock[0], coming[-1][0])
        for verdict in self.tower.take_events([event for _, event in coming], origin="campaign"):
            self.counts[verdict.status] += 1

    def _pick(self, sql: str) -> tuple[Any, ...] | None:
        with self.tower.database.read() as conn:
            found = conn.execute(text(sql)).all()
        return tuple(self.rng.choice(found)) if found else None

    def _act(self) -> None:
        picked = self._pick("select id from alert where status <> 'resolved' order by id collate \"C\"")
        if picked is None:
            return
        verb = self.rng.choice(("acknowledge", "snooze", "resolve", "assign", "comment"))
        self.counts["acts"] += 1
        self.tower.act(
            picked[0], verb, actor=self.rng.choice(PEOPLE), note=self.rng.choice(("", "seen", "è così")) or verb,
            until=self.clock[0] + timedelta(hours=self.rng.randrange(1, 200)) if verb == "snooze" else None,
            assignee=self.rng.choice(PEOPLE) if verb == "assign" else None,
        )  # fmt: skip

    def _review(self) -> None:
        picked = self._pick("select id from proposal where status = 'review' order by id collate \"C\"")
        if picked is not None:
            self.counts["verdicts"] += 1
            self.tower.decide(
                picked[0], self.rng.choice(("accept", "reject")), actor=self.rng.choice(PEOPLE), note="checked"
            )

    def _cross(self) -> None:
        picked = self._pick(
            "select id from record where object = 'opportunity' and deleted_at is null order by id collate \"C\""
        )
        if picked is None:
            return
        stage = self.rng.choice(self.tower.rulebook.objects["opportunity"].fields["stage"].values)
        try:
            done = self.tower.cross(f"opportunity/{picked[0]}", fields={"stage": stage}, actor=self.rng.choice(PEOPLE))
        except (InputError, Missing):
            self.counts["crossings in vain"] += 1
        else:
            self.counts[f"crossings {done.outcome}"] += 1


def changed_rulebook(folder: Path) -> Path:
    """The default rulebook with another deadline, a rule that is told where it was silent, and one rule fewer."""
    path = folder / "changed"
    shutil.copytree(DEFAULT, path, dirs_exist_ok=True)
    lead, routing = path / "lead.yaml", path / "routing.yaml"
    words = lead.read_text(encoding="utf-8").replace("interval '4 hours'", "interval '2 hours'")
    words = words.replace("  - id: mql_without_account\n", "  - id: qualified_without_account\n")
    lead.write_text(words.replace("T11:59:59Z", "T09:59:59Z"), encoding="utf-8")
    routing.write_text(routing.read_text(encoding="utf-8").replace("    mode: shadow\n", "", 1), encoding="utf-8")
    return path


def lived(url: str, events: int, seed: int, folder: Path) -> dict[str, int]:
    """Live through it, in this process. How often what was done."""
    clock = [START]
    # Answers are taken up at the end of a run, and not when a second has passed that no clock of ours counts.
    enrichment.TAKE_EVERY = inf
    settings = Settings(data=folder, database_url=SecretStr(url))
    with build(settings, rulebook=DEFAULT, clock=lambda: clock[0]) as tower, tower.worker(use_model=False) as worker:
        life = Life(tower, Random(f"{seed}/life"), clock, folder)
        life.live(arrivals(events, seed), worker)
    return dict(sorted(life.counts.items()))


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
    return kept | more


def child(*arguments: object, **env: str) -> dict[str, Any]:
    """What another process says, as JSON; its errors go to standard error."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment(**env), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"{arguments}: exit code {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def live_in_child(url: str, events: int, seed: int, folder: Path, env: dict[str, str]) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    return child(
        __file__, "--events", events, "--seed", seed, "--live", url, "--folder", folder, **env
    )  # fmt: skip


def replay_in_child(url: str, folder: Path, env: dict[str, str]) -> dict[str, Any]:
    return child(
        "-m", "watchtower.cli.main", "replay", "--verify", "--json", "--dump", folder, "--data", folder,
        DATABASE_URL=url, **env,
    )  # fmt: skip


SEALED = re.compile(rb"sealed:1:[^\"]*")
"""What is personal is sealed under a key drawn at random in each life."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: SEALED.sub(b"sealed", path.read_bytes()) for path in sorted(folder.glob("*.jsonl"))}


def journal_of(url: str) -> Iterator[tuple[Any, ...]]:
    """Every entry, but for the numbers of the transactions, which the server counts, and for what is sealed."""
    database = open_database(url)
    with database.read() as conn:
        yield from map(tuple, conn.execute(text(
            "select seq, source, id, type, object, record, time, received_at, layer, "
            "regexp_replace(data::text, 'sealed:1:[^\"]*', 'sealed', 'g'), "
            "case when data::text not like '%sealed:1:%' then body_hash end "
            "from journal order by seq"
        )))  # fmt: skip
    database.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--twice", action="store_true", help="live through it twice, and compare the journals too")
    parser.add_argument("--live", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.live:
        configure()  # the log goes to standard error
        print(json.dumps(lived(options.live, options.events, options.seed, options.folder)))
        return 0
    with tempfile.TemporaryDirectory(prefix="watchtower-replay-") as name:
        folder = Path(name)
        with embedded.start(folder / "server") as server:
            return campaign(server.url, folder, options)


def campaign(url: str, folder: Path, options: argparse.Namespace) -> int:
    database = open_database(url)
    migrate(database)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("alter system set fsync = off"))
        conn.execute(text("select pg_reload_conf()"))
        conn.execute(text("create database second"))
    database.close()
    again = url.replace("@/watchtower?", "@/second?")
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        life = pool.submit(live_in_child, url, options.events, options.seed, folder / "a", FIRST)
        if options.twice:
            other_life = pool.submit(live_in_child, again, options.events, options.seed, folder / "b", SECOND)
        counts = life.result()
    print(f"lived in {time.perf_counter() - began:.0f} s: {counts}", flush=True)
    began = time.perf_counter()
    found = replay_in_child(url, folder / "x", SECOND)
    print(
        f"replayed in {time.perf_counter() - began:.0f} s: {found['entries']} entries, {found['transactions']} "
        f"transactions, {found['decisions']} decisions made again, {found['different']} different"
    )
    for difference in found["differences"]:
        print(difference)
    print({table: digest["rows"] for table, digest in found["tables"].items()})
    bad = found["different"]
    if options.twice:
        assert other_life.result() == counts
        other = replay_in_child(again, folder / "y", FIRST)
        same = files(folder / "x") == files(folder / "y")
        lives = [list(journal_of(url)), list(journal_of(again))]
        entries = lives[0] == lives[1]
        for one, two in [pair for pair in zip(*lives, strict=False) if pair[0] != pair[1]][:3]:
            print(f"differ:\n  {one}\n  {two}")
        print(f"lived twice: journals {'equal' if entries else 'DIFFER'}, rebuilt rows {'equal' if same else 'DIFFER'}")
        bad += other["different"] + (not same) + (not entries)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
