"""A tower under a test's own rulebook and clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from watchtower.bootstrap import Tower, build
from watchtower.settings import Settings


class Clock:
    """It shows `now` until somebody sets it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def tower_under(book: str, url: str, folder: Path, clock: Clock) -> Iterator[Tower]:
    (folder / "rules.yaml").write_text(book)
    settings = Settings(data=folder, database_url=SecretStr(url))
    with build(settings, rulebook=folder / "rules.yaml", clock=clock) as built:
        yield built
