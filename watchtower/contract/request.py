"""What the rule layer asks of the workers. An answer without a request is refused."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchtower.contract.record import Document, FieldSpec, RecordSnapshot


class MayLeave(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request may be told to a model that is not on this machine."""

    documents: tuple[str, ...] | None = None
    """The kinds of documents; None: any."""
    providers: tuple[str, ...] = ()
    """Who may read them; empty: anyone."""
    regions: tuple[str, ...] = ()
    """Where it may be read; empty: anywhere."""


class FieldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Fill these fields of this record from these documents, or abstain."""

    id: str
    record: RecordSnapshot
    fields: tuple[FieldSpec, ...]
    documents: tuple[Document, ...]
    because: tuple[str, ...] = ()
    """The rules that starve for the fields."""
    may_leave: MayLeave | None = None
    """None: all of it."""


class DetectionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Look at this snapshot for this declared signal."""

    id: str
    signal: str
    """The name the rulebook gives it."""
    detector: str
    object: str
    field: str = ""
    budget: float = 0.05
    """The promised rate of false alarms, per record and run; in (0, 1)."""
    at: datetime
    parameters: dict[str, str | float | int | bool] = {}
