"""The rulebook as typed, frozen values: what the company decided, before anything is compiled from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, field_validator, model_validator

from watchtower.contract import FieldSpec
from watchtower.rulebook.asking import Asking
from watchtower.rulebook.derive import Derived, derive
from watchtower.rulebook.duties import Budget, Cadence, Handoff, Lifecycle
from watchtower.rulebook.families import Family
from watchtower.rulebook.merging import Merging
from watchtower.rulebook.parts import Example, Name, Part, RuleId, Text, Texts
from watchtower.rulebook.systems import System
from watchtower.rulebook.telling import Queue, Receiver
from watchtower.rulebook.watched import FIELDS_OF, JOBS, Watch

FIELD_TYPES = (
    "text", "integer", "number", "money", "boolean", "timestamp", "date", "enum", "ref", "list",
    "domain", "email", "phone", "country", "url",
)  # fmt: skip
PERSONAL_TYPES = ("text", "email", "phone", "domain", "country", "url")
ROLLUP_OPS = ("count", "sum", "min", "max", "first", "last", "earliest", "latest")
SIGNAL_FIELDS = {
    "p_value": "number", "strength": "number", "began_at": "timestamp", "raised_at": "timestamp",
}  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Rollup(Part):
    """A field that is computed: from the record's events, `{latest: time, of: activity.logged, where: ...}`, or from
    the records that refer to it, `{sum: amount, over: opportunity, via: account, where: ...}`."""

    op: Literal["count", "sum", "min", "max", "first", "last"]
    what: str
    of: Texts = []
    over: str = ""
    via: str = ""
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

    @model_validator(mode="after")
    def _of_one_kind(self) -> Rollup:
        if bool(self.of) == bool(self.over):
            raise ValueError("a rollup is of event types (of: activity.logged) or over records (over: opportunity)")
        if self.via and not self.over:
            raise ValueError("via belongs to a rollup over records")
        return self


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
    sources: Texts = []
    """Where a value may come from, the highest rank first: systems by name, `person`, `ai`. Empty: from anywhere."""
    read_by: Texts = []
    """Who reads it where no rule, metric or rollup does: a role, a report."""
    renamed_from: Texts = []
    """Names under which earlier events speak of it."""
    values_from: dict[str, str] = {}
    """Of an enum: what values of earlier events are now, `{marketing: mql}`."""
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
        if self.personal and (self.type not in PERSONAL_TYPES or self.fill or self.rollup is not None):
            raise ValueError(
                f"personal data are sealed: such a field is one of {', '.join(PERSONAL_TYPES)}, "
                "and neither enrichment nor a rollup fills it"
            )
        self._ranked()
        self._formerly()
        if (self.min is not None or self.max is not None) and self.type not in ("integer", "number", "money"):
            raise ValueError(f"min and max belong to numbers, not to {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def _ranked(self) -> None:
        if not self.sources and "sources" in self.model_fields_set:
            raise ValueError("sources: is empty; name who may set the field, or leave sources out")
        if self.sources and self.rollup is not None:
            raise ValueError("a rollup is computed; it has no sources")
        for source in self.sources:
            if self.sources.count(source) > 1:
                raise ValueError(f"sources: {source!r} stands twice; each source has one rank")
        if "ai" in self.sources[:-1]:
            raise ValueError("sources: 'ai' stands last; what AI filled does not keep out a person or a system")

    def _formerly(self) -> None:
        if (self.renamed_from or self.values_from) and self.rollup is not None:
            raise ValueError("a rollup is computed; it has no earlier names or values")
        if self.renamed_from and self.personal:
            raise ValueError("personal data are sealed under the name of their field, which cannot change")
        for old, new in self.values_from.items():
            if old in self.values:
                raise ValueError(f"values_from: {old!r} is still one of its values")
            if new not in self.values:
                raise ValueError(f"values_from: {old!r} becomes {new!r}, which is not one of {', '.join(self.values)}")

    def spec(self, name: str) -> FieldSpec:
        """The field as workers see it."""
        return FieldSpec(
            name=name, type=self.type, values=tuple(self.values), minimum=self.min, maximum=self.max,
            unit=self.unit, description=self.description,
        )  # fmt: skip


class ObjectModel(Part):
    fields: dict[Name, FieldModel]
    label: str = ""
    value: str = ""
    """The field that says what a record is worth: gaps are weighed by it."""
    keep_personal: str = ""
    """How long after the last event about a record what is personal in it is kept: `730 days`. Empty: until erased."""
    owner: str = ""
    description: Text = ""

    @model_validator(mode="after")
    def _forgetting(self) -> ObjectModel:
        if self.keep_personal and not any(field.personal for field in self.fields.values()):
            raise ValueError("keep_personal: none of its fields is personal")
        return self

    @model_validator(mode="after")
    def _names(self) -> ObjectModel:
        claimed: dict[str, str] = {}
        for name, field in self.fields.items():
            for old in field.renamed_from:
                if old in self.fields:
                    raise ValueError(f"{name}: renamed_from: {old!r} is still a field")
                if claimed.setdefault(old, name) != name:
                    raise ValueError(f"{name}: renamed_from: {old!r} is the earlier name of {claimed[old]}, too")
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
    trust: Literal["any", "verified"] = "any"
    """`verified`: what enrichment may fill is read as if AI had never filled it."""
    examples: list[Example] = []
    origin: Annotated[str, Field(exclude=True)] = ""
    """Where a rule stands that follows from another part: `lifecycles.deal.states.proposal.at_most`."""

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
    """A declared signal: which detector, on what, and how often it may err; `family`: whose weekly budget it shares.

    It is raised on records of `object`. With `parameters.of` it looks at the records of another object, which name
    one of these: at leads, for the team they belong to. `raised_at` is when a run last raised it; `began_at` when what
    it shows began. A run that does not raise it again clears it.
    """

    object: Name
    detector: str
    field: str = ""
    budget: Annotated[float, Field(gt=0, lt=1)] = 0.01
    family: str = ""
    parameters: dict[str, str | float | int | bool] = {}
    description: Text = ""


class Acceptance(Part):
    """When a proposal becomes the value of a field."""

    accept_at: Annotated[float, Field(ge=0, le=1)] = 0.9
    review_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of accepted values that has to be right: what `eval calibrate` sets `accept_at` by."""
    expires_after: str = ""
    """How long a value that AI filled stands before it is asked for again: `180 days`."""
    owner: str = ""
    description: Text = ""

    @model_validator(mode="after")
    def _ordered(self) -> Acceptance:
        if self.review_at > self.accept_at:
            raise ValueError(f"review_at {self.review_at} is above accept_at {self.accept_at}")
        return self


class Metric(Part):
    """A number that people steer by, computed from the records over a period.

    count, sum      of records of `object` where `where` holds at the end of the period; `value` is summed
    share           of those, how many fulfil `of`
    duration        the median time from `start` to `end`, over records whose `end` falls into the period
    velocity        the median time in each state of a lifecycle
    conversion      of the records that left a state, how many went on to each next one
    adherence       of the spans that `rules` could have broken, how many they did not
    completeness    the share of `fields` that have a value, over records where `where` holds
    retention       `value` at the end over `value` at the start, of the records that were there at the start
    """

    kind: Literal["count", "sum", "share", "duration", "velocity", "conversion", "adherence", "completeness",
                  "retention"]  # fmt: skip
    object: Name | None = None
    lifecycle: Name | None = None
    where: str = ""
    of: str = ""
    value: str = ""
    start: str = ""
    end: str = ""
    rules: Texts = []
    fields: Texts = []
    unit: str = ""
    owner: str = ""
    target: float | None = None
    better: Literal["higher", "lower"] = "higher"
    description: Text = ""

    @model_validator(mode="after")
    def _whole(self) -> Metric:
        needs = _METRIC_NEEDS[self.kind]
        if missing := [key for key in needs if not getattr(self, key)]:
            raise ValueError(f"a {self.kind} says {', '.join(needs)}; {missing[0]} is missing")
        return self


_METRIC_NEEDS: dict[str, tuple[str, ...]] = {
    "count": ("object",), "sum": ("object", "value"), "share": ("object", "of"),
    "duration": ("object", "start", "end"), "velocity": ("lifecycle",), "conversion": ("lifecycle",),
    "adherence": ("rules",), "completeness": ("object", "fields"), "retention": ("object", "value"),
}  # fmt: skip


class Scorecard(Part):
    """What one role answers for: metrics of this rulebook, with the role's own targets (null: the metric's)."""

    description: Text = ""
    measures: dict[Name, float | None]


class Rulebook(Part):
    """Everything the company decided. Immutable; `version` is a hash of its content."""

    name: str = "rulebook"
    timezone: str = "UTC"
    currency: str = "EUR"
    description: Text = ""
    objects: dict[Name, ObjectModel]
    calendars: dict[Name, Calendar] = {}
    lifecycles: dict[Name, Lifecycle] = {}
    handoffs: dict[Name, Handoff] = {}
    budgets: dict[Name, Budget] = {}
    cadences: dict[Name, Cadence] = {}
    metrics: dict[Name, Metric] = {}
    scorecards: dict[str, Scorecard] = {}
    written: Annotated[list[RuleModel], Field(alias="rules")] = []
    signals: dict[Name, SignalModel] = {}
    families: dict[Name, Family] = {}
    sources: dict[Name, Watch] = {}
    jobs: dict[Name, Watch] = {}
    systems: dict[Name, System] = {}
    acceptance: dict[str, Acceptance] = {}
    enrichment: Asking = Asking()
    merging: dict[Name, Merging] = {}
    queues: dict[str, Queue] = {}
    receivers: dict[Name, Receiver] = {}
    roles: dict[str, str | dict[str, Any] | None] = {}

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is not an IANA name such as Europe/Rome") from None
        return name

    @model_validator(mode="after")
    def _watched(self) -> Rulebook:
        """What is watched are records of built-in objects."""
        if unknown := [name for name in self.jobs if name not in JOBS]:
            raise ValueError(f"jobs: {unknown[0]!r} is not one of {', '.join(JOBS)}")
        for name, parts in self.watched.items():
            built_in = ObjectModel.model_validate({"fields": FIELDS_OF[name], "label": "name"})
            if parts and self.objects.setdefault(name, built_in) != built_in:
                raise ValueError(f"objects: {name!r} is the tower's own where {name}s are watched; name it otherwise")
        return self

    @property
    def watched(self) -> dict[str, Mapping[str, Watch | System]]:
        """What is watched, by the built-in object whose records they are."""
        return {"source": self.sources, "job": self.jobs, "system": self.systems}

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

    @cached_property
    def personal(self) -> dict[str, frozenset[str]]:
        """The personal fields of each object that has any."""
        found = {
            name: frozenset(key for key, spec in model.fields.items() if spec.personal)
            for name, model in self.objects.items()
        }
        return {name: fields for name, fields in found.items() if fields}

    @cached_property
    def source_names(self) -> frozenset[str]:
        """The sources it names: those it watches, and those that a field's value may come from."""
        fields = (spec for model in self.objects.values() for spec in model.fields.values())
        watched = {watch.source or key for key, watch in self.sources.items()}
        return frozenset(watched.union(*(spec.sources for spec in fields)))

    @cached_property
    def derived(self) -> list[Derived]:
        """What follows from lifecycles, handoffs, acceptance, budgets and cadences, as rules to be."""
        return derive(self)

    @cached_property
    def rules(self) -> list[RuleModel]:
        """Every rule: those written as such, then those that follow from the other parts."""
        return [*self.written, *(RuleModel.model_validate(derived.rule) for derived in self.derived)]

    def rule(self, rule_id: str) -> RuleModel | None:
        return next((rule for rule in self.rules if rule.id == rule_id), None)
