"""The embedded model server: llama.cpp (through xllamacpp) in a child process of its own.

The child has its own memory and its own crashes. It listens on 127.0.0.1, on a port the system chooses, with
a key drawn anew for every start, and it ends with its parent, however that ends: its standard input is a
pipe from the parent, which closes when the parent is gone.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enrichment.errors import ModelError
from enrichment.model import Endpoint

CONTEXT_TOKENS = 4096
START_SECONDS = 120.0
STOP_SECONDS = 10.0
SAID = 2000
"""Characters of the child's log that a failure shows."""


@contextmanager
def local_endpoint(
    gguf: Path, *, threads: int | None = None, context: int = CONTEXT_TOKENS, seconds: float = START_SECONDS
) -> Iterator[Endpoint]:
    """Serve the model file until the block ends. ModelError where it does not start within `seconds`."""
    if not gguf.is_file():
        raise ModelError(
            f"{gguf}: no such model file",
            remedy="Run `watchtower models pull [--small]`, or set WATCHTOWER_GGUF to a model file of your own.",
        )
    key = secrets.token_hex(16)
    folder = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH", ""))))
    command = [
        sys.executable,
        "-m",
        "enrichment.local_server",
        str(gguf),
        str(threads or _cores()),
        str(context),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": paths, "WATCHTOWER_LOCAL_KEY": key},
    )
    try:
        yield Endpoint(base_url=f"{_ready(child, gguf, seconds)}/v1", api_key=key, model=gguf.stem, provider="local")
    finally:
        _stop(child)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ready(child: subprocess.Popen[str], gguf: Path, seconds: float) -> str:
    """The address the child says it listens on. It says so once the model is loaded."""
    lines: queue.Queue[str] = queue.Queue()
    said: list[str] = []

    def listen() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put("")

    def drain() -> None:
        # A pipe that nobody reads fills, and then the server stands still.
        assert child.stderr is not None
        for line in child.stderr:
            said.append(line)
            del said[:-40]

    for task in (listen, drain):
        threading.Thread(target=task, name=f"local-model-{task.__name__}", daemon=True).start()
    try:
        line = lines.get(timeout=seconds)
        address = json.loads(line)["address"]
        assert isinstance(address, str)
        return address
    except (queue.Empty, ValueError, KeyError, TypeError):
        child.kill()
        child.wait(STOP_SECONDS)
        why = "".join(said)[-SAID:].strip() or f"it said nothing for {seconds:g} s"
        raise ModelError(
            f"{gguf}: the embedded model server did not start (exit {child.returncode}): {why}",
            remedy="Check the file (`watchtower models pull`), free memory, and that xllamacpp is installed.",
        ) from None


def _stop(child: subprocess.Popen[str]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(STOP_SECONDS)
