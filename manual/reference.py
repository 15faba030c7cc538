"""The table of the pages that are made from the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from manual import cli, http, rosters, rulebook, settings

PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "reference/commands.md": cli.page,
        "reference/rulebook.md": rulebook.page,
        "reference/events.md": rosters.events,
        "reference/http.md": http.page,
        "reference/settings.md": settings.page,
        "reference/detectors.md": rosters.detectors,
        "reference/normalisers.md": rosters.normalisers,
        "reference/metrics.md": rosters.metrics,
    }
)
"""Where each stands in the site, and what makes it. A new one is an entry here and a line in mkdocs.yml."""
