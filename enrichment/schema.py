"""The JSON schema a model answers in, built from the fields that are asked for.

Order matters (measured on small models): first what the company does, then, per field, the quote before the
value, so that the value is read off words already copied; city before country. Every value may be null.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from watchtower.contract import FieldSpec

JSON_TYPES = {
    "text": "string",
    "enum": "string",
    "country": "string",
    "integer": "integer",
    "number": "number",
    "money": "number",
    "domain": "string",
    "email": "string",
    "phone": "string",
    "url": "string",
    "date": "string",
}
"""The field types a model may be asked for: those that `grounding` can check."""

HINTS = {"country": "name of the country", "date": "YYYY-MM-DD", "money": "amount, without currency"}


def askable(spec: FieldSpec) -> bool:
    return spec.type in JSON_TYPES and bool(spec.values or spec.type != "enum")


def ordered(fields: Sequence[FieldSpec]) -> list[FieldSpec]:
    """As asked, countries last."""
    return sorted(fields, key=lambda spec: spec.type == "country")


def asked_for(fields: Sequence[FieldSpec]) -> tuple[str, dict[str, Any]]:
    """(question, schema) of these fields, made once for all requests that ask for the same. Nobody changes them."""
    return _asked_for(tuple(fields))


@lru_cache(maxsize=256)
def _asked_for(fields: tuple[FieldSpec, ...]) -> tuple[str, dict[str, Any]]:
    return question(fields), schema(fields)


def schema(fields: Sequence[FieldSpec]) -> dict[str, Any]:
    """A strict object: `business`, then `F_quote` and `F` for each field F."""
    properties: dict[str, Any] = {"business": {"type": "string", "description": "at most ten words"}}
    for spec in ordered(fields):
        properties[f"{spec.name}_quote"] = {"type": ["string", "null"]}
        value: dict[str, Any] = {"type": [JSON_TYPES[spec.type], "null"]}
        if spec.type == "enum":
            value["enum"] = [*spec.values, None]
        properties[spec.name] = value
    return {
        "title": "extraction",
        "description": "What the document states about the company.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def question(fields: Sequence[FieldSpec]) -> str:
    """The fields in words, one a line."""
    lines = []
    for spec in ordered(fields):
        notes = [spec.description or HINTS.get(spec.type, spec.type)]
        if spec.unit:
            notes.append(f"in {spec.unit}")
        if spec.values:
            notes.append("one of: " + ", ".join(spec.values))
        lines.append(f"- {spec.name}: {'; '.join(notes)}")
    return "\n".join(lines)
