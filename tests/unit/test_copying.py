"""Lines for COPY: whatever a value holds, it stays one value."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from watchtower.store.copying import joined, json_value

TEXTS = st.text(st.sampled_from("a\\\t\n\r\bN.é\x1f"), max_size=5)
_BACK = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


def read(value: str) -> str:
    """A value as PostgreSQL reads it: an oracle that goes letter by letter."""
    found, letters = "", iter(value)
    for letter in letters:
        found += _BACK[next(letters)] if letter == "\\" else letter
    return found


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_values_come_back_as_they_went(values: list[str]) -> None:
    line = joined(*values)
    assert "\n" not in line and "\r" not in line
    assert [read(value) for value in line.split("\t")] == values


@given(st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_json_comes_back_as_it_went(value: dict[str, str]) -> None:
    line = json_value(msgspec.json.encode(value))
    assert not {"\t", "\n", "\r"} & set(line)
    assert msgspec.json.decode(read(line)) == value
