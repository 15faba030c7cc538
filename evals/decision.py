"""What becomes of a proposal: the acceptance step, as a function that a run is given.

Production decides in the rule layer; a caller that has a tower passes its decision in. What stands here is
the plain default: words that are really in the text, and a confidence that suffices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from evals.cases import Case
from watchtower.contract import Proposal


class Decision(msgspec.Struct, frozen=True):
    """accept: it becomes the value. review: a person decides. refuse: it goes no further."""

    outcome: Literal["accept", "review", "refuse"]
    because: str


Accept = Callable[[Proposal, Case], Decision]


def grounded(proposal: Proposal, case: Case) -> bool:
    """Whether there is evidence, and all of it stands in the case's texts, exactly at its place."""
    texts = {document.id: document.text for document in case.documents()}
    return bool(proposal.evidence) and all(
        0 <= e.start < e.end and texts.get(e.document, "")[e.start : e.end] == e.quote for e in proposal.evidence
    )


class VerbatimAndConfident(msgspec.Struct, frozen=True):
    """Accepts what is grounded and at least `accept_at` sure; `review_at` and more goes to review."""

    accept_at: float = 0.8
    review_at: float = 0.5

    def __call__(self, proposal: Proposal, case: Case) -> Decision:
        if not grounded(proposal, case):
            return Decision("refuse", "the evidence does not stand in the text")
        if not 0.0 <= proposal.confidence <= 1.0:
            return Decision("refuse", f"confidence {proposal.confidence} lies outside [0, 1]")
        if proposal.confidence >= self.accept_at:
            return Decision("accept", f"verbatim, confidence {proposal.confidence:.2f} >= {self.accept_at:g}")
        if proposal.confidence >= self.review_at:
            return Decision("review", f"confidence {proposal.confidence:.2f} < {self.accept_at:g}")
        return Decision("refuse", f"confidence {proposal.confidence:.2f} < {self.review_at:g}")


def name_of(accept: Accept) -> str:
    """How a manifest names the step: without addresses, so that two runs write the same."""
    if isinstance(accept, VerbatimAndConfident):
        return f"verbatim, accept at {accept.accept_at:g}, review at {accept.review_at:g}"
    name = getattr(accept, "name", None) or getattr(accept, "__qualname__", None) or type(accept).__qualname__
    return str(name)
