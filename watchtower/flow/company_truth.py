"""What is known to be true of a generated year: the breaches put into it, and the facts the CRM lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, order=True)
class Breach:
    """A rule that holds on a record over [since, until); `until` None: still so at the end of the year.

    `since` is when the rule begins to hold; where it says `for`, its alert opens that much later.
    """

    rule: str
    record: str
    """`object/id`"""
    since: datetime
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, order=True)
class StuckDeal:
    """A deal that entered `stage` at `since` and, unlike its peers, does not leave it."""

    record: str
    stage: str
    since: datetime


@dataclass(frozen=True, order=True)
class Churner:
    """A customer whose use falls from `since` on, to `remaining` (a share in (0, 1)) of what it was."""

    record: str
    since: datetime
    shape: str
    """step, or ramp (over twelve weeks)"""
    remaining: float


@dataclass(frozen=True, order=True)
class Planted:
    """What a signal of the default rulebook ought to say at the year's end."""

    signal: str
    subject: str
    """`object/id`; `field=value`: any record of that segment; empty: any record at all."""
    since: datetime


@dataclass(frozen=True)
class Firmographics:
    """The true facts of an account's company. `stated` names those that its description says."""

    country: str
    """ISO 3166-1 alpha-2"""
    city: str
    founded_year: int
    sector: str
    employees: int
    stated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth:
    """The known truth of one generated year. Mappings are keyed by `account/id`."""

    breaches: tuple[Breach, ...]
    """Those that the fields in the CRM show."""
    latent: tuple[Breach, ...]
    """Those that hide behind a fact the CRM does not hold: the rule is unknown until it is filled."""
    stuck: tuple[StuckDeal, ...]
    churners: tuple[Churner, ...]
    planted: tuple[Planted, ...]
    firmographics: Mapping[str, Firmographics]
    unset: Mapping[str, tuple[str, ...]]
    """Which of these facts the CRM does not hold; absent where it holds all of them."""

    def open_at(self, at: datetime) -> tuple[Breach, ...]:
        """The breaches that hold at a time."""
        return tuple(breach for breach in self.breaches if breach.holds(at))
