"""Whom a statement is about, and whether it holds now.

`... was bought by Brandt AG, which was founded in 1902` states a year, but not the company's own. The readers
of places and years find statements; here a statement's sentence is looked at for its subject, the relation it
tells of and its time. Doubt means no: a statement counts only where nothing speaks against it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from enrichment.atlas import plain
from enrichment.text import CLAUSE, sentences

OTHERS = re.compile(
    r"\b(?:(?i:parents?|subsidiar(?:y|ies)|customers?|clients?|competitors?|rivals?|acquired?|acquires|acquirer|"
    r"acquisition|investors?|shareholders?|suppliers?|vendors?|distributors?|plants?|factory|factories|facility|"
    r"facilities|branch(?:es)?|warehouses?|joint\s+venture|owners?|predecessor|regulator|belongs?\s+to|part\s+of|"
    r"(?:bought|owned|controlled|held|run|taken\s+over|led|backed|purchased)\s+by|sold\s+to|merged|member\s+of|"
    r"headquarters\s+of|spun\s+off|sister|founders?\s+of)"
    r"|(?:a|the|its|whose|this|larger|parent)\s+(?:\w+\s+)?(?:group|holding|conglomerate)(?!['’]s)|offices?|companies|"
    r"partners?|team|divisions?|foundation|brand|fund)\b"
)
"""Between the clause's start and the statement: then somebody or something else may be meant.

The last two lines are told by their small letters: `Partners Group` is a name.
"""

SINCE_BEGINNING = re.compile(r"\bsince\s+(?:its|their|the)\s+foundation\b", re.I)
"""The one foundation that is not somebody else."""

UNREAL = re.compile(
    r"\b(?:will|would|plans?|planned|planning|intends?|intend(?:ed|ing)|expects?|expected|may|might|could|should|must|"
    r"if|unless|rumou?r\w*|alleg\w+|supposed\w*|claims?|claimed|proposed|about\s+to|agreed\s+to|considers?|"
    r"considering|wants?\s+to|hopes?\s+to|whether|den(?:y|ies|ied|ying)|disput(?:e|es|ed|ing)|refut(?:e|es|ed|ing)|"
    r"reports?\s+that|contrary\s+to|wrongly|mistakenly|falsely|untrue)\b",
    re.I,
)
"""Between the clause's start and the statement: then it is not so yet, or somebody says so."""

NOT_NOW = re.compile(
    r"\b(?:formerly|previously|originally|initially|once|first|not|never|no longer|until|used to be|former|"
    r"from|second|dual|regional|north american|european|asian|asia|apac|emea|international|us|u\.s\.)\W*$",
    re.I,
)
"""Just before a seat: then it is not the seat, or not now."""
OVER = re.compile(r"\b(?:until|till)\b|\bhad\s+(?:\w+\s+){0,2}$", re.I)
"""Before a seat that no verb in the present states: then it is the past."""
ENDS = re.compile(r"^\W*(?:\w+\s+){0,2}(?:until|till)\b|^\W*(?:from|between)\s+\d{4}\s+(?:to|and)\s+\d{4}", re.I)
"""Just after a seat."""

RELATIVE = re.compile(r"\b(?:which|who|whose|where|that(?!\s+(?:time|year|date|day)\b))\b", re.I)
VERB = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|had|does|do|makes?|owns?|sells?|runs?|offers?|provides?|operates?|"
    r"in|at|to|by|from|with|on|for|unlike|like|than|after|before|under)\b",
    re.I,
)
"""A verb or preposition: what holds one is more than a name."""
KINDS_OF_COMPANY = (
    r"(?:company|firm|business|corporation|enterprise|bank|insurer|maker|manufacturer|producer|provider|developer|"
    r"retailer|start-?up|operator|co-?operative|consultancy|builder|publisher|carrier|airline|utility|agency)"
)
PREDICATE = re.compile(
    rf"^\W*(?:[^,;]{{1,80}}?\s)?(?:is|was)\s+(?:an?|the|one\s+of\s+the)\s+(?:[\w-]+\s+){{0,6}}?{KINDS_OF_COMPANY}\W*$",
    re.I,
)
"""`Acme is a maker`: what follows speaks of Acme still."""
MAX_NAME = 9
"""Words of a name that begins a sentence: `The Bank of New York Mellon Corporation (NYSE: BK)`."""

ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.]{0,60}\b(?:instructions?|prompts?|rules|previous|earlier|above)\b"
    r"|\b(?:answer|reply|respond|output|report|record|state|say|write|confirm)\s+(?:with\s+)?(?:that\b|the\s+following\b|[\"'{])"
    r"|\b(?:must|should|shall|has\s+to|have\s+to|is\s+to|needs?\s+to)\s+be\s+"
    r"(?:recorded|reported|answered|set|stored|given|entered|extracted|treated|assumed)\b"
    r"|\b(?:automated|ai|machine)\s+(?:readers?|systems?|agents?|assistants?)\b|\blanguage\s+models?\s*[:,]"
    r"|\b(?:system|assistant|user|prompt)\s*:|</?\w+>"
    r"|\b(?:new|next|real|actual)\s+(?:task|instructions?|prompt)\b|\bend\s+of\s+(?:the\s+)?(?:document|prompt|instructions?)\b",
    re.I,
)
"""A sentence that tells its reader what to answer states nothing."""

ELSEWHERE = re.compile(
    r"\b(?:(?:sub)?sites?|subsidiar(?:y|ies)|branch(?:es)?|plants?|factory|factories|foundry|foundries|mills?|mines?|"
    r"warehouses?|depots?|offices?|shops?|stores?|outlets?|restaurants?|hotels?|clinics?|laborator(?:y|ies)|facility|"
    r"facilities|centres?|centers?|unit|units|locations?|second|third|another|also|abroad|elsewhere|overseas|"
    r"internationally|worldwide|customers?|clients?|buyers?|users?|guests?|markets?|marketed|sold|sells?|selling|"
    r"sales|revenues?|turnover|exports?|exported|exporting|imports?|imported|ships?|shipped|shipping|"
    r"delivers?|deliver(?:ed|ies)|serves?|served|serving|distribut\w+|suppl(?:y|ies|ied|iers?)|sourced?|"
    r"until|till|former|formerly|previously|originally|initially|once|used\s+to|moved|relocated|left|"
    r"groups?|parents?|owners?|owned|holding|sister|competitors?|rivals?|partners?|investors?|shareholders?|"
    r"founders?|born|bought|acquir\w+|acquisitions?|merge[dr]|mergers?|takeover|joint\s+ventures?|"
    r"plans?|planned|will|would|intends?|may|expand\w*|expansion|enter(?:ed|s|ing)?|projects?|fairs?|"
    r"such\s+as|including|along\s+with|apart\s+from|except|unlike|listed|exchange|not|no|never|without)\b",
    re.I,
)
"""In the sentence of a country nobody calls the seat: it may be that of a part, a market, an owner, the past."""

GENERIC = frozenset(
    {
        "ab", "ag", "and", "bank", "co", "companies", "company", "corp", "corporation", "de", "gmbh", "group",
        "holding", "holdings", "inc", "industries", "international", "limited", "llc", "ltd", "nv", "of", "plc", "sa",
        "se", "services", "solutions", "spa", "srl", "systems", "technologies", "technology", "the", "und", "y",
    }
)  # fmt: skip
"""Words of names that tell no company from another."""
PRONOUN = re.compile(
    r"\b(?:it|its|we|our|they|their|(?:the|this)\s+(?:[\w-]+\s+)?(?:company|firm|business|corporation|bank))\b", re.I
)
NAME = re.compile(r"\b[A-Z][\w&’'-]*(?:\s+(?:&\s+)?[A-Z][\w&’'.-]*)*")
OPENERS = re.compile(
    r"^(?:After|Although|And|As|Based|Before|But|During|Established|First|Following|For|Founded|From|Head|Headquartered|"
    r"Headquarters|However|In|Incorporated|January|February|March|April|May|June|July|August|September|October|November|"
    r"December|Main|Now|On|Originally|Since|Then|Through|Today|Until|While|With)$"
)
"""Capitals that begin a sentence and name nobody."""


class Sentences:
    """A text's sentences, split once. Spans are half-open indices of the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = sentences(text)
        self._starts = [start for start, _ in self.spans]

    def around(self, at: int) -> tuple[int, int]:
        """The sentence that holds `at`, cut to CLAUSE characters on either side of it."""
        index = bisect_right(self._starts, at) - 1
        start, end = self.spans[index] if index >= 0 else (0, len(self.text))
        return max(start, at - CLAUSE), min(max(end, at), at + CLAUSE)

    def before(self, at: int) -> str:
        """What stands before `at` in the same clause: semicolons part clauses."""
        told = self.text[self.around(at)[0] : at]
        return told[told.rfind("; ") + 1 :]

    def after(self, at: int) -> str:
        """What follows `at` in the same clause."""
        return self.text[at : self.around(max(at - 1, 0))[1]].partition("; ")[0]

    def orders(self, at: int) -> bool:
        """Whether the sentence that holds `at` tells its reader what to answer."""
        start, end = self.around(at)
        return ORDERS.search(self.text, start, end) is not None


ARCHIVED = re.compile(
    r"\barchived?\s+(?:copy|page|version|article|site)\b|\bno\s+longer\s+(?:maintained|updated|kept\s+up)\b"
    r"|\b(?:page|site|article)\s+(?:was\s+|is\s+)?(?:last\s+)?(?:archived|outdated|out\s+of\s+date)\b",
    re.I,
)
"""A text that says so tells of its own day: what can change since is not known from it."""


def in_full(before: str, names: Sequence[str]) -> bool:
    """Whether the words hold every word that tells one of the names: `Acme Foods` does not name `Acme Foods Asia`."""
    said = set(plain(before).split())
    return any(said >= set(words) for words in map(telling, names) if words)


def own(before: str, names: Sequence[str] = ()) -> bool:
    """Whether a statement after these words of its clause is about the company itself, and said as a fact.

    `names`: what the company is called, where known; a clause that names only others is then about them.
    """
    before = SINCE_BEGINNING.sub("", before)
    if OTHERS.search(before) or UNREAL.search(before):
        return False
    relative = RELATIVE.search(before)
    if relative is not None and not (begins(before[: relative.start()]) or PREDICATE.match(before[: relative.start()])):
        return False
    return not _stranger(before, names)


def begins(head: str) -> bool:
    """Whether the words are a sentence's subject and no more: `Acme, Inc.,` is, `It was sold to Acme,` is not."""
    return len(head.split()) <= MAX_NAME and VERB.search(head) is None


def opens(after: str, names: Sequence[str] = ()) -> bool:
    """Whether the company is the subject after an opening participle: `Founded in 1902` + `, it makes cheese.`"""
    _, comma, rest = after.partition(",")
    subject = VERB.split(" ".join((rest if comma else after).split()[:MAX_NAME]), maxsplit=1)[0]
    return not OTHERS.search(subject) and not _stranger(subject, names)


def _stranger(clause: str, names: Sequence[str]) -> bool:
    """Whether the clause names somebody, and nobody it names is the company."""
    if not names or PRONOUN.search(clause):
        return False
    said = [m.group() for m in NAME.finditer(clause) if not OPENERS.match(m.group())]
    known = {word for name in names for word in telling(name)}
    initials = {"".join(word[0] for word in plain(name).split()) for name in names}
    if not said or not known:
        return False
    words = {word for name in said for word in telling(name)}
    return bool(words) and not any(
        word in initials or any(word.startswith(k) or k.startswith(word) for k in known) for word in words
    )


def telling(name: str) -> list[str]:
    """The words of a name that tell it from others', as `plain` gives them."""
    return [word for word in plain(name).split() if len(word) >= 2 and word not in GENERIC]
