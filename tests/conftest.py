"""What tests share: one real embedded PostgreSQL for the whole run, and a fresh database for each test."""

from __future__ import annotations

import logging
import socket
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
import structlog

from watchtower.store import embedded
from watchtower.store.database import Database, migrate, open_database

PROJECT = Path(__file__).parent.parent
_numbers = count(1)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Whatever a test makes of logging, the next one finds it as it was: files run in any order, many in a process."""
    root, level = logging.getLogger(), logging.getLogger("procrastinate").level
    handlers = list(root.handlers)
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    logging.getLogger("procrastinate").setLevel(level)


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; the test is skipped where it is absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not on this machine")
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server() -> Iterator[embedded.EmbeddedServer]:
    """The embedded PostgreSQL of this run, in a folder of its own, that goes with it."""
    with tempfile.TemporaryDirectory(prefix="watchtower-tests-", ignore_cleanup_errors=True) as folder:
        with embedded.start(Path(folder) / "data") as running:
            with _administrator(running) as conn:
                # These databases need outlive no crash of the machine; each drop would wait for the disk.
                conn.execute("alter system set fsync = off")
                conn.execute("select pg_reload_conf()")
            yield running


@pytest.fixture(scope="session")
def template(server: embedded.EmbeddedServer) -> str:
    """The name of a database that is migrated and empty, to be copied."""
    with _administrator(server) as conn:
        conn.execute("create database migrated_template")
    database = open_database(address(server, "migrated_template"))
    migrate(database)
    database.close()
    return "migrated_template"


@pytest.fixture
def empty_url(server: embedded.EmbeddedServer) -> Iterator[str]:
    """The address of a database of this test's own, without tables."""
    yield from _fresh(server, "template1")


@pytest.fixture
def database_url(server: embedded.EmbeddedServer, template: str) -> Iterator[str]:
    """The address of a database of this test's own, migrated and empty."""
    yield from _fresh(server, template)


@pytest.fixture(scope="module")
def module_database_url(server: embedded.EmbeddedServer, template: str) -> Iterator[str]:
    """The address of a database that the tests of one module share, migrated and empty."""
    yield from _fresh(server, template)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of this test's own, migrated and empty."""
    opened = open_database(database_url)
    yield opened
    opened.close()


def address(server: embedded.EmbeddedServer, name: str) -> str:
    """The address of another database of this server."""
    return server.url.replace("@/watchtower?", f"@/{name}?")


def _administrator(server: embedded.EmbeddedServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(address(server, "postgres"), autocommit=True)


def _fresh(server: embedded.EmbeddedServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with _administrator(server) as conn:
        conn.execute(f"create database {name} template {template}")
    yield address(server, name)
    with _administrator(server) as conn:
        conn.execute(f"drop database {name} with (force)")
        conn.execute(f"drop database if exists {name}_jobs with (force)")
