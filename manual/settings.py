"""The reference of the settings, from the class that reads them."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import PydanticUndefined

from manual.text import MADE, attribute_words, code, plain, table
from watchtower.settings import Settings, variable_of


def page() -> str:
    """Every setting with its variable."""
    words = attribute_words(Settings)
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined, "") else code(field.default)
        if field.default_factory is not None:
            default = "a folder of the user's" if field.annotation is Path else ""
        rows.append((code(variable_of(name)), default, plain(words.get(name, ""))))
    return "\n".join([
        "# Settings\n",
        MADE + "\n",
        "Environment variables, read once when a command starts. A value that is not accepted stops it, and the "
        "message says what is. Secrets are shown as stars wherever they are printed.\n",
        table(("variable", "default", ""), rows),
    ])  # fmt: skip
