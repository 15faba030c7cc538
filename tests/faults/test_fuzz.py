"""The parsers at the rim answer or refuse, whatever bytes come: a small run of fuzz_parsers.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris is not installed (the extra `dev`, on Linux)")

CAMPAIGN = Path(__file__).parent / "fuzz_parsers.py"


def test_no_parser_raises_what_it_does_not_promise(tmp_path: Path) -> None:
    command = [sys.executable, str(CAMPAIGN), "--parser", "every", "--runs", "3000", "--keep", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    assert '"runs": 3000, "fault": ""' in ended.stdout
