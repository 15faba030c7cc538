"""`watchtower eval export-labels` and `eval agreement`: what people decided in review becomes labels."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from evals import agreement as agreements
from evals.jsonl import read_lines
from evals.labels import Labels, Verdict, labels_from
from evals.recording import write_whole
from evals.report import pretty
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import Data, open_tower
from watchtower.errors import InputError
from watchtower.store import queries
from watchtower.store.database import Connection
from watchtower.store.rows import AlertFilter, AlertRow, ProposalRow, TimeKey

PAGE = 500
SHEET = "second-review.csv"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def _decided(conn: Connection) -> list[ProposalRow]:
    found: list[ProposalRow] = []
    after: TimeKey | None = None
    while rows := queries.proposals(conn, status=("accepted", "rejected"), after=after, limit=PAGE):
        found += [row for row in rows if row.decided_by.startswith("person:")]
        after = TimeKey(rows[-1].proposed_at, rows[-1].id)
    return found


def _resolved(conn: Connection) -> list[AlertRow]:
    found: list[AlertRow] = []
    after = None
    while rows := queries.alerts(conn, AlertFilter(status=("resolved",)), after=after, limit=PAGE):
        found += rows
        after = queries.alert_key(rows[-1])
    return found


def labels_of(conn: Connection) -> Labels:
    """Everything that people decided in this tower, as labels."""
    proposals = _decided(conn)
    keys = {(row.object, row.record) for row in proposals}
    records = {key: row for key in keys if (row := queries.record_by_id(conn, *key)) is not None}
    return labels_from(
        proposals,
        {key: queries.documents(conn, *key) for key in keys},
        records,
        [(row, queries.actions(conn, row.id)) for row in _resolved(conn)],
    )


def export_labels(
    out: Annotated[Path, typer.Option("--out", help="A folder for verdicts, cases and the sheet.")],
    second: Annotated[
        float, typer.Option("--second-review", help="The share of the verdicts that another person decides again.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Draws the sample for the second review.")] = 0,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make labelled cases of what people decided in review, and a sheet for a second person to decide a part again.

    Accepted and rejected proposals become cases for `eval enrichment` and `eval acceptance`; alerts that a person
    resolved are right, or, where the resolution begins with "false alarm", "noise" or "not useful", a false alarm.
    The files hold what the texts hold: keep them where the texts may be kept.

    Example: watchtower eval export-labels --out labels
    """
    if not 0 <= second <= 1:
        raise InputError(f"--second-review: {second:g} does not lie in [0, 1]")
    with open_tower(data) as tower, tower.database.read() as conn:
        labels = labels_of(conn)
    out.mkdir(parents=True, exist_ok=True)
    for name, lines in (("verdicts", labels.verdicts), ("enrichment", labels.cases), ("acceptance", labels.gate)):
        write_whole(out / f"{name}.jsonl", b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    drawn = agreements.sample(labels.verdicts, second, seed) if second and labels.verdicts else []
    write_whole(out / SHEET, agreements.sheet(drawn).encode())
    counts = Counter(f"{one.kind}: {one.verdict}" for one in labels.verdicts)
    if as_json:
        print_json({
            "verdicts": dict(sorted(counts.items())), "cases": len(labels.cases), "acceptance": len(labels.gate),
            "second_review": len(drawn), "left_out": labels.left_out,
        })  # fmt: skip
        return
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nobody has decided anything yet"
    console.print(f"verdicts: {said}", markup=False)
    console.print(f"cases: {len(labels.cases)} for enrichment, {len(labels.gate)} for acceptance", markup=False)
    for reason, count in labels.left_out.items():
        errors.print(f"no case of {count}: {reason}", markup=False)
    if drawn:
        console.print(f"second review: {len(drawn)} rows in {out / SHEET}; fill in `verdict` and `by`", markup=False)


def agreement(
    labels: Annotated[Path, typer.Argument(help="The folder that export-labels wrote.")],
    sheet: Annotated[
        Path | None, typer.Argument(help="The filled-in sheet (default: second-review.csv in that folder).")
    ] = None,
    least: Annotated[float, typer.Option("--least", help="Exit 1 where kappa is below this.")] = -1.0,
    as_json: AsJson = False,
) -> None:
    """How far a second person's verdicts bear out the first ones: Cohen's kappa, and where they differ.

    Example: watchtower eval agreement labels --least 0.6
    """
    path = sheet or labels / SHEET
    if not path.exists():
        raise InputError(f"{path}: no such file", remedy="`eval export-labels --second-review 0.1` writes one")
    verdicts = [one for _, one in read_lines(labels / "verdicts.jsonl", Verdict)]
    found = agreements.agreement(verdicts, agreements.read_sheet(path, verdicts))
    if as_json:
        print_json(json.loads(pretty(found)))
    else:
        told = "cannot be told: too little was decided twice, or all alike"
        if found.kappa is not None:
            told = f"{found.kappa:.2f} (1: full agreement, 0: what chance gives)"
            if found.interval is not None:
                told += f", 95% {found.interval.low:.2f} to {found.interval.high:.2f}"
        console.print(f"decided twice: {found.both}, alike {found.alike}, not yet {found.undecided}", markup=False)
        console.print(f"kappa: {told}", markup=False)
        if found.apart:
            console.print(f"apart: {', '.join(found.apart)}", markup=False)
    if found.kappa is not None and found.kappa < least:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """The commands of this file, under `watchtower eval`."""
    app.command("export-labels")(export_labels)
    app.command()(agreement)
