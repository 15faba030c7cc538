"""Connecting, migrating, and what people are told where that fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from watchtower.errors import Busy, InputError, StoreError
from watchtower.settings import read_settings
from watchtower.store import embedded
from watchtower.store.database import (
    Database,
    _check,
    connect,
    mask,
    migrate,
    migration_config,
    migration_sql,
    open_database,
)
from watchtower.store.migrations import HEAD
from watchtower.store.schema import metadata


def differences(database: Database) -> list[object]:
    with database.begin() as conn:
        context = MigrationContext.configure(conn, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))


def tables(database: Database) -> set[str]:
    with database.read() as conn:
        return set(conn.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars())


def test_the_migrated_database_is_the_schema(database: Database) -> None:
    assert tables(database) == {*metadata.tables, "alembic_version"}
    assert differences(database) == []


CATALOGUE = """
    select 'column', table_name, column_name, data_type, is_nullable, column_default, is_identity
    from information_schema.columns where table_schema = 'public'
    union all
    select 'index', tablename, indexname, indexdef, null, null, null
    from pg_indexes where schemaname = 'public'
    union all
    select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), null, null, null
    from pg_constraint where connamespace = 'public'::regnamespace
    order by 1, 2, 3
"""


def test_migrations_and_schema_make_one_catalogue_down_to_the_conditions_of_indices(
    database: Database, empty_url: str
) -> None:
    direct = open_database(empty_url)
    with direct.begin() as conn:
        metadata.create_all(conn)
    with direct.read() as ours, database.read() as theirs:
        expected = list(ours.execute(text(CATALOGUE)))
        found = [row for row in theirs.execute(text(CATALOGUE)) if row[1] != "alembic_version"]
    direct.close()
    assert found == expected and len(expected) > 100


def test_a_difference_would_be_seen(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("alter table alert drop column because"))
        conn.execute(text("drop index ix_span_due"))
    assert len(differences(database)) == 2


def test_down_to_nothing_and_up_again_is_the_schema(database: Database) -> None:
    with database.begin() as conn:
        command.downgrade(migration_config(conn), "base")
    assert tables(database) == {"alembic_version"}
    migrate(database)
    assert differences(database) == []


def test_the_written_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(migration_config(None)).get_heads() == [HEAD]


def test_the_sql_written_offline_makes_the_same_tables(empty_url: str) -> None:
    with psycopg.connect(empty_url) as conn:
        conn.execute(migration_sql())
    database = open_database(empty_url)
    assert differences(database) == []
    migrate(database)
    database.close()


def test_a_migrated_database_is_left_in_20_milliseconds(database: Database) -> None:
    spent = []
    for _ in range(5):
        begun = time.perf_counter()
        migrate(database)
        spent.append(time.perf_counter() - begun)
    assert min(spent) < 0.020


def test_processes_that_migrate_at_once_do_not_meet(empty_url: str, project: Path) -> None:
    code = (
        "import sys; from watchtower.store.database import migrate, open_database\n"
        "database = open_database(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "migrate(database); database.close()"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert [racer.communicate(timeout=60)[1] for racer in racers] == ["", "", ""]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    database = open_database(empty_url)
    assert differences(database) == []
    database.close()


def test_a_database_of_a_newer_watchtower_is_refused(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("update alembic_version set version_num = '9999_later'"))
    with pytest.raises(StoreError, match="revision 9999_later, which this version does not know"):
        migrate(database)


def test_an_error_takes_the_whole_transaction_back(database: Database) -> None:
    with pytest.raises(RuntimeError), database.begin() as conn:
        conn.execute(text("create table t (n int)"))
        raise RuntimeError
    assert "t" not in tables(database)


def test_a_reader_sees_one_picture_and_can_change_nothing(database: Database) -> None:
    with database.read() as reader:
        before = reader.execute(text("select count(*) from rulebook")).scalar()
        with database.begin() as writer:
            writer.execute(text("insert into rulebook values ('v1', 'n', '{}', now())"))
        assert reader.execute(text("select count(*) from rulebook")).scalar() == before
    with pytest.raises(StoreError, match="read-only"), database.read() as reader:
        reader.execute(text("delete from rulebook"))
    with database.begin() as writer:
        writer.execute(text("delete from rulebook"))


def test_times_come_in_utc_under_the_name_of_the_program(database: Database) -> None:
    with database.read() as conn:
        shown = conn.execute(text("select current_setting('timezone'), current_setting('application_name')")).one()
        when = conn.execute(text("select timestamptz '2026-03-02 10:00+01'")).scalar_one()
    assert tuple(shown) == ("UTC", "watchtower")
    assert when.isoformat() == "2026-03-02T09:00:00+00:00"


def test_a_lost_connection_is_told_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(StoreError, match="the database cannot be reached"), database.begin() as conn:
        pid = conn.execute(text("select pg_backend_pid()")).scalar_one()
        with database.begin() as other:
            other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        conn.execute(text("select 1"))
    with database.begin() as conn:
        assert conn.execute(text("select 1")).scalar() == 1


def test_a_lock_that_another_holds_is_busy(database: Database) -> None:
    with database.begin() as holder:
        holder.execute(text("lock table journal"))
        with pytest.raises(Busy, match="held a lock for too long"), database.begin() as conn:
            conn.execute(text("set local lock_timeout = '50ms'"))
            conn.execute(text("lock table journal"))


def test_a_wrong_statement_is_our_fault_and_shown_as_it_is(database: Database) -> None:
    with pytest.raises(Exception, match="nowhere") as shown, database.begin() as conn:
        conn.execute(text("select * from nowhere"))
    assert not isinstance(shown.value, StoreError)


@pytest.mark.parametrize(
    ("url", "kind", "says", "remedy"),
    [
        ("mysql://root:secret@db/x", InputError, "'mysql' is not supported", "postgresql://USER"),
        ("secret", InputError, "is not a database's address", "postgresql://USER"),
        ("postgresql://u:secret@localhost:1", InputError, "names no database", "postgresql://USER"),
        ("postgresql://u:sec@ret@localhost/x", InputError, "more than one @", "%40"),
        ("postgresql://u:secret@127.0.0.1:1/x", StoreError, "Connection refused", "correct host and port"),
        ("postgresql://u:secret@nowhere.invalid/x", StoreError, "cannot be reached", "Correct the host"),
        (
            "postgresql://u@/x?host=/nowhere&password=secret",
            StoreError,
            "cannot be reached",
            "Start the server",
        ),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, kind: type[Exception], says: str, remedy: str) -> None:
    with pytest.raises(kind) as refused:
        open_database(url)
    message = str(refused.value)
    assert says in message and remedy in message
    assert "secret" not in message.replace("'secret' is not", "") and "sec@ret" not in message


def test_a_missing_database_is_named_with_a_remedy(server: embedded.EmbeddedServer) -> None:
    with pytest.raises(StoreError, match='database "missing" does not exist') as refused:
        open_database(server.url.replace("@/watchtower?", "@/missing?"))
    assert "createdb" in refused.value.remedy


def test_a_database_in_another_encoding_is_refused(server: embedded.EmbeddedServer) -> None:
    admin = server.url.replace("@/watchtower?", "@/postgres?")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute("create database latin encoding 'LATIN1' locale_provider libc locale 'C' template template0")
    try:
        with pytest.raises(StoreError, match="encoding is LATIN1; UTF8 is needed"):
            open_database(server.url.replace("@/watchtower?", "@/latin?"))
    finally:
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute("drop database latin with (force)")


def test_a_server_older_than_15_is_refused() -> None:
    class Old:
        """Answers like PostgreSQL 14, of which none can run here."""

        def execute(self, statement: object) -> Old:
            return self

        def one(self) -> tuple[int, str]:
            return 140_011, "UTF8"

    with pytest.raises(StoreError, match="PostgreSQL 14 is too old; 15 or newer is needed"):
        _check(Old(), "postgresql://db/x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@x@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?sslmode=require&password=p", "postgresql://u@h/d?sslmode=require&password=***"),
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"),
    ],
)
def test_a_shown_address_has_no_password(url: str, shown: str) -> None:
    assert mask(url) == shown


def test_without_an_address_the_embedded_server_of_the_data_folder_serves(tmp_path: Path) -> None:
    database = connect(read_settings(data=tmp_path / "data", database_url=None))
    assert database.server is not None
    migrate(database)
    assert tables(database) == {*metadata.tables, "alembic_version"}
    assert (tmp_path / "data" / "postgres" / "postmaster.pid").exists()
    database.close()
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_connecting_to_an_address_starts_no_server(database_url: str, tmp_path: Path) -> None:
    database = connect(read_settings(data=tmp_path / "data", database_url=database_url))
    assert database.server is None and not (tmp_path / "data").exists()
    database.close()
