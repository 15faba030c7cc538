"""Everything a tower knows, in one file; and back again.

A backup is a zip: `tables/NAME` holds a table as PostgreSQL's COPY text, and `manifest.json` says of which revision
the tables are, what was in force, the last number of the journal, and the rows and SHA-256 of each table. All of it is
read in one repeatable-read transaction: whatever was being written meanwhile is in it wholly or not at all, and the
journal in it is a prefix of the journal.

Restoring is one transaction, too: it ends with every hash right and all tables at the newest revision, or with the
database as it was.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Connection, text

from watchtower import __version__
from watchtower.contract import format_time
from watchtower.errors import InputError, StoreError
from watchtower.store import audit
from watchtower.store.database import Database, known_revisions, migration_config, revision_of
from watchtower.store.sealing import destroy_again

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK = 1 << 20

_TABLES = text(
    """
    select c.relname, array_agg(a.attname::text order by a.attnum), c.oid::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = current_schema()
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where c.relkind = 'r' and c.relname <> 'alembic_version'
    group by 1, 3 order by 1
    """
)
_REFERENCES = text(
    "select conrelid::bigint, confrelid::bigint from pg_constraint where contype = 'f' and conrelid <> confrelid"
)
_IDENTITIES = text(
    """
    select c.relname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = current_schema()
    join pg_attribute a on a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped
    where c.relkind = 'r' order by 1
    """
)
_NO_LIMIT = text("set local statement_timeout = 0")


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One table in a backup."""

    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    format: int
    watchtower: str
    taken_at: str
    revision: str
    rulebook: str | None
    """The version in force."""
    last_seq: int
    """The number of the journal's last entry; 0 where it is empty."""
    identities: dict[str, int]
    """By table: the last number that its sequence has given."""
    tables: list[TableFacts]


def back_up(database: Database, file: Path, now: datetime) -> Manifest:
    """Write a backup; it appears under its name when it is whole. Nobody waits for it. StoreError."""
    part = file.with_name(file.name + ".part")
    try:
        # Only its owner may read it: it holds what the tables hold.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                with database.read() as conn:
                    manifest = _write(conn, archive, now)
                archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
    return manifest


def read_manifest(file: Path) -> Manifest:
    """What a backup says of itself. InputError where it is none."""
    with _opened(file) as archive:
        return _manifest(archive, file)


def check(file: Path) -> Manifest:
    """Read all of a backup and compare every hash. InputError names the table that is not as it was written."""
    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        for facts in manifest.tables:
            with archive.open(f"tables/{facts.name}") as source:
                _compare(facts, *_drain(source, lambda chunk: None), file)
    return manifest


def forget(database: Database, list_: Path, keys: Sequence[str]) -> None:
    """After erasures: note the destroyed keys for restores to come, and have the database drop their old rows."""
    list_.parent.mkdir(parents=True, exist_ok=True)
    with list_.open("a") as file:
        file.writelines(key + "\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql("vacuum full subject_key")


def forgotten(list_: Path) -> list[str]:
    """The keys that erasures have destroyed."""
    return list_.read_text().split() if list_.exists() else []


def restore(
    database: Database, file: Path, now: datetime, *, force: bool = False, erased: Sequence[str] = ()
) -> Manifest:
    """Bring a backup back, and its tables to the newest revision. All or nothing. `erased`: keys destroyed since.

    StoreError: the database holds something (and not `force`), or the backup is of a revision unknown here.
    InputError: the file is no whole backup.
    """
    from alembic import command

    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        with database.begin() as conn:
            conn.execute(_NO_LIMIT)
            config = migration_config(conn)
            if manifest.revision not in known_revisions(config):
                raise StoreError(
                    f"{file}: its tables are of revision {manifest.revision}, which this version does not know",
                    remedy=f"Restore it with watchtower {manifest.watchtower} or newer.",
                )
            tables = _tables(conn)
            if not force and (full := _full(conn, tables)):
                raise StoreError(
                    f"{database.address}: is not empty ({', '.join(full)})",
                    remedy="Restore into an empty database; or, to lose what is in this one, add --force.",
                )
            found = revision_of(conn)
            if found == manifest.revision and tables:
                names = ", ".join(_name(table) for table, _ in tables)
                conn.exec_driver_sql(f"truncate {names} restart identity")
            else:
                if found is not None:
                    command.downgrade(config, "base")
                command.upgrade(config, manifest.revision)
            _read(conn, archive, manifest, file)
            command.upgrade(config, "head")
            destroy_again(conn, erased, now)
            said = {"taken_at": manifest.taken_at, "last_seq": manifest.last_seq}
            audit.note(conn, actor="command line", what="database.restore", about=file.name, now=now, data=said)
    return manifest


def _write(conn: Connection, archive: zipfile.ZipFile, now: datetime) -> Manifest:
    conn.execute(_NO_LIMIT)
    revision = revision_of(conn)
    if revision is None:
        raise StoreError("the database has no tables", remedy="Start watchtower once, then back up.")
    facts = []
    cursor: Any = conn.connection.cursor()
    for table, columns in _tables(conn):
        digest, size = hashlib.sha256(), 0
        listed = ", ".join(map(_name, columns))
        with archive.open(f"tables/{table}", "w", force_zip64=True) as target:
            with cursor.copy(f"copy {_name(table)} ({listed}) to stdout") as copy:
                for chunk in copy:
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
        facts.append(
            TableFacts(name=table, columns=columns, rows=cursor.rowcount, bytes=size, sha256=digest.hexdigest())
        )
    cursor.close()
    return Manifest(
        format=FORMAT, watchtower=__version__, taken_at=format_time(now), revision=revision,
        rulebook=conn.execute(text("select version from activation order by seq desc limit 1")).scalar(),
        last_seq=conn.execute(text("select coalesce(max(seq), 0) from journal")).scalar_one(),
        identities={table: _last(conn, sequence) for table, sequence in conn.execute(_IDENTITIES).all()},
        tables=facts,
    )  # fmt: skip


def _last(conn: Connection, sequence: str) -> int:
    """The last number it has given, at this moment: at least the greatest in the snapshot. 0 where it gave none."""
    value, called = conn.exec_driver_sql(f"select last_value, is_called from {sequence}").one()
    return int(value) if called else 0


def _read(conn: Connection, archive: zipfile.ZipFile, manifest: Manifest, file: Path) -> None:
    facts = {one.name: one for one in manifest.tables}
    present = {table for table, _ in _tables(conn)}
    if missing := sorted(facts.keys() - present):
        raise InputError(f"{file}: has a table {missing[0]!r}, which revision {manifest.revision} does not have")
    cursor: Any = conn.connection.cursor()
    for table, _ in _tables(conn):
        if (known := facts.get(table)) is None:
            continue
        listed = ", ".join(map(_name, known.columns))
        with archive.open(f"tables/{table}") as source:
            with cursor.copy(f"copy {_name(table)} ({listed}) from stdin") as copy:
                digest, size = _drain(source, copy.write)
        _compare(known, digest, size, file)
        if cursor.rowcount != known.rows:
            raise InputError(f"{file}: table {table} has {cursor.rowcount} rows; the manifest says {known.rows}")
    for table, sequence in conn.execute(_IDENTITIES).all():
        last = manifest.identities.get(table, 0)
        conn.execute(text("select setval(:sequence, :value, :called)"),
                     {"sequence": sequence, "value": max(last, 1), "called": last > 0})  # fmt: skip
    cursor.close()


def _drain(source: IO[bytes], write: Any) -> tuple[str, int]:
    """The SHA-256 and the length of what passes through."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        write(chunk)
    return digest.hexdigest(), size


def _compare(facts: TableFacts, digest: str, size: int, file: Path) -> None:
    if (digest, size) != (facts.sha256, facts.bytes):
        raise InputError(
            f"{file}: table {facts.name} is not as it was written ({size} bytes, SHA-256 {digest[:12]}...; "
            f"the manifest says {facts.bytes}, {facts.sha256[:12]}...)",
            remedy="The file is damaged: use another backup. Nothing was restored.",
        )


def _tables(conn: Connection) -> list[tuple[str, list[str]]]:
    """(table, columns), those that others refer to first."""
    found = {oid: (table, columns) for table, columns, oid in conn.execute(_TABLES)}
    needs: dict[int, set[int]] = {oid: set() for oid in found}
    for referrer, target in conn.execute(_REFERENCES):
        if referrer in needs and target in needs:
            needs[referrer].add(target)
    ordered: list[int] = []
    while len(ordered) < len(found):
        ready = [oid for oid in found if oid not in ordered and needs[oid] <= set(ordered)]
        if not ready:
            raise StoreError("tables refer to each other in a circle")
        ordered += ready
    return [found[oid] for oid in ordered]


def _full(conn: Connection, tables: list[tuple[str, list[str]]]) -> list[str]:
    """The tables that hold something."""
    return [
        table
        for table, _ in tables
        if conn.exec_driver_sql(f"select exists (select 1 from {_name(table)})").scalar_one()
    ]


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise InputError(f"{file}: is no whole backup: {error}", remedy="Use another one; nothing was restored.") from (
            error
        )


def _manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except msgspec.MsgspecError as error:
        raise InputError(f"{file}: {MANIFEST}: {error}", remedy="Use another backup; nothing was restored.") from error
    if manifest.format != FORMAT:
        raise InputError(f"{file}: is of format {manifest.format}; this version reads {FORMAT}")
    return manifest
