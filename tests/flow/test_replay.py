"""Replay: what the journal says is made again byte for byte; what was changed behind its back is named."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import wt
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import Event, Evidence, FieldRequest, Proposal, Signal
from watchtower.errors import InputError
from watchtower.flow import work
from watchtower.rulebook import load
from watchtower.settings import Settings
from watchtower.store import scratch
from watchtower.store.schema import metadata
from watchtower.store.work import StoredRequest

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: replayed
timezone: Europe/Rome
objects:
  account:
    fields:
      employees: {type: integer, min: 1, fill: enrichment}
  lead:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql, sql]}
      mql_at: {type: timestamp}
      calls: {type: integer, rollup: {count: "*", of: activity.logged}}
lifecycles:
  lead:
    object: lead
    field: stage
    starts: [raw]
    owner: sales
    states:
      raw: {next: [mql]}
      mql: {next: [sql], leave: {when: calls > 0, to: [sql]}}
      sql: {final: true}
rules:
  - {id: waiting, object: lead, when: "stage = 'mql' and mql_at <= now() - interval '48 hours'", severity: high}
  - {id: lasting, object: lead, when: "stage = 'mql'", for: 2 hours}
  - {id: watched, object: lead, when: "stage = 'mql'", mode: shadow}
  - {id: small, object: account, when: employees < 10}
  - {id: small_lead, object: lead, when: account.employees < 10}
signals:
  stuck: {detector: stage_dwell, object: lead, field: stage}
acceptance:
  account.employees: {accept_at: 0.9, review_at: 0.5}
"""
TEXT = "Acme makes bolts. It has 7 employees in Turin."


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


class Says:
    """A worker that answers every request alike."""

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        at = TEXT.index("7 employees")
        evidence = Evidence(document="d1", quote="7 employees", start=at, end=at + 11)
        return [
            Proposal(request=r.id, field="employees", value=7, confidence=self.confidence, method="pattern",
                     evidence=(evidence,))
            for r in requests
        ]  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "rules.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=clock) as built:
        yield built


def lived(tower: Tower, clock: Clock, folder: Path) -> None:
    """A few days in which each kind of decision is made at least once."""
    numbers = iter(range(1000))

    def say(subject: str, *, hours: float = 0, kind: str = "record.updated", **data: Any) -> None:
        given = {"fields": data} if kind == "record.updated" else data
        at = clock.now + timedelta(hours=hours)
        tower.take_events(
            [Event(id=f"e{next(numbers)}", source="crm", type=kind, subject=subject, time=at, data=given)]
        )

    with tower.importing():
        for n in range(4):
            say(f"account/A{n}", hours=-100)
            say(f"lead/L{n}", hours=-99, account=f"A{n}", stage="mql", mql_at="2026-02-27T06:00:00Z")
    for n in range(3):
        say(f"account/A{n}", kind="document.added", document="d1", text=TEXT)
    clock.now += HOUR
    tower.enrich(Says(0.95), only=frozenset({"account/A0"}))
    tower.enrich(Says(0.6), only=frozenset({"account/A1", "account/A2"}))
    waiting = rows(tower, "select id from proposal where status = 'review' order by id")
    tower.decide(waiting[0][0], "accept", actor="ann")
    tower.decide(waiting[1][0], "reject", actor="bob", note="not so")
    first, second, third, fourth = (
        id_ for (id_,) in rows(tower, "select id from alert where rule = 'waiting' order by record")
    )
    clock.now += HOUR
    tower.act(first, "acknowledge", actor="ann")
    tower.act(first, "comment", actor="bob", note="on it")
    tower.act(second, "snooze", actor="ann", until=clock.now + HOUR)
    tower.act(second, "assign", actor="ann", assignee="bob")
    tower.act(third, "resolve", actor="ann", note="a test lead")
    clock.now += 2 * HOUR
    assert tower.tick().opened == 0
    assert rows(tower, f"select status from alert where id = '{second}'") == [("open",)], "it woke, though assigned"
    assert tower.cross("lead/L3", fields={"stage": "sql"}, actor="ann").outcome == "refused"
    say("lead/L3", kind="activity.logged", why="call")
    assert tower.cross("lead/L3", fields={"stage": "sql"}, actor="ann").outcome == "moved"
    say("lead/L2", hours=-1, stage="sql")
    say("lead/L0", hours=-90, stage="raw")  # late news: what was told is withdrawn
    for at in (clock.now, clock.now + HOUR):
        clock.now = at
        look = StoredRequest(
            id=f"dq_{at:%H}", kind="signal", object="lead", record="", fields=["stuck"], because=[], asked_at=at
        )
        raised = [stuck(look.id, "lead/L1", at)] if at == START + 4 * HOUR else []
        with tower._write() as conn:
            work.take_signals(conn, tower._engine, look, raised, at)
    (folder / "next.yaml").write_text(BOOK.replace("48 hours", "72 hours").replace("small_lead", "tiny_lead"))
    tower.activate(load(folder / "next.yaml"), by="ann", note="more time")
    say("lead/L5", stage="mql", mql_at="2026-03-02T09:00:00Z")
    clock.now += 80 * HOUR
    tower.tick()
    tower.act(fourth, "comment", actor="cleo", note="moved since")


def stuck(request: str, subject: str, at: datetime) -> Signal:
    return Signal(
        request=request, signal="stuck", subject=subject, detector="stage_dwell", version="1", p_value=0.001,
        strength=3.0, unit="days", direction="up", explanation="long", began_at=at - HOUR, window_from=at - HOUR,
        window_to=at,
    )  # fmt: skip


def rows(tower: Tower, sql: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def test_all_that_was_decided_is_made_again(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    lived(tower, clock, tmp_path)
    kinds = {kind for (kind,) in rows(tower, "select distinct type from journal where layer = 'decision'")}
    assert kinds == {
        "alert.acknowledged", "alert.assigned", "alert.commented", "alert.corrected", "alert.opened", "alert.resolved",
        "alert.snoozed", "alert.woken", "clock.held", "field.accepted", "field.rejected", "field.requested",
        "field.reviewed", "rulebook.activated", "signal.admitted", "signal.requested", "transition.refused",
    }  # fmt: skip
    done = tower.replay()
    assert (list(map(str, done.differences)), done.different, done.lacks) == ([], 0, [])
    assert done.entries == rows(tower, "select count(*) from journal")[0][0]
    assert {name: digest.rows for name, digest in done.tables.items()} == {
        name: rows(tower, f"select count(*) from {name}")[0][0] for name in scratch.REBUILT
    }
    merging = ("merge", "merge_proposal")  # they have replays of their own: test_merged_records
    assert min(digest.rows for name, digest in done.tables.items() if name not in merging) > 0


CHANGES = {
    "a byte of an alert": ("alert", "rule = 'waiting' and record = 'L0'", "because = because || '.'", "alert al_"),
    "a value of a record": (
        "record", "id = 'L1'", "state = state || '{\"stage\": \"raw\"}'", "record lead/L1: state is"
    ),
    "who set a field": ("record", "id = 'L3'", "provenance = '{}'", "record lead/L3: provenance is"),
    "the end of a version": ("version", "id = 'L3' and valid_to is null", "valid_to = now()", "version lead/L3/2026"),
    "a mark on a span": (
        "span", "rule = 'small' and record = 'A0' and state = 'holds'", "opened = not opened",
        "span small/account/A0/holds",
    ),
    "a mark nobody was told of": (
        "span", "rule = 'watched' and record = 'L5' and state = 'holds'", "opened = not opened",
        "span watched/lead/L5/holds",
    ),
    "a line of history": ("action", "note = 'on it'", "note = 'off it'", "note is off it, replayed: on it"),
    "a proposal's verdict": (
        "proposal", "status = 'rejected'", "status = 'refused'", "status is refused, replayed: rejected"
    ),
    "when a request was answered": (
        "request", "kind = 'fields' and record = 'A1'", "answered_at = null", "request rq_"
    ),
    "what a document says": ("document", "record = 'A2'", "text = text || ' '", "document account/A2/d1: text is"),
    "a signal": ("signal", "true", "data = data || '{\"strength\": 4}'", "signal sg_"),
    "who put a rulebook in force": ("activation", "by = 'ann'", "by = 'bob'", "activation 00000002: by is bob"),
    "a word of a decision": (
        "journal", "type = 'alert.opened' and record = 'L1' and data ->> 'rule' = 'lasting'",
        "data = data || '{\"owner\": \"nobody\"}'", "data is",
    ),
    "when a decision was made": (
        "journal", "type = 'alert.woken'", "received_at = received_at + interval '1 microsecond'", "alert.woken",
    ),
    "a word of an event that nobody reads": (
        "journal", "type = 'activity.logged'", "data = data || '{\"why\": \"mail\"}'", "body_hash is"
    ),
    "what a person did": ("journal", "type = 'alert.resolved' and source = 'person:ann'", "", "alert.resolved"),
    "a decision": (
        "journal", "type = 'alert.opened' and record = 'L2' and data ->> 'rule' = 'waiting'", "", "alert.opened"
    ),
    "an event": ("journal", "type = 'record.updated' and record = 'L5'", "", "record lead/L5: {"),
    "what a worker said": ("journal", "type = 'signal.raised'", "", "signal.admitted"),
    "a rule of the past": (
        "rulebook", "content::text like '%48 hours%'",
        "content = replace(content::text, '48 hours', '47 hours')::jsonb", "its content is that of",
    ),
}  # fmt: skip
"""What is changed in a table, where, how (nothing: the row is taken away), and what the replay says of it."""


@contextmanager
def changed(tower: Tower, table: str, where: str, how: str) -> Iterator[None]:
    """One row is not what it was; in the end it is again."""
    with tower.database.begin() as conn:
        conn.execute(text("set local session_replication_role = replica"))
        conn.execute(text(f"create table kept as select * from {table} where {where}"))
        done = f"update {table} set {how} where {where}" if how else f"delete from {table} where {where}"
        assert conn.execute(text(done)).rowcount == 1
    yield
    with tower.database.begin() as conn:
        conn.execute(text("set local session_replication_role = replica"))
        keys = [column.name for column in metadata.tables[table].primary_key.columns]
        same = " and ".join(f"t.{key} = kept.{key}" for key in keys)
        conn.execute(text(f"delete from {table} t using kept where {same}"))
        conn.execute(text(f"insert into {table} overriding system value select * from kept"))
        conn.execute(text("drop table kept"))


def test_whatever_is_changed_behind_the_journals_back_is_named(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    lived(tower, clock, tmp_path)
    for name, (table, where, how, said) in CHANGES.items():
        with changed(tower, table, where, how):
            done = tower.replay()
            found = list(map(str, done.differences))
            assert any(said in line for line in found), (name, found)
            assert done.different >= len(found) > 0
    assert tower.replay().different == 0


def test_a_replay_stops_where_it_is_told_and_shows_what_was_so_then(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    lived(tower, clock, tmp_path)
    [(seq,)] = rows(tower, "select min(seq) from journal where type = 'alert.acknowledged'")
    done = tower.replay(until=seq, dump=tmp_path / "then")
    assert (done.until, done.different) == (seq, 0)
    alerts = [json.loads(line) for line in (tmp_path / "then" / "alert.jsonl").read_text().splitlines()]
    assert {(a["record"], a["status"]) for a in alerts if a["rule"] == "waiting"} == {
        ("L0", "acknowledged"), ("L1", "open"), ("L2", "open"), ("L3", "open"),
    }  # fmt: skip
    with pytest.raises(InputError, match="--until: 0 is no entry's number"):
        tower.replay(until=0)


def test_a_journal_that_does_not_say_what_was_written_together_is_told_by_its_times(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    lived(tower, clock, tmp_path)
    with tower.database.begin() as conn:
        conn.execute(text("update journal set txn = null where seq <= 3"))
        conn.execute(text("delete from journal where type = 'alert.commented'"))
    done = tower.replay()
    assert [words.partition(":")[0] for words in done.lacks] == [
        "entries up to 3 do not say which were written together",
        "2 acts of people on alerts were not journalled",
    ]
    assert "action" in {difference.place for difference in done.differences}


def test_the_tower_goes_on_while_it_is_replayed_and_nothing_is_left_behind(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    lived(tower, clock, tmp_path)
    last = rows(tower, "select max(seq) from journal")[0][0]
    told: list[str] = []

    def meanwhile(seq: int, stop: int) -> None:
        event = Event(
            id=f"m{seq}", source="crm", type="record.updated", subject=f"lead/M{seq}", time=START,
            data={"fields": {"stage": "mql"}},
        )  # fmt: skip
        told.append(tower.take_events([event])[0].status)

    before = rows(tower, "select nspname from pg_namespace where nspname !~ '^pg_' order by 1")
    done = tower.replay(progress=meanwhile)
    assert (done.until, done.different) == (last, 0)
    assert set(told) == {"accepted"} and len(told) == done.transactions
    assert rows(tower, "select nspname from pg_namespace where nspname !~ '^pg_' order by 1") == before
    again = tower.replay()
    assert (again.different, again.entries > done.entries + len(told)) == (0, True)
    # The server drops them as the connection ends, a moment after it was closed.
    deadline = time.monotonic() + 20
    while rows(tower, "select count(*) from pg_class where relpersistence = 't' and relkind = 'r'") != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_command_ends_with_1_where_something_differs(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    lived(tower, clock, tmp_path)
    url = tower.settings.database_url
    assert url is not None
    given = {"DATABASE_URL": url.get_secret_value(), "WATCHTOWER_DATA": str(tmp_path)}
    same = wt("replay", "--verify", **given)
    assert (same.code, same.out.splitlines()[-1]) == (0, "all the same, byte for byte")
    with changed(tower, *CHANGES["a byte of an alert"][:3]):
        told = wt("replay", "--verify", "--json", code=1, **given)
        found = told.json()
        assert (told.code, found["different"]) == (1, 1)
        assert found["differences"][0] | {"key": ""} == {
            "place": "alert", "key": "", "column": "because", "kept": ".", "replayed": "",
        }  # fmt: skip
