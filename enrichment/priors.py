"""How sure a model's grounded answer is: measured per model and kind of field, or a stated guess.

A model's own word about its confidence is not used. The figures are shares of right answers among grounded
ones on the tuning part (rows 0 to 499 of firmographics_1500; see benchmarks/enrichment.py).
"""

from __future__ import annotations

from enrichment.grounding import kind
from watchtower.contract import FieldSpec

UNMEASURED = 0.6
"""For models and fields that nobody measured here: enough for a person to look, not enough to accept."""
CATEGORY = 0.3
"""For categories: small models name the wrong one more often than not when texts mention several."""

MEASURED: dict[tuple[str, str], float] = {}


def model_confidence(model: str, spec: FieldSpec, quote: str) -> float:
    """In [0, 1]; larger is surer."""
    if spec.type == "enum":
        return CATEGORY
    for (name, field), share in MEASURED.items():
        if name in model and field == kind(spec):
            return share
    return UNMEASURED
