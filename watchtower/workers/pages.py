"""Reading a company's own pages, for whoever asks: a domain and paths in, texts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class PagesRead(NamedTuple):
    """`found`: (path as asked for, address, text). `unread`: (path, why)."""

    found: list[tuple[str, str, str]]
    unread: list[tuple[str, str]]


def shown_document(text: str) -> str:
    """A document as a model elsewhere may see it: invisible characters gone, people's addresses and numbers covered."""
    from enrichment.text import covered, visible

    return covered(visible(text).text)


def read_pages(domain: str, paths: Sequence[str]) -> PagesRead:
    """The pages of a domain's own hosts, within the caps of `enrichment.fetch`."""
    from enrichment.fetch import Fetcher

    pages, unread = Fetcher().read(domain, paths)
    return PagesRead([(page.path, page.url, page.text) for page in pages], [(one.path, one.because) for one in unread])
