"""Are the signals of parts those of one run, and what do two workers and Spark cost and gain?

    python -m benchmarks.detector_parts [--records 200000] [--parts 8] [--spark]

A made-up snapshot (benchmarks.dwell: four spells a record) with two sizes, looked at by stage_dwell and cohort_outlier:
in one piece, in parts one after the other, in parts by two processes that each fit for themselves (as workers do), and,
with --spark, in groups under Spark on this machine. Printed are seconds, the ratio to the one piece, and whether the
signals are equal. Every way but the one piece fits on the whole, as the workers do, before it judges its part.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.dwell import million_spells
from benchmarks.figures import arguments, figure
from detectors import ROSTER
from detectors.partitions import judge, narrow, part_of, raise_in_parts, raise_on_spark
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 1, 1, tzinfo=UTC)
REQUESTS = (
    DetectionRequest(
        id="b", signal="stuck", detector="stage_dwell", object="deal", field="stage", budget=0.01, at=AT
    ),
    DetectionRequest(
        id="b", signal="odd", detector="cohort_outlier", object="deal", budget=0.05, at=AT,
        parameters={"features": "size,value"},
    ),
)  # fmt: skip


def snapshot(records: int) -> pa.Table:
    """Spells with two sizes that follow each other and grow with the last; a few of the newest grow a thousandfold.

    Only of the newest: oddities that stand in the reference take the power away (benchmarks.cohort_outliers).
    """
    random = np.random.default_rng(3)
    table = million_spells(AT, records=records)
    each = table.num_rows // records
    size = np.exp(random.normal(3, 1, records))[:, None] * np.ones(each)
    size[:, -1] *= 1.01
    newest = pc.greater(table["valid_from"], pa.scalar(AT - timedelta(days=6), table["valid_from"].type))
    size[np.flatnonzero(newest.to_numpy().reshape(records, each)[:, -1])[::300], -1] *= 1_000
    value = size * np.exp(random.normal(0, 0.3, (records, 1)))
    return table.append_column("size", pa.array(size.ravel())).append_column("value", pa.array(value.ravel()))


def one_part(given: tuple[pa.Table, DetectionRequest, int, int]) -> list[Signal]:
    """What one worker does: fit on the whole, judge its part."""
    table, request, part, parts = given
    detector = ROSTER[request.detector]
    return list(judge(detector, part_of(table, part, parts), detector.fit(table, request), request))


def by_two(table: pa.Table, request: DetectionRequest) -> Sequence[Signal]:
    detector = ROSTER[request.detector]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(one_part, [(table, request, part, 2) for part in range(2)]))
    return narrow(detector, [signal for part in parts for signal in part], detector.fit(table, request), request)


def whole(table: pa.Table, request: DetectionRequest) -> Sequence[Signal]:
    detector = ROSTER[request.detector]
    return detector.raise_signals(table, detector.fit(table, request), request)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="Records, with four spells each.")
    parser.add_argument("--parts", type=int, default=8, help="Parts, one after the other and under Spark.")
    parser.add_argument("--spark", action="store_true", help="Under Spark too; needs pyspark and Java.")
    asked = parser.parse_args()
    table = snapshot(asked.records)
    ways: list[tuple[str, Callable[[pa.Table, DetectionRequest], Sequence[Signal]]]] = [
        ("one piece", whole),
        (f"{asked.parts} parts", lambda t, r: raise_in_parts(ROSTER[r.detector], t, r, asked.parts)),
        ("two processes", by_two),
    ]
    if asked.spark and shutil.which("java"):
        from watchtower.flow.spark import spark_session

        with spark_session("local[2]") as session:
            compare(table, [*ways, ("Spark", spark(session, asked.parts))])
    else:
        compare(table, ways)


def spark(session: Any, parts: int) -> Callable[[pa.Table, DetectionRequest], Sequence[Signal]]:
    return lambda table, request: raise_on_spark(session, ROSTER[request.detector], table, request, parts)


def compare(
    table: pa.Table, ways: Sequence[tuple[str, Callable[[pa.Table, DetectionRequest], Sequence[Signal]]]]
) -> None:
    for request in REQUESTS:
        first, expected = 0.0, list[Signal]()
        whole(table.slice(0, 4_000), request)  # imports and compilation are not what is measured
        for name, way in ways:
            begun = perf_counter()
            found = sorted(way(table, request), key=lambda signal: signal.subject)
            took = perf_counter() - begun
            if not first:
                first, expected = took, found
            same = "equal" if found == expected else "NOT EQUAL"
            if name != "one piece":
                figure(f"{request.detector}, {name}", took, "s", better="lower", peer="one piece", of_peer=took / first)
            print(
                f"{request.detector}, {table.num_rows:,} versions, {name}: {took:.1f} s "
                f"({took / first:.2f} of one piece), {len(found):,} signals, {same}"
            )


if __name__ == "__main__":
    main()
