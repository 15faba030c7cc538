"""What call notes, mails and tickets tell of a deal: facts with the sentence that says them.

    risk            enum     churn, budget, price, security, support, adoption, timing: the gravest that is told
    competitor      text     who else is looked at
    champion_left   boolean  true, or nothing: that somebody is still there is never told so plainly
    budget          money    an amount that is called a budget
    stakeholder     text     a name with a role, as it is written
    timeline        text     when they decide, sign or go live; a date where the field wants one
    next_step       text     what was said to come next
    sentiment       enum     positive or negative; mixed feelings are no answer

A field of the rulebook gets them by its name and type. Later documents outrank earlier ones: feelings and plans
change. What is denied, imagined or quoted from an earlier mail does not count. Everything is a proposal as any
other: AI-derived, decided on by the field's acceptance rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from enrichment.stance import Sentences, telling
from enrichment.years import MONTH
from watchtower.contract import FieldSpec


@dataclass(frozen=True)
class Seen:
    """A value, and the half-open span of the sentence that tells it."""

    value: Any
    start: int
    end: int


Find = Callable[[str, FieldSpec, Sequence[str]], Seen | None]

DENIED = re.compile(
    r"\b(?:no|not|never|without|isn['’]t|aren['’]t|wasn['’]t|don['’]t|doesn['’]t|didn['’]t|if|unless|would|could|might|"
    r"nothing|neither|rather\s+than|instead\s+of|stopped|avoid(?:ed)?)\b\W*(?:[\w'’-]+\W+){0,4}$",
    re.I,
)
"""Just before a statement in its sentence: then it is denied, or only thought of."""

RISKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("churn", re.compile(
        r"\b(?:cancel(?:l?ing|led)?|terminat(?:e|ing|ed))\s+(?:the|our|their|its|this)\s+(?:\w+\s+)?"
        r"(?:contract|subscription|account|agreement|service)\b"
        r"|\b(?:will|would|do|does|did|is|are)(?:\s+not|n['’]t)\s+(?:going\s+to\s+|planning\s+to\s+|be\s+)?renew(?:ing)?\b"
        r"|\bwon['’]t\s+(?:be\s+)?renew(?:ing)?\b|\bdecided\s+(?:not\s+to\s+renew|to\s+(?:leave|switch|cancel))\b"
        r"|\b(?:considering|thinking\s+(?:of|about)|planning\s+on|talking\s+about)\s+(?:leaving|switching|cancell?ing)\b"
        r"|\b(?:wants?|plans?|intends?|threaten(?:s|ed)?|asked)\s+to\s+(?:leave\s+us|switch|cancel|terminate)\b",
        re.I)),
    ("budget", re.compile(
        r"\bbudgets?\s+(?:freeze|cuts?|(?:has|have|had)\s+been\s+(?:cut|frozen|reduced)|(?:was|were|is|are|got)\s+"
        r"(?:cut|frozen|reduced|not\s+approved|on\s+hold))\b|\bno\s+budget\b|\black(?:s|ing)?\s+(?:the\s+)?budget\b"
        r"|\blost\s+(?:the|their|its)\s+budget\b", re.I)),
    ("price", re.compile(
        r"\btoo\s+expensive\b|\b(?:price|pricing|cost|quote)s?\s+(?:is|are|was|were|seems?)\s+too\s+high\b|\boverpriced\b"
        r"|\bcheaper\s+(?:offer|option|alternative|quote)\b|\bcannot\s+justify\s+the\s+(?:cost|price)\b"
        r"|\bpush(?:ed|ing|es)?\s+back\s+on\s+(?:the\s+)?(?:price|pricing)\b", re.I)),
    ("security", re.compile(
        r"\bfailed\s+(?:the|our|their)\s+security\s+review\b|\bsecurity\s+(?:concerns?|objections?|gaps?)\b"
        r"|\b(?:gdpr|compliance|data\s+protection)\s+(?:concerns?|objections?|issues?)\b"
        r"|\blegal\s+(?:has\s+|is\s+)?block(?:s|ed|ing)\b", re.I)),
    ("support", re.compile(
        r"\b(?:unhappy|frustrated|disappointed|annoyed|dissatisfied|fed\s+up|losing\s+patience)\s+(?:with|about|over)\b"
        r"|\bescalat(?:ed|ing)\s+(?:to|this|the)\b|\bstill\s+(?:not\s+(?:been\s+)?(?:fixed|resolved)|unresolved)\b"
        r"|\bkeeps?\s+(?:crashing|failing|breaking)\b|\b(?:third|fourth|fifth|another)\s+outage\b", re.I)),
    ("adoption", re.compile(
        r"\b(?:low|poor|little|declining|weak)\s+(?:usage|adoption|uptake|use)\b"
        r"|\b(?:nobody|no\s+one|hardly\s+anyone|hardly\s+anybody|few\s+people)\s+(?:is\s+|are\s+)?us(?:es|ing|e)\b"
        r"|\busage\s+(?:has\s+)?(?:dropped|fell|fallen|collapsed)\b", re.I)),
    ("timing", re.compile(
        r"\b(?:project|decision|purchase|roll-?out|deal|launch|evaluation)\s+(?:is|was|has\s+been|got)\s+"
        r"(?:postponed|delayed|on\s+hold|paused|pushed\s+(?:back|out))\b|\bput\s+(?:\w+\s+){1,3}on\s+hold\b", re.I)),
)  # fmt: skip
"""The gravest first."""

PROPER = r"[A-Z][\w&.'’-]*[\w](?:\s(?:[A-Z][\w&'’-]+|AI|CRM|Cloud)){0,2}"
COMPETITOR = re.compile(
    r"\b(?:(?:evaluating|considering|shortlisted|comparing\s+us\s+(?:with|to|against)|compar(?:es|ed|ing)\s+(?:it|this)\s+"
    r"(?:with|to)|(?:also\s+)?(?:looking|looked)\s+at|in\s+talks\s+with|talking\s+to|switch(?:ing|ed)?\s+to|migrat(?:e|ing)\s+to|"
    r"competing\s+(?:with|against)|up\s+against|(?:demo|quote|offer|proposal|pitch|bid|trial)\s+(?:from|of|with|by)|lost\s+to|"
    r"prefers?|competitor(?:\s+is|s\s+are|:)?|incumbent(?:\s+is|:)?|versus|vs\.?)\s+)(?P<name>" + PROPER + ")"
)  # fmt: skip
NOT_NAMES = frozenset(
    {
        "a", "an", "april", "august", "ceo", "cfo", "cio", "coo", "cto", "december", "eu", "europe", "february",
        "finance", "france", "friday", "germany", "he", "her", "his", "hr", "i", "it", "italy", "january", "july",
        "june", "legal", "march", "marketing", "may", "monday", "november", "october", "option", "our", "phase",
        "plan", "procurement", "q1", "q2", "q3", "q4", "sales", "saturday", "september", "she", "sunday", "that",
        "the", "their", "they", "this", "thursday", "tuesday", "uk", "us", "we", "wednesday", "you", "your",
    }
)  # fmt: skip
"""Capitals that name no competitor."""

LEFT = re.compile(
    r"\b(?:our\s+|their\s+|the\s+|my\s+)?(?:champion|sponsor|(?:main|key|primary)\s+(?:contact|user)|"
    r"point\s+of\s+contact|decision[- ]maker|project\s+(?:lead|owner))\b"
    r"(?:[\s,(]+(?!not\b|never\b)[\w'’.-]+[,)]?){0,4}?\s+"
    r"(?:(?:has|have|had|is|was|will\s+be)\s+)?(?:just\s+|already\s+|now\s+)?"
    r"(?:left|leaving|leaves|resigned|quit|retired|been\s+let\s+go|let\s+go|moved\s+(?:on|to)|"
    r"no\s+longer\s+(?:with|at|there|works?|in))\b"
    r"(?!\s+(?:an?|us|me|some|it|early|feedback|comments?|the\s+(?:call|meeting|room))\b)"
    r"|\b[A-Z][a-z\u00c0-\u024f]+\s+(?:[A-Z][\w'’-]+\s+)?"
    r"(?:has\s+left|is\s+leaving|left|has\s+resigned|no\s+longer\s+works)\s+"
    r"(?:the\s+company|the\s+business|the\s+organi[sz]ation|there|at\s+the\s+end)\b"
)

AMOUNT = (
    r"(?:(?:[€$£]|EUR|USD|GBP|CHF)\s?(?P<a>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s?(?P<as>k|K|m|M|thousand|million)?\b"
    r"|(?P<b>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s?(?P<bs>k|K|m|M|thousand|million)?\s?(?:€|\$|£|euros?\b|EUR\b|USD\b|dollars?\b|"
    r"GBP\b|pounds?\b|CHF\b))"
)
AGAIN = AMOUNT.replace("<a", "<c").replace("<b", "<d")
BUDGET = re.compile(
    r"\bbudget(?:\s+(?:of|is|was|for\s+\w+\s+is|they\s+have\s+is|available\s+is|approved\s+is))?\s*:?\s*"
    rf"(?:(?:about|around|roughly|approximately|up\s+to|at\s+most|some)\s+)?{AMOUNT}"
    r"|\b(?:have|has|approved|set\s+aside|allocated|earmarked)\s+"
    rf"(?:(?:about|around|roughly|up\s+to|a\s+budget\s+of)\s+)?{AGAIN}"
    r"(?:\s+(?:as\s+(?:a\s+|the\s+)?budget|budgeted|for\s+(?:this|the\s+project|it)))",
    re.I,
)
SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}

GREETING = (
    r"(?!(?:Met|Spoke|Called|With|Saw|Hi|Hello|Dear|Talked|Meeting|Call|Then|Also|Today|Now|And|But|Our|Their|The)\b)"
)
PERSON = GREETING + r"[A-Z][a-z\u00c0-\u024f'’-]+(?:\s[A-Z][a-z\u00c0-\u024f'’-]+){1,2}"
ROLE = (
    r"(?:C[A-Z]O|CISO|(?:S?VP|[Vv]ice\s[Pp]resident)(?:\s(?:of\s)?[A-Z]\w+){0,2}|(?:[Hh]ead|[Dd]irector)\sof\s[\w&-]+(?:\s[A-Z]\w+)?|"
    r"(?:[A-Z]\w+|IT|HR)\s(?:[Dd]irector|[Mm]anager|[Ll]ead)|[Pp]rocurement|[Mm]anaging\s[Dd]irector|[Gg]eneral\s[Cc]ounsel)"
)
STAKEHOLDER = re.compile(rf"\b(?P<who>{PERSON}(?:\s?\({ROLE}\)|,\s(?:(?:the|their|our|its|new)\s){{0,2}}{ROLE}))")

WHEN = (
    rf"(?:(?:the\s+)?(?:end\s+of|early|late|mid|beginning\s+of|start\s+of)[\s-])?"
    rf"(?:(?:the\s+)?(?:\d{{1,2}}(?:st|nd|rd|th)?\s+)?{MONTH}(?:\s+\d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,?\s+\d{{4}})?|Q[1-4](?:\s+\d{{4}})?|"
    r"\d{4}-\d{2}-\d{2}|next\s+(?:week|month|quarter|year)|(?:this|the)\s+(?:week|month|quarter|year)|"
    r"(?:the\s+)?(?:year[- ]end|summer|autumn|spring|winter))\b"
)
TIMELINE = re.compile(
    r"\b(?:go(?:es|ing)?[- ]live|launch(?:es|ing)?|decision|decid(?:e|es|ing)|sign(?:s|ing|ature)?|"
    r"roll(?:ing)?[- ]?out|kick[- ]?off|deadline|deploy(?:ment|ing)?|implement(?:ation|ing)?|start(?:s|ing)?|"
    r"renewal|contract\s+ends|purchase)\b"
    rf"[^.;\n]{{0,40}}?\b(?:by|in|on|before|at|until|from|for|is|:)\s+(?P<when>{WHEN})"
)
NEXT = re.compile(
    r"(?:\b(?:next\s+steps?|action\s+items?|to-?do|follow[- ]up)\s*(?:is|are|:|-|–)\s*(?:to\s+)?"
    r"|\b(?:agreed|promised|committed|asked\s+us)\s+to\s+|\b(?:I|we)(?:['’]ll|\s+will)\s+(?=send|schedule|book|share|prepare|call|"
    r"follow|set|arrange|get\s+back|provide|introduce|organi[sz]e))(?P<what>[A-Za-z][^.;\n]{5,110})(?=[.;\n]|$)",
    re.I,
)

GOOD = re.compile(
    r"\b(?:happy|pleased|delighted|impressed|excited|enthusiastic|thrilled|satisfied|love[sd]?|great|excellent|fantastic|"
    r"thank(?:s|ful)|helpful|smooth(?:ly)?|positive|recommend(?:ed|s)?|glad)\b", re.I)  # fmt: skip
BAD = re.compile(
    r"\b(?:unhappy|frustrat(?:ed|ing|ion)|disappoint(?:ed|ing|ment)|angry|annoyed|upset|dissatisfied|unacceptable|"
    r"terrible|awful|complain(?:ed|s|ing|ts?)?|worst|useless|fed\s+up|losing\s+patience|concern(?:ed|s)|worried|"
    r"furious|poor|broken)\b",
    re.I,
)


def _matches(text: str, cue: re.Pattern[str], *, denial: bool = True) -> Iterator[tuple[re.Match[str], int, int]]:
    """What the cue finds and its sentence's span; not what is denied, quoted from an earlier mail, or an order."""
    told = Sentences(text)
    for match in cue.finditer(text):
        at = match.start()
        if text.startswith(">", text.rfind("\n", 0, at) + 1) or told.orders(at):
            continue
        start, end = told.around(at)
        if denial and DENIED.search(text, start, at):
            continue
        yield match, start, max(end, match.end())


def _risk(text: str, spec: FieldSpec, _: Sequence[str] = ()) -> Seen | None:
    for name, cue in RISKS:
        if name in spec.values:
            for _match, start, end in _matches(text, cue):
                return Seen(name, start, end)
    return None


def _competitor(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Seen | None:
    own = {word for name in names for word in telling(name)}
    for match, start, end in _matches(text, COMPETITOR):
        name = re.sub(r"['’]s$", "", match["name"]).rstrip(".")
        words = [word.casefold() for word in name.split()]
        if words[0] not in NOT_NAMES and not own & set(telling(name)):
            return Seen(name, start, end)
    return None


def _champion_left(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Seen | None:
    return next((Seen(True, start, end) for _match, start, end in _matches(text, LEFT)), None)


def _budget(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Seen | None:
    for match, start, end in _matches(text, BUDGET):
        digits, scale = next((match[k], match[f"{k}s"]) for k in "abcd" if match[k])
        value = float(digits.replace(",", "")) * SCALES.get((scale or "").lower(), 1)
        return Seen(int(value) if value.is_integer() else value, start, end)
    return None


def _stakeholder(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Seen | None:
    return next((Seen(m["who"], start, end) for m, start, end in _matches(text, STAKEHOLDER, denial=False)), None)


def _timeline(text: str, spec: FieldSpec, _: Sequence[str] = ()) -> Seen | None:
    for match, start, end in _matches(text, TIMELINE):
        if spec.type == "text" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", match["when"]):
            return Seen(match["when"], start, end)
    return None


def _next_step(text: str, _: FieldSpec, names: Sequence[str] = ()) -> Seen | None:
    return next((Seen(m["what"].strip(), start, end) for m, start, end in _matches(text, NEXT)), None)


def _sentiment(text: str, spec: FieldSpec, _: Sequence[str] = ()) -> Seen | None:
    found: dict[str, list[tuple[int, int]]] = {"positive": [], "negative": []}
    for cue, plain, denied in ((GOOD, "positive", "negative"), (BAD, "negative", "positive")):
        for match, start, end in _matches(text, cue, denial=False):
            found[denied if DENIED.search(text, start, match.start()) else plain].append((start, end))
    good, bad = len(found["positive"]), len(found["negative"])
    said = "positive" if good > 2 * bad else "negative" if bad > 2 * good else ""
    if said not in spec.values or not found.get(said):
        return None
    spans = found[said]
    start, end = max(spans, key=lambda span: (spans.count(span), -span[0]))
    return Seen(said, start, end)


@dataclass(frozen=True)
class Observation:
    """`names` and `types`: of the fields that it answers for."""

    name: str
    names: frozenset[str]
    types: frozenset[str]
    find: Find


def _of(name: str, types: str, find: Find, *others: str) -> Observation:
    return Observation(name, frozenset({name, *others}), frozenset(types.split()), find)


OBSERVATIONS: tuple[Observation, ...] = (
    _of("risk", "enum", _risk, "main_risk", "deal_risk", "account_risk"),
    _of("competitor", "text", _competitor, "main_competitor", "competitor_named"),
    _of("champion_left", "boolean", _champion_left, "sponsor_left", "contact_left"),
    _of("budget", "money number", _budget, "stated_budget"),
    _of("stakeholder", "text", _stakeholder, "decision_maker", "stakeholders"),
    _of("timeline", "text date", _timeline, "decision_by", "go_live", "go_live_by"),
    _of("next_step", "text", _next_step, "agreed_next_step"),
    _of("sentiment", "enum", _sentiment, "customer_sentiment"),
)


def observation(spec: FieldSpec) -> Observation | None:
    """What answers for the field, or None."""
    return next((one for one in OBSERVATIONS if spec.name in one.names and spec.type in one.types), None)
