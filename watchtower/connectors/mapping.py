"""The mapping: which events the rows of a table are. A YAML file, read once, frozen.

    source: crm                      # every event's source; never `watchtower`
    rulebook: rulebook               # optional; relative to this file; used where the store has none yet
    timezone: Europe/Rome            # for times without offset; such times are refused without it
    time: {at: 2026-03-01T00:00:00Z} # optional: the time of entries that name none
    csv: {delimiter: ";", encoding: cp1252}   # optional; a comma and UTF-8 otherwise
    sheet: Deals                     # optional; of a spreadsheet: which; otherwise the first visible one
    events:                          # a row gives one event for each entry whose `when` matches
      - subject: account/{Account ID}
        when: {Type: [Customer, Partner], Deleted: {not: "true"}}
        time: {column: Modified, format: "%d/%m/%Y %H:%M"}
        fields:                      # a record.updated with these fields
          name: Name
          employees: {column: Employees, as: integer}
          stage: {column: Stage, values: {New: raw, Working: mql}}
        empty: clear                 # an empty cell clears its field; `omit` (usual) leaves it alone

Where rows are events already:

      - subject: application/{case_id}
        time: timestamp
        type: {from: activity, prefix: {A_: application.state, O_: offer.state}}
        data: {activity: activity, lifecycle: lifecycle}
        id: "{event_id}"             # optional; otherwise a hash of the row: importing twice is harmless
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from watchtower.connectors.values import EPOCH_UNITS, KINDS
from watchtower.contract import CORE_SOURCE, parse_time
from watchtower.errors import InputError, RulebookError
from watchtower.rulebook.source import read_yaml

_HOLE = re.compile(r"\{([^{}]+)\}")
_OBJECT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*/")


def _fail(message: str) -> PydanticCustomError:
    return PydanticCustomError("mapping", "{message}", {"message": message})


def _short(key: str) -> BeforeValidator:
    """A plain text stands for {key: text}."""
    return BeforeValidator(lambda given: {key: given} if isinstance(given, str) else given)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(_Part):
    """Text with holes: `application/{case_id}`. A hole is a column's name, as it stands in the file."""

    text: str = Field(min_length=1)

    @model_validator(mode="after")
    def _closed(self) -> Template:
        if "{" in (rest := _HOLE.sub("", self.text)) or "}" in rest:
            raise _fail(f"{self.text!r} has a brace that is not part of a {{column}}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the holes, in order."""
        return tuple(_HOLE.findall(self.text))

    @property
    def parts(self) -> tuple[str, ...]:
        """The fixed texts around the holes: one more than there are holes."""
        return tuple(_HOLE.split(self.text)[::2])


class Cell(_Part):
    """One value of an event: a column, how to read it, and how to name what it says; or a fixed `value`."""

    column: str | None = None
    value: str | int | float | bool | None = None
    kind: str | None = Field(default=None, alias="as")
    format: str | None = None
    values: dict[str, str | int | float | bool | None] | None = None
    empty: Literal["omit", "clear"] | None = None

    @model_validator(mode="after")
    def _sound(self) -> Cell:
        if ("value" in self.model_fields_set) == (self.column is not None):
            raise _fail("give either a `column` or a fixed `value`")
        if self.kind is not None and self.kind not in KINDS:
            raise _fail(f"as: {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.format is not None and self.kind not in ("timestamp", "date"):
            raise _fail("`format` goes with `as: timestamp` or `as: date`")
        if self.values is not None and self.kind is not None:
            raise _fail("give `values` or `as`, not both: `values` says what each text becomes")
        return self


class TimeOf(_Part):
    """When it happened: a column, with its format where it is not ISO 8601; or one time for all rows."""

    column: str | None = None
    format: str | None = None
    at: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> TimeOf:
        if (self.at is None) == (self.column is None):
            raise _fail("give either a `column` or a fixed time `at`")
        if self.at is not None:
            try:
                parse_time(self.at)
            except ValueError as error:
                raise _fail(str(error)) from None
        if self.format is not None and "%" not in self.format and self.format not in EPOCH_UNITS:
            raise _fail(
                f"format: {self.format!r} is neither a pattern such as %d/%m/%Y %H:%M "
                f"nor one of {', '.join(EPOCH_UNITS)}"
            )
        return self

    @property
    def fixed(self) -> datetime | None:
        """The time `at`, in UTC."""
        return None if self.at is None else parse_time(self.at)


class TypeOf(_Part):
    """The event's type: a fixed `name`, or told by a column's value or by how it begins."""

    name: str | None = None
    column: str | None = Field(default=None, alias="from")
    prefix: dict[str, str] | None = None
    equals: dict[str, str] | None = None
    otherwise: str | None = None
    """A type for the other rows, or `skip`: no event from them. Without it such rows are refused."""

    @model_validator(mode="after")
    def _sound(self) -> TypeOf:
        if (self.name is None) == (self.column is None):
            raise _fail("give either a plain type or `from` with `prefix` or `equals`")
        if self.column is not None and not (self.prefix or self.equals):
            raise _fail("`from` needs `prefix` or `equals`: which values are which type")
        names = [*(self.prefix or {}).values(), *(self.equals or {}).values(), self.name, self.otherwise]
        if "" in names:
            raise _fail("an event's type is not empty")
        return self

    def of(self, cell: str) -> str | None:
        """The type for this text, `skip`, or None where nothing matches. The longest prefix wins."""
        if self.name is not None:
            return self.name
        if self.equals and cell in self.equals:
            return self.equals[cell]
        fitting = [begin for begin in self.prefix or {} if cell.startswith(begin)]
        if fitting and self.prefix:
            return self.prefix[max(fitting, key=len)]
        return self.otherwise


Scalar = str | int | float | bool


class Test(_Part):
    """What a column must say for the entry to apply; all given parts must be true."""

    __test__ = False  # not a test of pytest's

    any_of: tuple[Scalar, ...] | None = Field(default=None, alias="in")
    none_of: tuple[Scalar, ...] | None = Field(default=None, alias="not")
    prefix: str | None = None
    empty: bool | None = None


def _as_test(given: Any) -> Any:
    if isinstance(given, dict):
        return {
            key: [value] if key in ("in", "not") and not isinstance(value, list) else value
            for key, value in given.items()
        }
    return {"in": given if isinstance(given, list) else [given]}


Cells = dict[str, Annotated[Cell, _short("column")]]


class Entry(_Part):
    """One kind of event that a row may give."""

    subject: Annotated[Template, _short("text")]
    when: dict[str, Annotated[Test, BeforeValidator(_as_test)]] = {}
    time: Annotated[TimeOf | None, _short("column")] = None
    type: Annotated[TypeOf | None, _short("name")] = None
    id: Annotated[Template | None, _short("text")] = None
    data: Cells = {}
    fields: Cells | None = None
    empty: Literal["omit", "clear"] = "omit"
    """What an empty cell does to a field (`fields` only; an empty cell is never a key of `data`)."""

    @model_validator(mode="after")
    def _sound(self) -> Entry:
        if not _OBJECT.match(self.subject.text) or not self.subject.columns:
            raise _fail(f"subject: {self.subject.text!r} is not of the form object/{{column}}")
        if self.type is None and self.fields is None:
            raise _fail("type: missing (an entry with `fields` needs none: it is a record.updated)")
        if self.fields is not None and self.type is not None and self.type.name != "record.updated":
            raise _fail("fields: belong to a record.updated; use `data` for other types")
        if self.fields is not None and "fields" in self.data:
            raise _fail("data.fields: is what `fields` fills")
        if self.id is not None and not self.id.columns:
            raise _fail(f"id: {self.id.text!r} names no {{column}}, so every row would have the same id")
        return self

    @property
    def kind(self) -> TypeOf:
        """How the type is told; record.updated where only `fields` are given."""
        return self.type or TypeOf(name="record.updated")


class CsvForm(_Part):
    """How a CSV file is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _known(self) -> CsvForm:
        try:
            "".encode(self.encoding)
        except LookupError:
            raise _fail(f"encoding: {self.encoding!r} is not known; try utf-8, cp1252 or latin-1") from None
        return self


class Mapping(_Part):
    """The whole file. `folder` is where it stands: `rulebook` is relative to it."""

    source: str = Field(min_length=1, max_length=1024)
    rulebook: str | None = None
    timezone: str | None = None
    time: Annotated[TimeOf | None, _short("column")] = None
    csv: CsvForm = CsvForm()
    sheet: str | None = None
    """Of a spreadsheet: which sheet."""
    events: tuple[Entry, ...] = Field(min_length=1)
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _sound(self) -> Mapping:
        if self.source == CORE_SOURCE:
            raise _fail(f"source: {CORE_SOURCE!r} is the source of decisions; name the system the rows come from")
        try:
            _ = self.zone
        except (KeyError, ValueError, OSError):
            raise _fail(f"timezone: {self.timezone!r} is not an IANA name such as Europe/Amsterdam") from None
        for number, entry in enumerate(self.events):
            if entry.time is None and self.time is None:
                raise _fail(f"events[{number}].time: missing, and the mapping has no `time` for all entries")
        return self

    @property
    def zone(self) -> ZoneInfo | None:
        """The zone of times without offset."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def rulebook_path(self) -> Path | None:
        """Where the rulebook stands that belongs to this mapping."""
        return self.folder / self.rulebook if self.rulebook else None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column the mapping reads, each once, in order of first use."""
        found: list[str | None] = []
        for entry in self.events:
            time = entry.time or self.time
            found += [*entry.subject.columns, *entry.when, time.column if time else None, entry.kind.column]
            found += [*(entry.id.columns if entry.id else ())]
            found += [cell.column for cells in (entry.data, entry.fields or {}) for cell in cells.values()]
        return tuple(dict.fromkeys(name for name in found if name is not None))


def load_mapping(path: Path) -> Mapping:
    """The mapping in this YAML file. InputError names the file, each faulty key, and what is accepted."""
    try:
        raw = read_yaml(path).value
    except RulebookError as error:
        raise InputError(error.message, remedy="the mapping is a YAML file; check the --mapping given") from None
    if not isinstance(raw, dict):
        raise InputError(
            f"{path}: has no keys; a mapping has `source`, `events` and others",
            remedy="examples/bpic2012/mapping.yaml is one to begin from",
        )
    if "folder" in raw:
        raise InputError(f"{path}: folder: is not a key of a mapping")
    try:
        return Mapping.model_validate({**raw, "folder": path.parent})
    except ValidationError as error:
        faults = "\n".join(f"{path}: {_say(fault)}" for fault in error.errors())
        raise InputError(faults) from None


def _say(fault: ErrorDetails) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    if fault["type"] == "mapping":
        said = fault["msg"]
    elif fault["type"] == "extra_forbidden":
        said = "is not a key that is known here"
    elif fault["type"] == "missing":
        said = "is missing"
    else:
        said = f"{fault['input']!r:.60}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"
    return f"{place}: {said}" if place else said
