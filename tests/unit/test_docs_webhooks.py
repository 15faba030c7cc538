"""What docs/webhooks.md shows loads beside the default rulebook, and names what is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from watchtower.connectors import FORMATS
from watchtower.connectors.hooks import HOOKS
from watchtower.rulebook import DEFAULT, load

PAGE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_part_of_a_rulebook_on_the_page_loads(tmp_path: Path, block: str) -> None:
    shutil.copytree(DEFAULT, tmp_path / "book")
    (tmp_path / "book" / "shown.yaml").write_text(block)
    assert load(tmp_path / "book")


def test_the_page_names_every_system_that_sends_webhooks_and_every_kind_of_file() -> None:
    assert len(BLOCKS) == 3
    rows = {row.partition("|")[0].strip().lower() for row in re.findall(r"^\| (.*)", PAGE, re.MULTILINE)}
    assert HOOKS.keys() | {"clickup", "slack"} <= rows
    [spreadsheet] = [one for one in FORMATS if ".xlsx" in one.endings]
    assert all(ending in PAGE for ending in spreadsheet.endings)
