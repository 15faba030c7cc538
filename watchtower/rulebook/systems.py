"""Connected systems: what is read from each and how often, who answers for its failures, what goes back to it.

    systems:
      hubspot:
        kind: hubspot
        owner: revops
        every: 5 minutes
        objects:
          account:
            from: companies
            master: true
            fields: {name: name, industry: {from: industry, values: {COMPUTER_SOFTWARE: software}}}
          contact:
            from: contacts
            fields: {account: associations.companies, email: email}
        activities: [note, call]
        write: {account: [industry]}

Its name is the source of what it says. Its credentials stand in the environment (WATCHTOWER_HUBSPOT_TOKEN), never here.
Each object has one master at most: what another system says of it adds to it, and neither deletes nor merges it; and
nothing is written to an object that another system is the master of. Each system is a record of the built-in object
`system`, so that its failure and its silence are ordinary rules, `system.hubspot.failing` and `system.hubspot.silent`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from watchtower.rulebook.duties import Severity
from watchtower.rulebook.kinds import KINDS, Kind
from watchtower.rulebook.parts import Name, Part, Text, Texts

if TYPE_CHECKING:
    from watchtower.rulebook.model import Rulebook

_TIME = re.compile(r"([1-9]\d{0,4}) (minute|hour|day)s?")
_UNSPOKEN = 4
"""How many times `every` a system may be silent where the rulebook does not say."""

Theirs = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,120}$")]
"""A name in the system: of an object, or of one of its properties."""


def _from(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


class Mapped(Part):
    """From which property a field comes. `values`: what the system's values are here, `{closedwon: won}`."""

    from_: Annotated[Theirs, Field(alias="from")]
    values: dict[str, str] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)

    @property
    def theirs(self) -> dict[str, str]:
        """What our values are there; of several that mean the same here, the first one."""
        found: dict[str, str] = {}
        for theirs, ours in self.values.items():
            found.setdefault(ours, theirs)
        return found


class MappedObject(Part):
    """One of our objects as the system has it."""

    from_: Annotated[Theirs, Field(alias="from")]
    master: bool = False
    """Whether the system is the master of the object: it alone deletes and merges, and it alone is written to."""
    id: Theirs | Literal[""] = ""
    """The property that holds the record's id here. Empty: the system's own id."""
    provenance: Theirs | Literal[""] = ""
    """A property of text that is told, with each field that goes back, who decided so and when."""
    fields: dict[Name, Annotated[Mapped, BeforeValidator(_from)]]

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class System(Part):
    """One connected system."""

    kind: str
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for its failures."""
    queue: str = "inbox"
    severity: Severity = "high"
    every: str = ""
    """How often it is read: `5 minutes`. Empty: every 15 minutes, where it can be read."""
    silent_after: str = ""
    """How long it may go without a round that succeeded. Empty: four times `every`."""
    calendar: str = ""
    """The calendar whose open hours `silent_after` counts."""
    objects: dict[Name, MappedObject] = {}
    activities: Texts = []
    """What was said and done about its records: each is `activity.logged` here, and its text a document."""
    write: dict[Name, Annotated[Texts, Field(min_length=1)]] = {}
    """Fields that go back where enrichment filled them and they were accepted. Nothing is written that is not here."""
    description: Text = ""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"{kind!r:.40} is not one of {', '.join(KINDS)}")
        return kind

    @field_validator("every", "silent_after")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if value and not _TIME.fullmatch(value):
            raise ValueError(f"{value!r:.40} is no time such as '5 minutes', '4 hours' or '2 days' (of 24 hours)")
        return value

    @model_validator(mode="after")
    def _able(self) -> System:
        kind = self.is_a
        if self.every and not kind.pulls:
            raise ValueError(f"every: {self.kind} is not read, it sends")
        if self.write and not kind.writes:
            raise ValueError(f"write: nothing is written to {self.kind}")
        if odd := [one for one in self.activities if one not in kind.activities]:
            known = ", ".join(kind.activities) or "nothing"
            raise ValueError(f"activities: {odd[0]!r} cannot be read from {self.kind}; accepted is {known}")
        return self

    @property
    def is_a(self) -> Kind:
        return KINDS[self.kind]

    @property
    def interval(self) -> timedelta | None:
        """How often it is read; None where it only sends."""
        return _span(self.every or "15 minutes") if self.is_a.pulls else None

    @property
    def silence(self) -> str:
        """How long it may be silent, as a rule writes it; empty where that is not watched."""
        if self.silent_after or not self.is_a.pulls:
            return self.silent_after
        count, unit = (self.every or "15 minutes").split()
        return f"{int(count) * _UNSPOKEN} {unit.removesuffix('s')}s"


def _span(text: str) -> timedelta:
    count, unit = text.split()
    return timedelta(**{f"{unit.removesuffix('s')}s": int(count)})


def feeders(book: Rulebook, name: str) -> Iterator[str]:
    """The systems that an object comes from."""
    return (system for system, model in book.systems.items() if name in model.objects)


def master_of(book: Rulebook, name: str) -> str | None:
    """The system that is the master of an object: the one that says so, or the only one it comes from."""
    feeding = list(feeders(book, name))
    declared = [system for system in feeding if book.systems[system].objects[name].master]
    return declared[0] if declared else feeding[0] if len(feeding) == 1 else None
