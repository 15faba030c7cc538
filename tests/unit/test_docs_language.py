"""Every example on the page about the rule language is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watchtower.rulebook import Rulebook
from watchtower.rules.parse import parse_predicate

PAGE = (Path(__file__).parents[2] / "docs/language.md").read_text()
EXAMPLES = [line for block in re.findall(r"```sql\n(.*?)```", PAGE, re.S) for line in block.strip().splitlines()]
BOOK = Rulebook.model_validate({
    "objects": {
        "account": {"fields": {
            "segment": {"type": "enum", "values": ["smb", "enterprise"]},
            "deals": {"type": "integer", "rollup": {"count": "records", "over": "deal"}},
        }},
        "deal": {"fields": {
            "account": {"type": "ref", "to": "account"}, "name": {"type": "text"}, "owner": {"type": "text"},
            "stage": {"type": "enum", "values": ["discovery", "proposal", "won"]}, "amount": {"type": "money"},
            "discount": {"type": "number"}, "tags": {"type": "list"}, "awaiting": {"type": "boolean"},
            "industry": {"type": "text", "fill": "enrichment"}, "opened_at": {"type": "timestamp"},
            "reviewed_at": {"type": "timestamp"}, "closed_at": {"type": "timestamp"}, "close_date": {"type": "date"},
        }},
    },
    "calendars": {"office": {"days": ["mon"], "hours": ["09:00", "18:00"]}},
    "signals": {"stuck": {"object": "deal", "detector": "stage_dwell"}},
    "handoffs": {"to_delivery": {"object": "deal"}},
})  # fmt: skip


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_page_is_accepted(example: str) -> None:
    parse_predicate(example, BOOK, "deal")
