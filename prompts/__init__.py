"""Prompts: `NAME.vN.md` beside this file. A released version never changes; a better one is vN+1.

A prompt is named in what it produced as `extract.v1@3fa2...`: name, version and the start of its hash.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
NAME = re.compile(r"(?P<name>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]*)\.md")


@dataclass(frozen=True)
class Prompt:
    """One released text. `sha256` is of its UTF-8 bytes, in hex."""

    name: str
    version: int
    text: str
    sha256: str

    @property
    def label(self) -> str:
        """`extract.v1@` and the first 12 hex digits of the hash."""
        return f"{self.name}.v{self.version}@{self.sha256[:12]}"


def available() -> tuple[str, ...]:
    """The released prompts, as `extract.v1`, in order of name and version."""
    found = (NAME.fullmatch(path.name) for path in FOLDER.glob("*.md"))
    pairs = sorted((match["name"], int(match["version"])) for match in found if match)
    return tuple(f"{name}.v{version}" for name, version in pairs)


def load(label: str) -> Prompt:
    """The prompt `extract.v1`. LookupError (naming those that exist) where there is none."""
    match = NAME.fullmatch(f"{label}.md")
    path = FOLDER / f"{label}.md"
    if match is None or not path.is_file():
        raise LookupError(f"prompt {label!r} does not exist; there are {', '.join(available())}")
    body = path.read_bytes()
    return Prompt(
        name=match["name"],
        version=int(match["version"]),
        text=body.decode("utf-8"),
        sha256=hashlib.sha256(body).hexdigest(),
    )
