"""The example table of each kind, the other way round: canonical value to the raw forms that must lead to it.

`KIND.yaml` holds `accepted`, `regional` (the same, by the region that is given), `refused` and `nothing` (raw forms),
and `parts` (raw form to all parts of its value), where there are some.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

import yaml


@dataclass(frozen=True)
class Examples:
    """Of one kind."""

    accepted: dict[str, list[str]]
    refused: list[str]
    nothing: list[str]
    regional: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)


@lru_cache(maxsize=64)
def examples(kind: str) -> Examples:
    """The examples of a kind of the table. FileNotFoundError where there are none."""
    text = (files(__package__) / f"{kind}.yaml").read_text("utf-8")
    return Examples(**yaml.safe_load(text))
