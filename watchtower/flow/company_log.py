"""The pen that writes a generated year: events, what they break, and how times are reckoned."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from watchtower.contract import Event, format_time
from watchtower.flow.company_truth import Breach, Churner, Firmographics, Planted, StuckDeal

ROME = ZoneInfo("Europe/Rome")
PEOPLE = ("Elena", "Marco", "Giulia", "Pietro", "Nadia", "Luca", "Ines", "Tomas", "Sofia", "Andrea")


@dataclass
class Log:
    """Collects what happens in [start, end). What would happen later has not happened, and is left out."""

    start: datetime
    end: datetime
    events: list[Event] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)
    latent: list[Breach] = field(default_factory=list)
    stuck: list[StuckDeal] = field(default_factory=list)
    churners: list[Churner] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)
    firmographics: dict[str, Firmographics] = field(default_factory=dict)
    unset: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _written: dict[str, int] = field(default_factory=dict)

    def write(self, kind: str, source: str, record: str, at: datetime, data: dict[str, Any]) -> None:
        """One event. Its id counts the record's events, so it does not depend on what other records do."""
        if not self.start <= at < self.end:
            return
        count = self._written[record] = self._written.get(record, 0) + 1
        plain = {name: _plain(value) for name, value in data.items()}
        self.events.append(Event(id=f"{record}.{count}", source=source, type=kind, subject=record, time=at, data=plain))

    def update(self, record: str, at: datetime, *, source: str = "crm", **fields: Any) -> None:
        """A patch of fields; None clears."""
        plain = {name: _plain(value) for name, value in fields.items()}
        self.write("record.updated", source, record, at, {"fields": plain})

    def touch(self, rng: Random, record: str, at: datetime) -> None:
        """A call, a message or a meeting."""
        kind = rng.choice(("call", "email", "email", "meeting"))
        self.write("activity.logged", "crm", record, at, {"kind": kind})

    def breach(
        self, rule: str, record: str, since: datetime, until: datetime | None = None, *, hidden: bool = False
    ) -> None:
        """What the events make hold; nothing where it would begin after the end, or be empty."""
        if since >= self.end or (until is not None and until <= since):
            return
        if until is not None and until >= self.end:
            until = None
        (self.latent if hidden else self.breaches).append(Breach(rule, record, since, until))

    def plant(self, signal: str, subject: str, since: datetime) -> None:
        """What a signal ought to say at the year's end."""
        if self.start <= since < self.end:
            self.planted.append(Planted(signal, subject, since))


def days_after(at: datetime, days: int) -> datetime:
    """Calendar days in Rome, as PostgreSQL adds them there: same hour of the clock, across clock changes."""
    return (at.astimezone(ROME) + timedelta(days=days)).astimezone(UTC)


def midnight(day: date) -> datetime:
    """The instant at which a day begins in Rome."""
    return datetime.combine(day, time(), ROME).astimezone(UTC)


def day_of(at: datetime) -> date:
    """The day in Rome."""
    return at.astimezone(ROME).date()


def desk(rng: Random, day: date, opens: int = 8, closes: int = 19) -> datetime:
    """Some moment of a day between two hours in Rome: never in the hour that clock changes double or skip."""
    millis = rng.randrange(opens * 3_600_000, closes * 3_600_000)
    return (datetime.combine(day, time(), ROME) + timedelta(milliseconds=millis)).astimezone(UTC)


def later(rng: Random, at: datetime, fewest: int, most: int) -> datetime:
    """A moment at the desk between `fewest` (1 or more) and `most` days on: always after `at`."""
    return desk(rng, day_of(at) + timedelta(days=rng.randint(fewest, most)))


def hours(rng: Random, fewest: float, most: float) -> timedelta:
    """An evenly drawn length of time, to the millisecond."""
    return timedelta(milliseconds=int(rng.uniform(fewest, most) * 3_600_000))


def lognormal_days(rng: Random, median: float, sigma: float) -> float:
    """A log-normal number of days with this median."""
    return float(median * rng.lognormvariate(0.0, sigma))


def earliest(*times: datetime | None) -> datetime | None:
    """The earliest of those that are given."""
    known = [at for at in times if at is not None]
    return min(known) if known else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
