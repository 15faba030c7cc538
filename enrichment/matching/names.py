"""Two company names compared: what they share, word by word and as a whole.

Words are matched one to one: the same, one the abbreviation of the other (`intl`, `hldgs`, a word cut short), or spelt
nearly alike (Jaro-Winkler). A word that most companies could bear (`group`, `technology`) weighs less than one of its
own. Legal forms and what a stock list adds behind a name (`ORD 1P`, `FPO`, `ADR`) do not count.

Sources: W. Winkler, "String Comparator Metrics and Enhanced Decision Rules in the Fellegi-Sunter Model" (1990);
A. Monge and C. Elkan, "The field matching problem" (1996) for the matching of words one to one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from enrichment.atlas import plain
from enrichment.normalise.legal_forms import piece
from enrichment.normalise.legal_name import apart
from enrichment.normalise.outcome import tidy


def _words() -> tuple[frozenset[str], frozenset[str], dict[str, str]]:
    """`tables/words.tsv`: generic words, words of lists of securities, and abbreviations to what they stand for."""
    found: dict[str, dict[str, str]] = {"generic": {}, "listing": {}, "short": {}}
    for line in (files("enrichment.matching") / "tables" / "words.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            kind, value, words = line.split("\t")
            found[kind].update(dict.fromkeys(words.split(), value))
    return frozenset(found["generic"]), frozenset(found["listing"]), found["short"]


GENERIC, LISTING, SHORT = _words()
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "x": "10",
         "xi": "11", "xii": "12", "xiii": "13", "xiv": "14", "xv": "15", "xx": "20"}  # fmt: skip
LIGHT, HEAVY, FIRST = 0.35, 1.0, 1.4
"""How much a generic word, another word, and the first word weigh."""
MARKED = re.compile(
    r"\s[A-Z]{2}-?,\d+.*$|\s(?:EO|DL|SK|LS|YC|DK|NK|ZY|SF)\s*-?,?\d+.*$|/\d[\d,]*$|[\s-](?:SP\s)?ADRS?\b.*$"
)
"""Par values and receipts behind a name."""
CUT = "publiccompanylimited"
"""A legal form so long that lists cut it off."""
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Name:
    """A company name made ready: its words without legal form, and the same as one."""

    raw: str
    words: tuple[str, ...]
    whole: str
    """The words without blanks."""
    form: str


@lru_cache(maxsize=1 << 12)
def ready(raw: str) -> Name:
    """A name to compare. An empty text has no words."""
    text = MARKED.sub("", tidy(raw[:300]))
    bare, form = apart(text)
    again, other = apart(bare)
    if other is not None and again:
        bare = again
    if bare.isascii() and not bare.isupper() and " " not in bare:
        bare = CAMEL.sub(" ", bare)
    words = _uncut(plain(bare.replace("&", " and ").replace("+", " and ")).split()) or [piece(text)]
    while len(words) > 1 and (words[-1] in LISTING or (words[-1].isdigit() and words[-2] in LISTING)):
        words.pop()
    spelt = [SHORT.get(word, word) for word in _joined_initials(words) if word]
    if len(spelt) > 1:
        spelt = [word for word in spelt if word not in ("and", "the", "of")] or spelt
    return Name(raw, tuple(spelt), "".join(spelt), form.text if form else "")


def _uncut(words: list[str]) -> list[str]:
    """Words without `public company lim`, wherever it was cut off."""
    if "public" in words[1:]:
        at = words.index("public", 1)
        if CUT.startswith("".join(words[at:])):
            return words[:at]
    return words


def _joined_initials(words: list[str]) -> list[str]:
    """`c k hutchison` as `ck hutchison`."""
    found: list[str] = []
    run = ""
    for word in words:
        if len(word) == 1 and word.isalpha():
            run += word
            continue
        if run:
            found.append(run)
            run = ""
        found.append(word)
    return [*found, run] if run else found


@dataclass(frozen=True, slots=True)
class Likeness:
    """Each in [0, 1]; larger is more alike.

    `whole`: the names without blanks; `begins`: as far as the shorter reaches; `first`: the first words; `less` and
    `more`: how much of the name with less, and with more, is found in the other, by weight.
    """

    whole: float
    begins: float
    first: float
    less: float
    more: float
    numbers: bool
    """Whether each has a number that the other lacks."""
    rare: int
    """How many words other than generic ones are alike."""


def compare(a: Name, b: Name) -> Likeness:
    """How alike two names are; the order does not matter."""
    if not a.whole or not b.whole:
        return Likeness(0, 0, 0, 0, 0, False, 0)
    if len(a.whole) > len(b.whole):
        a, b = b, a
    whole = fuzz.ratio(a.whole, b.whole) / 100
    begins = fuzz.ratio(a.whole, b.whole[: len(a.whole)]) / 100 if len(a.whole) > 3 else whole
    pairs = _matched(a.words, b.words)
    heavy_a, heavy_b = _weights(a.words), _weights(b.words)
    shared_a = sum(heavy_a[i] * score for i, _, score in pairs)
    shared_b = sum(heavy_b[j] * score for _, j, score in pairs)
    shares = (shared_a / sum(heavy_a), shared_b / sum(heavy_b))
    rare = sum(1 for i, j, score in pairs if score > 0.84 and a.words[i] not in GENERIC and b.words[j] not in GENERIC)
    return Likeness(whole, begins, alike(a.words[0], b.words[0]), max(shares), min(shares), _numbers_differ(a, b), rare)


def _weights(words: tuple[str, ...]) -> list[float]:
    return [(LIGHT if word in GENERIC else HEAVY) * (FIRST if index == 0 else 1.0) for index, word in enumerate(words)]


def _matched(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[int, int, float]]:
    """Words of the one with words of the other, each at most once, the most alike first."""
    scored = [
        (score, -abs(i - j), i, j) for i, one in enumerate(a[:12]) for j, two in enumerate(b[:12])
        if (score := alike(one, two)) > 0
    ]  # fmt: skip
    scored.sort(reverse=True)
    used_a: set[int] = set()
    used_b: set[int] = set()
    found = []
    for score, _, i, j in scored:
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            found.append((i, j, score))
    return found


@lru_cache(maxsize=1 << 16)
def alike(a: str, b: str) -> float:
    """How alike two words are, in [0, 1]; 0 where they are no more alike than chance."""
    if a == b:
        return 1.0
    if len(a) > len(b):
        a, b = b, a
    if a.isdigit() or b.isdigit():
        return 1.0 if ROMAN.get(a, a) == ROMAN.get(b, b) else 0.0
    if b.startswith(a):
        return 0.6 if len(a) < 3 else min(0.95, 0.75 + 0.05 * len(a))
    if a[0] == b[0] and 2 < len(a) < len(b) and _within(a, b):
        return 0.8 if len(a) > 3 else 0.7
    score = JaroWinkler.similarity(a, b)
    return float(score) if score > 0.86 and len(a) > 3 else 0.0


def _within(a: str, b: str) -> bool:
    """Whether the letters of the one stand in the other in their order (`hldgs` in `holdings`)."""
    rest = iter(b)
    return all(letter in rest for letter in a)


def _numbers_differ(a: Name, b: Name) -> bool:
    one = {ROMAN.get(w, w) for w in a.words if any(c.isdigit() for c in w) or (w in ROMAN and w != "i")}
    two = {ROMAN.get(w, w) for w in b.words if any(c.isdigit() for c in w) or (w in ROMAN and w != "i")}
    return bool(one - two) and bool(two - one)
