"""Pairs of records that may be one, out of many: keys, candidates, weights. Memory does not grow with the records.

Every record is made ready once and gets a few keys; pairs that share a key are looked at, each once; a key that too
many records share says nothing and is passed over, and counted. DuckDB holds records, keys and pairs, within a bound
of memory and the rest on disk; Python sees a batch at a time.

Source: M. Hernandez and S. Stolfo, "The Merge/Purge Problem for Large Databases" (1995), for several passes with
different keys; block purging as in G. Papadakis et al., "Comparative Analysis of Approximate Blocking
Techniques" (2016).
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pyarrow as pa
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cpdist

from enrichment.matching.model import PRIOR, Matcher, Prepared
from enrichment.matching.weights import Weight, probability

MOST_SHARED = 40
"""Records that share a key, at most; beyond it the key is passed over."""
CHUNK = 20_000
GATE = 0.72
"""Names less alike than this (Jaro-Winkler, without blanks) are weighed only where a value is the same."""
MEMORY = "1GB"
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

    def pairs(self, rows: Iterable[Row], most: int | None = None) -> list[Pair]:
        """The pairs from the likeliest down, at most so many; the order of equals is that of the rows."""
        with tempfile.TemporaryDirectory(prefix="watchtower-pairs-") as folder:
            with duckdb.connect(str(Path(folder) / "pairs.duckdb")) as db:
                db.execute(
                    f"SET memory_limit='{MEMORY}'; SET temp_directory='{folder}'; SET preserve_insertion_order=false"
                )
                self._load(db, rows)
                self._candidates(db)
                return self._best(self._weighed(db), most)

    def _load(self, db: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> None:
        width = len(self.matcher.prepare({}).values)
        values = ", ".join(f"v{i} VARCHAR" for i in range(width))
        db.execute(f"CREATE TABLE records (n INTEGER, id VARCHAR, text VARCHAR, whole VARCHAR, {values})")
        db.execute("CREATE TABLE keys (key BIGINT, n INTEGER)")
        for ids, made in self._ready(_chunks(rows, CHUNK)):
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

    def _ready(self, chunks: Iterator[list[Row]]) -> Iterator[tuple[list[str], list[tuple[Prepared, list[int]]]]]:
        if self.workers < 2:
            for chunk in chunks:
                yield [id_ for id_, _ in chunk], made_ready(self.matcher, [fields for _, fields in chunk])
            return
        with ProcessPoolExecutor(self.workers, mp_context=get_context("spawn")) as pool:
            while several := list(islice(chunks, self.workers * 2)):
                jobs = [pool.submit(made_ready, self.matcher, [fields for _, fields in chunk]) for chunk in several]
                for chunk, job in zip(several, jobs, strict=True):
                    yield [id_ for id_, _ in chunk], job.result()

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

    def _weighed(self, db: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, int, Pair]]:
        width = len(self.matcher.prepare({}).values)
        sides = ", ".join(
            f"{side}.{column}" for side in "lr" for column in ("id", "text", "whole", *(f"v{i}" for i in range(width)))
        )
        reader = db.execute(
            f"SELECT c.a, c.b, coalesce(s.many, 1), {sides} FROM candidates c JOIN records l ON l.n = c.a "
            "JOIN records r ON r.n = c.b LEFT JOIN namesakes s ON s.whole = l.whole"
        )
        done, size = 0, 3 + width
        while batch := reader.fetchmany(CHUNK):
            done += len(batch)
            likeness = cpdist(
                [row[5] for row in batch], [row[5 + size] for row in batch], scorer=JaroWinkler.similarity, workers=1
            )
            for row, alike in zip(batch, likeness, strict=True):
                left, right = row[3 : 3 + size], row[3 + size :]
                if alike < GATE and not any(x and x == y for x, y in zip(left[4:], right[4:], strict=True)):
                    continue
                self.counts.weighed += 1
                one, two = Prepared(left[1], left[2], left[3:]), Prepared(right[1], right[2], right[3:])
                weights = (PRIOR, *self.matcher.weigh(one, two, row[2], self.counts.records))
                bits = sum(weight.bits for weight in weights)
                if probability(bits) >= self.floor:
                    self.counts.found += 1
                    yield row[0], row[1], Pair(left[0], right[0], left[1], right[1], bits, weights)
            self.told("compared", done, self.counts.candidates)

    @staticmethod
    def _best(found: Iterator[tuple[int, int, Pair]], most: int | None) -> list[Pair]:
        ranked = ((-pair.bits, a, b, pair) for a, b, pair in found)
        chosen = sorted(ranked) if most is None else heapq.nsmallest(most, ranked)
        return [pair for *_, pair in chosen]


def made_ready(matcher: Matcher, rows: list[Mapping[str, str]]) -> list[tuple[Prepared, list[int]]]:
    """Each record made ready, and its keys. A worker's whole task."""
    made = [matcher.prepare(fields) for fields in rows]
    return [(one, matcher.keys(one)) for one in made]


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    waiting = iter(rows)
    while chunk := list(islice(waiting, size)):
        yield chunk


def _number(db: duckdb.DuckDBPyConnection, query: str) -> int:
    found = db.execute(query).fetchone()
    return int(found[0]) if found else 0
