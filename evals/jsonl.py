"""Typed JSONL: one value a line, and errors that name the file, the line and the key."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from watchtower.errors import InputError

Value = TypeVar("Value")


def read_lines(path: Path, kind: type[Value]) -> Iterator[tuple[str, Value]]:
    """(place, value) for every line of a file, or of every `*.jsonl` of a folder in order of name.

    `place` is `file:line`. Blank lines are skipped, and so is the byte-order mark that some editors begin a file with.
    """
    decoder = msgspec.json.Decoder(kind)
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: {error.strerror or error}", remedy="Give a JSONL file.") from None
        for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
            if line.strip():
                place = f"{file.name}:{number}"
                try:
                    yield place, decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    remedy = f"The keys of a line stand in {kind.__module__}.{kind.__qualname__}."
                    raise InputError(f"{place}: {error}", remedy=remedy) from None
