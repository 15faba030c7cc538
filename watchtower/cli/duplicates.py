"""`watchtower duplicates`: records of a file that may be one, with what speaks for it and against it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from watchtower.cli.output import console, errors, print_json_list
from watchtower.connectors.files import check_file
from watchtower.errors import InputError
from watchtower.workers import find_duplicates


def duplicates(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, Parquet or JSON lines of records; or events (JSONL).")
    ],
    kind: Annotated[
        str, typer.Option("--object", metavar="OBJECT", help="What the records are: account, company, contact, lead.")
    ] = "account",
    least: Annotated[
        float, typer.Option("--least", metavar="P", min=0.0, max=1.0, help="The least probability that is listed.")
    ] = 0.5,
    most: Annotated[int, typer.Option("--most", metavar="N", min=0, help="At most so many pairs; 0: all.")] = 0,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="Which column a field is read from; id, too."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=16, help="Processes that read the records.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Pairs of records that may be one, the likeliest first, each with its match weights in bits.

    A weight tells how much more often an outcome occurs among pairs that are one than among pairs that are not (one
    bit: twice as often); they add up, and their sum gives the probability. The prior stands for the pairs that are only
    looked at because they share a key. What was learnt together is shown as one weight; --json has all of them. Nothing
    is merged here: `watchtower duplicates find` proposes pairs of the records in the store, and a person decides.

    Examples:

      watchtower duplicates accounts.csv

      watchtower duplicates people.parquet --object contact --least 0.9 --json

      watchtower duplicates events.jsonl --object account --column name=legal_name
    """
    check_file(file)
    columns = dict(_said(text) for text in column or ())
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=errors, transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    with bar:
        tasks: dict[str, int] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task({"read": "records read", "compared": "pairs compared"}[stage], total=None)
            bar.update(tasks[stage], completed=done, total=total or None)  # type: ignore[arg-type]

        found = find_duplicates(file, kind, floor=least, most=most or None, workers=workers, columns=columns, told=told)
    if as_json:
        print_json_list({"object": kind, "columns": found.columns, **found.counts}, "pairs", found.pairs)
        return
    table = Table("probability", "bits", "records", "called", "weights", box=None, header_style="bold")
    for pair in found.pairs:
        weights = weights_line(pair["weights"])
        called = f"{pair['a_text']} | {pair['b_text']}".replace("[", "\\[")
        table.add_row(
            f"{pair['probability']:.3f}", f"{pair['bits']:.1f}", f"{pair['a']} {pair['b']}".replace("[", "\\["), called,
            weights.replace("[", "\\["),
        )  # fmt: skip
    if table.row_count:
        console.print(table)
    counts = found.counts
    errors.print(
        f"{counts['records']:,} records, {counts['weighed']:,} pairs weighed, {counts['found']:,} of probability "
        f"{least:g} and more; {counts['passed_over']:,} keys that too many records share were passed over"
    )


def weights_line(weights: list[dict[str, Any]]) -> str:
    """One line: each weight, those of a group as their sum."""
    shown: dict[str, float] = {}
    for weight in weights:
        name = weight["group"] or f"{weight['comparison']} ({weight['outcome']})"
        shown[name] = shown.get(name, 0.0) + weight["bits"]
    return ", ".join(f"{name} {bits:+.1f}" for name, bits in shown.items())


def _said(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    if not equals or not field or not name:
        raise InputError(f"--column: {text!r:.60} is not FIELD=COLUMN", remedy="such as --column name=company_name")
    return field, name
