"""A proposal: what an enrichment worker may say. It never writes a field."""

from __future__ import annotations

from typing import Any

import msgspec


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The words that say it: `document.text[start:end] == quote`, in code points."""

    document: str
    quote: str
    start: int
    end: int


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A value for one field of one record. Travels as the data of a `field.proposed` event."""

    request: str
    field: str
    value: Any
    confidence: float
    """In [0, 1]; larger is surer; calibrated where the method is (a classifier), else a stated prior."""
    evidence: tuple[Evidence, ...]
    method: str
    """gazetteer, pattern, classifier or model"""
    model: str = ""
    prompt: str = ""
    """Name, version and hash: `extract.v1@3fa2...`"""
    against: tuple[Evidence, ...] = ()
    """Words of other documents that say something else: then a person decides."""

    def to_data(self) -> dict[str, Any]:
        """The event's data: plain JSON values."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
