"""From versions to outcomes: when something could have gone wrong in a segment, and whether it did.

    outcome     one for each                          wrong where                    known from
    skips       move of a record                      the lifecycle does not allow   the move
    late        stay in a stage with a limit          it lasted to the limit         leaving, or the limit
    lacking     stay left that demands fields         one was empty                  leaving
    violations  stay left                             it broke anything              leaving
    missing     record, `after_days` after its first  one of `fields` is empty       then
    value       entry into one of `wrong`, `right`    it is one of `wrong`           the entry
    pushed      week at whose end a record was open   `date` was moved later in it   the week's end
    missed      forecast, `ahead_days` before `date`  the record was not won by it   the day after `date`

`pushed` and `missed` read the date a deal is expected to close; it is open unless its stage is in `closed`. A forecast
is a version that stood `ahead_days` before its own date, with `category` (where given) among `committed`.

An outcome counts at the time from which it is known: SLA adherence is not judged on stays that may still be in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.conformance import LATE, MOVE, SKIP, check_traces, lacking_fields
from detectors.due import DAY, due_times, in_stages, open_weeks, pushes_of, rows_at
from detectors.lifecycle import Lifecycle
from detectors.snapshot import OPEN, Longs, Versions, names_in
from detectors.spells import Spells, read_spells
from detectors.weeks import MONDAY, WEEK
from watchtower.contract import DetectionRequest

OUTCOMES = {
    "skips": "moves off the lifecycle",
    "late": "stays over their limit",
    "lacking": "stays left without what they must bring",
    "violations": "stays that broke the lifecycle",
    "missing": "records with an empty field",
    "value": "entries into {wrong}",
    "pushed": "weeks with a later {date}",
    "missed": "forecasts that did not come true",
}
"""What each calls a wrong one, in the plural."""
PARAMETERS = (
    "outcome", "fields", "after_days", "wrong", "right", "date", "closed", "won", "category", "committed", "ahead_days",
)  # fmt: skip
AFTER_DAYS = 7
AHEAD_DAYS = 30


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
    elif kind == "pushed":
        found = _pushed(versions, request)
    elif kind == "missed":
        found = _missed(versions, request)
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
    days = _days(request, "after_days", AFTER_DAYS)
    empty = np.zeros(versions.record.size, dtype=np.bool_)
    for name in fields:
        empty |= versions.column(name).is_null().to_numpy()
    firsts = np.flatnonzero(versions.first)
    due = versions.start[firsts] + days * DAY
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


def _pushed(versions: Versions, request: DetectionRequest) -> Columns:
    due = due_times(versions, _named(request, "date"))
    closed = in_stages(versions, _field(request), names_in(_named(request, "closed")))
    row, time = open_weeks(versions, (due != OPEN) & ~closed)
    pushes = pushes_of(versions, due, closed).row
    ends = MONDAY + ((versions.start[pushes] - MONDAY) // WEEK + 1) * WEEK
    span = versions.at // WEEK + 2
    pushed = np.isin(versions.record[row] * span + time // WEEK, versions.record[pushes] * span + ends // WEEK)
    return row, time, pushed


def _missed(versions: Versions, request: DetectionRequest) -> Columns:
    due = due_times(versions, _named(request, "date"))
    closed = in_stages(versions, _field(request), names_in(_named(request, "closed")))
    won = in_stages(versions, _field(request), names_in(_named(request, "won")))
    asked = due - _days(request, "ahead_days", AHEAD_DAYS) * DAY
    forecast = (due != OPEN) & ~closed & (versions.start <= asked) & (asked < versions.end)
    if request.parameters.get("category"):
        committed = names_in(_named(request, "committed"))
        forecast &= in_stages(versions, _named(request, "category"), committed)
    row = np.flatnonzero(forecast & (due <= versions.at - DAY))
    known = due[row] + DAY
    then = rows_at(versions, versions.record[row], known)
    return row, known, ~((then >= 0) & won[then])


def _named(request: DetectionRequest, name: str) -> str:
    value = str(request.parameters.get(name, ""))
    if not value:
        raise ValueError(f"parameters.{name}: missing; the outcome {request.parameters['outcome']} needs it")
    return value


def _days(request: DetectionRequest, name: str, usual: int) -> int:
    days = request.parameters.get(name, usual)
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= 3_660:
        raise ValueError(f"parameters.{name}: {days!r} is not a whole number from 0 to 3660")
    return days


def _field(request: DetectionRequest) -> str:
    if not request.field:
        kind = request.parameters.get("outcome")
        raise ValueError(f"field: signal {request.signal!r} names none; the outcome {kind} needs one")
    return request.field


def record_ids(versions: Versions, rows: Longs) -> list[str]:
    """The ids of the records of rows."""
    ids: list[str] = versions.ids.take(pa.array(versions.record[rows], pa.int64())).to_pylist()
    return ids
