"""From versions to spells: the time for which a record stood in one value of a field without a break."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.snapshot import OPEN, Longs, Versions

UNKNOWN = "unknown"
"""The stratum of a spell at whose start the stratifying field was null."""


@dataclass(frozen=True)
class Spells:
    """Columns of equal length, ordered by record, then time. A spell's stratum is the one at its start."""

    ids: Any
    """Record ids by code, a pyarrow Array of text."""
    stages: list[str]
    strata: list[str]
    """Without stratification, one stratum of empty name."""
    record: Longs
    stage: Longs
    stratum: Longs
    row: Longs
    """The row of the versions with which the spell begins."""
    start: Longs
    """Microseconds since 1970."""
    duration: Longs
    """Microseconds: to the end, or to the time of the request where the spell is running."""
    completed: NDArray[np.bool_]
    """The record went on to another known value. Where a record was deleted, or the value was cleared,
    the spell has an end, but nobody knows that it left: it counts as censored there."""
    running: NDArray[np.bool_]

    @property
    def cohort(self) -> Longs:
        """One number for each pair of stage and stratum."""
        return self.stage * len(self.strata) + self.stratum

    def cohort_names(self, cohort: int) -> tuple[str, str]:
        """The stage and the stratum of a cohort's number."""
        stage, stratum = divmod(int(cohort), len(self.strata))
        return self.stages[stage], self.strata[stratum]


def read_spells(versions: Versions, field: str, by: str = "") -> Spells:
    """The spells of `field`, with the value of `by` (where given) at each spell's start."""
    stage, stages = versions.codes(field)
    if by:
        stratum, strata = versions.codes(by)
        stratum = np.where(stratum < 0, len(strata), stratum)
        strata = [*strata, UNKNOWN]
    else:
        stratum, strata = np.zeros_like(stage), [""]

    joined = versions.joined
    begins = np.ones(stage.size, dtype=np.bool_)
    begins[1:] = ~joined[1:] | (stage[1:] != stage[:-1])
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], stage.size) - 1 if firsts.size else firsts
    goes_on = np.append(joined[1:] & (stage[1:] >= 0), np.zeros(min(1, stage.size), dtype=np.bool_))

    named = stage[firsts] >= 0
    firsts, lasts = firsts[named], lasts[named]
    running = versions.end[lasts] == OPEN
    ends = np.where(running, versions.at, versions.end[lasts])
    return Spells(
        ids=versions.ids,
        stages=stages,
        strata=strata,
        record=versions.record[firsts],
        stage=stage[firsts],
        stratum=stratum[firsts],
        row=firsts,
        start=versions.start[firsts],
        duration=ends - versions.start[firsts],
        completed=goes_on[lasts],
        running=running,
    )
