"""Matching: which records of a file are one company, or one contact. It proposes; it merges nothing.

Finder(MATCHERS["account"]).pairs(rows)     pairs with their match weights, the likeliest first
"""

from enrichment.matching.company import COMPANY
from enrichment.matching.contact import CONTACT
from enrichment.matching.find import Counts, Finder, Pair
from enrichment.matching.model import Matcher, Prepared
from enrichment.matching.weights import Weight, probability

MATCHERS: dict[str, Matcher] = {"account": COMPANY, "company": COMPANY, "contact": CONTACT, "lead": CONTACT}
"""By the object of the rulebook, or the kind of record."""

__all__ = ["MATCHERS", "Counts", "Finder", "Matcher", "Pair", "Prepared", "Weight", "probability"]
