"""The guard of the embedded PostgreSQL: stops the server when every process that used it was killed.

Whoever closes the last share stops the server itself. The guard looks once a second, under the same lock as
they, and ends with its server. It runs as a program of its own, on the standard library alone (10 MB).
"""

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_SOCKET_NAME = ".s.PGSQL.5432"


def begin(data: Path, postmaster: int) -> None:
    """Start the guard of this server, out of reach of Ctrl-C and of the end of this process."""
    command = [sys.executable, "-I", "-S", __file__, str(data), str(postmaster)]
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        # Without a guard all works as well; a killed process then leaves the server to the next one's close.
        logging.getLogger(__name__).info("no guard for the server of %s: %s", data, error)


def look(data: Path, postmaster: int) -> bool:
    """Whether there is still something to guard. Stops the server where nobody uses it."""
    with open(data / "postgres.lock", "rb") as lock, open(data / "postgres.users", "rb") as users:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        note = data / "postgres" / "postmaster.pid"
        try:
            lines = note.read_text().splitlines()
        except OSError:
            return False
        if len(lines) < 5 or lines[0] != str(postmaster) or not _answers(lines[4]):
            return False
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        os.kill(postmaster, signal.SIGINT)
        for _ in range(600):
            if not note.exists():
                break
            time.sleep(0.1)
        return False


def _answers(folder: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.path.join(folder, _SOCKET_NAME))
        except OSError:
            return False
        return True


def _watch(data: Path, postmaster: int) -> None:
    try:
        while look(data, postmaster):
            time.sleep(1.0)
    except OSError:
        return  # the data folder is gone, and the server with it


if __name__ == "__main__":
    if os.fork() == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        _watch(Path(sys.argv[1]), int(sys.argv[2]))
    os._exit(0)
