"""The audit as one HTML file: no script, no request to anywhere, light and dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from watchtower.flow.audit.review import Review

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(review: Review) -> str:
    """The whole page."""
    return _TEMPLATES.get_template("audit.html.j2").render(review=review)
