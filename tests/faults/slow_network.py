"""A network between a process and the database that can hang: connections stay open, and nothing gets through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Network:
    """Forwards TCP on 127.0.0.1 to a PostgreSQL's socket, until it is told to hang."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._word = b""
        self.hung = threading.Event()
        self._flows = threading.Event()
        self._flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_at(self, word: str) -> None:
        """Fall silent for good when a client next sends this word: what bears it does not arrive."""
        self._word = word.encode()

    def recover(self) -> None:
        self._word = b""
        self._flows.set()

    def close(self) -> None:
        self.recover()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._target))
                for one, other, listens in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=(one, other, listens), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, listens: bool) -> None:
        with suppress(OSError):  # either end is gone, and then so is the other
            while said := one.recv(1 << 16):
                if listens and self._word and self._word in said:
                    self._flows.clear()
                    self.hung.set()
                self._flows.wait()
                other.sendall(said)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def network(target: Path) -> Iterator[Network]:
    """`target`: the server's socket file."""
    found = Network(target)
    try:
        yield found
    finally:
        found.close()
