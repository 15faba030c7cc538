"""Markdown from what the code says of itself: tables, docstrings, the words that stand behind an attribute."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache

MADE = "*This page is made from the code when the site is built.*"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty where there are no rows."""
    lines = [f"| {' | '.join(cell(part) for part in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines]) + "\n" if lines else ""


def cell(text: str) -> str:
    """Text that fits into a cell: on one line, without a bar that would end it."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def code(text: object) -> str:
    """A text as code; nothing where it is empty."""
    return f"`{text}`" if str(text) else ""


def plain(text: str) -> str:
    """Prose of the code as Markdown: its angle brackets and stars mean themselves."""
    parts = re.split(r"(``?[^`]+``?)", text)
    return "".join(part if n % 2 else re.sub(r"([<>*_\[\]])", r"\\\1", part) for n, part in enumerate(parts))


def prose(docstring: str | None) -> str:
    """A docstring as paragraphs; what is indented in it stays as it is, as code."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring or "").strip())
    shown = []
    for paragraph in paragraphs:
        lines = paragraph.split("\n")
        laid_out = any(line.startswith("  ") for line in lines) or sum("  " in line.strip() for line in lines) > 1
        shown.append(f"```text\n{textwrap.dedent(paragraph)}\n```" if laid_out else plain(paragraph))
    return "\n\n".join(shown) + "\n"


@cache
def attribute_words(cls: type) -> dict[str, str]:
    """What stands as a text behind each attribute of a class, by the attribute's name."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for attribute, text in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(attribute, ast.AnnAssign)
            and isinstance(attribute.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[attribute.target.id] = " ".join(text.value.value.split())
    return found
