"""Answers of workers give way to whatever else is written, within a process and between processes, and get their turn
all the same."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from job_scene import BOOK, Clock, prepared
from pydantic import SecretStr
from sqlalchemy import event, text

from watchtower.bootstrap import Tower, build
from watchtower.flow.jobs import PATIENCE
from watchtower.settings import Settings
from watchtower.store import direct, jobs, journal
from watchtower.store.database import Connection, open_database
from watchtower.store.precedence import GaveWay, Precedence

_TEXTS = text("select r.id, d.text from request r join document d on d.object = r.object and d.record = r.record")
SOON = 30.0
"""Seconds that no step of these tests takes."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    (tmp_path / "book.yaml").write_text(BOOK)
    return Settings(data=tmp_path, database_url=SecretStr(database_url))


@pytest.fixture
def tower(settings: Settings) -> Iterator[Tower]:
    with build(settings, rulebook=settings.data / "book.yaml", clock=Clock()) as built:
        yield built


def answered(tower: Tower, *, confidence: float = 0.2) -> None:
    """Three requests have an answer that waits to be taken up; at 0.9 it is accepted, at 0.2 it goes to review."""
    prepared(tower, 3)
    tower.hand_down(detections=False)
    with tower.database.read() as conn:
        texts = dict(conn.execute(_TEXTS).all())
    with tower.desk.database.begin() as conn:
        for batch, request in conn.execute(text("select batch, request from asked")).all():
            quote = texts[request].removesuffix(".").partition(" is ")[2]
            at = texts[request].index(quote)
            proposal = {
                "request": request, "field": "chief", "value": quote.removeprefix("led by "), "method": "m",
                "confidence": confidence,
                "evidence": [{"document": "d1", "quote": quote, "start": at, "end": at + len(quote)}],
            }  # fmt: skip
            assert jobs.answer(conn, batch, request, [json.dumps({"proposals": [proposal]})])


def test_a_transaction_behind_is_rolled_back_at_its_next_statement_where_another_goes_first(tower: Tower) -> None:
    precedence = Precedence()
    with pytest.raises(GaveWay):
        with tower.database.begin() as conn, precedence.behind(conn, time.monotonic() + SOON):
            conn.execute(text("create table seen ()"))
            with precedence.first():
                conn.execute(text("select 1"))
    with tower.database.begin() as conn, precedence.behind(conn, time.monotonic() + SOON):
        assert conn.execute(text("select to_regclass('seen')")).scalar_one() is None


def test_statements_that_go_straight_to_the_driver_give_way_too(tower: Tower) -> None:
    precedence = Precedence()
    with tower.database.engine.connect() as conn:
        for send in (lambda: direct.ask(conn, text("select 1"), {}), lambda: direct.piped(conn).__enter__()):
            with pytest.raises(GaveWay), conn.begin(), precedence.behind(conn, time.monotonic() + SOON):
                with precedence.first():
                    send()
        with conn.begin():
            assert direct.ask(conn, text("select 1"), {}).fetchone() == (1,), "it is done with"


def test_the_last_look_is_before_the_commit(tower: Tower) -> None:
    precedence, first = Precedence(), ExitStack()
    with first, pytest.raises(GaveWay):
        with tower.database.begin() as conn, precedence.behind(conn, time.monotonic() + SOON):
            conn.execute(text("create table left_behind ()"))
            first.enter_context(precedence.first())
    with tower.database.read() as conn:
        assert conn.execute(text("select to_regclass('left_behind')")).scalar_one() is None


def test_it_gives_way_to_another_process_that_waits_for_the_journal(tower: Tower, database_url: str) -> None:
    other, got = open_database(database_url), threading.Event()

    def wait() -> None:
        with other.begin() as conn:
            journal.wait(conn)
            got.set()

    waiting = threading.Thread(target=wait)
    with pytest.raises(GaveWay):
        with tower.database.begin() as conn, Precedence().behind(conn, time.monotonic() + SOON):
            journal.wait(conn)
            waiting.start()
            while not got.is_set():
                conn.execute(text("select pg_sleep(0.001)"))
    assert got.wait(SOON)
    waiting.join()
    other.close()


def test_it_gives_way_no_longer_than_it_was_told(tower: Tower) -> None:
    precedence = Precedence()
    with precedence.first(), tower.database.begin() as conn, precedence.behind(conn, time.monotonic()):
        assert conn.execute(text("select 1")).scalar_one() == 1


def test_giving_way_forgets_no_statement_that_the_server_has_planned(tower: Tower) -> None:
    precedence = Precedence()

    def planned(conn: Connection) -> int:
        return int(conn.execute(text("select count(*) from pg_prepared_statements")).scalar_one())

    with tower.database.engine.connect() as conn:
        with conn.begin():
            for _ in range(10):
                conn.execute(text("select 2"))
            before = planned(conn)
        with pytest.raises(GaveWay), conn.begin(), precedence.behind(conn, time.monotonic() + SOON):
            with precedence.first():
                conn.execute(text("select 3"))
        with conn.begin():
            assert planned(conn) >= before > 0


def test_answers_are_decided_on_once_however_busy_the_others_are(tower: Tower) -> None:
    answered(tower)
    with tower._precedence.first():
        begun = time.monotonic()
        tally = tower.desk.collect()
    assert (tally.answers, tally.decided.review) == (3, 3)
    assert time.monotonic() - begun >= PATIENCE, "it did not give way at all"
    with tower.database.read() as conn:
        said = conn.execute(text("select count(*) from journal where type = 'field.answered'")).scalar_one()
    assert said == 3
    assert tower.desk.collect().answers == 0


def test_an_event_of_the_core_goes_before_answers_that_are_being_decided_on(tower: Tower) -> None:
    """The event comes while the journal's lock is held: it is through before the answers are."""
    answered(tower)
    order: list[str] = []
    inside = threading.Event()

    def slow(conn: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread().name == "collector" and "into proposal" in statement and not inside.is_set():
            inside.set()
            time.sleep(0.1)

    event.listen(tower.database.engine, "after_cursor_execute", slow)

    def collect() -> None:
        tower.desk.collect()
        order.append("answers")

    thread = threading.Thread(target=collect, name="collector")
    thread.start()
    assert inside.wait(SOON), "it never came to the proposals"
    prepared(tower, 4)
    order.append("event")
    thread.join()
    assert order == ["event", "answers"]


@pytest.mark.parametrize(("confidence", "accepted", "later"), [(0.2, 0, True), (0.9, 3, False)])
def test_only_what_nobody_is_told_of_does_not_wait_for_the_disk(
    tower: Tower, confidence: float, accepted: int, later: bool
) -> None:
    answered(tower, confidence=confidence)
    assert ("set local synchronous_commit = off" in statements(tower)) == later
    with tower.database.read() as conn:
        kept = conn.execute(text("select count(*) from proposal where status = 'accepted'")).scalar_one()
    assert kept == accepted


def test_where_the_jobs_database_may_be_elsewhere_each_decision_waits_for_the_disk(tower: Tower) -> None:
    answered(tower)
    given = tower.settings.model_copy(update={"jobs_url": SecretStr(tower.jobs_url)})
    with build(given, clock=tower.clock) as other:
        assert "set local synchronous_commit = off" not in statements(other)


def statements(tower: Tower) -> list[str]:
    """What is said to the core's database while answers are taken up."""
    found: list[str] = []

    def note(conn: Connection, cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(tower.database.engine, "before_cursor_execute", note)
    assert tower.desk.collect().answers == 3
    event.remove(tower.database.engine, "before_cursor_execute", note)
    return found


def test_an_answer_does_not_wait_for_the_disk(tower: Tower) -> None:
    prepared(tower, 1)
    tower.hand_down(detections=False)
    with tower.desk.database.begin() as conn:
        batch, request = conn.execute(text("select batch, request from asked")).one()
        assert conn.execute(text("show synchronous_commit")).scalar_one() == "on"
        assert jobs.answer(conn, batch, request, ["{}"])
        assert conn.execute(text("show synchronous_commit")).scalar_one() == "off"
    with tower.desk.database.begin() as conn:
        assert conn.execute(text("show synchronous_commit")).scalar_one() == "on"
