"""`watchtower normalise`: what people wrote, as one canonical value."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console
from watchtower.errors import InputError
from watchtower.workers import normalised, normaliser_examples, normaliser_kinds

FROM_STDIN = "-"


def normalise(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="phone, domain, legal_name, ...; without one: the list.")
    ] = "",
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VALUE...|-]", help="Values; - reads a value a line from standard input."),
    ] = None,
    region: Annotated[
        str, typer.Option("--region", metavar="CODE", help="ISO 3166 code for what a text leaves open: IT, US, ...")
    ] = "",
    show: Annotated[
        bool, typer.Option("--examples", help="Show canonical values and the raw forms that lead to them.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: raw, value, parts, because.")
    ] = False,
) -> None:
    """Normalise values of a kind: the canonical value and its parts, or why there is none. Nothing is looked up online.

    Exit code 1 where no value could be read at all.

    Examples:

      watchtower normalise phone "+49 (0)30 1234567"

      watchtower normalise date 03/04/2026 --region GB

      cut -d, -f2 accounts.csv | watchtower normalise legal_name - --json
    """
    kinds = normaliser_kinds()
    if not kind:
        table = Table("kind", "reads", box=None, header_style="bold")
        for name, about in kinds.items():
            table.add_row(name, about)
        console.print(table)
        return
    if kind not in kinds:
        raise InputError(f"KIND: {kind!r:.60} is no kind of value", remedy=f"kinds: {', '.join(kinds)}")
    if show:
        table = Table("value", "written as", box=None, header_style="bold")
        for value, raws in normaliser_examples(kind).items():
            table.add_row(value.replace("[", "\\["), " | ".join(raws).replace("[", "\\["))
        console.print(table)
        return
    if not values:
        raise InputError("no value to normalise", remedy="name values, or - to read them from standard input")
    if not _told(kind, _lines() if values == [FROM_STDIN] else values, region, as_json=as_json):
        raise typer.Exit(1)


def _lines() -> Iterable[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")


def _told(kind: str, raws: Iterable[str], region: str, *, as_json: bool) -> bool:
    """Print each, as it comes; whether any had a value."""
    some = False
    for raw in raws:
        found = normalised(kind, raw, region)
        some = some or found["value"] is not None
        if as_json:
            sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        elif found["value"] is None:
            sys.stdout.write(f"-\t{found['because']}\n")
        else:
            parts = "  ".join(f"{name}={part}" for name, part in found.get("parts", {}).items())
            sys.stdout.write(f"{found['value']}\t{parts}\n".replace("\t\n", "\n"))
    return some
