"""When documents contradict each other, a person decides, with both quotes at hand."""

from __future__ import annotations

from typing import Any

import pytest

from watchtower.contract import Evidence, Proposal
from watchtower.rulebook import Acceptance, FieldModel
from watchtower.rules.acceptance import REFUSED, REVIEW, Decision, decide
from watchtower.rules.origin import Origin

TEXTS = {"d1": "Its seat is Milan.", "d2": "Its seat is Paris."}
MILAN = Evidence(document="d1", quote="seat is Milan", start=4, end=17)
PARIS = Evidence(document="d2", quote="seat is Paris", start=4, end=17)


def decided(against: tuple[Evidence, ...], confidence: float = 0.99) -> Decision:
    options: dict[str, Any] = {
        "key": "account.city", "field": FieldModel(type="text"), "acceptance": Acceptance(accept_at=0.9, review_at=0.6),
        "asked": frozenset({"city"}), "documents": TEXTS,
        "origins": dict.fromkeys(TEXTS, Origin("note", True)), "held": None, "held_by": "",
    }  # fmt: skip
    proposal = Proposal(
        request="r", field="city", value="Milan", confidence=confidence, evidence=(MILAN,), method="pattern",
        against=against,
    )  # fmt: skip
    return decide(proposal, **options)


@pytest.mark.parametrize("confidence", [0.5, 0.99])
def test_a_contradicted_value_goes_to_a_person_with_both_quotes_however_sure_it_is(confidence: float) -> None:
    decision = decided((PARIS,), confidence)
    assert decision.status == REVIEW
    assert "d1 says 'seat is Milan'" in decision.because and "d2 says 'seat is Paris'" in decision.because


def test_a_contradiction_must_be_as_true_a_quote_as_any() -> None:
    decision = decided((replace_quote(PARIS, "seat is Rome!"),))
    assert decision.status == REFUSED
    assert "does not stand in d2" in decision.because


def replace_quote(evidence: Evidence, quote: str) -> Evidence:
    return Evidence(document=evidence.document, quote=quote, start=evidence.start, end=evidence.end)
