"""Values per second (of CPU time) of each normaliser, on one core, over values none of which is met twice.

    python -m benchmarks.normalisers [--count 20000] [--kind phone,domain]

The values are the raw forms of the kind's examples, each with a number, a letter or a name changed by a seeded hand, so
that no cache answers for the whole of one; tables are read before the clock starts. The bar is 10,000 values a second
and kind. The peer, in the same run: `unicodedata.normalize("NFKC", value).casefold()`, the least that any comparison of
texts does.
"""

from __future__ import annotations

import time
import unicodedata
from random import Random

from benchmarks.figures import arguments, figure
from enrichment.normalise import KINDS
from enrichment.normalise.examples import examples

BAR = 10_000
LETTERS = "abcdefghiklmnoprstuvwz"
FREE_DIGITS = frozenset({"phone", "money", "revenue", "headcount", "address"})
"""Kinds whose values vary by their digits; dates by day and year; the others by the letters of a word."""


def varied(kind: str, raw: str, rng: Random) -> str:
    """A raw form as somebody else might have it."""
    if kind in FREE_DIGITS:
        return "".join(rng.choice("123456789") if c.isdigit() and rng.random() < 0.4 else c for c in raw)
    if kind == "date":
        return raw.replace("2026", str(rng.randint(1950, 2049))).replace("02", f"{rng.randint(1, 28):02}")
    name = "".join(rng.choice(LETTERS) for _ in range(rng.randint(4, 9)))
    if kind in ("legal_name", "person", "title"):
        return f"{name.capitalize()} {raw}"
    for word in ("acme", "Acme", "ACME", "rossi", "Rossi"):
        if word in raw:
            return raw.replace(word, name)
    return raw


def values(kind: str, count: int) -> list[str]:
    """So many raw forms of a kind; few are the same where the kind has more than a few hundred values at all."""
    shown, rng = examples(kind), Random(7)
    raws = [raw for several in shown.accepted.values() for raw in several]
    return [varied(kind, rng.choice(raws), rng) for _ in range(count)]


def rate(kind: str, raws: list[str]) -> tuple[float, float]:
    """Values per second, and the share that had a value."""
    normalise = KINDS[kind].normalise
    normalise(raws[0], "")
    began = time.process_time()
    found = [normalise(raw, "") for raw in raws]
    seconds = time.process_time() - began
    return len(raws) / seconds, sum(f is not None and f.value is not None for f in found) / len(raws)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--kind", default=",".join(KINDS))
    options = parser.parse_args()
    print(f"{'kind':<12} {'values/s':>10} {'of the bar':>10} {'read':>6} {'distinct':>9} {'peer/s':>10}")
    for kind in options.kind.split(","):
        raws = values(kind, options.count)
        began = time.process_time()
        for raw in raws:
            unicodedata.normalize("NFKC", raw).casefold()
        peer = len(raws) / (time.process_time() - began)
        speed, read = rate(kind, raws)
        distinct = len(set(raws))
        figure(
            f"normaliser of {kind}",
            speed,
            "values a second",
            aim=BAR,
            peer="NFKC and casefold",
            of_peer=speed / peer,
            bound=True,
        )
        print(f"{kind:<12} {speed:>10,.0f} {speed / BAR:>10.1f} {read:>6.0%} {distinct:>9,} {peer:>10,.0f}", flush=True)


if __name__ == "__main__":
    main()
