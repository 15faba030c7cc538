"""The rulebook as typed, frozen values: what the company decided, before anything is compiled from it."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from watchtower.contract import FieldSpec, parse_time

FIELD_TYPES = (
    "text", "integer", "number", "money", "boolean", "timestamp", "date", "enum", "ref", "list",
    "domain", "email", "phone", "country", "url",
)  # fmt: skip
ROLLUP_OPS = ("count", "sum", "min", "max", "first", "last", "earliest", "latest")
SIGNAL_FIELDS = {
    "p_value": "number", "strength": "number", "began_at": "timestamp", "raised_at": "timestamp",
}  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,120}$")]
Text = Annotated[str, Field(max_length=4000)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Texts = Annotated[list[Annotated[str, BeforeValidator(_as_text)]], BeforeValidator(_as_list)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Rollup(Part):
    """A field that is computed from the record's events: `{latest: time, of: activity.logged, where: ...}`."""

    op: Literal["count", "sum", "min", "max", "first", "last"]
    what: str
    of: Texts
    where: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "op" in value:
            return value
        ops = [key for key in value if key in ROLLUP_OPS]
        if len(ops) != 1:
            raise ValueError(f"a rollup has exactly one of {', '.join(ROLLUP_OPS)}; found {ops or 'none'}")
        rest = {key: item for key, item in value.items() if key != ops[0]}
        op = {"earliest": "first", "latest": "last"}.get(ops[0], ops[0])
        return {"op": op, "what": value[ops[0]], **rest}


class FieldModel(Part):
    """One field of an object. One definition per term."""

    type: Literal[
        "text", "integer", "number", "money", "boolean", "timestamp", "date", "enum", "ref", "list",
        "domain", "email", "phone", "country", "url",
    ]  # fmt: skip
    values: Texts = []
    min: float | None = None
    max: float | None = None
    unit: str = ""
    to: str = ""
    fill: Literal["enrichment", ""] = ""
    personal: bool = False
    description: Text = ""
    rollup: Rollup | None = None

    @model_validator(mode="after")
    def _whole(self) -> FieldModel:
        if (self.type == "enum") != bool(self.values):
            raise ValueError("an enum has values, and nothing else has")
        if (self.type == "ref") != bool(self.to):
            raise ValueError("a ref says to which object (to: account), and nothing else does")
        if self.rollup is not None and self.fill:
            raise ValueError("a rollup is computed; it cannot be filled by enrichment")
        if (self.min is not None or self.max is not None) and self.type not in ("integer", "number", "money"):
            raise ValueError(f"min and max belong to numbers, not to {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def spec(self, name: str) -> FieldSpec:
        """The field as workers see it."""
        return FieldSpec(
            name=name, type=self.type, values=tuple(self.values), minimum=self.min, maximum=self.max,
            unit=self.unit, description=self.description,
        )  # fmt: skip


class ObjectModel(Part):
    fields: dict[Name, FieldModel]
    label: str = ""
    owner: str = ""
    description: Text = ""


class Example(Part):
    """A record that hits the rule, or misses it, at a time."""

    hit: dict[str, Any] | None = None
    miss: dict[str, Any] | None = None
    at: str
    why: Text = ""

    @model_validator(mode="after")
    def _one(self) -> Example:
        if (self.hit is None) == (self.miss is None):
            raise ValueError("an example is either a hit or a miss")
        parse_time(self.at)
        return self


class RuleModel(Part):
    id: RuleId
    object: Name
    when: Annotated[str, Field(min_length=1, max_length=20_000)]
    for_: Annotated[str, Field(alias="for")] = ""
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    queue: str = "inbox"
    owner: str = ""
    because: Text = ""
    then: Text = ""
    inhibits: Texts = []
    mode: Literal["active", "shadow"] = "active"
    examples: list[Example] = []

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)


class Calendar(Part):
    """The hours in which business time runs."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]
    hours: Annotated[list[Annotated[str, Field(pattern=r"^([01][0-9]|2[0-4]):[0-5][0-9]$")]], Field(min_length=2)]
    holidays: str = ""
    closed: Texts = []

    @model_validator(mode="after")
    def _open(self) -> Calendar:
        if not self.days:
            raise ValueError("a calendar has at least one day")
        if len(self.hours) % 2 or any(a >= b for a, b in zip(self.hours, self.hours[1:], strict=False)):
            raise ValueError('hours are pairs in rising order: ["09:00", "13:00", "14:00", "18:00"]')
        if self.hours[-1] > "24:00":
            raise ValueError("a day ends at 24:00")
        return self


class SignalModel(Part):
    """A declared signal: which detector, on what, and how often it may err.

    `raised_at` is when a run last raised it; `began_at` when what it shows began. A run that does not raise it again
    clears it.
    """

    object: Name
    detector: str
    field: str = ""
    budget: Annotated[float, Field(gt=0, lt=1)] = 0.01
    parameters: dict[str, str | float | int | bool] = {}
    description: Text = ""


class Acceptance(Part):
    """When a proposal becomes the value of a field."""

    accept_at: Annotated[float, Field(ge=0, le=1)] = 0.9
    review_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    description: Text = ""

    @model_validator(mode="after")
    def _ordered(self) -> Acceptance:
        if self.review_at > self.accept_at:
            raise ValueError(f"review_at {self.review_at} is above accept_at {self.accept_at}")
        return self


class Queue(Part):
    description: Text = ""
    owner: str = ""


class Rulebook(Part):
    """Everything the company decided. Immutable; `version` is a hash of its content."""

    name: str = "rulebook"
    timezone: str = "UTC"
    currency: str = "EUR"
    description: Text = ""
    objects: dict[Name, ObjectModel]
    calendars: dict[Name, Calendar] = {}
    rules: list[RuleModel] = []
    signals: dict[Name, SignalModel] = {}
    acceptance: dict[str, Acceptance] = {}
    queues: dict[str, Queue] = {}
    roles: dict[str, str | dict[str, Any] | None] = {}

    @model_validator(mode="after")
    def _zone(self) -> Rulebook:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"timezone {self.timezone!r} is not an IANA name such as Europe/Rome") from None
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def content(self) -> dict[str, Any]:
        """The normalised content: what a rulebook loads from again, and what its version is a hash of."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @cached_property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of the normalised content."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def rule(self, rule_id: str) -> RuleModel | None:
        return next((rule for rule in self.rules if rule.id == rule_id), None)
