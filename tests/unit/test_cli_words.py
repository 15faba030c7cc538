"""The terminal says values in the words of the rules' language, not of the language it is written in."""

from __future__ import annotations

import pytest

from watchtower.cli.alerts import read_words


@pytest.mark.parametrize(
    ("value", "words"), [(None, "unknown"), (True, "true"), (False, "false"), (0, "0"), ("", ""), ("mql", "mql")]
)
def test_a_value_that_a_rule_read(value: object, words: str) -> None:
    assert read_words(value) == words
