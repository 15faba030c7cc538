"""From YAML files to a Rulebook, or to a list of faults with file, line and column."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from watchtower.errors import Fault, RulebookError
from watchtower.rulebook.model import SIGNAL_FIELDS, Rulebook
from watchtower.rulebook.parts import Part
from watchtower.rulebook.references import hint, references
from watchtower.rulebook.rest import Rest
from watchtower.rulebook.source import Path_, Place, read_yaml

DEFAULT = Path(__file__).parent / "default"
CONNECTING = Path(__file__).parent / "connecting"
"""A part of a rulebook for each CRM, which fits the default one."""
ROUNDS = 4
"""How often what is left is read again for the faults that others hid."""
_SINGLE = ("name", "timezone", "currency", "description")


@dataclass(frozen=True)
class Loaded:
    """A rulebook and the place of everything in it."""

    rulebook: Rulebook
    places: dict[Path_, Place]

    def place(self, *path: str | int) -> Place:
        """The nearest known place of a path."""
        for end in range(len(path), -1, -1):
            if found := self.places.get(tuple(path[:end])):
                return found
        return Place("rulebook", 1, 1)

    def place_of_condition(self, index: int, offset: int) -> Place:
        """Where a character of the condition of `rulebook.rules[index]` stands, as near as its author wrote it."""
        book = self.rulebook
        if index < len(book.written):
            return self.place("rules", index, "when").at(book.rules[index].when, offset)
        derived = book.derived[index - len(book.written)]
        for start, length, path in derived.texts:
            if start <= offset < start + length:
                # A lone value, `enter: account is not null`, stands at the path of its duty.
                place = self.places.get(path) or self.place(*path[:-1])
                return place.at(derived.rule["when"][start : start + length], offset - start)
        return self.place("rules", index)


def load(path: Path) -> Loaded:
    """The rulebook of a file, or of a folder whose files are merged. RulebookError lists every fault found."""
    loaded, faults, _ = survey(path)
    if faults or loaded is None:
        raise RulebookError(faults)
    return loaded


def survey(path: Path) -> tuple[Loaded | None, list[Fault], Rest]:
    """The rulebook, or what is left of it without the parts that are at fault (None where nothing can be read), the
    faults, and what was taken out. RulebookError where the files cannot be read or merged.
    """
    files = _files(path)
    merged: dict[str, Any] = {}
    places: dict[Path_, Place] = {}
    faults: list[Fault] = []
    for file in files:
        try:
            source = read_yaml(file)
        except RulebookError as error:
            faults += error.faults
            continue
        if source.value is None:
            continue
        if not isinstance(source.value, dict):
            faults.append(Fault(str(file), 1, 1, "a rulebook file is a mapping (name:, objects:, rules:, ...)"))
            continue
        _merge(source.value, source.places, merged, places, faults)
    if not merged and not faults:
        faults.append(Fault(str(path), 1, 1, "is empty", "a rulebook names at least its objects and rules"))
    if faults:
        raise RulebookError(faults)
    return _typed(merged, places, str(path))


def from_content(content: dict[str, Any]) -> Rulebook:
    """A rulebook from its own normalised content (`Rulebook.content`)."""
    return Rulebook.model_validate(content)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml") and p.is_file())
        if not files:
            raise RulebookError([Fault(str(path), 1, 1, "the folder holds no .yaml file")])
        return files
    if not path.exists():
        raise RulebookError([Fault(str(path), 1, 1, "there is no such file or folder")])
    return [path]


def _merge(
    value: dict[str, Any],
    found: dict[Path_, Place],
    merged: dict[str, Any],
    places: dict[Path_, Place],
    faults: list[Fault],
) -> None:
    """Lists are joined, mappings united (objects: down to their fields); the same name twice is a fault."""
    shift = len(merged.get("rules") or [])
    for key, item in value.items():
        here = found[(key,)]
        if key == "rules":
            if not isinstance(item, list):
                faults.append(here.fault("rules: is a list"))
                continue
            merged.setdefault("rules", []).extend(item)
        elif key in _SINGLE or not isinstance(item, dict):
            if key in merged and merged[key] != item:
                faults.append(here.fault(f"{key}: {item!r:.60} here, {merged[key]!r:.60} in another file"))
            merged[key] = item
        else:
            target = merged.setdefault(key, {})
            for name, entry in item.items():
                if key == "objects" and name in target and isinstance(entry, dict):
                    _unite_object(name, entry, target[name], found, faults)
                elif name in target:
                    faults.append(found[(key, name)].fault(f"{key}.{name} is defined twice", "keep one"))
                else:
                    target[name] = entry
    for path, place in found.items():
        if path[:1] == ("rules",) and len(path) > 1 and isinstance(path[1], int):
            path = ("rules", path[1] + shift, *path[2:])
        places.setdefault(path, place)


def _unite_object(
    name: str, entry: dict[str, Any], target: dict[str, Any], found: dict[Path_, Place], faults: list[Fault]
) -> None:
    for part, item in entry.items():
        if part == "fields" and isinstance(item, dict):
            fields = target.setdefault("fields", {})
            for field, model in item.items():
                if field in fields:
                    place = found[("objects", name, "fields", field)]
                    faults.append(place.fault(f"{name}.{field} is defined twice", "one definition per term"))
                fields[field] = model
        else:
            target.setdefault(part, item)


def _typed(merged: dict[str, Any], places: dict[Path_, Place], name: str) -> tuple[Loaded | None, list[Fault], Rest]:
    rest, faults = Rest(merged, places), list[Fault]()
    for _ in range(ROUNDS):
        try:
            book = Rulebook.model_validate(rest.content)
            loaded = Loaded(book, rest.places | _derived_places(book, rest.places))
        except ValidationError as error:
            unplaced = Loaded(Rulebook(objects={}), rest.places or {(): Place(name, 1, 1)})
            problems = error.errors()
            found = [_fault(problem, unplaced) for problem in problems]
            less = rest.without(_location(problem) for problem in problems)
        else:
            found = references(loaded)
            less = rest.without(_astray(loaded)) if found else None
            if less is None or less.lost == rest.lost:
                return loaded, faults + [fault for fault in found if not rest.follows(fault)], rest
        faults += [fault for fault in found if not rest.follows(fault)]
        if less is None:
            break
        rest = less
    return None, faults, rest


def _astray(loaded: Loaded) -> list[Path_]:
    """Rules and references on objects that are not there: no condition can be read with them."""
    book = loaded.rulebook
    rules: list[Path_] = [("rules", n) for n, rule in enumerate(book.written) if rule.object not in book.objects]
    return rules + [
        ("objects", name, "fields", key)
        for name, model in book.objects.items()
        for key, spec in model.fields.items()
        if spec.to and spec.to not in book.objects
    ]


def _derived_places(book: Rulebook, places: dict[Path_, Place]) -> dict[Path_, Place]:
    """Rules that follow from other parts stand where those parts do, and so do their owner, queue, examples, ..."""
    found: dict[Path_, Place] = {}
    origins: dict[Path_, list[int]] = {}
    for index, derived in enumerate(book.derived, len(book.written)):
        origins.setdefault(derived.path, []).append(index)
        if place := places.get(derived.path):
            found["rules", index] = Place(place.file, place.line, place.column)
    for path, place in places.items():
        for end in range(1, len(path)):
            for index in origins.get(path[:end], ()):
                found["rules", index, *path[end:]] = place
    return found


def _fault(problem: Any, loaded: Loaded) -> Fault:
    loc = _location(problem)
    place = loaded.place(*loc)
    what = ".".join(str(part) for part in loc)
    value = problem.get("input")
    if problem["type"] == "extra_forbidden":
        return place.fault(f"{what}: unknown key{hint(str(loc[-1]), _keys())}")
    if problem["type"] == "missing":
        return place.fault(f"{what}: is missing")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return place.fault(f"{what}: {message}")
    return place.fault(f"{what}: {value!r:.80}: {message}")


def _location(problem: Any) -> Path_:
    return tuple(part for part in problem["loc"] if not str(part).startswith("function-"))


@cache
def _keys() -> tuple[str, ...]:
    """Every key that a part of a rulebook may have."""
    found, parts = set[str](), [Part]
    while parts:
        part = parts.pop()
        parts += part.__subclasses__()
        found |= {field.alias or name for name, field in part.model_fields.items()}
    return tuple(sorted(found))


__all__ = ["CONNECTING", "DEFAULT", "SIGNAL_FIELDS", "Loaded", "from_content", "load", "survey"]
