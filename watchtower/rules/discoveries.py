"""Which signals of a family are told: a weekly false-discovery budget, and a cap for each owner.

A hypothesis is a signal on a record in one week. Its p-value is the least that the week's looks gave it, times the
number of looks at which the family says that it is drawn anew (Bonferroni, so that no dependence between looks can
break it). The set of what is told then only grows within a week, and at its end it is what Benjamini-Hochberg gives on
the whole week at once. What already stood when the week began was decided when it was new, and is not decided again.

Source: Benjamini, Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995); it holds for independent tests
and for positively dependent ones. A test that raised nothing counts with p = 1, which errs on the safe side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from watchtower.rulebook.families import Family

Key = tuple[str, str]
"""The signal's name, and the subject (`object/id`)."""


@dataclass(frozen=True)
class Claim:
    """What the looks of a week have said for one signal on one record."""

    signal: str
    subject: str
    p_value: float
    strength: float
    owner: str = ""
    """Empty where the record names none; those share one cap."""
    told: bool = False
    """Whether an earlier look of this week was told."""

    @property
    def key(self) -> Key:
        return self.signal, self.subject


@dataclass(frozen=True)
class Ruling:
    """Whether a claim is told, and why."""

    told: bool
    because: str


def week_of(now: datetime, zone: ZoneInfo) -> datetime:
    """The start of the week that contains `now`: Monday, 00:00 in the zone, as UTC."""
    local = now.astimezone(zone)
    monday = local.date() - timedelta(days=local.weekday())
    return datetime(monday.year, monday.month, monday.day, tzinfo=zone).astimezone(UTC)


def threshold(p_values: Sequence[float], rate: float, tests: int) -> float:
    """The greatest p-value that Benjamini-Hochberg lets through among `tests` tests, in (0, rate].

    `p_values` are those known; the others count as 1. Where none is let through: the least that one would need.
    """
    tests = max(tests, len(p_values), 1)
    passing = 1
    for rank, p_value in enumerate(sorted(p_values), start=1):
        if p_value <= rate * rank / tests:
            passing = rank
    return rate * passing / tests


def rule_on(
    claims: Sequence[Claim], fresh: Collection[Key], *, name: str, family: Family, tests: int
) -> Mapping[Key, Ruling]:
    """A ruling for each of the fresh claims. `claims`: all of the week, the fresh ones among them.

    The order of what is given changes nothing: the strangest come first, then the strongest, then by name.
    """
    limit = threshold([claim.p_value * family.looks for claim in claims], family.rate, tests) / family.looks
    tests = max(tests, len(claims))
    already = Counter(claim.owner for claim in claims if claim.told)
    rulings: dict[Key, Ruling] = {}
    for claim in sorted(claims, key=lambda claim: (claim.p_value, -claim.strength, claim.key)):
        if claim.key not in fresh:
            continue
        if claim.told:
            rulings[claim.key] = Ruling(True, "told earlier this week")
        elif claim.p_value > limit:
            rulings[claim.key] = Ruling(
                False,
                f"p {claim.p_value:.3g} is above {limit:.3g}, the limit at which {family.rate:g} of what family {name} "
                f"tells this week may be false, among {tests} tests",
            )
        elif family.per_owner is not None and already[claim.owner] >= family.per_owner:
            rulings[claim.key] = Ruling(
                False,
                f"its owner has been told {family.per_owner} of family {name} this week, which is the most",
            )
        else:
            already[claim.owner] += 1
            rulings[claim.key] = Ruling(True, f"p {claim.p_value:.3g} is at most {limit:.3g}, among {tests} tests")
    return rulings
