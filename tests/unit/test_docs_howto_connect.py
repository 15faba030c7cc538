"""The pages that say how a system is connected: whole, their rulebook parts load, and name what the code names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from watchtower.connectors.hooks import HOOKS
from watchtower.rulebook import DEFAULT, load
from watchtower.rulebook.kinds import KINDS

FOLDER = Path(__file__).parents[2] / "docs" / "howto"
PAGES = {path.stem.removeprefix("connect-"): path.read_text(encoding="utf-8") for path in FOLDER.glob("connect-*.md")}


def test_each_vendor_has_a_page() -> None:
    assert set(PAGES) == {"hubspot", "salesforce", "attio", "outreach", "gong", "clickup"}


@pytest.mark.parametrize("name", PAGES)
def test_the_rulebook_part_of_a_page_loads_beside_the_default_one(name: str, tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", PAGES[name], re.DOTALL)):
        shutil.copytree(DEFAULT, tmp_path / str(number))
        (tmp_path / str(number) / "shown.yaml").write_text(block)
        assert load(tmp_path / str(number))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_is_read_and_written_and_what_happens_on_conflicts_and_deletions(name: str) -> None:
    heads = " ".join(re.findall(r"^## (.*)", PAGES[name], re.MULTILINE)).lower()
    for word in ("credential|key", "read|written", "conflict|both sides", "deletion|goes there"):
        assert re.search(word, heads), word


@pytest.mark.parametrize("name", sorted(set(PAGES) & set(KINDS)))
def test_a_page_names_the_variables_that_its_kind_needs_and_its_webhooks_secret(name: str) -> None:
    named = set(re.findall(rf"WATCHTOWER_{name.upper()}_([A-Z_]+)", PAGES[name]))
    assert any(set(several) <= named for several in KINDS[name].needs), named
    assert ("WEBHOOK_SECRET" in named) == (name in HOOKS)
