"""What a matcher of records is: how they are made ready, when two are looked at, and how they are weighed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from enrichment.matching.weights import Weight

PRIOR = Weight("prior", "of the pairs that share a key", -5.0)
"""Of the pairs that are looked at, about one in thirty is the same. It stands in every sum."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One record made ready. `text`: what it is called, as written; `whole`: the same to compare, without blanks.

    `values` in the order that its matcher knows; empty where missing.
    """

    text: str
    whole: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Matcher:
    """`columns`: each field and the names it goes by; `needs`: one of these must be there.

    `weigh(a, b, namesakes, total)` gives the weights of a pair, without the prior.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    prepare: Callable[[Mapping[str, str]], Prepared]
    keys: Callable[[Prepared], list[int]]
    weigh: Callable[[Prepared, Prepared, int, int], list[Weight]]


def key_of(text: str) -> int:
    """A key as a number of 63 bits; the same on every machine and in every run."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1
