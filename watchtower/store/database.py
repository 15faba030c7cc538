"""The way to the database: connect, migrate, transactions; and what goes wrong there, in words.

One address serves everywhere: DATABASE_URL, or the embedded server of the data folder where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from watchtower.errors import Busy, InputError, StoreError
from watchtower.settings import Settings
from watchtower.store import embedded, readiness
from watchtower.store.migrations import HEAD
from watchtower.store.readiness import Readiness
from watchtower.store.sealing import OPTION, Keyring

OLDEST = 15
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x77617463_68746F77
"""The key of the advisory lock of migrations: "watchtow" in ASCII."""

_SESSION = {
    "timezone": "UTC",
    "lock_timeout": "30s",
    "statement_timeout": "10min",
    "idle_in_transaction_session_timeout": "10min",
    "extra_float_digits": "1",
    # A process that is killed, or whose machine is gone, holds its locks for a few seconds at most.
    "client_connection_check_interval": "2s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


@dataclass(frozen=True)
class Database:
    """An open database: an engine, and the share in the embedded server where there is one."""

    engine: Engine
    address: str
    """For people: without the password."""
    server: embedded.EmbeddedServer | None = None

    @property
    def url(self) -> str:
        """The whole address, password and all."""
        return self.engine.url.render_as_string(hide_password=False)

    @cached_property
    def readiness(self) -> Readiness:
        def ask() -> None:
            with self.begin() as connection:
                readiness.work(connection)
                readiness.of_this_version(self.address, revision_of(connection), HEAD)

        return Readiness(ask, self.address)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back where an error leaves the block."""
        with self.explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent picture of the database (repeatable read), that can change nothing."""
        with self.explained(), self.engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def mark(self) -> str:
        """Two marks that are the same saw the same: it changes with every transaction that writes, on this server."""
        with self.explained(), self.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            return str(connection.exec_driver_sql("select pg_current_snapshot()::text").scalar_one())

    def check_ready(self) -> None:
        """Return where events can be taken now. StoreError or Busy says why not, within a few seconds."""
        self.readiness.check()

    def close(self) -> None:
        """Close the connections, and give the share in the embedded server back."""
        self.engine.dispose()
        if self.server is not None:
            self.server.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What goes wrong in the database, in words."""
        try:
            yield
        except (DBAPIError, PoolTimeout, psycopg.Error) as error:
            known = _explain(error, self.address)
            if known is None:
                raise
            if self.server is not None and _lost(error):
                self.server.revive()
            raise known from error


def connect(settings: Settings, *, personal: bool = True) -> Database:
    """The database of these settings: reached, new enough, in UTF-8. StoreError or InputError otherwise.

    Without `personal` it has no keys: what is personal reads as sealed.
    """
    given = settings.master_key.get_secret_value() if settings.master_key else None
    keys = Keyring(given, settings.data / "master.key") if personal else None
    if settings.database_url is not None:
        return open_database(settings.database_url.get_secret_value(), keys=keys)
    server = embedded.start(settings.data)
    try:
        return open_database(server.url, server=server, keys=keys)
    except BaseException:
        server.close()
        raise


def open_database(url: str, *, server: embedded.EmbeddedServer | None = None, keys: Keyring | None = None) -> Database:
    """The database at this address; `server` is closed with it. Without `keys` nothing personal is read or written."""
    address = _parse(url)
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    own = address.query.get("options")
    engine = create_engine(
        address.difference_update_query(["options"]),
        pool_size=4,
        max_overflow=8,
        pool_timeout=30,
        pool_pre_ping=server is None,
        execution_options={OPTION: keys},
        json_serializer=_encode_json,
        json_deserializer=msgspec.json.decode,
        connect_args={
            "application_name": "watchtower",
            "connect_timeout": 10,
            "options": f"{options} {own}" if isinstance(own, str) else options,
        },
    )
    database = Database(engine, mask(url), server)
    try:
        with database.begin() as connection:
            _check(connection, database.address)
    except BaseException:
        engine.dispose()
        raise
    return database


def migrate(database: Database) -> None:
    """Bring the tables to the newest revision; nothing where they are. Safe in several processes at once."""
    with database.begin() as connection:
        if revision_of(connection) == HEAD:
            return
    from alembic import command  # loading it takes longer than the check

    with database.begin() as connection:
        connection.execute(text("set local lock_timeout = '5min'"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        found = revision_of(connection)
        if found == HEAD:
            return
        config = migration_config(connection)
        if found is not None and found not in known_revisions(config):
            raise StoreError(
                f"{database.address}: its tables are of revision {found}, which this version does not know",
                remedy="A newer watchtower has used this database: install that one, or restore a backup.",
            )
        command.upgrade(config, "head")


def migration_sql() -> str:
    """The SQL of all migrations, for those who may not let a program change their database."""
    from alembic import command

    config = migration_config(None)
    config.output_buffer = output = StringIO()
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def migration_config(connection: Connection | None) -> Any:
    """Alembic's configuration: without a file, on this connection (None: offline)."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def mask(url: str) -> str:
    """The address for people: stars in place of every password."""
    hidden = re.sub(r"(://[^:/?#]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&](?:password|sslpassword)=)[^&]*", r"\1***", hidden)


def _parse(url: str) -> URL:
    accepted = "Accepted is postgresql://USER:PASSWORD@HOST:PORT/NAME."
    if url.partition("?")[0].count("@") > 1:
        raise InputError(
            f"DATABASE_URL: {mask(url)!r} has more than one @",
            remedy="Write an @ in the password as %40, a / as %2F.",
        )
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"DATABASE_URL: {mask(url)!r} is not a database's address", remedy=accepted) from None
    if address.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise InputError(
            f"DATABASE_URL: {address.drivername!r} is not supported; PostgreSQL is the only database",
            remedy=accepted,
        )
    if not address.database:
        raise InputError(f"DATABASE_URL: {mask(url)!r} names no database", remedy=accepted)
    return address.set(drivername="postgresql+psycopg")


def _check(connection: Connection, address: str) -> None:
    number, encoding = connection.execute(
        text("select current_setting('server_version_num')::int, current_setting('server_encoding')")
    ).one()
    if number < OLDEST * 10_000:
        raise StoreError(
            f"{address}: PostgreSQL {number // 10_000} is too old; {OLDEST} or newer is needed",
            remedy="Upgrade the server, or unset DATABASE_URL for the embedded one.",
        )
    if encoding != "UTF8":
        raise StoreError(
            f"{address}: the database's encoding is {encoding}; UTF8 is needed",
            remedy="create database NAME encoding 'UTF8' template template0",
        )


def revision_of(connection: Connection) -> str | None:
    # to_regclass alone may answer from a cache that is older than the lock we waited for; reading pg_class renews it.
    if not connection.execute(
        text("select count(*) from pg_class where oid = to_regclass('alembic_version')")
    ).scalar():
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def known_revisions(config: Any) -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_STATES = {
    "53100": (StoreError, "the database's disk is full", "Free space there; nothing acknowledged is lost."),
    "53200": (
        StoreError,
        "the database is out of memory",
        "Give the server more memory, or smaller batches.",
    ),
    "53300": (
        StoreError,
        "the server takes no more connections",
        "Raise max_connections, or end idle sessions.",
    ),
    "25P03": (StoreError, "the transaction stood idle for too long", "Try again; nothing of it was written."),
    "55P03": (Busy, "another session has held a lock for too long", "Try again; look for long transactions."),
    "40P01": (Busy, "two sessions waited for each other", "Try again; nothing of it was written."),
    "57014": (StoreError, "the statement took longer than allowed", "Try again with fewer records at once."),
    "42501": (
        StoreError,
        "the user lacks a right",
        "Grant this user CREATE on the database and its schema public.",
    ),
    "25006": (
        StoreError,
        "the server is read-only",
        "Name the primary server by DATABASE_URL, not a standby.",
    ),
}
_WORDS = (
    ("password authentication failed", "Correct the user or the password in DATABASE_URL."),
    ("no password supplied", "Write the password into DATABASE_URL."),
    ("does not exist", "Create it (createdb, createuser), or correct DATABASE_URL."),
    ("pg_hba.conf", "Allow this user and address in the server's pg_hba.conf."),
    ("Connection refused", "Start the server, or correct host and port in DATABASE_URL."),
    ("No such file or directory", "Start the server, or correct host and port in DATABASE_URL."),
    ("resolve", "Correct the host in DATABASE_URL."),
    ("timeout", "Correct host and port in DATABASE_URL; look for a firewall."),
    ("SSL", "Correct sslmode and certificates in DATABASE_URL."),
)


def _cause(error: Exception) -> BaseException | None:
    """The driver's own error: COPY speaks to the driver itself, and raises it bare."""
    return error if isinstance(error, psycopg.Error) else getattr(error, "orig", None)


def _lost(error: Exception) -> bool:
    """Whether the server, or the way to it, is gone."""
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    return isinstance(cause, psycopg.OperationalError) and (state is None or state.startswith(("08", "57P")))


def _explain(error: Exception, address: str) -> StoreError | None:
    """The error for people. None: a fault of ours (a wrong statement), to be shown as it is."""
    if isinstance(error, PoolTimeout):
        return Busy(f"{address}: all connections of this process are in use", remedy="Try again in a moment.")
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    if state in _STATES:
        kind, what, remedy = _STATES[state]
        return kind(f"{address}: {what} ({str(cause).splitlines()[0]})", remedy=remedy)
    if not _lost(error):
        return None
    words = " ".join(str(cause).split())
    remedy = next((remedy for word, remedy in _WORDS if word.lower() in words.lower()), "")
    return StoreError(
        f"{address}: the database cannot be reached: {mask(words)}",
        remedy=remedy or "See that the server runs and can be reached from here, then try again.",
    )
