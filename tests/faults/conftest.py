"""What the tests of faults share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder for an embedded PostgreSQL that runs for a while.

    Not pytest's: each run of pytest by the same user closes the folder above those of all runs anew, also to the
    account that a server started by root runs with.
    """
    with tempfile.TemporaryDirectory(prefix="watchtower-faults-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
