"""A likeness: what a worker may say of two records that it takes for one. It merges nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from watchtower.contract.record import RecordSnapshot


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of two records: what came of it, and bits (positive: for the same)."""

    comparison: str
    outcome: str
    bits: float
    group: str = ""
    """Weights that were learnt together have a common group: only their sum speaks."""


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """Two records of one object that may be one. Travels as the data of a `merge.proposed` event."""

    request: str
    a: str
    b: str
    bits: float
    """The sum of the weights: the log-odds, base 2."""
    weights: tuple[Weighed, ...]
    method: str = "matching"

    def to_data(self) -> dict[str, Any]:
        """The event's data: plain JSON values."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


class MergeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which of these records are one? `records` hold the fields that are to be compared, and no others."""

    id: str
    object: str
    records: tuple[RecordSnapshot, ...]
