"""What a page of the documentation tells its reader to do: the files to write, the commands to run, what they print.

    <!-- given: rulebook, docs/tutorial/leads.csv -->      what is there before the page begins (given.py)

    ```yaml title="rulebook.yaml"                          a file: it is written as shown
    <!-- append -->                                        before such a block: it is added to the file's end

    ```console                                             commands; what follows one is what it prints
    $ watchtower rules check rulebook.yaml
    ...                                                    any number of lines; within a line, any text, also none

    <!-- exit: 1 -->                                       before a block: how its last command ends (usually 0)
    <!-- not run: needs the network -->                    before a block: why it cannot run here; one of REASONS

A block marked `sh` or `bash` is commands without prompts, whose output is not shown. Comments are invisible to readers.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).parents[2]

REASONS = {
    "installs": "it installs or fetches something over the network",
    "real data": "it needs the data beside the project, which are not on every machine",
    "campaign": "it runs for minutes to hours; a small run of the same is among the tests",
    "benchmark": "it measures for minutes; benchmarks are run by themselves",
    "own server": "it needs a PostgreSQL server with roles and passwords of one's own",
    "other system": "it needs a system that is not here: a model's endpoint, a service manager, a cluster",
    "tests": "it runs the tests themselves",
    "placeholder": "a word of it stands for something of the reader's own",
}
"""Why a block may stand unrun. The tests count how many stand for each."""

SHELLS = ("console", "sh", "bash", "shell")
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)\s*(?P<info>.*)$")
_NOTE = re.compile(r"^\s*<!--\s*(?P<word>given|append|exit|not run)\s*(?::\s*(?P<rest>.*?))?\s*-->\s*$")
_TITLE = re.compile(r'title="([^"]+)"')
_COMMAND = re.compile(
    r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:watchtower|python3? (?:-m|tests|benchmarks)|pytest|curl|pip install)\b"
)


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    line: int
    path: str
    text: str
    append: bool = False


@dataclass(frozen=True)
class Command:
    """A command, what the page says it prints (None: nothing is said), and how it must end."""

    line: int
    text: str
    output: str | None = None
    code: int = 0
    why_not: str = ""
    """One of REASONS; empty where it runs."""


@dataclass
class Page:
    """A page: what is given, and what its reader does, in order."""

    path: Path
    given: tuple[str, ...] = ()
    steps: list[File | Command] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Blocks that hold commands in a form that no test would run."""

    @property
    def name(self) -> str:
        return str(self.path.relative_to(PROJECT))

    @property
    def commands(self) -> list[Command]:
        return [step for step in self.steps if isinstance(step, Command)]


def pages() -> list[Page]:
    """Every page of the documentation, and the README files."""
    found = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    return [read(path) for path in [*found, *sorted((PROJECT / "examples").rglob("README.md"))]]


def read(path: Path) -> Page:
    """The page at this path."""
    return parse(path, path.read_text(encoding="utf-8"))


def parse(path: Path, text: str) -> Page:
    """A page's steps. A block of commands that no test would run is a fault: `file:line: what, remedy`."""
    page = Page(path)
    for block in _blocks(text):
        where = f"{path.name}:{block.line}"
        page.given += tuple(part.strip() for part in block.notes.get("given", "").split(",") if part.strip())
        reason = block.notes.get("not run", "")
        if reason and reason not in REASONS:
            page.faults.append(f"{where}: not run: {reason!r} is not one of {', '.join(REASONS)}")
        title = _TITLE.search(block.info)
        language = block.info.partition(" ")[0]
        if title and language not in SHELLS:
            page.steps.append(File(block.line, title[1], block.text, append="append" in block.notes))
        elif language in SHELLS:
            code = int(block.notes.get("exit", "0"))
            shown = language == "console"
            found = list(_commands(block, shown=shown, why_not=reason))
            page.steps += [*found[:-1], *(replace(last, code=code) for last in found[-1:])]
        elif any(_COMMAND.match(line) for line in block.text.splitlines()):
            page.faults.append(
                f"{where}: commands in a block that no test runs; "
                "mark it ```console, with `$ ` before each command, or ```sh without"
            )
    return page


@dataclass
class _Block:
    line: int
    info: str
    text: str
    notes: dict[str, str]


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks, and the indented ones (with an empty info), with the comments that stand before them."""
    lines = text.split("\n")
    notes: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        if fence := _FENCE.match(line):
            indent, ticks = len(fence["indent"]), fence["ticks"]
            end = number + 1
            while end < len(lines) and lines[end].strip() != ticks:
                end += 1
            inside = [one[indent:] if not one[:indent].strip() else one for one in lines[number + 1 : end]]
            yield _Block(number + 1, fence["info"].strip(), "\n".join(inside) + "\n", notes)
            notes, number = {}, end + 1
            continue
        if note := _NOTE.match(line):
            notes[note["word"]] = note["rest"] or ""
        elif line.startswith("    ") and (number == 0 or not lines[number - 1].strip()):
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield _Block(number + 1, "", "\n".join(one[4:] for one in lines[number:end]) + "\n", notes)
            notes, number = {}, end
            continue
        elif line.strip():
            if "given" in notes:
                yield _Block(number + 1, "", "", notes)
            notes = {}
        number += 1


def _commands(block: _Block, *, shown: bool, why_not: str) -> Iterator[Command]:
    """The commands of a block; one that is not whole yet (a quote, a backslash, a here-document) takes more lines."""
    lines = block.text.rstrip("\n").split("\n")
    place = 0
    while place < len(lines):
        first = place
        line = lines[place]
        place += 1
        if shown:
            if not line.startswith("$ "):
                continue
            line = line[2:]
        elif not line.strip() or line.lstrip().startswith("#"):
            continue
        while place < len(lines) and not _whole(line):
            more = lines[place]
            line += "\n" + (more.removeprefix("> ") if shown else more)
            place += 1
        output = None
        if shown:
            end = place
            while end < len(lines) and not lines[end].startswith("$ "):
                end += 1
            said = "\n".join(lines[place:end]).strip("\n")
            output = said or None
        yield Command(block.line + 1 + first, line, output, why_not=why_not)


def _whole(command: str) -> bool:
    if command.rstrip(" ").endswith("\\"):
        return False
    if not any(mark in command for mark in ("'", '"', "<<", "{", "(")):
        return True
    tried = subprocess.run(["bash", "-n"], input=command + "\n", capture_output=True, text=True, check=False)
    return tried.returncode == 0 and "here-document" not in tried.stderr


def as_pattern(shown: str) -> re.Pattern[str]:
    """What is shown, as a pattern: `...` alone on a line is any lines, within one any text.

    Spaces in a row count as one and those at the end of a line as none, for the width of a column depends on what else
    is in it; empty lines do not count: where progress was shown, one is left.
    """
    parts = []
    for line in filter(str.strip, shown.split("\n")):
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = re.split(r"( +|\.\.\.)", line.rstrip())
            spaced = (r"[^\n]*?" if w == "..." else " +" if w[:1] == " " else re.escape(w) for w in words)
            parts.append("".join(spaced) + r"[ \t]*\n")
    return re.compile("".join(parts))
