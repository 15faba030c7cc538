"""Watchtower processes that start in a fraction of a second, and die where they are told to.

Run as a program, it loads everything once and forks a child for each line on its standard input, so that thousands of
processes can be started and killed in a few minutes. Each child is a process like any other: the command line of
Watchtower, run to its end, or over and over. A crash point is laid in the child alone, from outside: the k-th time
that it comes by, the child sends itself SIGKILL.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]

POINTS: dict[str, tuple[str, ...]] = {
    "up": (
        "commit.before", "commit.after", "statement", "http.request", "http.answer", "http.answered", "post.before",
        "post.after",
    ),
    "serve": ("commit.before", "commit.after", "statement", "http.request", "http.answer", "http.answered"),
    "tick": ("commit.before", "commit.after", "statement"),
    "deliver": ("commit.before", "commit.after", "statement", "post.before", "post.after"),
    "enrich": ("commit.before", "commit.after", "statement"),
}  # fmt: skip
"""Where each process may be killed: around each commit, before each statement within a transaction, before a request
is read, before its answer leaves and after, around each webhook."""


class Nursery:
    """The other side: start children, kill them, wait for their ends."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
            env={**env, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._lock = threading.Lock()
        self._living: dict[int, Child] = {}
        self._started: list[Child] = []
        self._news = threading.Condition()
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the nursery did not start"
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, arguments: list[str], *, log: Path, again: bool = False, point: str = "", turn: int = 0) -> Child:
        """A child that runs `watchtower ARGUMENTS` (`again`: over and over), killed at the `turn`-th `point`."""
        order = {"arguments": arguments, "log": str(log), "again": again, "point": point, "turn": turn}
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            with self._news:
                assert self._news.wait_for(lambda: self._started, 30), "the nursery is dead"
                return self._started.pop()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, pid, code = line.split()
            with self._news:
                if word == "started":
                    self._started.append(Child(int(pid)))
                    self._living[int(pid)] = self._started[-1]
                    self._news.notify_all()
                else:
                    self._living.pop(int(pid)).end(int(code))


class Child:
    """A process of the nursery. `code` is its exit code, or minus the signal that ended it."""

    def __init__(self, pid: int) -> None:
        self.pid, self._ended = pid, threading.Event()
        self.code: int | None = None

    def end(self, code: int) -> None:
        self.code = code
        self._ended.set()

    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within this time."""
        return self._ended.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, and the end of it."""
        self.send(signal.SIGKILL)
        assert self._ended.wait(30), f"process {self.pid} outlived SIGKILL"

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


# ---- the program


def main() -> None:
    import importlib

    for module in (
        "enrichment", "detectors", "watchtower.bootstrap", "watchtower.cli.outbox", "watchtower.cli.service",
        "watchtower.cli.tower", "watchtower.rules.queries", "watchtower.connectors.jsonl",
    ):  # fmt: skip
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    out = sys.stdout
    lock = threading.Lock()

    def say(word: str, pid: int, code: int = 0) -> None:
        with lock:
            out.write(f"{word} {pid} {code}\n")
            out.flush()

    print("ready", flush=True)
    while line := _next_order(say):
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
        say("started", pid)


_rest = b""


def _next_order(say: Callable[[str, int, int], None]) -> str:
    """The next line of standard input; meanwhile the dead are buried. Empty at the end."""
    import select

    global _rest
    while b"\n" not in _rest:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            say("ended", pid, os.waitstatus_to_exitcode(status))
        if select.select([0], [], [], 0.01)[0]:
            if not (read := os.read(0, 65536)):
                return ""
            _rest += read
    line, _, _rest = _rest.partition(b"\n")
    return line.decode()


def _live(order: dict[str, Any]) -> None:
    """The life of a child."""
    import ctypes

    code = 70
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nobody outlives the nursery
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(quiet, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if order["point"]:
            lay(order["point"], order["turn"])
        from watchtower.cli.main import run

        while True:
            sys.argv = ["watchtower", *order["arguments"]]
            try:
                run()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            if not order["again"]:
                break
            time.sleep(0.05)
    finally:
        os._exit(code)


def lay(point: str, turn: int) -> None:
    """Lay a crash point: the process kills itself the `turn`-th time that it comes by."""
    from sqlalchemy.engine.default import DefaultDialect

    left = [turn]

    def pass_by(here: str) -> None:
        if here == point:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    commit, execute = DefaultDialect.do_commit, DefaultDialect.do_execute

    def do_commit(self: Any, connection: Any) -> None:
        pass_by("commit.before")
        commit(self, connection)
        pass_by("commit.after")

    def do_execute(self: Any, *arguments: Any, **named: Any) -> None:
        pass_by("statement")
        execute(self, *arguments, **named)

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]
    DefaultDialect.do_execute = do_execute  # type: ignore[method-assign]
    if point.startswith("post"):
        _around_posts(pass_by)
    if point.startswith("http"):
        _around_requests(pass_by)


def _around_posts(pass_by: Callable[[str], None]) -> None:
    from watchtower.flow.post import Postman

    post = Postman.__call__

    def call(self: Postman, url: str, headers: Mapping[str, str], body: str) -> None:
        pass_by("post.before")
        post(self, url, headers, body)
        pass_by("post.after")

    Postman.__call__ = call  # type: ignore[method-assign]


def _around_requests(pass_by: Callable[[str], None]) -> None:
    from watchtower.api import server

    create = server.create_app

    def create_app(*arguments: Any, **named: Any) -> Any:
        app = create(*arguments, **named)

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def telling(message: Any) -> None:
                if message["type"] == "http.response.start":
                    pass_by("http.answer")
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    pass_by("http.answered")

            if scope["type"] == "http" and scope["method"] == "POST":
                pass_by("http.request")
                await app(scope, receive, telling)
            else:
                await app(scope, receive, send)

        return watched

    server.create_app = create_app  # type: ignore[assignment]


if __name__ == "__main__":
    main()
