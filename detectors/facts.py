"""Facts that need no statistics: a payment failed, a champion left. What a field says is told as a signal.

So that rules, pages and families read them like any other early warning. A fact has no error of chance: its p-value is
FACT, the least there is. In a family with statistical signals it takes no room away from them; one of its own, or none,
keeps the counts apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors.snapshot import OPEN, Longs, Versions, check_request, micros, micros_of, names_in, read_versions, time_of
from detectors.wording import length
from watchtower.contract import DetectionRequest, Signal

FACT = float(np.finfo(np.float64).tiny)
"""The p-value of what is simply so."""
RECENT_DAYS = 90
DAY = 86_400_000_000


@dataclass(frozen=True)
class FittedFact:
    """Nothing is learnt; how many records are looked at."""

    tested: int
    abstentions: Mapping[str, str]
    at: int


class FieldFact:
    """A signal for each record whose `field` says so now; strength is the days since.

    The field is a category (parameter `is`: the values that say so), a time (the fact is that it is set, and later than
    that of the field `cleared_by`, where one is named), or, with `moved: true`, anything: the fact is that one known
    value gave way to another or to none. `only` and `only_is` narrow the records: `only: role, only_is: champion`. What
    is older than `recent_days` (default 90) is no news.
    """

    version = "1"
    in_parts = True

    def __init__(self, name: str, words: str, values: str) -> None:
        self.name, self._words, self._values = name, words, values

    def fit(self, snapshot: Any, request: DetectionRequest) -> FittedFact:
        """ValueError for a missing field or unknown parameter."""
        versions, _, rows, _ = self._look(snapshot, request)
        return FittedFact(int(rows.size), {}, versions.at)

    def raise_signals(self, snapshot: Any, fitted: FittedFact, request: DetectionRequest) -> Sequence[Signal]:
        """Signals, the latest first, then by subject."""
        versions, column, rows, began = self._look(snapshot, request)
        days = _whole(request.parameters.get("recent_days", RECENT_DAYS))
        so = (began >= 0) & (began <= versions.at) & (began > micros(request.at - timedelta(days=days)))
        rows, began = rows[so], began[so]
        ids = versions.ids.take(pa.array(versions.record[rows])).to_pylist()
        told = _told(versions, column, rows, began, request.field)
        signals = []
        for record, words, since in zip(ids, told, began.tolist(), strict=True):
            age = versions.at - since
            signals.append(
                Signal(
                    request=request.id,
                    signal=request.signal,
                    subject=f"{request.object}/{record}",
                    detector=self.name,
                    version=self.version,
                    p_value=FACT,
                    strength=age / DAY,
                    unit="days",
                    direction="up",
                    explanation=f"{self._words} {length(age)} ago: {words}.",
                    began_at=time_of(since),
                    window_from=time_of(since),
                    window_to=request.at,
                )
            )
        return sorted(signals, key=lambda signal: (signal.strength, signal.subject))

    def _look(self, snapshot: Any, request: DetectionRequest) -> tuple[Versions, Any, Longs, Longs]:
        """The column, the rows in force, and since when each says so (-1 where it does not)."""
        check_request(request, self.name, ("is", "cleared_by", "moved", "only", "only_is", "recent_days"))
        if not request.field:
            raise ValueError(f"field: signal {request.signal!r} names none; {self.name} needs the field that says so")
        _whole(request.parameters.get("recent_days", RECENT_DAYS))
        versions = read_versions(snapshot, request.at)
        column = versions.column(request.field)
        rows = np.flatnonzero((versions.end == OPEN) & _only(versions, request))
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return versions, column, rows, _since_time(versions, column, rows, request)
        codes, texts = versions.codes(request.field)
        began = _began(versions, codes)
        if request.parameters.get("moved") is True:
            firsts = _first_rows(versions, codes)
            before = np.where(firsts > 0, codes[np.maximum(firsts - 1, 0)], -1)
            moved = versions.joined[firsts] & (before >= 0)
            return versions, column, rows, np.where(moved[rows], began[rows], -1)
        values = names_in(str(request.parameters.get("is", self._values)).lower())
        if not values:
            raise ValueError("parameters.is: names no value")
        wanted = np.array([text.lower() in values for text in texts] + [False])
        return versions, column, rows, np.where(wanted[codes[rows]], began[rows], -1)


def _since_time(versions: Versions, column: Any, rows: Longs, request: DetectionRequest) -> Longs:
    moments = micros_of(column.take(pa.array(rows)))
    cleared = np.full(rows.size, np.nan)
    if other := str(request.parameters.get("cleared_by", "")):
        field = versions.column(other)
        if not (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)):
            raise ValueError(f"parameters.cleared_by: {other!r} is a {field.type}; accepted is a time")
        cleared = micros_of(field.take(pa.array(rows)))
    so = ~np.isnan(moments) & ~(cleared >= moments)
    since: Longs = np.where(so, np.nan_to_num(moments), -1).astype(np.int64)
    return since


def _only(versions: Versions, request: DetectionRequest) -> NDArray[np.bool_]:
    field = str(request.parameters.get("only", ""))
    if not field:
        if "only_is" in request.parameters:
            raise ValueError("parameters.only_is: says which values, but `only` names no field")
        return np.ones(versions.record.size, dtype=np.bool_)
    values = names_in(str(request.parameters.get("only_is", "true")).lower())
    codes, texts = versions.codes(field)
    wanted: NDArray[np.bool_] = np.array([text.lower() in values for text in texts] + [False])
    return wanted[codes]


def _first_rows(versions: Versions, codes: Longs) -> Longs:
    """For each row, the one since which the value has been so without a break."""
    fresh = ~versions.joined
    fresh[1:] |= codes[1:] != codes[:-1]
    firsts: Longs = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
    return firsts


def _began(versions: Versions, codes: Longs) -> Longs:
    return versions.start[_first_rows(versions, codes)] if codes.size else versions.start


def _told(versions: Versions, column: Any, rows: Longs, began: Longs, field: str) -> list[str]:
    """What the field says in these rows: `status went from 'active' to 'left'`."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return [f"{field} is {time_of(since):%Y-%m-%d %H:%M} UTC" for since in began.tolist()]
    codes, texts = versions.codes(field)
    firsts, joined = _first_rows(versions, codes), versions.joined
    told = []
    for row in rows.tolist():
        first = int(firsts[row])
        now = repr(texts[codes[row]]) if codes[row] >= 0 else "nothing"
        known = joined[first] and codes[first - 1] >= 0
        told.append(f"{field} went from {texts[codes[first - 1]]!r} to {now}" if known else f"{field} is {now}")
    return told


def _whole(days: object) -> int:
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 3_660:
        raise ValueError(f"parameters.recent_days: {days!r} is not a whole number from 1 to 3660")
    return days


PAYMENT_FAILED = FieldFact("payment_failed", "The payment failed", "failed")
CHAMPION_LEFT = FieldFact("champion_left", "The champion left", "left")
