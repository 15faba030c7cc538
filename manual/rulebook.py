"""The reference of a rulebook's keys, from the models that read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from manual.text import MADE, attribute_words, cell, code, plain, prose, table
from watchtower.rulebook.model import Rulebook

TITLES = {"Rulebook": "The rulebook"}


def page() -> str:
    """Every part of a rulebook, in the order in which the parts name each other."""
    parts = [
        "# Keys of a rulebook\n",
        MADE + "\n",
        "A rulebook is one YAML file, or a folder whose files are merged. A key that does not stand here is refused, "
        "with its place. What conditions may say is on [the page about the language](../language.md).\n",
    ]
    for model in models():
        parts.append(f"## {title(model)}\n")
        if model.__doc__:
            parts.append(prose(model.__doc__))
        parts.append(table(("key", "holds", "default", ""), _rows(model)))
    return "\n".join(parts)


def models() -> list[type[BaseModel]]:
    """Rulebook and every model within it, each once."""
    found: list[type[BaseModel]] = [Rulebook]
    for model in found:
        for field in model.model_fields.values():
            found += [inner for inner in _within(field.annotation) if inner not in found]
    return found


def title(model: type[BaseModel]) -> str:
    """The heading: `RuleModel` is `Rule`."""
    return TITLES.get(model.__name__, model.__name__.removesuffix("Model"))


def _within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _within(inner)


def _rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema(by_alias=True)
    if "$ref" in schema:
        schema = schema["$defs"][model.__name__]
    words = {name: text for cls in reversed(model.__mro__[:-2]) for name, text in _words(cls).items()}
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        key = field.alias or name
        told = schema["properties"][key]
        default = "" if field.is_required() or field.default in (None, "", [], {}) else _shown(field.default)
        yield code(key), _holds(told), "required" if field.is_required() else default, plain(words.get(name, ""))


def _words(cls: type) -> dict[str, str]:
    return attribute_words(cls) if cls.__module__.startswith("watchtower") else {}


def _shown(default: Any) -> str:
    return (
        "" if isinstance(default, BaseModel) else code(str(default).lower() if isinstance(default, bool) else default)
    )


def _holds(told: dict[str, Any]) -> str:
    """What a key holds, in words."""
    if "$ref" in told:
        name = told["$ref"].rsplit("/", 1)[-1].removesuffix("Model")
        return f"[{name}](#{'the-rulebook' if name == 'Rulebook' else name.lower()})"
    if "allOf" in told:
        return _holds(told["allOf"][0])
    if "anyOf" in told:
        return " or ".join(dict.fromkeys(_holds(one) for one in told["anyOf"] if one.get("type") != "null"))
    if "enum" in told:
        return ", ".join(code(value) for value in told["enum"] if value != "")
    if "const" in told:
        return code(told["const"])
    match told.get("type"):
        case "array":
            return f"list of {_holds(told.get('items', {}))}"
        case "object":
            inner = told.get("additionalProperties") or next(iter(told.get("patternProperties", {}).values()), None)
            return f"by name: {_holds(inner)}" if isinstance(inner, dict) else "keys of your own"
        case kind:
            return cell({"string": "text", "boolean": "true, false"}.get(str(kind), str(kind or "anything"))) + _bounds(
                told
            )


def _bounds(told: dict[str, Any]) -> str:
    named = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f", {word} {told[key]:g}" for key, word in named.items() if key in told)
