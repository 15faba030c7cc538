"""Events out of an HTTP request: the structured, batched and binary content modes.

Source: CloudEvents HTTP Protocol Binding 1.0.2, section 3. Pure: headers and bytes in, decoded events out.
Whether an event is one of ours is for the intake to say; here only the form of the message counts.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from watchtower.contract.json_bounds import MAX_DEPTH, once
from watchtower.errors import InputError, MediaError

MAX_BATCH = 10_000
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")


class Received(NamedTuple):
    """The events of one request, and whether there was exactly one by its form."""

    events: list[Any]
    single: bool


def read_events(headers: Mapping[str, str], body: bytes) -> Received:
    """The events in a request. `headers` have lower-case names. InputError names the fault, MediaError among them.
    What is no event in a batch stands as it came: it has a verdict of its own.

    The media type decides; with `application/json`, `ce-` headers make it binary, an array a batch.
    """
    media, charset = _media_type(headers.get("content-type", ""))
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise MediaError(f"Content-Type: charset {charset!r} is not supported", remedy="send JSON as UTF-8")
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise MediaError(f"Content-Encoding: {coding!r:.80} is not supported", remedy="send the body as it is")
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    if media == STRUCTURED:
        return Received([_unpacked(_object(_decode(body)))], single=True)
    if media == BATCH:
        return Received(_batch(_decode(body)), single=False)
    if media not in ("", "application/json") and not (media.startswith("application/") and media.endswith("+json")):
        raise MediaError(
            f"Content-Type: {media!r} is not accepted",
            remedy=f"send {STRUCTURED}, {BATCH}, or application/json (with ce- headers for the binary mode)",
        )
    if attributes:
        return Received([_binary(attributes, headers.get("content-type", ""), body)], single=True)
    decoded = _decode(body)
    if isinstance(decoded, list):
        return Received(_batch(decoded), single=False)
    return Received([_unpacked(_object(decoded))], single=True)


def _media_type(value: str) -> tuple[str, str]:
    media, *parameters = value.split(";")
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.strip().lower(), text.strip().strip('"').lower()
    return media.strip().lower(), ""


def _binary(attributes: Mapping[str, str], content_type: str, body: bytes) -> Mapping[str, Any]:
    event: dict[str, Any] = {}
    for name, value in attributes.items():
        if not _ATTRIBUTE.fullmatch(name) or name == "data":
            raise InputError(f"ce-{name:.80}: is not the name of an attribute; letters and digits are")
        event[name] = _header_text(name, value)
    if content_type:
        event["datacontenttype"] = content_type
    if body.strip():
        event["data"] = _decode(body)
    return event


def _header_text(name: str, value: str) -> str:
    """A header's value decoded as the binding's section 3.1.3.2 says: quotes, then percent-encoded UTF-8."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise InputError(f"ce-{name}: {value!r:.80} is not percent-encoded UTF-8") from None


def _batch(decoded: Any) -> list[Any]:
    if not isinstance(decoded, list):
        raise InputError(f"a batch is a JSON array of events; found {_kind(decoded)}")
    if len(decoded) > MAX_BATCH:
        raise InputError(f"a batch has at most {MAX_BATCH} events; found {len(decoded)}")
    return [_unpacked(item) for item in decoded]


def _unpacked(event: Any) -> Any:
    """An event whose data came as `data_base64`, with them in `data`; as it came where they are no JSON.

    Source: CloudEvents JSON Event Format 1.0.2, section 3.1.1.
    """
    if not isinstance(event, dict) or "data_base64" not in event or event.get("data") is not None:
        return event
    try:
        data = _decode(b64decode(event["data_base64"], validate=True))
    except (InputError, ValueError, TypeError):
        return event
    return {name: value for name, value in event.items() if name != "data_base64"} | {"data": data}


def _object(decoded: Any) -> Mapping[str, Any]:
    if not isinstance(decoded, dict):
        raise InputError(f"the body: an event is a JSON object; found {_kind(decoded)}")
    return decoded


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _decode(body: bytes) -> Any:
    """JSON, strictly: UTF-8, no NaN or infinity, no key twice in an object, at most MAX_DEPTH levels."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise InputError(f"the body is not UTF-8 at byte {fault.start}") from None
    try:
        decoded = json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_finite, parse_int=_whole
        )
    except RecursionError:
        raise InputError(f"the body nests deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as fault:
        raise InputError(f"the body is not JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}") from None
    _check_depth(decoded)
    if _ESCAPED.search(text):  # nothing else makes text that cannot be stored
        _check_text(decoded)
    return decoded


_ESCAPED = re.compile(r"\\u(0000|[dD][89a-fA-F])")


def _check_depth(decoded: Any) -> None:
    """The decoder has a limit of its own, which it reports; what it lets through may still be too deep to be kept."""
    level, depth = [decoded], 0
    while level:
        depth += isinstance(level[0], (dict, list)) or any(isinstance(item, (dict, list)) for item in level)
        if depth > MAX_DEPTH:
            raise InputError(f"the body nests deeper than {MAX_DEPTH} levels")
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    try:
        return once(pairs)
    except ValueError as fault:
        raise InputError(str(fault)) from None


def _constant(name: str) -> Any:
    raise InputError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InputError(f"{text:.40} is too large for a number")
    return value


def _whole(text: str) -> int:
    if len(text) > 400:
        raise InputError(f"a number of {len(text)} digits is too long")
    return int(text)


def _check_text(value: Any) -> None:
    """Text that PostgreSQL cannot keep is refused here, by name: U+0000 and lone surrogates."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise InputError(f"the text {item!r:.60} has the character U+0000, which cannot be stored")
            if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
                raise InputError(f"the text {item!r:.60} has half of a surrogate pair")
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
