"""A system's values as our fields have them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.connectors.systems import SYSTEMS
from watchtower.flow.systems.mapping import asked_of, value_of
from watchtower.rulebook import FieldModel, Rulebook
from watchtower.rulebook.kinds import KINDS
from watchtower.rules.values import parser

ROME = ZoneInfo("Europe/Rome")


@pytest.mark.parametrize(
    ("spec", "raw", "value"),
    [
        ({"type": "text"}, "Acme", "Acme"),
        ({"type": "text"}, "", None),
        ({"type": "text"}, True, "true"),
        ({"type": "integer"}, "25", "25"),
        ({"type": "boolean"}, "true", "true"),
        ({"type": "timestamp"}, "1772442000000", "2026-03-02T09:00:00.000000Z"),
        ({"type": "timestamp"}, "2026-03-02T09:00:00.000+0000", "2026-03-02T09:00:00.000000Z"),
        ({"type": "timestamp"}, "2026-03-02", "2026-03-01T23:00:00.000000Z"),
        ({"type": "timestamp"}, "soon", "soon"),
        ({"type": "date"}, "2026-03-02", "2026-03-02"),
        ({"type": "date"}, "1772409600000", "2026-03-02"),
        ({"type": "date"}, "2026-03-01T23:30:00Z", "2026-03-02"),
        ({"type": "date"}, "2026-03-02T00:00:00Z", "2026-03-02"),
        ({"type": "list"}, "a; b;", ["a", "b"]),
        ({"type": "list"}, [], None),
        ({"type": "domain"}, "https://www.Acme.com/about", "acme.com"),
        ({"type": "domain"}, "acme.com", "acme.com"),
        ({"type": "email"}, ["a@example.com", "b@example.com"], "a@example.com"),
        ({"type": "enum", "values": ["won", "lost"]}, "closedwon", "won"),
        ({"type": "enum", "values": ["won", "lost"]}, "unheard", "unheard"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_its_field_has_it(spec: dict[str, Any], raw: Any, value: Any) -> None:
    assert value_of(FieldModel(**spec), {"closedwon": "won"}, raw, ROME) == value


@given(
    raw=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.text(max_size=5)),
    kind=st.sampled_from(["text", "integer", "number", "boolean", "timestamp", "date", "list", "domain", "email"]),
)
def test_whatever_a_system_says_is_a_value_or_is_refused_at_the_door_with_a_reason(raw: Any, kind: str) -> None:
    spec = FieldModel(type=kind)
    value = value_of(spec, {}, raw, ROME)
    if value is not None:
        try:
            parser("field", spec)(value)
        except ValueError as error:
            assert "field" in str(error)


def test_what_others_refer_to_is_read_first() -> None:
    fields = {"account": {"type": "ref", "to": "account"}, "deal": {"type": "ref", "to": "deal"}}
    book = Rulebook.model_validate({
        "objects": {
            "contact": {"fields": fields}, "deal": {"fields": {"account": fields["account"]}},
            "account": {"fields": {"parent": fields["account"], "name": {"type": "text"}}},
        },
        "systems": {"crm": {"kind": "hubspot", "owner": "o", "objects": {
            "contact": {"from": "contacts", "fields": {"account": "company", "deal": "deal"}},
            "deal": {"from": "deals", "fields": {"account": "company"}},
            "account": {"from": "companies", "id": "key", "fields": {"parent": "parent", "name": "name"}},
        }}},
    })  # fmt: skip
    asked = asked_of(book, book.systems["crm"])
    assert list(asked.objects) == ["companies", "deals", "contacts"]
    assert asked.objects["companies"] == ("parent", "name", "key")


def test_every_kind_of_system_has_a_connector_and_no_connector_is_without_a_kind() -> None:
    assert set(SYSTEMS) <= set(KINDS)
    assert {name for name, kind in KINDS.items() if kind.pulls or kind.writes} == set(SYSTEMS)
