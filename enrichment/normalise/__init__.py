"""Normalisers: from what people and systems write to one canonical value, the raw text kept beside it.

    normalise("phone", "+49 (0)30 1234567").value     '+49301234567'

One file a kind, one table of them (`table.KINDS`). None of them raises, whatever the text; each is idempotent: a
canonical value is its own. `examples/` has for each kind the canonical values with the raw forms that lead to them,
and raw forms that are refused.
"""

from enrichment.normalise.outcome import Normalised
from enrichment.normalise.table import KINDS, Kind, normalise

__all__ = ["KINDS", "Kind", "Normalised", "normalise"]
