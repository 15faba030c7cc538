"""The embedded PostgreSQL among processes, kills, full disks and wrong folders. Every case is a real one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from watchtower.errors import Busy, StoreError
from watchtower.store import embedded
from watchtower.store.locks import single_service_lock

ROOT = os.geteuid() == 0


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder of this test's own, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="wt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"


@pytest.fixture
def program(project: Path) -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Run Python text in a process of its own, DATA being its folder; ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def run(code: str, data: Path) -> subprocess.Popen[str]:
        begin = (
            "import sys, time; from pathlib import Path; from watchtower.store import embedded\n"
            "DATA = Path(sys.argv[1])\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", begin + code, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=project,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    """Whether the process runs (one that only waits to be buried does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


STAY = "server = embedded.start(DATA); print(server.pid, flush=True); sys.stdin.read()"


def test_processes_that_start_at_once_share_one_server(
    data: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    users = [program(STAY, data) for _ in range(3)]
    pids = [int(user.stdout.readline() or "0") for user in users if user.stdout]
    assert len(set(pids)) == 1 and alive(pids[0])
    for user in users[:2]:
        user.communicate("")
    assert alive(pids[0])
    users[2].communicate("")
    assert not alive(pids[0]), "the end of the last user's process stops the server"


def test_a_server_whose_users_were_all_killed_is_stopped(
    data: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    user = program(STAY, data)
    assert user.stdout
    pid = int(user.stdout.readline())
    user.kill()
    user.wait()
    assert until(lambda: not alive(pid))
    assert not (data / "postgres" / "postmaster.pid").exists(), "stopped in order, not killed"


def test_after_kill_9_of_the_server_the_next_start_has_what_was_committed(data: Path) -> None:
    with embedded.start(data) as server:
        with psycopg.connect(server.url) as conn:
            conn.execute("create table kept as select generate_series(1, 1000) as n")
        os.kill(server.pid, signal.SIGKILL)
        with embedded.start(data) as again, psycopg.connect(again.url) as conn:
            assert conn.execute("select count(*) from kept").fetchone() == (1000,)
            assert again.pid != 0


@pytest.mark.parametrize("program", ["sleep", "true"], ids=["running", "ended but not buried"])
def test_a_pid_file_whose_number_another_process_bears_stops_no_start(data: Path, program: str) -> None:
    with embedded.start(data):
        pass
    cluster = data / "postgres"
    owner = cluster.stat().st_uid if ROOT else None
    other = subprocess.Popen([program, "60"], user=owner, cwd="/")
    try:
        assert until(lambda: alive(other.pid) == (program == "sleep"))
        (cluster / "postmaster.pid").write_text(f"{other.pid}\n{cluster}\n0\n5432\n/nowhere\n\n0 0\nready\n")
        (cluster / ".s.PGSQL.5432.lock").write_text(f"{other.pid}\n")
        with embedded.start(data) as server:
            assert server.pid != other.pid
    finally:
        other.kill()
        other.wait()


def test_a_start_that_was_killed_half_way_leaves_no_half(data: Path) -> None:
    half = data / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded.start(data) as server, psycopg.connect(server.url) as conn:
        assert conn.execute("show data_checksums").fetchone() == ("on",)


def test_nobody_else_may_enter_the_database(data: Path) -> None:
    with embedded.start(data) as server:
        for folder in (data, data / "postgres"):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o067 == 0
        with psycopg.connect(server.url) as conn:
            shown = {
                name: conn.execute(f"show {name}").fetchone()
                for name in (
                    "listen_addresses",
                    "unix_socket_permissions",
                    "fsync",
                    "synchronous_commit",
                    "timezone",
                )
            }
    assert shown == {
        "listen_addresses": ("",),
        "unix_socket_permissions": ("0700",),
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "timezone": ("UTC",),
    }


@pytest.mark.skipif(not ROOT, reason="only root can put the folder below one that is closed to all others")
def test_root_opens_no_closed_folder_to_others(data: Path) -> None:
    closed = data / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    with embedded.start(closed / "inner"):
        assert stat.S_IMODE(closed.stat().st_mode) & 0o007 == 0


def test_a_start_says_nothing(data: Path, program: Callable[..., subprocess.Popen[str]]) -> None:
    process = program("import logging; logging.basicConfig(level=0); embedded.start(DATA).close()", data)
    assert process.communicate() == ("", "")


def test_a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere(data: Path) -> None:
    deep = data / ("long" * 30) / 'it\'s "quoted", here'
    with embedded.start(deep) as server, psycopg.connect(server.url) as conn:
        row = conn.execute("show unix_socket_directories").fetchone()
        assert row is not None
        folder = Path(str(row[0]).strip('"'))
        assert folder.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_a_folder_made_by_another_version_is_refused(data: Path) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(StoreError, match="made by PostgreSQL 16, this is 18") as refused:
        embedded.start(data)
    assert "pg_dump" in refused.value.remedy


def test_a_folder_that_is_no_database_is_left_as_it_is(data: Path) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="PG_VERSION is missing"):
        embedded.start(data)
    assert (data / "postgres" / "letter.txt").read_text() == "mine"


def test_damaged_files_are_named_with_a_way_out(data: Path) -> None:
    with embedded.start(data):
        pass
    (data / "postgres" / "global" / "pg_control").write_bytes(b"\x00" * 8192)
    with pytest.raises(StoreError, match="does not start: .*(FATAL|PANIC)") as refused:
        embedded.start(data)
    assert "restore a backup" in refused.value.remedy


def test_a_data_folder_that_cannot_be_made_is_named(data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(StoreError, match=f"{data}/inner: the data folder cannot be made"):
        embedded.start(data / "inner")


@pytest.mark.skipif(not ROOT, reason="needs root, to become another user")
def test_a_data_folder_of_another_user_is_refused(data: Path, project: Path) -> None:
    data.mkdir(parents=True)
    data.parent.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from watchtower.store import embedded;"
        "os.setgid(65534); os.setuid(65534); embedded.start(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data)], capture_output=True, text=True, cwd=project)
    assert "the data folder is not writable for user 65534" in done.stderr


@pytest.mark.skipif(not ROOT, reason="needs root, to become another user")
def test_an_ordinary_user_needs_no_root(data: Path, project: Path) -> None:
    data.parent.chmod(0o777)
    code = (
        "import os, sys; from pathlib import Path; from watchtower.store import embedded; import psycopg;"
        "from watchtower.store.programs import programs_for;"
        "postgres = programs_for(Path('/')).folder / 'bin' / 'postgres';"
        "os.setgid(65534); os.setuid(65534); os.access(postgres, os.X_OK) or sys.exit('closed');"
        "server = embedded.start(Path(sys.argv[1]));"
        "print(psycopg.connect(server.url).execute('select 41 + 1').fetchone())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(data)], capture_output=True, text=True, cwd=project)
    if done.stderr == "closed\n":
        pytest.skip("PostgreSQL is installed where only root may go")
    assert done.stdout == "(42,)\n", done.stderr
    with embedded.start(data) as server, psycopg.connect(server.url):
        assert (data / "postgres").stat().st_uid == 65534, "root runs it as its owner"


def test_too_little_space_is_refused_before_anything_is_written(data: Path) -> None:
    with pytest.raises(StoreError, match=r"\d+ bytes are free, the database needs 1152921504606846976"):
        embedded.start(data, minimum_free=1 << 60)
    assert not (data / "postgres").exists()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = Path(tempfile.mkdtemp(prefix="wt-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_is_told_with_the_bytes_that_are_free(small_disk: Path) -> None:
    with pytest.raises(StoreError, match=r"the disk is full: \d+ bytes are free") as refused:
        embedded.start(small_disk / "data", minimum_free=0)
    assert "WATCHTOWER_DATA" in refused.value.remedy
    assert [path.name for path in (small_disk / "data").iterdir() if path.is_dir()] == [], "no half database is left"


def test_a_second_service_on_the_same_folder_is_refused_by_name(data: Path) -> None:
    with single_service_lock(data):
        with pytest.raises(Busy, match=f"process {os.getpid()}") as refused, single_service_lock(data):
            pass
        assert refused.value.exit_code == 3 and f"kill {os.getpid()}" in refused.value.remedy
    with single_service_lock(data):
        pass


def test_the_lock_of_a_killed_service_is_free_although_its_child_lives(
    data: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    code = (
        "import os; from watchtower.store.locks import single_service_lock\n"
        "with single_service_lock(DATA):\n"
        "    child = os.fork()\n"
        "    if child: print(child, flush=True)\n"
        "    time.sleep(60)\n"
    )
    service = program(code, data)
    assert service.stdout
    child = int(service.stdout.readline())
    with pytest.raises(Busy, match=f"process {service.pid}"), single_service_lock(data):
        pass
    service.kill()
    service.wait()
    assert alive(child)
    with single_service_lock(data):
        pass
    os.kill(child, signal.SIGKILL)
