"""A change of single values in a rulebook's files, as its author would make it: every other byte stays.

Nothing is written here but what `write_edits` is given. A change can be shown as a unified diff first.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watchtower.errors import InputError
from watchtower.rulebook.load import load
from watchtower.rulebook.source import Path_, Place


@dataclass(frozen=True)
class Edit:
    """One file, as it is and as it would be."""

    file: Path
    before: str
    after: str

    def diff(self) -> str:
        """As a unified diff; empty where nothing changes."""
        name = str(self.file)
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), name, name, n=1
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def edits(path: Path, values: Mapping[Path_, float]) -> list[Edit]:
    """The files of the rulebook at `path` that change when each number in `values` stands at its path.

    A key that its mapping lacks is put first into it. InputError where there is no such mapping, or where the
    changed text would not say exactly this (an exotic layout: change it by hand).
    """
    loaded = load(path)
    by_file: dict[str, list[tuple[Place, str, str]]] = {}
    for where, number in values.items():
        found = loaded.places.get(where)
        old = found.text if found is not None else ""
        place = found or loaded.places.get(where[:-1])
        if place is None or (found is not None and not old):
            raise InputError(f"{path}: {_named(where)}: is not written in the rulebook", remedy="write it first")
        by_file.setdefault(place.file, []).append((place, old, f"{number:g}" if old else f"{where[-1]}: {number:g}"))
    made = []
    for file, changes in sorted(by_file.items()):
        before = Path(file).read_bytes().decode("utf-8")
        made.append(Edit(Path(file), before, _changed(before, changes)))
    return [edit for edit in made if edit.before != edit.after]


def write_edits(path: Path, made: list[Edit], values: Mapping[Path_, float]) -> None:
    """Writes the files, and sees that the rulebook then says this; else they are put back, and InputError."""
    for edit in made:
        edit.file.write_bytes(edit.after.encode("utf-8"))
    try:
        content = load(path).rulebook.model_dump(mode="json", by_alias=True)
        wrong = [where for where, number in values.items() if _at(content, where) != number]
        if wrong:
            raise InputError(
                f"{path}: {_named(wrong[0])}: does not read {values[wrong[0]]:g} after the change; nothing was changed",
                remedy="change it by hand",
            )
    except BaseException:
        for edit in made:
            edit.file.write_bytes(edit.before.encode("utf-8"))
        raise


def _named(where: Path_) -> str:
    return ".".join(map(str, where))


def _at(content: object, where: Path_) -> object:
    for part in where:
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _changed(text: str, changes: list[tuple[Place, str, str]]) -> str:
    lines = text.splitlines(keepends=True)
    # From the end backwards, so that the places before a change stay what they were.
    for place, old, new in sorted(changes, key=lambda c: (c[0].line, c[0].column), reverse=True):
        line = lines[place.line - 1]
        start = place.column - 1
        if place.line == 1 and line.startswith("\ufeff"):
            start += 1
        if old:
            if line[start : start + len(old)] != old:
                raise InputError(f"{place.file}:{place.line}: {old!r} is not where it was; nothing was changed")
            lines[place.line - 1] = line[:start] + new + line[start + len(old) :]
        elif line[start : start + 1] == "{":
            rest = line[start + 1 :].lstrip()
            comma = "" if rest.startswith("}") else ", "
            lines[place.line - 1] = line[: start + 1] + new + comma + rest
        else:
            lines[place.line - 1] = line[:start] + new + "\n" + " " * start + line[start:]
    return "".join(lines)
