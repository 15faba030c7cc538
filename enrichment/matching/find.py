"""Pairs of records that may be one, out of many: keys, candidates, weights. Memory does not grow with the records.

Every record is made ready once and gets a few keys; pairs that share a key are looked at, each once; a key that too
many records share says nothing and is passed over, and counted. DuckDB holds records, keys and pairs, within a bound
of memory and the rest on disk; Python sees a batch at a time.

Source: M. Hernandez and S. Stolfo, "The Merge/Purge Problem for Large Databases" (1995), for several passes with
different keys; block purging as in G. Papadakis et al., "Comparative Analysis of Approximate Blocking
Techniques" (2016).
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cpdist

from enrichment.matching.model import PRIOR, Matcher, Prepared
from enrichment.matching.weights import Weight, probability

T = TypeVar("T")
R = TypeVar("R")
MOST_SHARED = 40
"""Records that share a key, at most; beyond it the key is passed over."""
CHUNK = 20_000
GATE = 0.72
"""Names less alike than this (Jaro-Winkler, without blanks) are weighed only where a value is the same."""
MEMORY = "1GB"
Joined = tuple[Any, ...]
"""A pair as `_joined` reads it."""
HEAD = 4
"""Columns of it before the first record's."""
Row = tuple[str, Mapping[str, str]]
"""The record's id, and its fields by the matcher's names."""


@dataclass(frozen=True)
class Pair:
    """Two records that may be one. `bits` is the sum of the weights; `probability` what follows from it."""

    a: str
    b: str
    a_text: str
    b_text: str
    bits: float
    weights: tuple[Weight, ...]

    @property
    def probability(self) -> float:
        return probability(self.bits)


@dataclass
class Counts:
    """What was done: records read, keys passed over because too many share them, pairs looked at, pairs weighed."""

    records: int = 0
    passed_over: int = 0
    candidates: int = 0
    weighed: int = 0
    found: int = 0


@dataclass
class Finder:
    """Finds pairs. `workers` processes make records ready (1: this one). `told(stage, done, all)` hears of progress."""

    matcher: Matcher
    floor: float = 0.5
    """The least probability of a pair that is told."""
    workers: int = 1
    told: Callable[[str, int, int], None] = lambda stage, done, total: None
    counts: Counts = field(default_factory=Counts)

    def pairs(self, rows: Iterable[Row], most: int | None = None) -> Iterator[Pair]:
        """The pairs from the likeliest down, at most so many; the order of equals is that of the rows."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="watchtower-pairs-"))
            db = stack.enter_context(duckdb.connect(str(Path(folder) / "pairs.duckdb")))
            db.execute(
                f"SET memory_limit='{MEMORY}'; SET temp_directory='{folder}'; SET preserve_insertion_order=false"
            )
            pool = None
            if self.workers > 1:
                pool = stack.enter_context(ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")))
            self._load(db, rows, pool)
            self._candidates(db)
            self._weigh(db, pool)
            yield from self._best(db, most)

    def _load(self, db: duckdb.DuckDBPyConnection, rows: Iterable[Row], pool: Executor | None) -> None:
        width = len(self.matcher.prepare({}).values)
        values = ", ".join(f"v{i} VARCHAR" for i in range(width))
        db.execute(f"CREATE TABLE records (n INTEGER, id VARCHAR, text VARCHAR, whole VARCHAR, {values})")
        db.execute("CREATE TABLE keys (key BIGINT, n INTEGER)")
        prepare = partial(made_ready, self.matcher)
        for chunk, made in _each(prepare, _chunks(rows, CHUNK), pool, self.workers):
            ids = [id_ for id_, _ in chunk]
            first = self.counts.records
            numbers = list(range(first, first + len(ids)))
            columns = {
                "n": pa.array(numbers, pa.int32()), "id": ids, "text": [one.text for one, _ in made],
                "whole": [one.whole for one, _ in made],
            } | {f"v{i}": [one.values[i] for one, _ in made] for i in range(width)}  # fmt: skip
            record_rows = pa.table(columns)
            spread = [(key, n) for n, (_, keys) in zip(numbers, made, strict=True) for key in keys]
            key_rows = pa.table({
                "key": pa.array([key for key, _ in spread], pa.int64()),
                "n": pa.array([n for _, n in spread], pa.int32()),
            })  # fmt: skip
            db.register("record_rows", record_rows)
            db.register("key_rows", key_rows)
            db.execute("INSERT INTO records SELECT * FROM record_rows; INSERT INTO keys SELECT * FROM key_rows")
            db.unregister("record_rows")
            db.unregister("key_rows")
            self.counts.records += len(ids)
            self.told("read", self.counts.records, 0)

    def _candidates(self, db: duckdb.DuckDBPyConnection) -> None:
        db.execute("CREATE TABLE sizes AS SELECT key, count(*) AS shared FROM keys GROUP BY key HAVING count(*) > 1")
        self.counts.passed_over = _number(db, f"SELECT count(*) FROM sizes WHERE shared > {MOST_SHARED}")
        db.execute(
            "CREATE TABLE small AS SELECT k.key, k.n FROM keys k JOIN sizes s ON s.key = k.key "
            f"WHERE s.shared <= {MOST_SHARED}"
        )
        db.execute(
            "CREATE TABLE namesakes AS SELECT whole, count(*) AS many FROM records WHERE whole <> '' GROUP BY whole"
        )
        db.execute(
            "CREATE TABLE candidates AS SELECT DISTINCT a.n AS a, b.n AS b "
            "FROM small a JOIN small b ON a.key = b.key AND a.n < b.n"
        )
        self.counts.candidates = _number(db, "SELECT count(*) FROM candidates")

    def _weigh(self, db: duckdb.DuckDBPyConnection, pool: Executor | None) -> None:
        """Weigh the candidates; those that are likely enough are kept with their bits alone."""
        db.execute("CREATE TABLE found (a INTEGER, b INTEGER, bits DOUBLE)")
        reader = db.cursor().execute(self._joined("candidates", "0.0"))
        done = 0
        weigh = partial(weighed, self.matcher, self.counts.records, self.floor)
        for batch, (count, found) in _each(weigh, iter(lambda: reader.fetchmany(CHUNK), []), pool, self.workers):
            done += len(batch)
            self.counts.weighed += count
            self.counts.found += len(found)
            if found:
                a, b, bits = zip(*found, strict=True)
                db.register("likely", pa.table({"a": a, "b": b, "bits": bits}))
                db.execute("INSERT INTO found SELECT * FROM likely")
                db.unregister("likely")
            self.told("compared", done, self.counts.candidates)

    def _best(self, db: duckdb.DuckDBPyConnection, most: int | None) -> Iterator[Pair]:
        limit = "" if most is None else f" LIMIT {most:d}"
        reader = db.execute(self._joined("found", "c.bits") + f" ORDER BY c.bits DESC, c.a, c.b{limit}")
        while batch := reader.fetchmany(CHUNK):
            for row in batch:
                left, right = _sides(row)
                weights = all_weights(self.matcher, self.counts.records, row)
                bits = sum(weight.bits for weight in weights)
                yield Pair(left[0], right[0], left[1], right[1], bits, weights)

    def _joined(self, table: str, bits: str) -> str:
        """SQL: the numbers of both records, namesakes of the first, bits, and id, text, whole and values of each."""
        width = len(self.matcher.prepare({}).values)
        columns = ("id", "text", "whole", *(f"v{i}" for i in range(width)))
        sides = ", ".join(f"{side}.{column}" for side in "lr" for column in columns)
        return (
            f"SELECT c.a, c.b, coalesce(s.many, 1), {bits}, {sides} FROM {table} c JOIN records l ON l.n = c.a "
            "JOIN records r ON r.n = c.b LEFT JOIN namesakes s ON s.whole = l.whole"
        )


def _sides(row: Joined) -> tuple[Joined, Joined]:
    size = (len(row) - HEAD) // 2
    return row[HEAD : HEAD + size], row[HEAD + size :]


def all_weights(matcher: Matcher, total: int, row: Joined) -> tuple[Weight, ...]:
    """The weights of a joined row, the prior among them."""
    left, right = _sides(row)
    one, two = Prepared(left[1], left[2], left[3:]), Prepared(right[1], right[2], right[3:])
    return (PRIOR, *matcher.weigh(one, two, row[2], total))


def made_ready(matcher: Matcher, rows: list[Row]) -> list[tuple[Prepared, list[int]]]:
    """Each record made ready, and its keys. A task for a process."""
    made = [matcher.prepare(fields) for _, fields in rows]
    return [(one, matcher.keys(one)) for one in made]


def weighed(
    matcher: Matcher, total: int, floor: float, batch: list[Joined]
) -> tuple[int, list[tuple[int, int, float]]]:
    """How many candidates of a batch were weighed, and (a, b, bits) of those of probability `floor` and more.

    A task for a process.
    """
    count, found = 0, []
    sides = [_sides(row) for row in batch]
    likeness = cpdist([left[2] for left, _ in sides], [right[2] for _, right in sides], scorer=JaroWinkler.similarity)
    for row, (left, right), alike in zip(batch, sides, likeness, strict=True):
        if alike < GATE and not any(x and x == y for x, y in zip(left[4:], right[4:], strict=True)):
            continue
        count += 1
        bits = sum(weight.bits for weight in all_weights(matcher, total, row))
        if probability(bits) >= floor:
            found.append((row[0], row[1], bits))
    return count, found


def _each(
    task: Callable[[list[T]], R], chunks: Iterator[list[T]], pool: Executor | None, workers: int
) -> Iterator[tuple[list[T], R]]:
    """Each chunk with what the task makes of it, in order; in the pool where there is one, a few at a time."""
    if pool is None:
        for chunk in chunks:
            yield chunk, task(chunk)
        return
    waiting: deque[tuple[list[T], Future[R]]] = deque()
    for chunk in chunks:
        waiting.append((chunk, pool.submit(task, chunk)))
        if len(waiting) > 2 * workers:
            first, job = waiting.popleft()
            yield first, job.result()
    for first, job in waiting:
        yield first, job.result()


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, size)):
        yield chunk


def _number(db: duckdb.DuckDBPyConnection, query: str) -> int:
    found = db.execute(query).fetchone()
    return int(found[0]) if found else 0
