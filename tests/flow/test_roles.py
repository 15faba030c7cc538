"""The worker's role on a real server: what it is denied, one statement each, and that it can do its work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from command_line import wt
from job_scene import BOOK, START, prepared, waiting, worker
from llm_stub import model
from psycopg import errors
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.contract.batch import ENRICHMENT
from watchtower.settings import Settings
from watchtower.store import embedded, jobs, ledger
from watchtower.store.roles import Roles, create_roles, open_doors, role_url

Session = psycopg.Connection[tuple[object, ...]]
ROLES = Roles(connections=6)


class Place:
    """A tower whose server has the roles, and the addresses of each."""

    def __init__(self, tower: Tower) -> None:
        self.tower = tower
        self.core = {name: role_url(tower.database.url, name, None) for name in ("tower", "worker", "viewer", "other")}
        self.jobs = {name: role_url(tower.jobs_url, name, None) for name in ("tower", "worker", "viewer", "other")}


@pytest.fixture(scope="module")
def place(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("roles")
    (folder / "book.yaml").write_text(BOOK)
    settings = Settings(data=folder, database_url=SecretStr(module_database_url), llm_model="stub")
    with build(settings, rulebook=folder / "book.yaml", clock=lambda: START) as tower:
        prepared(tower, 3)
        create_roles(tower.database, tower.desk.database, ROLES)
        assert tower.hand_down(detections=False, limit=2) == 2
        with tower.desk.database.begin() as conn:
            conn.execute(text("select intend_call('of the tower', 'm', 1, 1)"))
            conn.execute(text("create role other login in role worker"))
            conn.execute(text("create role outsider login"))
        yield Place(tower)
        with tower.database.begin() as conn:
            conn.execute(text("drop role other"))
            conn.execute(text("drop role outsider"))


@pytest.fixture
def session(place: Place) -> Iterator[Session]:
    """A connection under the worker's role."""
    with psycopg.connect(place.jobs["worker"], autocommit=True) as conn:
        yield conn


DENIED = [
    # the core's data, by the ways that lead there
    "create extension vector",
    "select pg_read_file('postgresql.conf')",
    "select pg_read_binary_file('global/pg_control')",
    "select pg_ls_dir('base')",
    "select pg_stat_file('postgresql.conf')",
    "copy batch to '/tmp/stolen'",
    "copy batch to program 'cat'",
    "copy result from '/etc/passwd'",
    "copy result from stdin",
    "select rolpassword from pg_authid",
    "select passwd from pg_shadow",
    # becoming somebody else, or changing the server
    "set role tower",
    "set session authorization tower",
    "alter role worker connection limit 1000",
    "alter role worker createdb",
    "alter role tower nologin",
    "create role helper",
    "create database mine",
    "drop database {core}",
    "alter database {core} allow_connections false",
    "alter system set max_connections = 1",
    "set temp_file_limit = -1",
    "set session_replication_role = replica",
    "select pg_reload_conf()",
    "select pg_promote()",
    "select pg_switch_wal()",
    "select pg_create_restore_point('here')",
    "select pg_create_physical_replication_slot('hold')",
    "checkpoint",
    # making things
    "create temp table t (x int)",
    "create temporary sequence s",
    "create table t (x int)",
    "create table public.t (x int)",
    "create schema mine",
    "create view v as select 1",
    "create function f() returns int language sql as 'select 1'",
    "create type t as (x int)",
    "create publication p",
    "do $$ begin end $$",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'x')",
    "select lo_import('/etc/passwd')",
    # locks that others would feel
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock_shared(1)",
    "select pg_advisory_xact_lock(1, 2)",
    "begin; lock table batch in access exclusive mode",
    "begin; lock table asked in share mode",
    "begin; lock table result in row share mode",
    "select * from asked for update",
    "select * from batch for key share",
    "select pg_terminate_backend({tower})",
    "select pg_cancel_backend({tower})",
    # the jobs database's own tables
    "insert into result (batch, request, part, body, by) select batch, request, 1, 'x', 'tower' from asked",
    "select * from result",
    "update result set body = '{{}}'",
    "delete from result",
    "truncate result cascade",
    "insert into asked select batch, 'more', 99, 100, null from asked",
    "update asked set answered_at = null",
    "update asked set parts = 100",
    "delete from asked",
    "insert into batch (id, queue, body) values ('mine', 'enrichment', '{{}}')",
    "update batch set body = '{{}}'",
    "delete from batch",
    "insert into blob (id, body) values ('x', 'x')",
    "select * from call",
    "update call set outcome = 'answered'",
    "delete from call",
    "insert into call (key, by) values ('k', 'tower')",
    "update spend set calls = 0",
    "delete from spend",
    "select * from spend",
    "update quota set value = 1000000",
    "select said from call",
    "insert into price (model, input, output) values ('m', 0, 0)",
    "update price set input = 0",
    "delete from price",
    "insert into provider_batch (id, keys) values ('mine', '{{}}')",
    "update provider_batch set closed_at = now()",
    "select * from procrastinate_jobs",
    "update procrastinate_jobs set status = 'todo'",
    "insert into procrastinate_jobs (queue_name, task_name) values ('enrichment', 'enrichment')",
    "delete from procrastinate_workers",
    "truncate procrastinate_jobs cascade",
    "select procrastinate_cancel_job_v1(1, true, true)",
    "select procrastinate_defer_jobs_v1(array[row('enrichment', 'enrichment', 0, null, null, '{{}}', null)]"
    "::procrastinate_job_to_defer_v1[])",
    "alter table result drop constraint result_body_check",
    "alter function answer(text, text, text[]) security invoker",
    "create or replace function answer(a text, b text, c text[]) returns boolean language sql as 'select true'",
    "drop table batch cascade",
    "drop function answer(text, text, text[])",
    "comment on table batch is 'mine'",
    "create trigger t after insert on result execute function suppress_redundant_updates_trigger()",
    "create index on result (body)",
]


@pytest.mark.parametrize("statement", DENIED)
def test_the_worker_is_denied(place: Place, session: Session, statement: str) -> None:
    with place.tower.database.begin() as conn:
        backend, core = conn.execute(text("select pg_backend_pid(), current_database()")).one()
        said = statement.format(tower=backend, core=core)
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute(said)


@pytest.mark.parametrize("statement", ["grant select on batch to public", "analyze pg_authid", "vacuum batch"])
def test_what_the_server_only_warns_about_changes_nothing(session: Session, statement: str) -> None:
    notices: list[str] = []
    session.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    session.execute(statement)
    assert any("permission denied" in said or "no privileges were granted" in said for said in notices), notices


def test_at_least_twenty_five_statements_are_denied() -> None:
    assert len(set(DENIED)) >= 25


@pytest.mark.parametrize("database", ["core", "postgres", "template1", "watchtower"])
def test_the_worker_connects_to_no_other_database(place: Place, database: str) -> None:
    url = place.core["worker"]
    if database != "core":
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        url = url.replace(f"/{name}?", f"/{database}?")
    if database == "watchtower":
        with place.tower.database.begin() as conn:
            conn.execute(text("revoke connect on database watchtower from public"))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)


def test_a_role_that_nobody_named_connects_to_neither_database(place: Place) -> None:
    for url in (place.core["other"], place.core["worker"].replace("worker@", "outsider@"), place.jobs["viewer"]):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)


def test_the_workers_connections_are_counted_and_the_core_still_connects(place: Place) -> None:
    held = []
    try:
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            for _ in range(ROLES.connections + 1):
                held.append(psycopg.connect(place.jobs["worker"]))
        assert len(held) == ROLES.connections
        with psycopg.connect(place.core["tower"]) as conn:
            assert conn.execute("select count(*) from journal").fetchone() is not None
        assert place.tower.tick() is not None
    finally:
        for conn in held:
            conn.close()


def test_a_lock_that_the_worker_holds_stops_neither_the_core_nor_its_desk(place: Place) -> None:
    """An answer in a transaction that is left open locks its request: the tower goes past it, or gives up in 2 s."""
    with psycopg.connect(place.jobs["worker"]) as conn:
        batch, request = conn.execute("select batch, request from asked order by place limit 1").fetchone() or ("", "")
        conn.execute("select answer(%s, %s, %s)", [batch, request, ["{}"]])
        began = time.monotonic()
        assert place.tower.take([]) == []
        place.tower.tick()
        assert place.tower.desk.collect().answers == 0, "what is not committed has not come"
        assert time.monotonic() - began < 20
        conn.rollback()


def test_an_answer_is_bounded_and_given_once_to_what_was_asked(place: Place, session: Session) -> None:
    say = "select answer(%s, %s, %s)"
    last = "select batch, request from asked order by place desc limit 1"
    batch, request = session.execute(last).fetchone() or ("", "")
    with pytest.raises(errors.CheckViolation, match="result_body_check"):
        session.execute(say, [batch, request, ["x" * (jobs.MAX_PART + 1)]])
    for unasked in ([batch, "rq_nobody_asked", ["{}"]], ["b_none", request, ["{}"]], [batch, request, []]):
        assert session.execute(say, unasked).fetchone() == (False,)
    assert session.execute(say, [batch, request, ["{}", "{}"]]).fetchone() == (False,), "one part for one record"
    with session.transaction():
        assert session.execute(say, [batch, request, ["{}"]]).fetchone() == (True,)
        assert session.execute(say, [batch, request, ["{}"]]).fetchone() == (False,), "a second answer is none"
        raise psycopg.Rollback


def test_the_ledger_is_settled_by_whoever_intended_and_once(place: Place, session: Session) -> None:
    intend = "select status from intend_call('mine', 'm', 10, 10)"
    settle = "select settle_call(%s, 'answered', false, '{}', 5, 5)"
    assert session.execute(settle, ["of the tower"]).fetchone() == (False,), "another's call"
    assert session.execute(intend).fetchone() == ("go",)
    assert session.execute(intend).fetchone() == ("spent",), "nobody knows yet how it ends"
    with psycopg.connect(place.jobs["other"]) as other:
        assert other.execute(settle, ["mine"]).fetchone() == (False,), "another worker's role"
    assert session.execute(settle, ["mine"]).fetchone() == (True,)
    assert session.execute(settle, ["mine"]).fetchone() == (False,), "it is settled"
    assert session.execute(intend).fetchone() == ("known",)


def day(n: int) -> str:
    return f"intend_call('day {n}', 'm', 1, 1)"


def test_the_calls_of_a_day_are_counted_for_all_workers(place: Place, session: Session) -> None:
    with place.tower.desk.database.begin() as conn:
        made = int(conn.execute(text("select calls from spend")).scalar_one())
        conn.execute(text("update quota set value = :cap where name = 'calls_per_day'"), {"cap": made + 2})
    try:
        assert [session.execute(f"select status from {day(n)}").fetchone() for n in (1, 2)] == [("go",), ("go",)]
        with pytest.raises(psycopg.Error) as refused:
            session.execute(f"select {day(3)}")
        assert refused.value.sqlstate == "WT001"
    finally:
        with place.tower.desk.database.begin() as conn:
            conn.execute(text("update quota set value = 50000 where name = 'calls_per_day'"))


def test_the_viewer_reads_the_core_and_writes_nothing(place: Place) -> None:
    with psycopg.connect(place.core["viewer"], autocommit=True) as conn:
        assert conn.execute("select count(*) > 0 from journal").fetchone() == (True,)
        conn.execute("set default_transaction_read_only = off")
        for statement in (
            "insert into deadletter (received_at, tried_at, origin, reason, raw, size, redrivable) "
            "values (now(), now(), '', '', '{}', 2, true)",
            "update alert set status = 'resolved'",
            "delete from journal",
            "truncate journal",
            "create table t (x int)",
            "create temp table t (x int)",
            "select * from alembic_version",
            "begin; lock table journal in exclusive mode",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                conn.execute(statement)


def test_nothing_is_left_open_and_what_is_gets_named(place: Place) -> None:
    tower = place.tower
    with tower.database.begin() as conn:
        conn.execute(text("revoke connect on database watchtower, migrated_template from public"))
    others = open_doors(tower.database, tower.desk.database, ROLES)
    assert not any("postgres" in said or "functions" in said for said in others)
    with tower.database.begin() as conn:
        conn.execute(text("grant connect on database migrated_template to public"))
    assert any("migrated_template" in said for said in open_doors(tower.database, tower.desk.database, ROLES))


def test_creating_them_again_changes_nothing_and_tells_no_password(place: Place) -> None:
    assert create_roles(place.tower.database, place.tower.desk.database, ROLES) == dict.fromkeys(
        ("tower", "worker", "viewer")
    )


def test_the_roles_work_a_worker_process_answers_and_the_tower_takes_it(place: Place, tmp_path: Path) -> None:
    """The service as `tower`, the worker as `worker`, who is told the jobs database and the model and no more."""
    settings = Settings(
        data=tmp_path, database_url=SecretStr(place.core["tower"]), jobs_url=SecretStr(place.jobs["tower"]),
        llm_model="stub",
    )  # fmt: skip
    with model(0.01) as stub, build(settings, clock=lambda: START) as tower:
        assert tower.hand_down(detections=False) == 1, "the third record; two are asked about already"
        process = worker(place.jobs["worker"], stub)
        try:
            deadline = time.monotonic() + 60
            while waiting(tower) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            process.terminate()
            out, err = process.communicate(timeout=30)
        assert process.returncode in (0, 143), err
        tally = tower.take_up()
        assert (tally.answers, tally.decided.accepted, tally.faults) == (3, 3, {}), err
        with tower.desk.database.begin() as conn:
            assert ledger.calls(conn).get("answered", 0) >= 3
            assert jobs.counts(conn, [ENRICHMENT]).get((ENRICHMENT, "doing"), 0) == 0


def test_the_command_prints_the_sql_and_creates_the_roles(server: embedded.EmbeddedServer, database_url: str) -> None:
    printed = wt("database", "roles", "--sql", "--prefix", "acme_", DATABASE_URL=database_url).out
    assert 'create role "acme_worker" login' in printed and "\\connect" in printed
    made = wt("database", "roles", "--prefix", "acme_", "--json", DATABASE_URL=database_url).json()
    try:
        assert [role["name"] for role in made["roles"]] == ["acme_tower", "acme_worker", "acme_viewer"]
        assert all(role["new"] and ":" in role["url"].split("@")[0].split("//")[1] for role in made["roles"])
        bad = wt("database", "roles", "--prefix", "a b;", DATABASE_URL=database_url, code=1).err
        assert "--prefix: 'a b;'" in bad
    finally:
        with psycopg.connect(database_url, autocommit=True) as conn:
            for url in (database_url, database_url.replace("?", "_jobs?", 1)):
                with psycopg.connect(url, autocommit=True) as inside:
                    for role in ("acme_tower", "acme_worker", "acme_viewer"):
                        inside.execute(f"reassign owned by {role} to watchtower")
                        inside.execute(f"drop owned by {role}")
            for role in ("acme_tower", "acme_worker", "acme_viewer"):
                conn.execute(f"drop role {role}")
