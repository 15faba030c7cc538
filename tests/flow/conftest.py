"""A tower under the rulebook and at the time of the test's own file: its BOOK and its START."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Clock:
    return Clock(request.module.START)


@pytest.fixture
def tower(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    with tower_under(request.module.BOOK, database_url, tmp_path, clock) as built:
        yield built
