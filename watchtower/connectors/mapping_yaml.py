"""YAML as a mapping file may write it: 1.2 scalars, no aliases, no tags, no key twice, at most 256 KB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from watchtower.errors import InputError

LIMIT = 256 * 1024
DEPTH = 20

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(path: Path) -> Any:
    """The file's one document; `no`, `1:30` and times stay texts. InputError names file, line and column."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", remedy="check the --mapping given") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > LIMIT:
        raise InputError(f"{path}: has {len(content)} bytes; a mapping has at most {LIMIT}")
    try:
        text = content.decode("utf-8")
        _refuse_extras(text)
        return _value(yaml.compose(text, Loader=yaml.SafeLoader))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise InputError(f"{place}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML: {error}") from None


def _refuse_extras(text: str) -> None:
    """Aliases, tags and depth, told from the stream of events, before anything is built."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        fault = ""
        if isinstance(event, yaml.AliasEvent):
            fault = f"aliases are not accepted: *{event.anchor}"
        elif isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None):
            fault = f"tags are not accepted: {event.tag}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            fault = f"more than {DEPTH} levels"
        if fault:
            raise yaml.MarkedYAMLError(problem=fault, problem_mark=event.start_mark)


def _value(node: Any) -> Any:
    if node is None:
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _plain(node.value)
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value in found:
            fault = f"the key {key.value!r:.60} stands twice, or is not a text"
            raise yaml.MarkedYAMLError(problem=fault, problem_mark=key.start_mark)
        found[key.value] = _value(value)  # keys are texts: a column may be called 2024 or null
    return found


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
