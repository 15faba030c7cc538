"""Records and documents as workers see them: frozen copies, never handles."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the rulebook: what a value must look like."""

    name: str
    type: str
    """text, integer, number, money, boolean, timestamp, date, enum, ref, list, domain, email, phone, country, url"""
    values: tuple[str, ...] = ()
    """The allowed values of an enum."""
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    description: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A text that says something about a record. Offsets into it count Unicode code points of `text`."""

    id: str
    kind: str
    """description, web, note, email, call, file"""
    text: str
    url: str = ""
    added_at: datetime | None = None


class RecordSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one record at one time."""

    object: str
    id: str
    fields: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"{self.object}/{self.id}"
