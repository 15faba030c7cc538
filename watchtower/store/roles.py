"""Three roles of a PostgreSQL server: `tower` runs the service, `worker` sees jobs alone, `viewer` reads.

What a worker's role can do is this: connect to the jobs database, so many times at once; read the batches that go
down; call the functions that fetch a job, answer a request and keep the ledger. It owns nothing, makes nothing,
writes no table, and cannot enter the core's database at all.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from watchtower.errors import InputError, StoreError
from watchtower.store.database import Connection, Database, mask

VIEWED = (
    "journal", "record", "version", "span", "alert", "action", "link", "document", "request", "proposal", "signal",
    "rulebook", "activation", "deadletter", "silence",
)  # fmt: skip
"""What a viewer may read of the core. A table that is not named here stays hidden: keys and sessions are."""

READ = ("batch", "asked", "blob")
CALLED = ("answer", "intend_call", "settle_call")
"""The tables of the jobs database that a worker reads, and the functions of ours that it calls."""
FETCHING = (
    "procrastinate_(fetch_job|finish_job|retry_job|register_worker|unregister_worker|update_heartbeat"
    "|prune_stalled_workers)_v"
)
"""Those of Procrastinate, as a regular expression: they run with their owner's rights (jobs.sql)."""
KEPT_FROM_ALL = "^(pg_(try_)?advisory_|lo_)"
"""Functions of every database that reach beyond it: advisory locks take room in memory that all databases share,
large objects take disk."""


@dataclass(frozen=True)
class Roles:
    """The names, with a prefix where one server holds several towers; `connections` a worker's role may hold."""

    prefix: str = ""
    connections: int = 20

    @property
    def tower(self) -> str:
        return f"{self.prefix}tower"

    @property
    def worker(self) -> str:
        return f"{self.prefix}worker"

    @property
    def viewer(self) -> str:
        return f"{self.prefix}viewer"


def scripts(roles: Roles, core: str, jobs: str) -> list[tuple[str, str]]:
    """(database, SQL), to be run in this order by a superuser, or by the owner of both who may create roles."""
    folder = Path(__file__).parent
    values = {
        "tower": sql.Identifier(roles.tower).as_string(),
        "worker": sql.Identifier(roles.worker).as_string(),
        "viewer": sql.Identifier(roles.viewer).as_string(),
        "tower_text": sql.Literal(roles.tower).as_string(),
        "worker_text": sql.Literal(roles.worker).as_string(),
        "viewer_text": sql.Literal(roles.viewer).as_string(),
        "core": sql.Identifier(core).as_string(),
        "jobs": sql.Identifier(jobs).as_string(),
        "connections": str(roles.connections),
        "viewed": sql.Literal(list(VIEWED)).as_string(),
        "read": ", ".join(READ),
        "called": sql.Literal("^(" + "|".join(CALLED) + ")$|^" + FETCHING).as_string(),
        "kept": sql.Literal(KEPT_FROM_ALL).as_string(),
    }
    text = (folder / "roles.sql").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f":{name}:", value)
    server, in_core, in_jobs = text.split("-- ====\n")
    return [(core, server + in_core), (jobs, in_jobs)]


def create_roles(core: Database, jobs: Database, roles: Roles) -> dict[str, str | None]:
    """Create or mend the roles; the password of each that is new, None where it was there. StoreError."""
    names = (roles.tower, roles.worker, roles.viewer)
    with core.begin() as conn:
        there = {name for name in names if _exists(conn, name)}
    urls = {make_url(core.url).database: core.url, make_url(jobs.url).database: jobs.url}
    try:
        for name, script in scripts(roles, make_url(core.url).database or "", make_url(jobs.url).database or ""):
            with psycopg.connect(_libpq(urls[name])) as conn:
                conn.execute(script)
        passwords = {name: None if name in there else secrets.token_urlsafe(24) for name in names}
        with psycopg.connect(_libpq(core.url)) as conn:
            for name, password in passwords.items():
                if password is not None:
                    said = sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(password))
                    conn.execute(said)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreError(
            f"{core.address}: this user may not create roles ({str(error).splitlines()[0]})",
            remedy="Run it as an administrator of the server, or hand them `watchtower database roles --sql`.",
        ) from error
    except psycopg.Error as error:
        raise StoreError(f"{core.address}: the roles could not be made: {mask(str(error).splitlines()[0])}") from error
    return passwords


def open_doors(core: Database, jobs: Database, roles: Roles) -> list[str]:
    """What the worker's role can still reach and should not, in words; empty where all is shut."""
    jobs_name = make_url(jobs.url).database
    found = []
    with psycopg.connect(_libpq(core.url)) as conn:
        rows = conn.execute(
            "select datname from pg_database where datallowconn and datname <> %s "
            "and has_database_privilege(%s, oid, 'CONNECT') order by 1",
            [jobs_name, roles.worker],
        ).fetchall()
        found += [
            f"it may connect to the database {name}: revoke connect on database {name} from public" for (name,) in rows
        ]
    with psycopg.connect(_libpq(jobs.url)) as conn:
        (open_functions,) = conn.execute(
            "select count(*) from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ %s "
            "and has_function_privilege(%s, oid, 'EXECUTE')",
            [KEPT_FROM_ALL, roles.worker],
        ).fetchone() or (0,)
        if open_functions:
            found.append(
                f"it may call {open_functions} functions for advisory locks and large objects: "
                "a superuser can revoke them"
            )
    return found


def role_url(url: str, role: str, password: str | None) -> str:
    """The address of a database for a role, its password in place where it is known."""
    address = make_url(url).set(drivername="postgresql", username=role, password=password)
    return address.render_as_string(hide_password=False)


def checked(prefix: str, connections: int) -> Roles:
    """Roles with these names. InputError where the prefix makes no good names."""
    if not all(letter.isascii() and (letter.isalnum() or letter == "_") for letter in prefix) or len(prefix) > 40:
        raise InputError(f"--prefix: {prefix!r} is not up to 40 letters, digits and _")
    return Roles(prefix.lower(), connections)


def _exists(conn: Connection, name: str) -> bool:
    from sqlalchemy import text

    return conn.execute(text("select 1 from pg_roles where rolname = :name"), {"name": name}).scalar() is not None


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
