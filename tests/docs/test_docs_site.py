"""The site builds without a warning, fetches nothing from elsewhere, and a page outside the navigation is reported."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def _build(settings: Path, out: Path) -> list[str]:
    """Build the site strictly; its warnings."""
    mkdocs = pytest.importorskip("mkdocs.config", reason="mkdocs-material is not installed (the extra `docs`)")
    from mkdocs.commands.build import build
    from mkdocs.exceptions import Abort

    told: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    listen = Listen(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(listen)
    try:
        config = mkdocs.load_config(str(settings), site_dir=str(out), strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    except Abort:
        assert told
    finally:
        logging.getLogger("mkdocs").removeHandler(listen)
    return told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    assert _build(PROJECT / "mkdocs.yml", out) == []
    return out


def test_every_page_has_its_place_and_every_link_leads_somewhere(site: Path) -> None:
    pages = {path.relative_to(PROJECT / "docs").with_suffix(".html") for path in (PROJECT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).exists()} == set()


def test_no_page_asks_another_machine_for_anything(site: Path) -> None:
    asking = re.compile(r"<(?:link|script|img|iframe|source)\b[^>]*?(?:href|src)=[\"']?((?:https?:)?//[^\"' >]+)")
    found = {
        (path.name, address)
        for path in site.rglob("*.html")
        for address in asking.findall(path.read_text(encoding="utf-8"))
    }
    assert found == set()
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(\s*[\"']?(https?:)?//", path.read_text("utf-8"))]
    assert styles == []


def test_a_page_outside_the_navigation_is_reported(tmp_path: Path) -> None:
    for name in ("docs", "manual"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    shutil.copy(PROJECT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs/forgotten.md").write_text("# Forgotten\n\nSee [nothing](nowhere.md).\n")
    told = " ".join(_build(tmp_path / "mkdocs.yml", tmp_path / "out"))
    assert "forgotten.md" in told and "nowhere.md" in told
