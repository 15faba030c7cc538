"""Figures and nouns in the sentences that people read."""

from __future__ import annotations

HOUR = 3_600_000_000
"""Microseconds."""
UNITS = ((24 * HOUR, "days"), (HOUR, "hours"), (HOUR // 60, "minutes"))


def plural(noun: str) -> str:
    """`opportunity` as `opportunities`; names of objects are English nouns."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun if noun.endswith("s") else noun + "s"


def length(micros: int) -> str:
    """Whole units, rounded down, of the largest of which there are two: `41 days`."""
    for size, name in UNITS:
        if micros >= 2 * size:
            return f"{micros // size} {name}"
    return "less than two minutes"


def share_of(share: float, count: int) -> str:
    """`97% of 312`: never more than is so, and `all 312` only where nothing is left."""
    if share >= 1.0:
        return f"all {count}"
    if share >= 0.99:
        return f"{int(share * 1000) / 10:.1f}% of {count}"
    return f"{int(share * 100)}% of {count}"


def figure(value: float) -> str:
    """`8,105`, `12.5`, `0.031`: three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
