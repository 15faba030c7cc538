"""When a proposal becomes a value. The decision is the rule layer's; a proposal is only words and evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from watchtower.contract import Proposal
from watchtower.rulebook import Acceptance, FieldModel
from watchtower.rules.orders import addressed
from watchtower.rules.origin import Origin
from watchtower.rules.values import parser

ACCEPTED, REVIEW, REFUSED = "accepted", "review", "refused"
INDEPENDENT = 2
"""Sources that must say the same where none is the record's own."""


@dataclass(frozen=True)
class Decision:
    """`status` is accepted, review or refused; `rule` names the acceptance rule; `because` is for people."""

    status: str
    rule: str
    because: str
    value: Any = None


def decide(
    proposal: Proposal,
    *,
    key: str,
    field: FieldModel | None,
    acceptance: Acceptance | None,
    asked: frozenset[str] | None,
    documents: Mapping[str, str],
    origins: Mapping[str, Origin],
    held: Any,
    held_by: str,
) -> Decision:
    """Decide on one proposal for `key` (object.field).

    `asked`: the fields of its request, None where there is no such request. `documents`: the texts about the record,
    by id; `origins`: where each comes from. `held`: the present value and who set it.
    """

    def refused(because: str) -> Decision:
        return Decision(REFUSED, key, because)

    if asked is None:
        return refused(f"nobody asked: there is no open request {proposal.request!r:.60}")
    if proposal.field not in asked or field is None:
        return refused(f"{key} was not asked for")
    if acceptance is None:
        return refused(f"no acceptance rule decides on {key}")
    if field.sources and "ai" not in field.sources:
        return refused(f"ai is not among the sources of {key} ({', '.join(field.sources)})")
    if held is not None and held_by != "ai":
        return refused(f"{held_by or 'a source'} has set {key}; a worker does not overwrite it")
    try:
        value = parser(proposal.field, field)(proposal.value)
    except ValueError as error:
        return refused(str(error))
    if field.type == "country" and value not in countries():
        return refused(f"{proposal.field}: {value!r:.60} is not the two-letter code of a country (ISO 3166-1)")
    if not proposal.evidence:
        return refused("it shows no evidence")
    for evidence in (*proposal.evidence, *proposal.against):
        text = documents.get(evidence.document)
        if text is None:
            return refused(f"its evidence names the document {evidence.document!r:.60}, which the record does not have")
        if not evidence.quote.strip() or text[max(evidence.start, 0) : evidence.end] != evidence.quote:
            return refused(f"its quote {evidence.quote!r:.60} does not stand in {evidence.document} at its place")
    if not 0 <= proposal.confidence <= 1:
        return refused(f"its confidence {proposal.confidence} is not between 0 and 1")
    if proposal.against:
        one, other = proposal.evidence[0], proposal.against[0]
        because = (
            f"documents contradict each other: {one.document} says {one.quote!r:.120}, "
            f"{other.document} says {other.quote!r:.120}; a person decides"
        )
        return Decision(REVIEW, key, because, value)
    if proposal.confidence < acceptance.review_at:
        return refused(f"confidence {proposal.confidence:.2f} is below {acceptance.review_at:.2f}")
    if not follows(value, field, [evidence.quote for evidence in proposal.evidence]):
        return Decision(REVIEW, key, f"{value!r} does not stand in its quote; a person decides", value)
    says = [evidence for evidence in proposal.evidence if follows(value, field, [evidence.quote])]
    sources = {origins[evidence.document] for evidence in says}
    if not any(source.own for source in sources) and len(sources) < INDEPENDENT:
        named = ", ".join(sorted(source.name for source in sources))
        because = f"its only source is {named:.100}, not the record's own domain; a person decides"
        return Decision(REVIEW, key, because, value)
    if any(addressed(documents[evidence.document], evidence.start, evidence.end) for evidence in says):
        return Decision(
            REVIEW, key, "its quote stands in words that speak to a reading machine; a person decides", value
        )
    if proposal.confidence < acceptance.accept_at:
        because = f"confidence {proposal.confidence:.2f} is below {acceptance.accept_at:.2f}; a person decides"
        return Decision(REVIEW, key, because, value)
    return Decision(
        ACCEPTED,
        key,
        f"verbatim evidence, confidence {proposal.confidence:.2f} of {acceptance.accept_at:.2f} needed",
        value,
    )


@cache
def countries() -> frozenset[str]:
    """The codes of ISO 3166-1, alpha-2. What a source says of a country stays as it says it; AI says a code."""
    import pycountry

    return frozenset(country.alpha_2 for country in pycountry.countries)


def follows(value: Any, field: FieldModel, quotes: list[str]) -> bool:
    """Whether a value that is spelt out (a text, a whole number) stands in a quote. Others are judged by confidence."""
    if field.type == "integer":
        numbers = {
            int(found)
            for quote in quotes
            for found in re.findall(r"\d+", re.sub(r"(?<=\d)[,.' ](?=\d{3}\b)", "", quote))
            if len(found) < 19
        }
        return value in numbers
    if field.type == "text":
        return any(str(value).casefold() in quote.casefold() for quote in quotes)
    return True
