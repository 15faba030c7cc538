"""Which records of a file may be one: what the workers' matchers say, for the command line. Nothing is merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchtower.contract import Likeness, MergeRequest, Weighed
from watchtower.errors import InputError

if TYPE_CHECKING:
    from enrichment.matching import Pair


@dataclass(frozen=True)
class Duplicates:
    """`pairs`: the likeliest first, as plain JSON, read off the disk as they are asked for.

    `counts`: records, candidates, weighed, found, passed_over. `columns`: which one each field was read from.
    """

    pairs: Iterator[dict[str, Any]]
    counts: dict[str, int]
    columns: dict[str, str]


def matched_objects() -> tuple[str, ...]:
    """The objects that there is a matcher for."""
    from enrichment.matching import MATCHERS

    return tuple(MATCHERS)


def find_duplicates(
    path: Path,
    object_: str,
    *,
    floor: float,
    most: int | None,
    workers: int,
    columns: Mapping[str, str],
    told: Callable[[str, int, int], None],
) -> Duplicates:
    """Pairs of records of a file of this probability and more. InputError: the file, the object or a column."""
    from enrichment.errors import EnrichmentError
    from enrichment.matching import MATCHERS, Finder
    from enrichment.matching.read import records

    if object_ not in MATCHERS:
        raise InputError(f"--object: there is no matcher for {object_!r:.60}", remedy=f"objects: {', '.join(MATCHERS)}")
    finder = Finder(MATCHERS[object_], floor=floor, workers=workers, told=told)
    try:
        with records(path, MATCHERS[object_], object_, columns) as opened:
            found = finder.pairs(opened.rows, most)
            first = next(found, None)  # every row is read and every pair weighed before the first is told
            read = {**opened.columns, "id": opened.id or "(the number of the row)"}
    except EnrichmentError as error:
        raise InputError(error.message, remedy=error.remedy) from error
    several = chain(() if first is None else (first,), found)
    return Duplicates(map(_shown, several), asdict(finder.counts), read)


def compare_records(
    request: MergeRequest,
    *,
    like: str,
    floor: float,
    most: int | None,
    workers: int,
    told: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> list[Likeness]:
    """What the matcher takes for one of these records, the likeliest first. InputError: there is none for them."""
    from enrichment.matching import MATCHERS, Finder

    if like not in MATCHERS:
        raise InputError(
            f"object {request.object}: there is no matcher for {like!r:.60}",
            remedy=f"say which it is like: merging.{request.object}.like: {' or '.join(MATCHERS)}",
        )
    matcher = MATCHERS[like]
    rows = (
        (record.id, {field: str(record.fields[key]) for field, key in _fields(matcher.columns, record.fields)})
        for record in request.records
    )
    finder = Finder(matcher, floor=floor, workers=workers, told=told)
    return [
        Likeness(
            request=request.id, a=pair.a, b=pair.b, bits=round(pair.bits, 4),
            weights=tuple(
                Weighed(comparison=w.comparison, outcome=w.outcome, bits=round(w.bits, 4), group=w.group)
                for w in pair.weights
            ),
        )
        for pair in finder.pairs(rows, most)
    ]  # fmt: skip


def _fields(columns: Mapping[str, tuple[str, ...]], there: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(the matcher's field, the record's) by the names that it usually goes by."""
    for field, names in columns.items():
        found = next((name for name in names if there.get(name) not in (None, "")), None)
        if found is not None:
            yield field, found


def _shown(pair: Pair) -> dict[str, Any]:
    weights = [
        {"comparison": w.comparison, "outcome": w.outcome, "bits": round(w.bits, 2), "group": w.group}
        for w in pair.weights
    ]
    return {
        "a": pair.a, "b": pair.b, "a_text": pair.a_text, "b_text": pair.b_text, "bits": round(pair.bits, 2),
        "probability": round(pair.probability, 4), "weights": weights,
    }  # fmt: skip
