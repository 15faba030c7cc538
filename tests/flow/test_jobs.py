"""The jobs database between tower and workers: an answer is decided on once, and a fault costs only itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from job_scene import BOOK, Clock, name_of, prepared, waiting, worker
from llm_stub import model, text_of
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract import Document, Evidence, FieldRequest, FieldSpec, ModelStatus, Proposal, RecordSnapshot
from watchtower.contract.batch import ENRICHMENT, Answer, FieldBatch, signals_of
from watchtower.errors import InputError, StoreError
from watchtower.flow.jobs import PER_FIELD, batches_of, fitted
from watchtower.settings import Settings
from watchtower.store import jobs
from watchtower.store.database import open_database
from watchtower.store.ledger import Ledger
from watchtower.workers import Bench, run_until_empty


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url), llm_model="stub")
    with build(settings, rulebook=tmp_path / "book.yaml", clock=clock) as built:
        prepared(built, 5)
        yield built


class Reads:
    """A worker that reads who leads the company off the document, as a model would."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def status(self) -> ModelStatus:
        return ModelStatus(ready=True, name="stub", detail="")

    def propose(self, requests: list[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            self.seen.append(request.record.id)
            [document] = request.documents
            quote = document.text.removesuffix(".").partition(" is ")[2]
            at = document.text.index(quote)
            evidence = Evidence(document=document.id, quote=quote, start=at, end=at + len(quote))
            yield Proposal(
                request=request.id, field="chief", value=quote.removeprefix("led by "), confidence=0.9,
                evidence=(evidence,), method="model", model="stub",
            )  # fmt: skip


def work(tower: Tower, worker: Any, queue: str = ENRICHMENT) -> None:
    """Do what stands in a queue, as a worker process would."""
    run_until_empty(Bench(tower.desk.database, lambda blob, read: worker), tower.jobs_url, queue)


def rows(tower: Tower, statement: str) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(statement))]


def in_jobs(tower: Tower, statement: str) -> list[tuple[Any, ...]]:
    with tower.desk.database.begin() as conn:
        return [tuple(row) for row in conn.execute(text(statement))]


def test_what_is_asked_goes_down_and_what_is_answered_comes_up_once(tower: Tower) -> None:
    assert tower.hand_down() == 5
    assert tower.hand_down() == 0, "what waits is not asked again"
    work(tower, Reads())
    tally = tower.take_up()
    assert (tally.answers, tally.decided.accepted, tally.faults) == (5, 5, {})
    assert tower.take_up().answers == 0
    assert rows(tower, "select state ->> 'chief' from record where id = 'A1'") == [(f"Ann {name_of(1)}",)]
    assert in_jobs(tower, "select count(*) from batch") == [(0,)], "what is through is forgotten"
    assert in_jobs(tower, "select count(*) from procrastinate_jobs") == [(0,)]


def test_an_answer_that_was_decided_on_before_a_crash_is_not_decided_on_again(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower.hand_down()
    work(tower, Reads())
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "taken", lambda *_: (_ for _ in ()).throw(StoreError("killed between the two commits")))
        with pytest.raises(StoreError):
            tower.take_up()
    before = rows(tower, "select seq, source, id from journal order by seq")
    assert rows(tower, "select count(*) from proposal where status = 'accepted'") == [(5,)]
    tally = tower.take_up()
    assert (tally.answers, tally.decided.accepted) == (0, 0)
    assert rows(tower, "select seq, source, id from journal order by seq") == before
    assert waiting(tower) == 0


def test_a_request_that_kills_its_workers_is_given_up_and_the_others_are_answered(tower: Tower, clock: Clock) -> None:
    """Three workers die over the second record; only that one stays without an answer."""
    tower.hand_down()
    order = [row[0] for row in in_jobs(tower, "select request from asked order by place")]
    for life in range(jobs.DEATHS):
        with tower.desk.database.begin() as conn:
            conn.execute(text("update procrastinate_jobs set status = 'doing', worker_id = null"))
            if life == 0:
                batch = conn.execute(text("select id from batch")).scalar_one()
                assert jobs.answer(conn, batch, order[0], ["{}"])
        tower.take_up()
    tower.take_up()
    assert in_jobs(tower, "select count(*) from batch") == [(0,)]
    assert rows(tower, f"select answered_at is not null from request where id = '{order[1]}'") == [(True,)]
    assert rows(tower, "select count(*) from request where answered_at is not null") == [(2,)]
    clock.now += timedelta(hours=1)
    assert tower.hand_down() == 3, "those behind it are asked again"
    work(tower, Reads())
    assert tower.take_up().answers == 3


def test_a_worker_that_answers_before_it_dies_loses_nothing_to_its_death(tower: Tower) -> None:
    """A death with progress before it is no sign against the request at hand."""
    tower.hand_down()
    order = [row[0] for row in in_jobs(tower, "select request from asked order by place")]
    for life in range(jobs.DEATHS + 1):
        with tower.desk.database.begin() as conn:
            conn.execute(text("update procrastinate_jobs set status = 'doing', worker_id = null"))
            batch = conn.execute(text("select id from batch")).scalar_one()
            assert jobs.answer(conn, batch, order[life], ["{}"])
        tower.take_up()
    assert waiting(tower) == 1
    work(tower, Reads())
    assert tower.take_up().answers == 1


def test_a_worker_that_fails_over_one_record_answers_the_others(tower: Tower) -> None:
    class Fails(Reads):
        def propose(self, requests: list[FieldRequest]) -> Iterator[Proposal]:
            if requests[0].record.id == "A3":
                raise RuntimeError("no words for it")
            return super().propose(requests)

    run = tower.enrich(Fails())
    assert (run.requests, run.decided.accepted, run.faults) == (5, 4, 1)


NONE = [
    "", "null", "[]", "{", '{"proposals": 7}', '{"proposals": [7, null, {}]}', '{"signals": [{}]}', "[" * 100_000,
    '{"proposals": [{"request": "x", "field": "chief", "value": 1e999, "confidence": NaN}]}', "\ufffd",
]  # fmt: skip


def test_answers_that_are_none_are_answers_without_proposals(tower: Tower) -> None:
    prepared(tower, len(NONE))
    assert tower.hand_down() == len(NONE)
    with tower.desk.database.begin() as conn:
        asked = conn.execute(text("select batch, request from asked")).all()
        for (batch, request), body in zip(asked, NONE, strict=True):
            assert jobs.answer(conn, batch, request, [body])
    tally = tower.take_up()
    assert (tally.answers, tally.decided.accepted, tally.decided.review) == (len(NONE), 0, 0)
    assert waiting(tower) == 0


def test_a_flood_of_proposals_is_cut_and_the_rest_refused_unread(tower: Tower) -> None:
    tower.hand_down(limit=1)
    with tower.desk.database.begin() as conn:
        batch, request = conn.execute(text("select batch, request from asked")).one()
        several = [
            Proposal(request=request, field="chief", value=f"v{n}", confidence=0.9, evidence=(), method="model")
            for n in range(PER_FIELD + 50)
        ]
        raw = tuple(msgspec.Raw(msgspec.json.encode(one)) for one in several)
        assert jobs.answer(conn, batch, request, [msgspec.json.encode(Answer(proposals=raw)).decode()])
    assert tower.take_up().decided.refused == PER_FIELD + 50
    assert rows(tower, "select count(*) from proposal") == [(PER_FIELD,)]


def test_a_run_in_this_process_leaves_the_queue_of_the_worker_processes_alone(tower: Tower) -> None:
    tower.hand_down(limit=2)
    run = tower.enrich(Reads())
    assert (run.requests, run.decided.accepted) == (3, 3), "two wait for a worker process"
    assert waiting(tower) == 2


def test_enough_leaves_the_rest_to_a_later_run(tower: Tower, clock: Clock) -> None:
    reads = Reads()
    run = tower.enrich(reads, enough=lambda: len(reads.seen) >= 2)
    assert (run.requests, run.decided.accepted) == (2, 2)
    clock.now += timedelta(hours=1)
    assert tower.enrich(Reads()).requests == 3


def test_the_calls_of_a_day_end_a_batch_and_the_rest_is_asked_again(
    database_url: str, tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "book.yaml").write_text(BOOK)
    with model(0.0) as stub:
        settings = Settings(
            data=tmp_path, database_url=SecretStr(database_url), llm_model="stub", llm_base_url=stub.url,
            llm_calls_per_day=2,
        )  # fmt: skip
        with build(settings, rulebook=tmp_path / "book.yaml", clock=clock) as tower:
            prepared(tower, 5)
            with tower.worker() as one:
                run = tower.enrich(one)
            assert (run.requests, run.decided.accepted, stub.calls.total()) == (2, 2, 2)
            assert rows(tower, "select count(*) from request where answered_at is null") == [(3,)]


def test_a_signal_is_raised_by_a_worker_process_that_sees_a_snapshot_and_no_table(
    database_url: str, tmp_path: Path
) -> None:
    """The demo's deals, looked at by a process whose environment names the jobs database and nothing else."""
    from datetime import datetime

    from watchtower.flow.company import generate
    from watchtower.rulebook import DEFAULT

    clock = Clock()
    year = generate(1, accounts=40, start=clock.now - timedelta(days=365), end=clock.now)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=DEFAULT, clock=clock) as tower:
        tower.take_events(year.events, origin="test")
        expected = {found.signal: found.raised for found in tower.detect()}
        assert sum(expected.values()) > 0, expected
        clock.now = clock.now + timedelta(seconds=1)
        assert isinstance(clock.now, datetime)
        assert tower.hand_down(fields=False) == len(expected)
        assert tower.hand_down(fields=False) == 0, "one look for a signal at a time"
        with model() as stub:
            process = worker(tower.jobs_url, stub)
            try:
                deadline = time.monotonic() + 60
                while waiting(tower) and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
            finally:
                process.terminate()
                _, err = process.communicate(timeout=30)
        tally = tower.take_up()
        raised = {request.split(".")[0].removeprefix("dq_"): found.raised for request, found in tally.signals.items()}
        assert raised == expected, err


def test_a_signal_whose_chance_is_none_is_no_signal() -> None:
    said = {
        "request": "r", "signal": "s", "subject": "account/A1", "detector": "d", "version": "1", "strength": 1.0,
        "unit": "x", "direction": "up", "explanation": "e", "began_at": "2026-03-02T09:00:00Z",
        "window_from": "2026-03-02T09:00:00Z", "window_to": "2026-03-02T09:00:00Z",
    }  # fmt: skip
    raw = tuple(msgspec.Raw(msgspec.json.encode(said | {"p_value": p})) for p in (0.0, -1.0, 1.5, 1.0, 0.01))
    found, bad = signals_of(Answer(signals=(*raw, msgspec.Raw(b'{"p_value": NaN}'))))
    assert ([signal.p_value for signal in found], bad) == ([1.0, 0.01], 4)


def test_an_older_look_says_nothing_once_a_later_one_was_heard(tower: Tower) -> None:
    from watchtower.flow import work as decide
    from watchtower.store import work as stored

    early, late = (
        stored.StoredRequest(
            id=f"dq_x.{n}", kind="signal", object="account", record="", fields=["x"], because=[],
            asked_at=Clock().now + timedelta(hours=n),
        )
        for n in (0, 1)
    )  # fmt: skip
    with tower.database.begin() as conn:
        stored.ask(conn, [early, late])
        assert not decide.overtaken(conn, early)
        stored.answered(conn, [late.id], Clock().now)
        assert decide.overtaken(conn, early) and not decide.overtaken(conn, late)


def request(n: int, *texts: str) -> FieldRequest:
    return FieldRequest(
        id=f"rq_{n}", record=RecordSnapshot(object="account", id=f"A{n}", fields={}),
        fields=(FieldSpec(name="chief", type="text"),),
        documents=tuple(Document(id=f"d{i}", kind="web", text=said) for i, said in enumerate(texts)),
    )  # fmt: skip


def test_batches_hold_twenty_records_and_never_more_bytes_than_fit() -> None:
    assert [len(batch) for batch in batches_of([request(n, text_of("Q")) for n in range(45)])] == [20, 20, 5]
    large = [request(n, "é" * 800_000) for n in range(9)]
    several = batches_of(large)
    assert [one.id for batch in several for one in batch] == [one.id for one in large]
    for batch in several:
        assert len(msgspec.json.encode(FieldBatch(requests=tuple(batch)))) <= jobs.MAX_BODY


def test_a_request_with_too_many_words_keeps_the_first_documents_whole_or_cuts_the_first() -> None:
    several = fitted(request(1, "a" * 1000, "b" * 1000, "c" * 1000), most=2600)
    assert [document.text[0] for document in several.documents] == ["a", "b"]
    [cut] = fitted(request(1, "\x01" * 10_000), most=3000).documents
    assert 0 < len(cut.text) < 500 and set(cut.text) == {"\x01"}


def test_towers_that_open_it_at_once_make_it_once(database_url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        core = open_database(database_url)
        opened = list(
            pool.map(lambda _: jobs.open_jobs(jobs.beside(database_url), core=core, calls_per_day=1), range(4))
        )
        for database in opened:
            with database.begin() as conn:
                assert conn.execute(text("select count(*) from about")).scalar_one() == 2
            database.close()
        core.close()


def test_an_older_procrastinate_is_brought_up_by_its_own_scripts() -> None:
    assert len(jobs._scripts(None)) == 1
    assert jobs._scripts(version("procrastinate")) == []
    assert 1 <= len(jobs._scripts("3.3.0")) < len(jobs._scripts("3.1.0"))


def test_the_address_of_a_jobs_database_that_is_none_is_told(tower: Tower) -> None:
    with pytest.raises(StoreError, match="is not a jobs database yet"):
        jobs.open_as_worker(tower.database.url)
    with pytest.raises(StoreError) as none:
        jobs.open_as_worker(tower.database.url.replace("@/test_", "@/no_such_"))
    assert "does not exist" in none.value.message and "watchtower up --no-worker" in none.value.remedy
    with pytest.raises(InputError, match="WATCHTOWER_JOBS_URL: 'mysql' is not supported"):
        jobs.open_as_worker("mysql://localhost/x")


def test_answers_given_together_are_each_told_whether_they_were_wanted(tower: Tower) -> None:
    tower.hand_down(limit=4)
    with tower.desk.database.begin() as conn:
        asked = conn.execute(text("select batch, request from asked order by place desc")).all()
        assert jobs.answer(conn, *asked[1], ["{}"])
    said = [jobs.Given(batch, request, ["{}"]) for batch, request in asked]
    said += [jobs.Given(asked[0].batch, "nobody asked", ["{}"]), jobs.Given(*asked[2], ["{}", "{}"])]
    with tower.desk.database.begin() as conn:
        assert jobs.answer_all(conn, said) == [True, False, True, True, False, False]
    assert tower.take_up().answers == 4


def test_of_many_threads_that_intend_the_same_calls_one_makes_each(tower: Tower) -> None:
    ledger, told = Ledger(tower.desk.database), list[tuple[str, str]]()

    def intend(turn: int) -> None:
        for number in range(8):
            key = f"k{(number + turn) % 8}"
            intent = ledger.intend(key, "stub", 10, 10)
            told.append((key, intent.status))
            if intent.status == "go":
                ledger.settle(key, "answered", free=False, said=key, tokens_in=1, tokens_out=1)

    threads = [threading.Thread(target=intend, args=(turn,)) for turn in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for key, status in told if status == "go") == [f"k{n}" for n in range(8)]
    assert {status for _, status in told} <= {"go", "known", "spent"}
    assert [ledger.intend(f"k{n}", "stub", 1, 1) for n in range(8)] == [("known", f"k{n}") for n in range(8)]
