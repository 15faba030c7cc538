"""What a page takes as given before its reader begins: a table of names. Any other name is a file of the project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec

from watchtower.bootstrap import build
from watchtower.contract import Event
from watchtower.flow.company import generate
from watchtower.rulebook import DEFAULT
from watchtower.settings import read_settings

PROJECT = Path(__file__).parents[2]
END = datetime(2026, 3, 2, tzinfo=UTC)
ACCOUNTS = 25


def rulebook(folder: Path, url: str) -> None:
    """`rulebook/`: the one that ships."""
    shutil.copytree(DEFAULT, folder / "rulebook")


def events(folder: Path, url: str) -> None:
    """`events.jsonl`: a year of a small generated company, up to 2 March 2026."""
    with (folder / "events.jsonl").open("wb") as out:
        for event in _year():
            out.write(msgspec.json.encode(event) + b"\n")


def tower(folder: Path, url: str) -> None:
    """A tower that has this company's year behind it, under the rulebook that ships."""
    settings = read_settings(database_url=url, data=folder / ".local/watchtower")
    with build(settings, rulebook=DEFAULT) as made, made.importing():
        made.take_events(_year(), origin="given")


def examples(folder: Path, url: str) -> None:
    """`examples/`, as in a clone."""
    (folder / "examples").symlink_to(PROJECT / "examples")


GIVEN: dict[str, Callable[[Path, str], None]] = {
    "rulebook": rulebook,
    "events": events,
    "tower": tower,
    "examples": examples,
}


def give(name: str, folder: Path, url: str) -> None:
    """Put it there. An unknown name is the path of a file or folder of the project, which is copied."""
    if name in GIVEN:
        GIVEN[name](folder, url)
        return
    source = PROJECT / name
    assert source.exists(), f"given: {name} is not one of {', '.join(GIVEN)}, nor a file of the project"
    if source.is_dir():
        shutil.copytree(source, folder / source.name)
    else:
        shutil.copy(source, folder / source.name)
    os.utime(folder / source.name)


@cache
def _year() -> list[Event]:
    return list(generate(7, accounts=ACCOUNTS, start=END - timedelta(days=365), end=END).events)
