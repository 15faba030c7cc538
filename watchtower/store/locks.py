"""Locks on files, held by the operating system: they end with their holder, even through kill -9."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchtower.errors import Busy, StoreError

_held: weakref.WeakSet[FileLock]


class FileLock:
    """One open lock file. Not inherited: a forked child lets go of it, an executed one never has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be opened: {error.strerror}",
                remedy="Make the data folder writable for this user, or name another by WATCHTOWER_DATA.",
            ) from error
        _held.add(self)

    def take(self, *, shared: bool = False) -> bool:
        """Whether the lock is ours now. Never waits; turns a shared lock into an exclusive one and back."""
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def write(self, text: str) -> None:
        """Say something about the holder, for whoever finds the lock taken."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def read(self) -> str:
        """What the holder wrote; empty where it wrote nothing yet."""
        return os.pread(self._descriptor, 4096, 0).decode(errors="replace")

    def close(self) -> None:
        """Let go. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_held = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.close()


# A flock belongs to the open file, which fork shares: a child that outlives its parent would keep the lock.
os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def exclusive(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock for a moment of start or stop. Busy where another keeps it for longer than `seconds`."""
    lock = FileLock(path)
    deadline = time.monotonic() + seconds
    try:
        while not lock.take():
            if time.monotonic() > deadline:
                raise Busy(
                    f"{path}: another process has been starting or stopping the database for {seconds:.0f} s",
                    remedy="Look for a hanging watchtower or postgres process of this folder and end it.",
                )
            time.sleep(0.02)
        yield
    finally:
        lock.close()


@contextmanager
def single_service_lock(data: Path) -> Iterator[None]:
    """Hold the right to be the one service on this data folder. Busy names the process that has it."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(data / "up.lock")
    try:
        if not lock.take():
            holder = lock.read().strip() or "unknown"
            raise Busy(
                f"{data}: a watchtower service runs here already (process {holder})",
                remedy=f"Use that one, end it (kill {holder}), or name another folder by WATCHTOWER_DATA.",
            )
        lock.write(str(os.getpid()))
        yield
    finally:
        lock.close()
