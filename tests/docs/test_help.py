"""Every command's --help is printed: words in brackets are markup to the printer, and may break it."""

from __future__ import annotations

import pytest
from command_line import inside

from manual.cli import names


@pytest.mark.parametrize("path", names())
def test_the_help_of_a_command_is_printed(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = inside(capsys, *path.split()[1:], "--help")
    assert code == 0 and "Usage:" in out, err
