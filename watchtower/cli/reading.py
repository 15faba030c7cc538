"""What commands read: a rulebook, a file of events, a period."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from watchtower.cli.output import errors, time_option
from watchtower.connectors import load_mapping, open_source
from watchtower.contract import Event
from watchtower.errors import InputError
from watchtower.flow.history import History, fold_history
from watchtower.rulebook import Loaded
from watchtower.rules.compile import Program, read_program


def landed(path: Path) -> Path:
    """The path; of `-` (standard input) and of a pipe, a file of all that comes out of it, which goes with the process:
    events are read more than once, and their number is asked for before."""
    piped = str(path) == "-"
    if not piped and (path.is_file() or path.is_dir() or not path.exists()):
        return path
    folder = Path(tempfile.mkdtemp(prefix="watchtower-events-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / ("stdin" if piped else path.name)
    with copy.open("wb") as file:
        if piped:
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, file)
    return copy


class EventFile:
    """The events of a file, as often as they are asked for. `refused` names what could not be read as one.

    A file of events without a byte is a history in which nothing has happened yet.
    """

    def __init__(self, path: Path, mapping: Path | None) -> None:
        self.path = path
        self._file = landed(path)
        self._mapping = load_mapping(mapping) if mapping else None
        self.refused: list[str] = []

    def __iter__(self) -> Iterator[Event]:
        self.refused = []
        if self._mapping is None and self._file.is_file() and not self._file.stat().st_size:
            errors.print(f"{self.path}: is empty: no event has happened", markup=False)
            return
        for batch in open_source(self._file, self._mapping).batches():
            self.refused.extend(f"{r.place}: {r.reason}" for r in batch.refused)
            yield from batch.events


def history_of(
    program: Program,
    source: EventFile,
    until: datetime | None,
    set_aside: bool,
    *,
    keep: list[Event] | None = None,
) -> History:
    """The history of a file's events up to `until`; `keep` collects those about it that count."""
    history = fold_history(program, source, until=until, keep=keep)
    problems = source.refused + [str(problem) for problem in history.problems]
    for problem in problems[:20]:
        errors.print(f"set aside: {problem}" if set_aside else problem, markup=False)
    if problems and not set_aside:
        raise InputError(
            f"{source.path}: {len(problems)} of {history.events + len(source.refused)} events cannot be read",
            remedy="mend them, or give --set-aside to go on without them",
        )
    if history.ignored:
        errors.print(f"passed over: {history.ignored} events on objects this rulebook does not name", markup=False)
    return history


def period_of(start: str, end: str) -> tuple[datetime, datetime]:
    first, last = time_option(start, "--from"), time_option(end, "--to")
    if first >= last:
        raise InputError(f"--from {start} is not before --to {end}")
    return first, last


def program_of(path: Path) -> tuple[Loaded, Program]:
    return read_program(path)
