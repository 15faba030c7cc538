"""From versions to outcomes: when something could have gone wrong in a segment, and whether it did.

    outcome     one for each                          wrong where                    known from
    skips       move of a record                      the lifecycle does not allow   the move
    late        stay in a stage with a limit          it lasted to the limit         leaving, or the limit
    lacking     stay left that demands fields         one was empty                  leaving
    violations  stay left                             it broke anything              leaving
    missing     record, `after_days` after its first  one of `fields` is empty       then
    value       entry into one of `wrong`, `right`    it is one of `wrong`           the entry

An outcome counts at the time from which it is known: SLA adherence is not judged on stays that may still be in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.conformance import LATE, MOVE, SKIP, check_traces, lacking_fields
from detectors.lifecycle import Lifecycle
from detectors.snapshot import OPEN, Longs, Versions, names_in
from detectors.spells import Spells, read_spells
from detectors.wording import HOUR
from watchtower.contract import DetectionRequest

OUTCOMES = {
    "skips": "moves off the lifecycle",
    "late": "stays over their limit",
    "lacking": "stays left without what they must bring",
    "violations": "stays that broke the lifecycle",
    "missing": "records with an empty field",
    "value": "entries into {wrong}",
}
"""What each calls a wrong one, in the plural."""
PARAMETERS = ("outcome", "fields", "after_days", "wrong", "right")
AFTER_DAYS = 7


@dataclass(frozen=True)
class Outcomes:
    """Columns of equal length, in order of time."""

    row: Longs
    """The versions' row that tells the segment."""
    time: Longs
    """Microseconds since 1970, from when the outcome is known."""
    wrong: NDArray[np.bool_]


def read_outcomes(versions: Versions, request: DetectionRequest) -> Outcomes:
    """All that are known at the versions' time. ValueError names a parameter that does not fit."""
    kind = str(request.parameters.get("outcome", ""))
    if kind not in OUTCOMES:
        raise ValueError(f"parameters.outcome: {kind!r} is not known; accepted are {', '.join(OUTCOMES)}")
    if kind == "missing":
        found = _missing(versions, request)
    elif kind == "value":
        found = _values(read_spells(versions, _field(request)), request)
    else:
        found = _conformance(kind, versions, read_spells(versions, _field(request)), request)
    row, time, wrong = found
    order = np.argsort(time, kind="stable")
    order = order[time[order] <= versions.at]
    return Outcomes(row[order], time[order], wrong[order])


Columns = tuple[Longs, Longs, NDArray[np.bool_]]


def _conformance(kind: str, versions: Versions, spells: Spells, request: DetectionRequest) -> Columns:
    cycle = Lifecycle.read(request.parameters)
    compiled = cycle.compiled(spells.stages)
    lacking, _ = lacking_fields(versions, spells, cycle)
    masks = check_traces(spells.record, spells.stage, spells.duration, compiled, lacking)
    left = spells.start + spells.duration
    if kind == "skips":
        same = spells.record[1:] == spells.record[:-1]
        moved = np.flatnonzero(same & (spells.stage[1:] != spells.stage[:-1])) + 1
        return spells.row[moved], spells.start[moved], (masks[moved] & (SKIP | MOVE)) != 0
    if kind == "late":
        limit = compiled.limits[spells.stage]
        late = (masks & LATE) != 0
        known = np.flatnonzero((limit != OPEN) & (late | ~spells.running))
        return (
            spells.row[known],
            np.where(late, spells.start + np.minimum(limit, spells.duration), left)[known],
            late[known],
        )
    if kind == "lacking":
        demanding = np.array([name in cycle.requires for name in spells.stages], dtype=np.bool_)
        known = np.flatnonzero(demanding[spells.stage] & spells.completed)
        return spells.row[known], left[known], lacking[known]
    known = np.flatnonzero(~spells.running)
    return spells.row[known], left[known], masks[known] != 0


def _missing(versions: Versions, request: DetectionRequest) -> Columns:
    fields = names_in(request.parameters.get("fields", ""))
    if not fields:
        raise ValueError("parameters.fields: missing; name the fields that must be known, such as 'owner,amount'")
    days = request.parameters.get("after_days", AFTER_DAYS)
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= 3_660:
        raise ValueError(f"parameters.after_days: {days!r} is not a whole number from 0 to 3660")
    empty = np.zeros(versions.record.size, dtype=np.bool_)
    for name in fields:
        empty |= versions.column(name).is_null().to_numpy()
    firsts = np.flatnonzero(versions.first)
    due = versions.start[firsts] + days * 24 * HOUR
    # in each record's block the last version that began by then, and it must still be in force
    key = due[np.cumsum(versions.first) - 1]
    begun = np.flatnonzero(versions.start <= key)
    last = begun[np.append(np.diff(versions.record[begun]) != 0, np.ones(min(1, begun.size), dtype=np.bool_))]
    alive = versions.end[last] > due
    return last[alive], due[alive], empty[last[alive]]


def _values(spells: Spells, request: DetectionRequest) -> Columns:
    wrong, right = (names_in(request.parameters.get(name, "")) for name in ("wrong", "right"))
    if not wrong or not right:
        raise ValueError("parameters.wrong, parameters.right: both are needed, such as wrong: lost, right: won")
    both = np.array([name in wrong or name in right for name in spells.stages], dtype=np.bool_)
    bad = np.array([name in wrong for name in spells.stages], dtype=np.bool_)
    known = np.flatnonzero(both[spells.stage])
    return spells.row[known], spells.start[known], bad[spells.stage[known]]


def _field(request: DetectionRequest) -> str:
    if not request.field:
        kind = request.parameters.get("outcome")
        raise ValueError(f"field: signal {request.signal!r} names none; the outcome {kind} needs one")
    return request.field


def record_ids(versions: Versions, rows: Longs) -> list[str]:
    """The ids of the records of rows."""
    ids: list[str] = versions.ids.take(pa.array(versions.record[rows], pa.int64())).to_pylist()
    return ids
