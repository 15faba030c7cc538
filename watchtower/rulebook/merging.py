"""When two records are one: what is compared, what a person is shown, and which pairs need no person.

merging:
  account:
    compare: [name, domain, phone, country]     # what workers are told; left out: every text field
    review_at: 0.5                              # pairs of less probability are refused
    rules:
      same_domain:
        same: [domain]                          # there on both, the same, and no worker's word
        agree: [country]                        # the same, where both have it
        weights: {name: 8}                      # and the worker's weights, in bits: name is a sum of several
        owner: revops
        because: One domain, and names that are nearly the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from watchtower.errors import Fault
from watchtower.rulebook.parts import Name, Part, Text, Texts

if TYPE_CHECKING:
    from watchtower.rulebook.load import Loaded

COMPARED = ("text", "domain", "email", "phone", "country", "url")
"""Types of fields whose values can say that two records are one."""


class MergingRule(Part):
    """What makes two records one without a person. A probability alone never does: the rule layer itself must find at
    least one value the same."""

    same: Annotated[Texts, Field(min_length=1)]
    """Fields that both records have, with the same value, set by a person or a system."""
    agree: Texts = []
    """Fields that do not differ: the same value, or missing on a side."""
    weights: dict[str, float] = {}
    """What a comparison, or a group of them, has to weigh at least, in bits."""
    bits: float | None = None
    """What all of them have to weigh at least."""
    owner: str = ""
    because: Text = ""


class Merging(Part):
    """The part `merging` of a rulebook, for one object."""

    compare: Texts = []
    like: str = ""
    """The kind of record that the workers' matcher knows: company, contact. Empty: that of the object's name."""
    review_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    rules: dict[Name, MergingRule] = {}
    description: Text = ""


def merging_faults(loaded: Loaded) -> Iterator[Fault]:
    """Fields that are not there, or that AI may fill: what AI says must not make two records one."""
    from watchtower.rulebook.references import hint

    book = loaded.rulebook
    for name, merging in book.merging.items():
        place = loaded.place("merging", name)
        if name not in book.objects:
            yield place.fault(f"merging: unknown object {name!r}{hint(name, book.objects)}")
            continue
        fields = book.objects[name].fields
        if book.personal.get(name):
            yield place.fault(
                f"merging: {name} holds personal data, which are sealed a record at a time",
                "merge such records where they come from",
            )
        parts: dict[tuple[str, ...], list[str]] = {("compare",): merging.compare}
        for key, rule in merging.rules.items():
            parts["rules", key, "same"], parts["rules", key, "agree"] = rule.same, rule.agree
        for path, named in parts.items():
            for field in named:
                here = loaded.place("merging", name, *path)
                if field not in fields:
                    yield here.fault(f"merging: {name} has no field {field!r}{hint(field, fields)}")
                elif path[0] == "rules" and (fields[field].fill or fields[field].rollup is not None):
                    why = "enrichment may fill" if fields[field].fill else "is computed"
                    yield here.fault(
                        f"merging: rule {path[1]} rests on {name}.{field}, which {why}",
                        "name fields that people and systems set",
                    )
                elif path[0] == "compare" and fields[field].type not in COMPARED:
                    yield here.fault(
                        f"merging: {name}.{field} is {fields[field].type}; compared are {', '.join(COMPARED)}"
                    )
