"""What mkdocs calls while it builds the site: pages made from the code, and pictures laid into the pages.

A picture is laid in as it is, so that it takes the colours of the page, light or dark.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent.parent))  # mkdocs loads this file by its path, from anywhere

from manual.reference import PAGES

_PICTURE = re.compile(r"^!\[([^\]]*)\]\(((?:[\w./-]+/)?[\w-]+\.svg)\)$", re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lay pictures into the page, each with its words for those who do not see it."""
    folder = Path(config.docs_dir, page.file.src_uri).parent

    def laid(found: re.Match[str]) -> str:
        picture = (folder / found[2]).read_text(encoding="utf-8")
        drawn = re.sub(r"\n\s*\n", "\n", picture[picture.index("<svg") :]).strip()
        return f'<figure class="picture" role="img" aria-label="{found[1]}">{drawn}</figure>'

    return _PICTURE.sub(laid, markdown)
