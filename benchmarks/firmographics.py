"""The 1,500 listed companies as benchmarks read them: rows, texts with and without the name, and how answers count.

Rows 0 to 999 in file order are for tuning; the last 500 are held out. Intervals are Wilson's, 95 percent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enrichment.atlas import atlas, plain
from enrichment.text import sentences
from evals.statistics import wilson
from watchtower.contract import FieldSpec

Row = dict[str, Any]
FIELDS = (
    FieldSpec(name="city", type="text"),
    FieldSpec(name="country", type="country"),
    FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030),
)
TUNED = 1000
TELLING = re.compile(
    r"headquarter|\bbased in\b|\b(?:founded|incorporated|established|formed) in|\b(?:head|main|principal)\s+office"
)


def companies(data: Path) -> list[Row]:
    """Every row of `firmographics_1500.jsonl` in the folder `data`, in file order."""
    return [json.loads(text) for text in (data / "firmographics_1500.jsonl").read_text("utf-8").splitlines()]


def masked(row: Row) -> str:
    """The summary without the company's names."""
    text = str(row["summary"])
    for name in sorted(filter(None, (row["long_name"], row["short_name"])), key=len, reverse=True):
        text = re.sub(re.escape(name), "The company", text, flags=re.I)
    return text


def as_is(row: Row) -> str:
    return str(row["summary"])


def untold(row: Row) -> str:
    """The summary without the sentences that state seat and year."""
    text = as_is(row)
    return " ".join(text[a:b] for a, b in sentences(text) if not TELLING.search(text[a:b]))


def settled(field: str, value: Any) -> Any:
    """A value as it is compared: `Quezon City` and `Quezon` are one city."""
    return re.sub(r"[ -](?:city|si)$", "", plain(str(value))) if field == "city" and value is not None else value


def key(row: Row, field: str) -> Any:
    if field == "country":
        return row["country"] and atlas().country(row["country"])
    return settled(field, row[field]) or None


def share(part: int, whole: int) -> str:
    """`.978 [.955, .990] (310/317)`; `-` of nothing."""
    if not whole:
        return "-"
    bounds = wilson(part, whole)
    return f"{part / whole:.3f} [{bounds.low:.3f}, {bounds.high:.3f}] ({part}/{whole})"


def line(name: str, given: Sequence[Any], right: Sequence[Any]) -> None:
    """Precision and coverage of answers (None: none) against the key (None: no such row)."""
    pairs = [(g, r) for g, r in zip(given, right, strict=True) if r is not None]
    answered = [(g, r) for g, r in pairs if g is not None]
    print(
        f"    {name:34} precision {share(sum(g == r for g, r in answered), len(answered))}"
        f"  coverage {len(answered) / max(1, len(pairs)):.3f}"
    )
