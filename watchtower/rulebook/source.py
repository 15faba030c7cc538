"""YAML 1.2 without surprises: no aliases, no tags, no duplicate keys, bounded, and every value knows its place.

`1:30`, `no` and `2026-03-01` stay text; what they mean is decided by the type of the field that holds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from watchtower.errors import Fault, RulebookError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 50_000

Path_ = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30}|[0-9]{1,30}(?=[eE]))([eE][-+]?[0-9]{1,3})?\Z")
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


@dataclass(frozen=True)
class Place:
    """Where a value stands. `text` is its raw source, so that a place inside an expression can be found."""

    file: str
    line: int
    column: int
    text: str = ""
    style: str = ""

    def fault(self, message: str, remedy: str = "") -> Fault:
        return Fault(self.file, self.line, self.column, message, remedy)

    def at(self, value: str, offset: int) -> Place:
        """The place of `value[offset]`: folding and indentation change only white space, so count the rest."""
        wanted = sum(not c.isspace() for c in value[:offset])
        found = next((raw for n, raw in enumerate(_characters(self.text, self.style)) if n == wanted), None)
        if found is None:
            return Place(self.file, self.line, self.column)
        before = self.text[:found]
        line = before.count("\n")
        column = found - before.rfind("\n") if line else self.column + found
        return Place(self.file, self.line + line, column)


_ESCAPED_SPACES = " tnrv_NLP\t\n"
_ESCAPED_LENGTHS = {"x": 2, "u": 4, "U": 8}


def _characters(raw: str, style: str) -> Iterator[int]:
    """Where, in a scalar's source, each of its characters stands that is not white space."""
    index = raw.find("\n") + 1 if style in ("|", ">") else 1 if style else 0
    while index < len(raw):
        start, char = index, raw[index]
        index += 1
        if style == "'" and raw.startswith("''", start):
            index += 1
        elif style == '"' and char == "\\" and index < len(raw):
            char, index = raw[index], index + 1
            digits = _ESCAPED_LENGTHS.get(char, 0)
            if digits:
                char, index = chr(int(raw[index : index + digits], 16)), index + digits
            elif char in _ESCAPED_SPACES:
                continue
        if not char.isspace():
            yield start


@dataclass
class Source:
    """One parsed file: plain values, and the place of each path in them."""

    file: str
    value: Any = None
    places: dict[Path_, Place] = field(default_factory=dict)


def read_yaml(path: Path) -> Source:
    """The values of one YAML file. RulebookError names file, line and column of what is wrong."""
    name = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RulebookError([Fault(name, 1, 1, f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise RulebookError(
            [Fault(name, 1, 1, f"{len(raw)} bytes; a rulebook file has at most {MAX_BYTES}", "split it")]
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RulebookError([Fault(name, 1, 1, f"is not UTF-8 (byte {error.start})")]) from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Source:
    """As `read_yaml`, from text."""
    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise RulebookError([Fault(name, line, column, f"YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise RulebookError([Fault(name, 1, 1, f"YAML: {str(error).splitlines()[0]}")]) from None
    source = Source(name)
    faults: list[Fault] = []
    if node is not None:
        source.value = _build(node, (), source, text, faults)
    if faults:
        raise RulebookError(faults)
    return source


def _check_events(text: str, name: str) -> None:
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        mark = event.start_mark
        assert mark is not None
        problem = ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases (& and *) are not accepted; write the value out"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            problem = "a second document (---) in one file; use two files" if documents > 1 else ""
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            nodes += 1
            tag = event.tag
            if tag is not None and tag != "!":
                problem = f"the tag {tag!r:.40} is not accepted; write the plain value"
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            if depth > MAX_DEPTH:
                problem = f"nested deeper than {MAX_DEPTH}"
            elif nodes > MAX_NODES:
                problem = f"more than {MAX_NODES} values in one file"
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if problem:
            raise RulebookError([Fault(name, mark.line + 1, mark.column + 1, problem)])


def _build(node: yaml.Node, path: Path_, source: Source, text: str, faults: list[Fault]) -> Any:
    start, end = node.start_mark, node.end_mark
    assert start is not None and end is not None
    style = node.style if isinstance(node, yaml.ScalarNode) and node.style else ""
    raw = text[start.index : end.index] if isinstance(node, yaml.ScalarNode) else ""
    source.places[path] = Place(source.file, start.line + 1, start.column + 1, raw, style)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            assert mark is not None
            place = Place(source.file, mark.line + 1, mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(place.fault("a key must be plain text"))
                continue
            key = key_node.value
            if key in result:
                faults.append(place.fault(f"the key {key!r:.60} stands twice", "keep one"))
                continue
            result[key] = _build(value_node, (*path, key), source, text, faults)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, i), source, text, faults) for i, item in enumerate(node.value)]
    if style:
        return node.value
    return _plain(node.value)


def _plain(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
