"""Ctrl-C, wherever a command is: one short line, exit code 130, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from watchtower.rulebook.load import DEFAULT

HEAVY = ("typer", "rich", "pydantic", "structlog", "sqlalchemy")


def test_nothing_heavy_is_imported_before_ctrl_c_is_minded() -> None:
    code = f"import sys, watchtower.cli.main; print([one for one in {HEAVY!r} if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ctrl_c_in_the_middle_of_a_command_is_said_in_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "events.jsonl"
    os.mkfifo(pipe)
    command = ["rules", "eval", str(DEFAULT), str(pipe), "--at", "2026-03-05T00:00:00Z"]
    started = subprocess.Popen(
        [sys.executable, "-m", "watchtower.cli.main", *command], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # whatever the tests were given
    )  # fmt: skip
    with pipe.open("w"):  # open as soon as the command reads, and then nothing comes
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (130, "", "stopped\n")
