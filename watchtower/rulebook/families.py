"""Families of signals: how much of what is told in a week may be false, and how much one person is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from watchtower.rulebook.parts import Name, Part, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchtower.errors import Fault
    from watchtower.rulebook.load import Loaded


class Family(Part):
    """Signals that share a weekly budget. A week begins on Monday, in the rulebook's time zone.

    `rate`: of the signals newly told in a week, the share that may be false. `looks`: how often in a week a p-value is
    drawn anew: 1 where it holds over all looks of a week, as those of stage_dwell and ticket_shift do, 7 for daily
    looks of a detector that promises for one look at a time. `per_owner`: of these, how many are told to one owner;
    `owner` is the field that names the owner of a record. What is beyond is held back: kept, counted and shown with its
    reason, but read by no rule.
    """

    rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    looks: Annotated[int, Field(ge=1, le=1_000)] = 1
    per_owner: Annotated[int, Field(ge=1, le=100_000)] | None = None
    owner: Name = "owner"
    description: Text = ""


def family_faults(loaded: Loaded) -> Iterator[Fault]:
    """Signals of a family that is not there, and families whose owner field a member's object lacks."""
    from watchtower.rulebook.references import hint

    book = loaded.rulebook
    for name, signal in book.signals.items():
        if not signal.family:
            continue
        place = loaded.place("signals", name, "family")
        family = book.families.get(signal.family)
        if family is None:
            yield place.fault(f"signal {name}: unknown family {signal.family!r}{hint(signal.family, book.families)}")
        elif family.per_owner is not None and signal.object in book.objects:
            fields = book.objects[signal.object].fields
            if family.owner not in fields:
                yield place.fault(
                    f"signal {name}: family {signal.family} counts by {family.owner!r}, which {signal.object} has not"
                    f"{hint(family.owner, fields)}",
                    "name another field as the family's owner, or leave per_owner out",
                )
