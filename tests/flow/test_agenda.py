"""The one look at what there is to do: it says so where a tick then does it, and is silent where it does nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text
from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.contract import Event
from watchtower.flow.settle import ladder
from watchtower.store import agenda, journal, turns
from watchtower.store.agenda import Agenda
from watchtower.store.database import Database
from watchtower.store.direct import ask, piped

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
objects:
  lead:
    fields: {stage: {type: enum, values: [mql, sql]}, at: {type: timestamp}}
queues:
  sales: {ladder: [{after: 5 hours, to: director}]}
rules:
  - {id: waits, object: lead, when: "stage = 'mql' and at < now() - interval '3 hours'", queue: sales, owner: rep}
"""


def look(tower: Tower) -> Agenda:
    with tower.database.begin() as conn:
        journal.wait(conn)
        return agenda.look(conn, tower.clock(), ladder(tower._engine.program.book))


def quiet(found: Agenda) -> bool:
    return not (found.importing or found.due or found.ended or found.waking or found.climbing or found.held)


def said(tower: Tower, stage: str) -> None:
    now = tower.clock()
    data = {"fields": {"stage": stage, "at": now.isoformat()}}
    tower.take_events([Event(id=stage, source="crm", type="record.updated", subject="lead/L", time=now, data=data)])


def verbs(tower: Tower) -> list[str]:
    with tower.database.read() as conn:
        return list(conn.execute(text("select verb from action order by seq")).scalars())


def test_each_thing_to_do_is_seen_when_its_time_has_come_and_not_before(tower: Tower, clock: Clock) -> None:
    clock.now = START
    said(tower, "mql")
    assert quiet(look(tower))
    clock.now = START + 3 * HOUR
    tower.tick()
    assert quiet(look(tower))
    clock.now = START + 3 * HOUR + timedelta(microseconds=1)
    found = look(tower)
    assert (found.due, found.ended, found.waking, found.climbing) == (True, False, False, False)
    with tower.database.read() as conn:
        assert found.seq == journal.last_seq(conn)
    assert tower.tick().opened == 1
    assert quiet(look(tower))
    with tower.database.read() as conn:
        alert = conn.execute(text("select id from alert")).scalar_one()
    tower.act(alert, "snooze", actor="ann", until=clock.now + HOUR)
    assert quiet(look(tower))
    clock.now += HOUR
    found = look(tower)
    assert (found.due, found.ended, found.waking, found.climbing) == (False, False, True, False)
    tower.tick()
    assert quiet(look(tower))
    clock.now += 4 * HOUR
    found = look(tower)
    assert (found.due, found.ended, found.waking, found.climbing) == (False, False, False, True)
    tower.tick()
    assert quiet(look(tower))
    said(tower, "sql")
    assert quiet(look(tower))
    assert verbs(tower) == ["opened", "snooze", "woken", "escalated", "resolved"]


def test_an_import_is_seen_and_what_waits_meanwhile_stays_to_do(tower: Tower, clock: Clock) -> None:
    clock.now = START
    said(tower, "mql")
    clock.now = START + 4 * HOUR
    with turns.importing(tower.database):
        found = look(tower)
        assert found.importing and found.due
        assert tower.tick().opened == 0
    assert not look(tower).importing
    assert tower.tick().opened == 1


def test_who_only_asks_whether_history_is_imported_is_not_taken_for_an_importer(tower: Tower, clock: Clock) -> None:
    """As the transaction before does, for a moment, while it lets its locks go one by one."""
    clock.now = START
    said(tower, "mql")
    clock.now = START + 4 * HOUR
    with tower.database.begin() as conn:
        assert not turns.import_under_way(conn)
        assert not look(tower).importing
        assert tower.tick().opened == 1


def test_statements_sent_together_answer_in_their_order_and_fail_as_one(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("create table told (n int primary key)"))
        with piped(conn) as send:
            first = send(text("insert into told values (:n) returning n"), {"n": 1})
            then = send(text("select count(*) from told"), {})
            last = send("select %(n)s::int + 1", {"n": 1})
        assert (first.fetchall(), then.fetchall(), last.fetchall()) == ([(1,)], [(1,)], [(2,)])
        assert ask(conn, text("select n from told where n = :n"), {"n": 1}).fetchone() == (1,)
    with pytest.raises(psycopg.errors.UniqueViolation), database.begin() as conn, piped(conn) as send:
        send(text("insert into told values (:n)"), {"n": 2})
        send(text("insert into told values (:n)"), {"n": 1})
        send(text("insert into told values (:n)"), {"n": 3})
    with database.read() as conn:
        assert list(conn.execute(text("select n from told")).scalars()) == [1]


def test_a_connection_that_is_cut_between_two_statements_is_not_used_again(database: Database) -> None:
    with pytest.raises(Exception, match="connection|terminat"), database.begin() as conn:
        mine = ask(conn, text("select pg_backend_pid()"), {}).fetchone()[0]
        with database.begin() as other:
            other.execute(text("select pg_terminate_backend(:mine)"), {"mine": mine})
        with piped(conn) as send:
            send(text("select 1"), {})
    for _ in range(6):
        with database.begin() as conn:
            assert ask(conn, text("select 1"), {}).fetchone() == (1,)
