"""How values are written on the pages."""

from __future__ import annotations

from typing import Any

import pytest

from watchtower.api.review.environment import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1998, "1998"), (-1998, "-1998"), (12_500, "12,500"), (1_288_000.0, "1,288,000"), (1234.5, "1234.5"),
        (0.25, "0.25"), (None, "unknown"), (True, "yes"), (["a", "b"], "a, b"),
    ],
)  # fmt: skip
def test_numbers_are_grouped_from_five_digits_on_and_years_are_left_whole(value: Any, text: str) -> None:
    assert shown(value) == text
