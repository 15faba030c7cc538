"""What is wrong about connected systems: names that point at nothing, two masters, writes against the source of truth.

The order is of three questions: does each name exist, is each fact the word of one system or of a declared rank, and
may what goes back go there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from watchtower.errors import Fault
from watchtower.rulebook.systems import System, feeders, master_of

if TYPE_CHECKING:
    from watchtower.rulebook.load import Loaded

_RESERVED = ("watchtower", "enrichment", "detectors", "ai", "web", "person")
"""Names under which others speak already: a system's name is the source of what it says."""


def system_faults(loaded: Loaded) -> Iterator[Fault]:
    """Every fault of the part `systems`, with its place."""
    for name, system in loaded.rulebook.systems.items():
        yield from _names(loaded, name, system)
        yield from _objects(loaded, name, system)
        yield from _writes(loaded, name, system)
    yield from _truth(loaded)
    yield from _ranks(loaded)


def _names(loaded: Loaded, name: str, system: System) -> Iterator[Fault]:
    book = loaded.rulebook
    if name in _RESERVED:
        yield loaded.place("systems", name).fault(
            f"system {name}: others speak under this name", f"none of {', '.join(_RESERVED)}"
        )
    if book.roles and system.owner not in book.roles:
        place = loaded.place("systems", name, "owner")
        yield place.fault(
            f"system {name}: the owner {system.owner!r} is not among roles{_near(system.owner, book.roles)}"
        )
    if system.calendar and system.calendar not in book.calendars:
        place = loaded.place("systems", name, "calendar")
        yield place.fault(
            f"system {name}: unknown calendar {system.calendar!r}{_near(system.calendar, book.calendars)}"
        )


def _objects(loaded: Loaded, name: str, system: System) -> Iterator[Fault]:
    book = loaded.rulebook
    theirs: dict[str, str] = {}
    for key, mapped in system.objects.items():
        if key not in book.objects:
            place = loaded.place("systems", name, "objects", key)
            yield place.fault(f"system {name}: unknown object {key!r}{_near(key, book.objects)}")
            continue
        if (other := theirs.setdefault(mapped.from_, key)) != key:
            place = loaded.place("systems", name, "objects", key, "from")
            yield place.fault(f"system {name}: {mapped.from_!r} is {other} already", "one of the two")
        fields = book.objects[key].fields
        for field, source in mapped.fields.items():
            place = loaded.place("systems", name, "objects", key, "fields", field)
            spec = fields.get(field)
            if spec is None:
                yield place.fault(f"system {name}: {key} has no field {field!r}{_near(field, fields)}")
                continue
            if spec.rollup is not None:
                yield place.fault(f"system {name}: {key}.{field} is computed; no system fills it")
            if spec.personal and source.from_ == mapped.id:
                yield place.fault(
                    f"system {name}: {source.from_!r} is personal, and ids are not sealed", "choose another id"
                )
            for value in source.values.values():
                if spec.values and value not in spec.values:
                    place = loaded.place("systems", name, "objects", key, "fields", field, "values")
                    yield place.fault(
                        f"system {name}: {value!r} is not a value of {key}.{field}{_near(value, spec.values)}",
                        f"values: {', '.join(spec.values)}",
                    )


def _writes(loaded: Loaded, name: str, system: System) -> Iterator[Fault]:
    book = loaded.rulebook
    for key, fields in system.write.items():
        place = loaded.place("systems", name, "write", key)
        if key not in system.objects or key not in book.objects:
            yield place.fault(
                f"system {name}: write: {key!r} is none of its objects{_near(key, system.objects)}",
                "say under objects: what it is there",
            )
            continue
        master = master_of(book, key)
        if master is not None and master != name:
            yield place.fault(
                f"system {name}: write: the master of {key} is {master}; nothing is written to it from here",
                f"write to {master}, or make {name} its master",
            )
        for field in fields:
            spec = book.objects[key].fields.get(field)
            if field not in system.objects[key].fields:
                near = _near(field, system.objects[key].fields)
                yield place.fault(f"system {name}: write: {key}.{field} is not mapped to any property{near}")
            elif spec is not None and spec.fill != "enrichment":
                yield place.fault(
                    f"system {name}: write: {key}.{field} is not filled by enrichment", "only accepted fields go back"
                )


def _truth(loaded: Loaded) -> Iterator[Fault]:
    """Each object has one master at most; where several systems feed it, one at least."""
    book = loaded.rulebook
    for key in book.objects:
        feeding = list(feeders(book, key))
        masters = [name for name in feeding if book.systems[name].objects[key].master]
        for second in masters[1:]:
            yield loaded.place("systems", second, "objects", key, "master").fault(
                f"system {second}: the master of {key} is {masters[0]} already", "an object has one source of truth"
            )
        if len(feeding) > 1 and not masters:
            yield loaded.place("systems", feeding[1], "objects", key).fault(
                f"system {feeding[1]}: {key} comes from {' and '.join(feeding)}, and none is its master",
                "master: true at one of them",
            )


def _ranks(loaded: Loaded) -> Iterator[Fault]:
    """Where two systems feed one field, its `sources` rank them."""
    book = loaded.rulebook
    for key, model in book.objects.items():
        for field, spec in model.fields.items():
            feeding = [name for name in feeders(book, key) if field in book.systems[name].objects[key].fields]
            for name in feeding:
                place = loaded.place("systems", name, "objects", key, "fields", field)
                if spec.sources and name not in spec.sources:
                    yield place.fault(
                        f"system {name}: {key}.{field} is not taken from it; its sources are {', '.join(spec.sources)}",
                        f"add {name} to its sources, or leave the field out here",
                    )
            if len(feeding) > 1 and not spec.sources:
                yield loaded.place("systems", feeding[1], "objects", key, "fields", field).fault(
                    f"system {feeding[1]}: {key}.{field} comes from {' and '.join(feeding)}, and nothing ranks them",
                    f"sources: [{', '.join(feeding)}] at the field, the highest rank first",
                )


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
