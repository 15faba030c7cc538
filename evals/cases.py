"""Labelled cases: what a worker is shown, and what it must say.

A file is JSONL, one case a line. A key that is missing, unknown or of the wrong type is an error that names
the file, the line and the key: a case that silently means something else is worse than none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from evals.fields import FIELDS, canonical, stated
from evals.jsonl import read_lines
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot
from watchtower.errors import InputError

Split = Literal["tune", "test", "heldout"]
Must = Literal["", "right", "unharmed"]


class CaseDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text of the case. The id is `<case>:<position>` unless given."""

    text: str
    kind: Literal["description", "web", "note", "email", "call", "file"] = "description"
    id: str = ""


class CaseInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker sees: the record's present fields, and texts about it."""

    record: dict[str, Any]
    documents: tuple[CaseDocument, ...]


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One labelled case. `expected` maps each asked field to its value, or to null: abstain."""

    id: str
    suite: str
    version: int = 1
    """Raised when the text or a label is mended: runs before and after are not compared on the case."""
    provenance: str
    """Who says that this is the answer: a data set with its licence, or who wrote the case."""
    split: Split
    input: CaseInput
    expected: dict[str, Any]
    also: dict[str, tuple[Any, ...]] = {}
    """Further right answers, by field: Munich beside München."""
    quotes: dict[str, str] = {}
    """For fields with a value, the words of a text that say it: what the labeller read."""
    inferred: tuple[str, ...] = ()
    """Fields whose value is not spelt out in its quote, but follows from it: a state's country, Roman numerals."""
    tags: tuple[str, ...] = ()
    must_pass: Must = ""
    """What a run has to get: every field right, or at least nothing wrong filled in. Empty: neither."""
    group: str = ""
    """Cases about the same company share it; their results are not independent. The id unless given."""
    object: str = "account"

    @property
    def cluster(self) -> str:
        return self.group or self.id

    def fields(self) -> tuple[FieldSpec, ...]:
        return tuple(FIELDS[name] for name in self.expected)

    def documents(self) -> tuple[Document, ...]:
        return tuple(
            Document(id=d.id or f"{self.id}:{place}", kind=d.kind, text=d.text)
            for place, d in enumerate(self.input.documents)
        )

    def request(self) -> FieldRequest:
        """The request that production would send for a record that lacks these fields."""
        record = RecordSnapshot(object=self.object, id=self.id, fields=self.input.record)
        return FieldRequest(id=self.id, record=record, fields=self.fields(), documents=self.documents())

    def gold(self, field: str) -> tuple[Any, ...]:
        """The right answers; none where the right answer is to abstain."""
        value = self.expected[field]
        return () if value is None else (value, *self.also.get(field, ()))

    def states(self, field: str) -> bool:
        """Whether the words of a right answer stand in a text."""
        texts = tuple(document.text for document in self.input.documents)
        return any(stated(FIELDS[field], value, texts) for value in self.gold(field))


def content_hash(value: Any) -> str:
    """SHA-256 of the value as JSON with sorted keys: the same content, the same text, on every machine."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def suite_hash(cases: Iterable[Case]) -> str:
    """One hash for the cases in their order: another case, text or label gives another."""
    return content_hash([content_hash(case) for case in cases])


def _fault(place: str, message: str, remedy: str = "") -> InputError:
    return InputError(f"{place}: {message}", remedy=remedy)


def checked(case: Case, place: str) -> Case:
    """The case itself, or InputError where its labels cannot be meant."""
    if not case.expected:
        raise _fault(place, f"expected: case {case.id} asks for no field", f"accepted: {', '.join(FIELDS)}")
    if not case.input.documents:
        raise _fault(place, f"input.documents: case {case.id} shows no text")
    for key, names in (("expected", case.expected), ("also", case.also)):
        for name in names:
            if name not in FIELDS:
                raise _fault(place, f"{key}.{name}: unknown field", f"accepted: {', '.join(FIELDS)}")
    for name in case.also:
        if case.expected.get(name) is None:
            raise _fault(place, f"also.{name}: needs a value in expected.{name}")
    for name in case.expected:
        spec = FIELDS[name]
        for value in case.gold(name):
            if canonical(spec, value) is None or (spec.values and value not in spec.values):
                accepted = ", ".join(spec.values) or spec.type
                raise _fault(place, f"expected.{name}: {value!r} is no {spec.type}", f"accepted: {accepted}")
    texts = tuple(document.text for document in case.input.documents)
    for name, quote in case.quotes.items():
        if case.expected.get(name) is None:
            raise _fault(place, f"quotes.{name}: needs a value in expected.{name}")
        if not any(quote in text for text in texts):
            raise _fault(place, f"quotes.{name}: {quote!r:.60} stands in no text of case {case.id}")
        spelt = any(stated(FIELDS[name], value, (quote,)) for value in case.gold(name))
        if not spelt and FIELDS[name].type != "enum" and name not in case.inferred:
            raise _fault(
                place, f"quotes.{name}: {quote!r:.60} does not spell out {case.expected[name]!r}", "see `inferred`"
            )
    for name in case.inferred:
        if name not in case.quotes:
            raise _fault(place, f"inferred: {name} has no quote from which it could follow")
    return case


def read_cases(path: Path) -> list[Case]:
    """The cases of a JSONL file, or of every `*.jsonl` in a folder (by name). Ids are unique throughout."""
    cases: list[Case] = []
    seen: dict[str, str] = {}
    for place, case in read_lines(path, Case):
        if case.id in seen:
            raise _fault(place, f"id: {case.id!r} stands already at {seen[case.id]}")
        seen[case.id] = place
        cases.append(checked(case, place))
    if not cases:
        raise InputError(f"{path}: holds no cases", remedy="Give a JSONL file with a case a line.")
    return cases
