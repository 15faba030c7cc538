"""What the detectors' promises come to on data in which nothing is wrong, simulated from a snapshot's own fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from watchtower.contract import Calibrated, Calibration, DetectionRequest


def calibrate(
    request: DetectionRequest, snapshot: Path, *, runs: int, progress: Callable[[], None] = lambda: None
) -> list[Calibration] | None:
    """The counts of several runs, summed by cohort; None where the detector promises no rate that can be shown.

    ValueError names what is wrong with the request.
    """
    import pyarrow.parquet as pq

    from detectors import ROSTER

    detector = ROSTER[request.detector]
    if not isinstance(detector, Calibrated):
        return None
    table = pq.read_table(snapshot)
    found: dict[str, Calibration] = {}
    for seed in range(runs):
        for one in detector.calibrate(table, request, seed=seed):
            had = found.get(one.cohort)
            if had is not None:
                one = msgspec.structs.replace(one, raised=one.raised + had.raised, judged=one.judged + had.judged)
            found[one.cohort] = one
        progress()
    return list(found.values())
