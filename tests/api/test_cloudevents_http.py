"""Events out of HTTP requests: the binding's own conformance cases, and what a hostile client sends."""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.api.cloudevents import BATCH, STRUCTURED, read_events
from watchtower.contract import parse_event
from watchtower.errors import InputError, MediaError

EVENT = {
    "specversion": "1.0",
    "id": "e1",
    "source": "crm",
    "type": "record.updated",
    "subject": "lead/L-1",
    "time": "2026-03-02T09:00:00Z",
    "data": {"fields": {"stage": "mql"}},
}


def cases(feature: Path) -> list[tuple[dict[str, str], bytes, dict[str, str], Any]]:
    """(headers, body, attributes, data) of each example of the feature file."""
    found = []
    for outline in feature.read_text().split("Scenario Outline:")[1:]:
        examples = re.findall(r"^\s*\|\s*(.*?)\s*\|\s*$", outline.split("Examples:")[1], re.MULTILINE)[1:]
        for content_type in examples:
            text = outline.replace("<contentType>", content_type)
            request, expected = re.findall(r'"""\n(.*?)"""', text, re.DOTALL)[:2]
            head, body = re.split(r"\n\s*\n", request, maxsplit=1)
            lines = [line.strip() for line in head.splitlines()][1:]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            table = text.split("Then the attributes are:")[1].split("And the data")[0]
            rows = re.findall(r"\|\s*(\S+)\s*\|\s*(.*?)\s*\|", table)
            attributes = {key: value for key, value in rows if key != "key"}
            found.append((headers, body.encode(), attributes, json.loads(expected)))
    return found


def test_the_bindings_conformance_cases_are_read_as_they_say(shared_data: Path) -> None:
    found = cases(shared_data / "cloudevents_features" / "http-protocol-binding.feature")
    assert len(found) == 4
    for headers, body, attributes, data in found:
        received = read_events(headers, body)
        assert received.single
        [event] = received.events
        assert {key: event[key] for key in attributes} == attributes
        assert event["data"] == data


def test_a_batch_is_read_in_order() -> None:
    body = json.dumps([{**EVENT, "id": f"e{n}"} for n in range(5)]).encode()
    for media in (BATCH, "application/json", f"{BATCH}; charset=UTF-8"):
        received = read_events({"content-type": media}, body)
        assert [event["id"] for event in received.events] == ["e0", "e1", "e2", "e3", "e4"]
        assert not received.single


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=50))
def test_any_text_survives_percent_encoding_in_a_header(text: str) -> None:
    encoded = "".join(
        char if "!" <= char <= "~" and char not in '"%' else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
    [event] = read_events({"content-type": "application/json", "ce-subject": encoded}, b"{}").events
    assert event["subject"] == text


def test_a_quoted_header_is_unquoted() -> None:
    headers = {"content-type": "application/json", "ce-id": r'"a \"b\" %C3%A8"'}
    assert read_events(headers, b"{}").events[0]["id"] == 'a "b" è'


def nested(levels: int) -> bytes:
    return b'{"data":' + b"[" * levels + b"]" * levels + b"}"


HOSTILE: list[tuple[str, bytes, str]] = [
    ("not JSON", b"{", "not JSON"),
    ("nothing", b"", "not JSON"),
    ("not UTF-8", b'{"id":"\xff"}', "UTF-8 at byte 7"),
    ("NaN", b'{"data":{"value":NaN}}', "NaN"),
    ("infinity", b'{"data":{"value":-Infinity}}', "Infinity"),
    ("overflow", b'{"data":{"value":1e999}}', "too large"),
    ("a key twice", b'{"id":"a","id":"b"}', "'id' stands twice"),
    ("a key twice inside", b'{"data":{"x":{"y":1,"y":2}}}', "'y' stands twice"),
    ("depth", nested(60), "deeper than 50"),
    ("great depth", b"[" * 500_000, "deeper than 50"),
    ("a number", b"7", "found a number"),
    ("a text", b'"x"', "found a text"),
    ("U+0000", b'{"id":"a\\u0000"}', "U+0000"),
    ("half a pair", b'{"id":"\\ud800"}', "surrogate"),
    ("many digits", b'{"data":{"x":' + b"9" * 5000 + b"}}", "5000 digits"),
]


@pytest.mark.parametrize(
    ("body", "words"), [(body, words) for _, body, words in HOSTILE], ids=[n for n, _, _ in HOSTILE]
)
def test_a_malformed_body_is_refused_by_name(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        read_events({"content-type": "application/json"}, body)


def test_fifty_levels_are_accepted() -> None:
    assert read_events({"content-type": STRUCTURED}, nested(49)).single


def test_brackets_inside_texts_are_not_levels() -> None:
    body = json.dumps({**EVENT, "data": {"text": "[{" * 200 + '\\"' * 10}}).encode()
    assert read_events({"content-type": STRUCTURED}, body).events[0]["data"]["text"].startswith("[{[{")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b'\\"' * 450_000,
        b'"' * 900_000,
        b'{"a":1,' + b",".join(b'"k%d":1' % n for n in range(90_000)) + b',"k1":2}',
    ],
    ids=["escaped quotes without an end", "quotes", "many keys, one twice"],
)
def test_no_body_costs_more_than_its_length(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InputError):
        read_events({"content-type": "application/json"}, body)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "media", ["text/plain", "application/xml", "multipart/form-data", "application/json; charset=latin-1"]
)
def test_another_media_type_is_refused(media: str) -> None:
    with pytest.raises(MediaError, match="Content-Type"):
        read_events({"content-type": media}, json.dumps(EVENT).encode())


def test_a_packed_body_is_refused() -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(MediaError, match="Content-Encoding: 'gzip'"):
        read_events({"content-type": STRUCTURED, "content-encoding": "gzip"}, body)
    assert read_events({"content-type": STRUCTURED, "content-encoding": "identity"}, body).single


def test_what_is_no_event_in_a_batch_stands_among_the_others() -> None:
    assert read_events({"content-type": BATCH}, json.dumps([EVENT, 7, "x"]).encode()).events == [EVENT, 7, "x"]


def test_data_in_base64_are_data() -> None:
    packed = {name: value for name, value in EVENT.items() if name != "data"}
    packed["data_base64"] = b64encode(json.dumps(EVENT["data"]).encode()).decode()
    for media, body in ((STRUCTURED, packed), (BATCH, [packed])):
        [event] = read_events({"content-type": media}, json.dumps(body).encode()).events
        assert parse_event(event) == parse_event(EVENT)


@pytest.mark.parametrize("packed", ["%", "AAAA", 7, b64encode(b"[NaN]").decode(), b64encode(b'"\\u0000"').decode()])
def test_data_in_base64_that_are_no_json_are_refused_not_lost(packed: Any) -> None:
    [event] = read_events(
        {"content-type": BATCH}, json.dumps([EVENT | {"data": None, "data_base64": packed}]).encode()
    ).events
    with pytest.raises(ValueError, match="data_base64: "):
        parse_event(event)


def test_a_header_that_is_no_attribute_is_refused() -> None:
    for name in ("ce-data", "ce-Bad", "ce-not_a_name"):
        with pytest.raises(InputError, match="not the name of an attribute"):
            read_events({"content-type": "application/json", name: "x"}, b"{}")


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([STRUCTURED, BATCH, "application/json", "", "a;b=c;charset"]))
def test_whatever_comes_in_is_events_or_an_input_error(body: bytes, media: str) -> None:
    try:
        received = read_events({"content-type": media}, body)
    except InputError as fault:
        assert str(fault)
    else:
        assert all(isinstance(event, dict) for event in received.events)
