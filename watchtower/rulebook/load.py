"""From YAML files to a Rulebook, or to a list of faults with file, line and column."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from watchtower.errors import Fault, RulebookError
from watchtower.rulebook.model import SIGNAL_FIELDS, Rulebook
from watchtower.rulebook.source import Path_, Place, read_yaml

DEFAULT = Path(__file__).parent / "default"
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


def load(path: Path) -> Loaded:
    """The rulebook of a file, or of a folder whose files are merged. RulebookError lists every fault found."""
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


def _typed(merged: dict[str, Any], places: dict[Path_, Place], name: str) -> Loaded:
    try:
        loaded = Loaded(Rulebook.model_validate(merged), places)
    except ValidationError as error:
        unplaced = Loaded(Rulebook(objects={}), places or {(): Place(name, 1, 1)})
        raise RulebookError([_fault(problem, unplaced) for problem in error.errors()]) from None
    if faults := _references(loaded):
        raise RulebookError(faults)
    return loaded


def _fault(problem: Any, loaded: Loaded) -> Fault:
    loc = tuple(part for part in problem["loc"] if not str(part).startswith("function-"))
    place = loaded.place(*loc)
    what = ".".join(str(part) for part in loc)
    value = problem.get("input")
    if problem["type"] == "extra_forbidden":
        return place.fault(f"{what}: unknown key{_hint(str(loc[-1]), _KEYS)}")
    if problem["type"] == "missing":
        return place.fault(f"{what}: is missing")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return place.fault(f"{what}: {message}")
    return place.fault(f"{what}: {value!r:.80}: {message}")


_KEYS = (
    "name", "timezone", "currency", "description", "objects", "calendars", "rules", "signals", "acceptance",
    "queues", "roles", "fields", "label", "type", "values", "min", "max", "unit", "to", "fill", "rollup", "id",
    "object", "when", "for", "severity", "queue", "owner", "because", "then", "inhibits", "mode", "examples",
    "hit", "miss", "at", "days", "hours", "holidays", "detector", "budget", "parameters", "accept_at", "review_at",
)  # fmt: skip


def _hint(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _references(loaded: Loaded) -> list[Fault]:
    """Names that point at nothing, and names that would mean two things."""
    book, faults = loaded.rulebook, []
    objects = list(book.objects)
    for object_name, model in book.objects.items():
        for field, spec in model.fields.items():
            place = loaded.place("objects", object_name, "fields", field, "to")
            if spec.to and spec.to not in book.objects:
                faults.append(
                    place.fault(
                        f"{object_name}.{field} refers to the unknown object {spec.to!r}{_hint(spec.to, objects)}"
                    )
                )
        if model.label and model.label not in model.fields:
            place = loaded.place("objects", object_name, "label")
            faults.append(place.fault(f"{object_name}: the label {model.label!r} is not one of its fields"))
    seen: dict[str, int] = {}
    for index, rule in enumerate(book.rules):
        if rule.id in seen:
            faults.append(
                loaded.place("rules", index, "id").fault(f"the rule id {rule.id!r} stands twice", "ids are unique")
            )
        seen[rule.id] = index
        if rule.object not in book.objects:
            place = loaded.place("rules", index, "object")
            faults.append(place.fault(f"rule {rule.id}: unknown object {rule.object!r}{_hint(rule.object, objects)}"))
    for index, rule in enumerate(book.rules):
        for other in rule.inhibits:
            if other not in seen:
                place = loaded.place("rules", index, "inhibits")
                faults.append(
                    place.fault(f"rule {rule.id} inhibits the unknown rule {other!r}{_hint(other, list(seen))}")
                )
    for name, signal in book.signals.items():
        place = loaded.place("signals", name)
        if signal.object not in book.objects:
            faults.append(
                place.fault(f"signal {name}: unknown object {signal.object!r}{_hint(signal.object, objects)}")
            )
            continue
        fields = book.objects[signal.object].fields
        if signal.field and signal.field not in fields:
            faults.append(
                place.fault(
                    f"signal {name}: {signal.object} has no field {signal.field!r}{_hint(signal.field, list(fields))}"
                )
            )
        if name in fields:
            faults.append(
                place.fault(f"signal {name}: {signal.object} has a field of the same name", "rename the signal")
            )
    for key in book.acceptance:
        object_name, _, field = key.partition(".")
        place = loaded.place("acceptance", key)
        if object_name not in book.objects or field not in book.objects[object_name].fields:
            faults.append(place.fault(f"acceptance: {key!r} is not a field (object.field)"))
        elif book.objects[object_name].fields[field].fill != "enrichment":
            faults.append(place.fault(f"acceptance: {key} is not declared with fill: enrichment"))
    return faults


__all__ = ["DEFAULT", "SIGNAL_FIELDS", "Loaded", "from_content", "load"]
