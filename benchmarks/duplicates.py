"""A million companies deduplicated: seconds, memory, and how many of the planted duplicates are found.

    python -m benchmarks.duplicates [--records 1000000] [--workers 2] [--seed 7]

A seeded hand makes companies (a name of one to three words, a legal form, half of them with a domain, most with a
country and a city) and then duplicates of three in ten: another legal form or none, a word cut short or dropped, a
letter changed, capitals, a domain or a city missing. The records come from a generator, so that their own memory does
not count. Pairs of probability .5 and more are told; recall is over the planted pairs, precision over the told ones
(companies made anew that happen to bear nearly one name count as wrong). The peer, in the same run: pairs whose names
are the same in lower case without punctuation, found by DuckDB. Peak memory is that of this process and of its
children, by their proportional set size, ten times a second.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from random import Random

import duckdb
import pyarrow as pa

from benchmarks.backtest_scale import resident
from benchmarks.figures import arguments, figure
from enrichment.matching import MATCHERS, Finder

CONSONANTS, VOWELS = "bcdfgklmnprstvxz", "aeio"
SYLLABLES = tuple(c + v for c in CONSONANTS for v in VOWELS) + ("zen", "ter", "lin", "mar", "san", "tec", "dex", "tra")
TRADES = (
    "Technologies", "Software", "Consulting", "Logistics", "Foods", "Energy", "Pharma", "Capital", "Systems",
    "Solutions", "Media", "Foundry", "Design", "Construction", "Holdings", "Group", "International", "Industries",
    "Partners", "Medical",
)  # fmt: skip
FORMS = ("Inc.", "LLC", "Ltd", "GmbH", "S.p.A.", "S.A.", "B.V.", "AB", "Pty Ltd", "Corp.")
SHORTER = {"Technologies": "Tech", "International": "Intl", "Holdings": "Hldgs", "Group": "Grp", "Industries": "Inds",
           "Systems": "Sys", "Solutions": "Solns", "Medical": "Med"}  # fmt: skip
COUNTRIES = ("US", "DE", "IT", "FR", "GB", "NL", "SE", "ES", "CA", "AU")
CITIES = (
    "Milano",
    "Berlin",
    "Paris",
    "London",
    "Boston",
    "Austin",
    "Lyon",
    "Torino",
    "Leeds",
    "Malmö",
    "Utrecht",
    "Perth",
)
LETTERS = "abcdefghijklmnoprstuvz"
DOUBLED = 0.3


def word(rng: Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 3, 3, 4)))).capitalize()


def company(rng: Random) -> dict[str, str]:
    """A company as it was first written down."""
    words = [word(rng) for _ in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.7:
        words.append(rng.choice(TRADES))
    made = {"name": f"{' '.join(words)} {rng.choice(FORMS)}"}
    if rng.random() < 0.5:
        made["domain"] = f"{''.join(words).lower()}{rng.randrange(100)}.com"
    if rng.random() < 0.8:
        made["country"] = rng.choice(COUNTRIES)
        made["city"] = rng.choice(CITIES)
    return made


def again(made: dict[str, str], rng: Random) -> dict[str, str]:
    """The same company as somebody else wrote it down."""
    words = made["name"].split()
    fields = dict(made)
    change = rng.random()
    if change < 0.35:
        words[-1:] = [] if rng.random() < 0.5 else [rng.choice(FORMS)]
    elif change < 0.6:
        words = [SHORTER.get(one, one) for one in words]
        if words == made["name"].split():
            words[-1:] = []
    else:
        at = rng.randrange(1, len(words[0]))
        words[0] = words[0][:at] + rng.choice(LETTERS) + words[0][at + (rng.random() < 0.5) :]
    fields["name"] = " ".join(words).upper() if rng.random() < 0.3 else " ".join(words)
    if "domain" in fields:
        fields["domain"] = f"https://www.{fields['domain']}/" if rng.random() < 0.5 else ""
    if rng.random() < 0.4:
        fields.pop("city", None)
    return fields


def rows(count: int, seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    """`C-n` and, for three in ten, its duplicate `D-n` right after; the order does not matter to the finder."""
    rng, made = Random(seed), 0
    while made < count:
        first = company(rng)
        yield f"C-{made}", first
        if rng.random() < DOUBLED / (1 - DOUBLED) and made + 1 < count:
            yield f"D-{made}", again(first, rng)
            made += 1
        made += 1


def peer(count: int, seed: int) -> tuple[int, int, float]:
    """Pairs of the same name in lower case without punctuation, how many of them are planted, and seconds."""
    made = list(rows(count, seed))
    table = pa.table({"id": [id_ for id_, _ in made], "name": [fields["name"] for _, fields in made]})
    with duckdb.connect() as db:
        db.register("made", table)
        began = time.perf_counter()
        found = db.execute(
            "WITH bare AS (SELECT id, regexp_replace(lower(name), '[^a-z0-9]', '', 'g') AS name FROM made) "
            "SELECT count(*), count(*) FILTER (substr(a.id, 3) = substr(b.id, 3)) "
            "FROM bare a JOIN bare b ON a.name = b.name AND a.id < b.id"
        ).fetchone()
        assert found is not None
        return int(found[0]), int(found[1]), time.perf_counter() - began


def cpu() -> float:
    """Seconds of CPU of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    stages: dict[str, float] = {}
    began = time.perf_counter()

    def told(stage: str, done: int, total: int) -> None:
        stages[stage] = time.perf_counter() - began

    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            peak[0] = max(peak[0], resident(os.getpid()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    finder = Finder(MATCHERS["account"], workers=options.workers, told=told)
    right = found = 0
    for pair in finder.pairs(rows(options.records, options.seed)):
        found += 1
        right += pair.a[2:] == pair.b[2:]
    seconds = time.perf_counter() - began
    ended.set()
    watcher.join()
    planted = sum(id_.startswith("D-") for id_, _ in rows(options.records, options.seed))
    counts = finder.counts
    print(
        f"{counts.records:,} records in {seconds:,.0f} s ({counts.records / seconds:,.0f}/s), {cpu():,.0f} s of CPU; "
        f"read by {stages['read']:,.0f} s, compared by {stages['compared']:,.0f} s; peak {peak[0] / 1024:,.0f} MB\n"
        f"{counts.candidates:,} candidates, {counts.weighed:,} weighed, {counts.passed_over:,} keys passed over\n"
        f"{found:,} pairs told: precision {right / max(found, 1):.3f}, recall {right / max(planted, 1):.3f} "
        f"of {planted:,} planted",
        flush=True,
    )
    told_by_peer, right_of_peer, peer_seconds = peer(options.records, options.seed)
    precision, recall = right_of_peer / max(told_by_peer, 1), right_of_peer / max(planted, 1)
    figure(f"{counts.records:,} companies deduplicated", counts.records / seconds, "records a second")
    figure(
        "duplicates: recall", right / max(planted, 1), peer="the same name", of_peer=(right / max(planted, 1)) / recall
    )
    figure("duplicates: precision", right / max(found, 1), peer="the same name",
           of_peer=right / max(found, 1) / precision)  # fmt: skip
    print(
        f"the same name without case and punctuation: {told_by_peer:,} pairs, precision {precision:.3f}, "
        f"recall {recall:.3f}, {peer_seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
