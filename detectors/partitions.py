"""Detection in parts: the snapshot's records are parted by their ids, and each part is judged apart.

What is usual is learnt from the whole (the fit is bounded: a model learns from so many records at most); judging, which
grows with the records, is done in parts: by jobs on several workers, or as groups under Spark. The signals are those of
one run, because a detector that works `in_parts` judges each record by the fit and its own rows alone. Where it decides
over all p-values together, it has `judge`, and `narrow` decides over the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.pvalues import benjamini_hochberg
from detectors.snapshot import Longs
from watchtower.contract import DetectionRequest, Detector, Signal

PART = "_part"
"""The column that Spark groups by."""

Run = Callable[[Callable[[int], Sequence[Signal]], Iterable[int]], Iterable[Sequence[Signal]]]


def part_numbers(snapshot: Any, parts: int) -> Longs:
    """For each row the part of its record, in [0, parts): the same on every machine."""
    encoded = pc.cast(snapshot.column("record"), pa.string()).combine_chunks().dictionary_encode()
    numbers = np.array([crc32(record.encode()) % parts for record in encoded.dictionary.to_pylist()], dtype=np.int64)
    found: Longs = numbers[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def part_of(snapshot: Any, part: int, parts: int) -> Any:
    """The rows of one part."""
    return snapshot.filter(pa.array(part_numbers(snapshot, parts) == part))


def judge(detector: Detector, snapshot: Any, fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
    """The signals of one part; those of all parts go through `narrow`."""
    own = getattr(detector, "judge", None)
    found: Sequence[Signal] = (own or detector.raise_signals)(snapshot, fitted, request)
    return found


def narrow(detector: Detector, signals: Iterable[Signal], fitted: Any, request: DetectionRequest) -> Sequence[Signal]:
    """The signals of all parts, decided over together where the detector does so; the strangest first."""
    found = sorted(signals, key=lambda signal: (signal.p_value, -signal.strength, signal.subject))
    if hasattr(detector, "judge") and found:
        # those that no part has named have greater p-values than the budget: they only count
        p_values = np.ones(max(int(fitted.tested), len(found)))
        p_values[: len(found)] = [signal.p_value for signal in found]
        rejected = benjamini_hochberg(p_values, request.budget)
        found = [signal for signal, told in zip(found, rejected.tolist(), strict=False) if told]
    return found


def raise_in_parts(
    detector: Detector, snapshot: Any, request: DetectionRequest, parts: int, run: Run = map
) -> Sequence[Signal]:
    """Fit on the whole, judge in so many parts by `run` (`map`, or that of a pool), decide.

    ValueError where the detector does not work in parts.
    """
    _check(detector)
    fitted = detector.fit(snapshot, request)
    numbers = part_numbers(snapshot, parts)

    def one(part: int) -> Sequence[Signal]:
        return judge(detector, snapshot.filter(pa.array(numbers == part)), fitted, request)

    return narrow(detector, [signal for found in run(one, range(parts)) for signal in found], fitted, request)


def raise_on_spark(
    session: Any, detector: Detector, snapshot: Any, request: DetectionRequest, parts: int
) -> Sequence[Signal]:
    """The same under Spark: one group for each part, judged by `applyInArrow` on the executors.

    `session`: a SparkSession whose executors have this package. `snapshot`: a pyarrow Table. Needs the extra `spark`.
    """
    import msgspec

    _check(detector)
    fitted = detector.fit(snapshot, request)
    frame = session.createDataFrame(snapshot.append_column(PART, pa.array(part_numbers(snapshot, parts))))

    def one(group: pa.Table) -> pa.Table:
        found = judge(detector, _with_zone(group.drop_columns([PART])), fitted, request)
        return pa.table({"signal": pa.array([msgspec.json.encode(signal).decode() for signal in found], pa.string())})

    rows = frame.groupBy(PART).applyInArrow(one, schema="signal string").toArrow()["signal"].to_pylist()
    return narrow(detector, [msgspec.json.decode(row, type=Signal) for row in rows], fitted, request)


def _check(detector: Detector) -> None:
    if not getattr(detector, "in_parts", False):
        because = getattr(detector, "whole", "")
        raise ValueError(f"detector {detector.name}: does not work in parts{because and ': ' + because}")


def _with_zone(table: pa.Table) -> pa.Table:
    """Spark's times as ours: microseconds in UTC."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.timestamp("us", "UTC")))
    return table
