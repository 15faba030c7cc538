"""A reader who does what a page says: one shell in a folder of its own, one command after the other."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from written import Command, File, Page, as_pattern

PATIENCE = 60.0
"""Seconds for one command."""
PORT = "8080"
"""As the pages have it; where they are run it is any free one."""


class Reader:
    """A shell in `folder`. What a command sets, where it goes and what it leaves running holds for the next ones."""

    def __init__(self, folder: Path, env: dict[str, str], port: int) -> None:
        self.folder, self.port = folder, str(port)
        ours, theirs = os.pipe()
        self._codes = ours
        self._turns = 0
        self._shell = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[theirs], start_new_session=True,
        )  # fmt: skip
        self._theirs = theirs

    def follow(self, page: Page) -> list[str]:
        """Do what the page says. What went otherwise than it says: `page:line: ...`, up to the first failed command."""
        faults: list[str] = []
        for step in page.steps:
            if isinstance(step, File):
                self._write(step)
            elif not step.why_not:
                code, said = self._run(step)
                where = f"{page.name}:{step.line}: $ {step.text}"
                if code != step.code:
                    return [*faults, f"{where}\nended with {code}, not {step.code}, and said:\n{said}"]
                if step.output is not None and not as_pattern(step.output).fullmatch(said):
                    faults.append(f"{where}\nthe page shows:\n{step.output}\nit printed:\n{said}")
        return faults

    def _write(self, file: File) -> None:
        path = self.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if file.append else "w", encoding="utf-8") as out:
            out.write(file.text)

    def _run(self, command: Command) -> tuple[int, str]:
        """Its exit code and what it printed, both streams as they came."""
        text = re.sub(rf"\b{PORT}\b", self.port, command.text)
        behind = text.rstrip().endswith("&")
        self._turns += 1  # a log for each: what runs behind goes on writing into its own
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{{ {text}\n}} >'{self._log}' 2>&1 </dev/null\necho $? >&{self._theirs}\n")
        self._shell.stdin.flush()
        if not select.select([self._codes], [], [], PATIENCE)[0]:
            return -1, f"(no end within {PATIENCE:.0f} s)\n{self._said()}"
        code = int(os.read(self._codes, 16))
        if behind:
            self._await()
            return code, ""
        return code, self._said()

    @property
    def _log(self) -> Path:
        return self.folder.parent / f"{self._turns}.log"

    def _said(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace")
        said = re.sub(rf"\b{self.port}\b", PORT, said)
        return "".join(line.rstrip() + "\n" for line in said.split("\n") if line.strip())

    def _await(self) -> None:
        """Until what was put behind answers, as a reader would wait for the line that says so."""
        for _ in range(int(PATIENCE * 10)):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)

    def close(self) -> None:
        """End the shell and what it left running."""
        assert self._shell.stdin is not None
        self._shell.stdin.write("kill -TERM $(jobs -p) 2>/dev/null; wait; exit\n")
        self._shell.stdin.close()
        try:
            self._shell.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self._shell.pid, signal.SIGKILL)
            self._shell.wait()
        os.close(self._codes)
        os.close(self._theirs)


@contextmanager
def reading(folder: Path, commands: Path, port: int, **env: str) -> Iterator[Reader]:
    """A reader with a home of its own and nothing in its surroundings that would configure a tower."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
    python = Path(shutil.which("python3") or "/usr/bin/python3").parent
    path = f"{commands}:{python}:{kept.get('PATH', '')}"
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / ".local"), "XDG_CACHE_HOME": str(folder / ".cache")}
    reader = Reader(folder, {**kept, **home, "PATH": path, "WATCHTOWER_PORT": str(port), "TERM": "dumb", **env}, port)
    try:
        yield reader
    finally:
        reader.close()
