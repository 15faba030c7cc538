"""Public data sets as cases, read where they lie. Nothing of them is copied into the project.

`ADAPTERS` names each form by the keys of its first line; a `.csv` file is read by its columns; a file that fits
none is read as cases.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from evals.cases import Case, CaseDocument, CaseInput, checked, read_cases
from evals.fields import FIELDS, SECTORS
from evals.masking import mask_name
from evals.places import country_code
from watchtower.errors import InputError

TUNE_ROWS = 1000
"""Rows of the firmographics on which classifiers may be trained; the rest is held out, for good."""

PROVENANCE = "FinanceDatabase (JerBouma, MIT), 2023"


def _firmographics_row(row: dict[str, Any], number: int, place: str) -> Case:
    try:
        name, summary, ident = row["long_name"], row["summary"], row["company_id"]
        gold = {"country": row["country"], "city": row["city"], "founded_year": row["founded_year"]}
        sector = row["sector"]
    except KeyError as error:
        raise InputError(f"{place}: {error.args[0]}: missing") from None
    if gold["country"] is not None:
        code = country_code(gold["country"])
        if code is None:
            raise InputError(
                f"{place}: country: {gold['country']!r} is no country we know",
                remedy="Add it to evals/places.py.",
            )
        gold["country"] = code
    if sector in SECTORS:  # four rows bear sectors of an older scheme: not asked
        gold["sector"] = sector
    record = {"name": name} | ({"domain": row["domain"]} if row.get("domain") else {})
    return Case(
        id=ident,
        suite="firmographics",
        provenance=PROVENANCE,
        split="tune" if number <= TUNE_ROWS else "heldout",
        input=CaseInput(record=record, documents=(CaseDocument(id=f"{ident}:summary", text=summary),)),
        expected=gold,
        tags=(("no_year_stated",) if gold["founded_year"] is None else ()),
    )


def read_firmographics(path: Path) -> list[Case]:
    """The firmographics: the summary is the text; country, city, founded_year and sector are the gold."""
    cases = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        place = f"{path.name}:{number}"
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InputError(f"{place}: {error}") from None
        cases.append(checked(_firmographics_row(row, number, place), place))
    return cases


_CSV_INPUT = ("id", "text", "kind", "split", "group", "tags", "provenance")
"""Columns of a plain CSV file that are no field of the record and nothing expected."""


def read_csv_cases(path: Path) -> list[Case]:
    """A plain CSV file: a `text` a row, and a column a field that is expected; an empty cell means to abstain.

    Further columns: id, split (tune, test, heldout; test unless given), group, kind, tags (with spaces between),
    provenance. Every other column is a field of the record as the worker sees it. InputError names line and column.
    """
    cases: list[Case] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="")
        columns = reader.fieldnames or []
        asked = [name for name in columns if name in FIELDS]
        if "text" not in columns or not asked:
            lacking = "text" if "text" not in columns else f"any of {', '.join(FIELDS)}"
            raise InputError(
                f"{path.name}:1: has no column {lacking}", remedy=str(read_csv_cases.__doc__).split("\n")[0]
            )
        for row in reader:
            place = f"{path.name}:{reader.line_num}"
            if None in row.values() or "" in row:  # too few cells, or too many
                raise InputError(f"{place}: has not {len(columns)} cells")
            case = _csv_case(row, asked, place, f"row-{len(cases) + 1}")
            if case.id in seen:
                raise InputError(f"{place}: id: {case.id!r} stands there already")
            seen.add(case.id)
            cases.append(case)
    return cases


def _csv_case(row: dict[str, str], asked: list[str], place: str, number: str) -> Case:
    expected: dict[str, Any] = {}
    for name in asked:
        cell, spec = row[name].strip(), FIELDS[name]
        try:
            whole = int(cell.replace(",", "")) if cell and spec.type == "integer" else cell
        except ValueError:
            raise InputError(f"{place}: {name}: {cell!r} is no whole number") from None
        expected[name] = whole or None
    record = {name: cell for name, cell in row.items() if cell and name not in _CSV_INPUT and name not in FIELDS}
    fields = {
        "id": row.get("id") or number,
        "suite": "csv",
        "provenance": row.get("provenance") or place,
        "split": row.get("split") or "test",
        "input": {"record": record, "documents": [{"text": row["text"], "kind": row.get("kind") or "description"}]},
        "expected": expected,
        "tags": (row.get("tags") or "").split(),
        "group": row.get("group") or "",
    }
    try:
        return checked(msgspec.convert(fields, Case), place)
    except msgspec.ValidationError as error:
        raise InputError(f"{place}: {error}") from None


ADAPTERS: tuple[tuple[frozenset[str], Callable[[Path], list[Case]]], ...] = (
    (frozenset({"company_id", "summary", "founded_year"}), read_firmographics),
)


def load_cases(path: Path) -> list[Case]:
    """The cases of a file or folder, in whichever of the known forms it is."""
    if path.suffix.casefold() == ".csv":
        return read_csv_cases(path)
    if path.is_file():
        with path.open("rb") as file:
            first = file.readline()
        try:
            keys = set(msgspec.json.decode(first, type=dict[str, Any]))
        except msgspec.DecodeError:
            keys = set()
        for wanted, read in ADAPTERS:
            if wanted <= keys:
                return read(path)
    return read_cases(path)


_TELLING = ("name", "legal_name", "domain", "website")


def masked(case: Case) -> Case:
    """The case without the company's name, nor its domain, in the texts and in the record."""
    names = [str(case.input.record[key]) for key in ("name", "legal_name") if case.input.record.get(key)]
    record = {key: value for key, value in case.input.record.items() if key not in _TELLING}
    documents = tuple(
        msgspec.structs.replace(document, text=mask_name(document.text, *names)) for document in case.input.documents
    )
    return msgspec.structs.replace(case, input=CaseInput(record=record, documents=documents))


def chosen(cases: list[Case], *, limit: int | None, seed: int, splits: tuple[str, ...] = ()) -> list[Case]:
    """A seeded sample of at most `limit` cases, in the order of the file.

    Without `splits`, all but those for tuning: what a classifier was trained on says nothing about it.
    """
    wanted = splits or ("test", "heldout")
    pool = [case for case in cases if case.split in wanted]
    if not pool:
        raise InputError(f"no case of the splits {', '.join(wanted)} among {len(cases)}", remedy="Name another split.")
    if limit is None or limit >= len(pool):
        return pool
    if limit < 1:
        raise InputError(f"limit: {limit} is below 1")
    order = np.random.default_rng(seed).permutation(len(pool))[:limit]
    return [pool[index] for index in sorted(order)]
