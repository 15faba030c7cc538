"""`watchtower eval calibrate`: what evals decide about a rulebook. Shown first, and written only when told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from evals import thresholds
from watchtower.cli.output import errors, print_json
from watchtower.errors import InputError
from watchtower.rulebook import DEFAULT, load
from watchtower.rulebook.edit import edits, write_edits

Run = Annotated[Path, typer.Argument(help="The folder of a run of `eval enrichment`.")]


def calibrate(
    run: Run,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose `acceptance` is calibrated.")] = DEFAULT,
    risk: Annotated[
        float, typer.Option("--risk", help="How often the procedure may be wrong: 0.05 is 95% confidence.")
    ] = 0.05,
    seed: Annotated[int, typer.Option("--seed", help="Draws the halves where the cases name no splits.")] = 0,
    write: Annotated[bool, typer.Option("--write", help="Write the change into the rulebook's files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Set acceptance thresholds by evidence: the smallest accept_at that keeps the `precision` the rulebook asks for.

    Each field for which `acceptance` names a precision gets the smallest threshold at which at least that share
    of accepted values is right, shown with 95% confidence on the calibration split (the run's test cases, or a
    random half), then held against the check split (its held-out cases, or the other half). The change is printed
    as a diff to review. Only --write makes it, comments and all else kept, and never for a promise that the check
    split refutes. Exit 1 where one is refuted.

    Example: watchtower eval calibrate runs/first --rulebook rulebook/ > thresholds.diff
    """
    if not 0 < risk < 1:
        raise InputError(f"--risk: {risk:g} does not lie between 0 and 1", remedy="0.05 is 95% confidence")
    made = thresholds.calibrate(run, load(rulebook).rulebook, risk=risk, seed=seed)
    changes = made.changes
    changed = edits(rulebook, changes)
    if as_json:
        found = json.loads((run / thresholds.FILE).read_text())
        print_json(found | {"diff": "".join(edit.diff() for edit in changed), "written": write and bool(changed)})
    else:
        errors.print(thresholds.render_calibration(made))
        sys.stdout.write("".join(edit.diff() for edit in changed))
    if write and changed:
        write_edits(rulebook, changed, changes)
        errors.print(f"written: {', '.join(str(edit.file) for edit in changed)}. For the review:", markup=False)
        errors.print(thresholds.summary(made, str(run)), markup=False)
    elif not as_json:
        errors.print("nothing to change" if not changed else "not written; --write makes this change", markup=False)
    if made.exit_code:
        raise typer.Exit(made.exit_code)


def add_to(app: typer.Typer) -> None:
    """The commands of this file, under `watchtower eval`."""
    app.command()(calibrate)
