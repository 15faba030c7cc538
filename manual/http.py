"""The reference of the HTTP API and of events, from the service's own description (OpenAPI)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from manual.text import MADE, code, plain, table
from watchtower.api.app import create_app
from watchtower.api.openapi import TAGS, describe
from watchtower.api.port import TowerPort


class _Unasked:
    """In a tower's place: a description asks it for nothing."""

    def __getattr__(self, name: str) -> None:
        return None


def description() -> dict[str, Any]:
    """/openapi.json, as the service answers it."""
    return describe(create_app(cast(TowerPort, _Unasked())))


def page() -> str:
    """Every operation: who may call it, what it takes and what it answers."""
    told = description()
    parts = [
        "# HTTP\n",
        MADE + "\n",
        "`GET /openapi.json` of a running tower says the same for machines. Every fault is `application/problem+json`; "
        "those that any operation may answer are listed once, at the end.\n",
    ]
    ways = list(operations(told))
    tags = [tag["name"] for tag in TAGS]
    for tag in TAGS:
        parts.append(f"## {tag['name'].capitalize()}\n\n{plain(tag['description'])}\n")
        parts += [_operation(told, *way) for way in ways if (way[2].get("tags") or ["service"])[0] == tag["name"]]
    rest = [way for way in ways if (way[2].get("tags") or ["service"])[0] not in tags]
    parts += [_operation(told, *way) for way in rest]
    answers = {
        status: _at(told, answer)["description"]
        for _, _, operation in ways
        for status, answer in operation["responses"].items()
        if int(status) >= 400
    }
    parts.append("## Faults\n")
    parts.append(table(("code", "means"), [(code(status), plain(answers[status])) for status in sorted(answers)]))
    return "\n".join(parts)


def operations(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation)."""
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            if "responses" in operation:
                yield path, method.upper(), operation


def _operation(told: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"### {method} {path}\n"]
    said = operation.get("description") or operation.get("summary") or ""
    parts.append(plain(said) + "\n")
    rows = [
        (code(p["name"]), p["in"], _kind(p.get("schema", {})), plain(p.get("description", "")))
        for p in operation.get("parameters", ())
    ]
    parts.append(table(("parameter", "in", "takes", ""), rows))
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body ({code(media)}):\n")
        parts.append(_body(told, body.get("schema", {})))
    good = [
        (code(status), plain(_at(told, a)["description"]))
        for status, a in operation["responses"].items()
        if int(status) < 400
    ]
    parts.append(table(("answer", ""), good))
    return "\n".join(part for part in parts if part)


def _body(told: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _at(told, schema)
    needed = schema.get("required", [])
    rows = [
        (
            code(name),
            _kind(inner),
            "required" if name in needed else _default(inner),
            plain(inner.get("description", "")),
        )
        for name, inner in schema.get("properties", {}).items()
    ]
    return table(("key", "takes", "default", ""), rows) or f"{_kind(schema)}\n"


def _at(told: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part itself, where this only says where it stands."""
    while "$ref" in part:
        found: Any = told
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def _default(schema: dict[str, Any]) -> str:
    return code(json.dumps(schema["default"])) if schema.get("default") not in (None, "", [], {}) else ""


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return code(schema["$ref"].rsplit("/", 1)[-1])
    for way in ("anyOf", "oneOf"):
        if way in schema:
            return " or ".join(dict.fromkeys(_kind(one) for one in schema[way] if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    named = {"minimum": "from", "maximum": "to"}
    bounds = "".join(f", {word} {schema[key]}" for key, word in named.items() if key in schema)
    return f"{schema.get('type', 'anything')}{bounds}" + (f" ({schema['format']})" if "format" in schema else "")
