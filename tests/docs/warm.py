"""`watchtower` and `python -m` for the commands of the pages, without a second and a half of imports for each.

Run as a program with a socket's path it loads the commands once, and forks a process for each that is asked for. The
small program that `install` puts on the path as `watchtower` asks for one, with its own arguments, folder, environment
and open files: what runs is a process like any other.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROJECT = Path(__file__).parents[2]

ASK = """#!{python} -IS
import array, json, os, signal, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({path!r})
order = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(asked, [len(order).to_bytes(8, "big")], [0, 1, 2])
asked.sendall(order)
answers = asked.makefile()
pid = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda n, _: os.kill(pid, n))
while not (code := answers.readline()):
    sys.exit(70)
os._exit(int(code))
"""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """The folder to put on the path: its `watchtower` is the command line of this project, quick to start."""
    place, commands = folder / "warm.sock", folder / "bin"
    commands.mkdir(parents=True)
    shim = commands / "watchtower"
    shim.write_text(ASK.format(python=sys.executable, path=str(place)))
    shim.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "warm.log").open("w") as log:
        process = subprocess.Popen([sys.executable, __file__, str(place)], env=env, stdout=log, stderr=log)
        for _ in range(600):
            if place.exists():
                break
            assert process.poll() is None, (folder / "warm.log").read_text()
            time.sleep(0.1)
        yield commands
        process.terminate()
        process.wait(timeout=30)


# ---- the program


def serve(path: str) -> None:
    """Take orders until SIGTERM. Each has a child that forks the command and waits for it."""
    from watchtower.cli import main

    for where in main.COMMANDS.values():
        importlib.import_module(f"watchtower.cli.{where.partition(':')[0]}")
    for module in ("enrichment", "detectors", "watchtower.rules.queries", "watchtower.connectors.jsonl"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    door = socket.socket(socket.AF_UNIX)
    door.bind(path + ".new")
    door.listen(16)
    os.rename(path + ".new", path)
    while True:
        asked, _ = door.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            door.close()
            _attend(asked)
        asked.close()


def _attend(asked: socket.socket) -> None:
    head, files, _, _ = socket.recv_fds(asked, 8, 3)
    wanted, order = int.from_bytes(head, "big"), b""
    while len(order) < wanted:
        order += asked.recv(wanted - len(order))
    arguments, folder, env = json.loads(order)
    pid = os.fork()
    if pid == 0:
        asked.close()
        _become(arguments, folder, env, files)
    for file in files:
        os.close(file)  # or who reads the other end would wait for this process
    asked.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):  # who asked may have ended
        asked.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    os._exit(0)


def _become(arguments: list[str], folder: str, env: dict[str, str], files: list[int]) -> None:
    for place, file in enumerate(files):
        os.dup2(file, place)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["watchtower", *arguments]
    code = 0
    from watchtower.cli.main import run

    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
