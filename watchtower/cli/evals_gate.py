"""`watchtower eval compare`, `bless`, `calibrate`: what evals let through. Nothing changes that was not told to."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import evals
from evals import thresholds
from evals.compare import ALPHA, MINIMUM_EFFECT
from evals.compare_render import comparison_markdown, render_comparison, render_gap
from evals.production import rule_layer
from evals.report import pretty
from evals.stored import read_manifest
from watchtower.bootstrap import system_clock
from watchtower.cli.output import console, errors, print_json
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


def compare(
    baseline: Annotated[Path, typer.Argument(help="The folder of the earlier run, or of a blessed baseline.")],
    run: Annotated[Path, typer.Argument(help="The folder of the later run.")],
    alpha: Annotated[
        float, typer.Option("--alpha", help="How often a run of the same system may be called a regression.")
    ] = ALPHA,
    minimum_effect: Annotated[
        float, typer.Option("--minimum-effect", help="The smallest loss that counts, as a share of the cases.")
    ] = MINIMUM_EFFECT,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the comparison here, for a pull request.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with the cases that changed, evidence marked.")
    ] = None,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose acceptance the run was scored under.")] = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Compare two runs case by case. Exit 1 on a regression, or where a must-pass case fails.

    All fields together and each field are held against the baseline with an exact paired test, corrected for
    asking so many questions (Holm). A regression is certain and at least as large as --minimum-effect. Where the
    model varies, run both with --repeats 3: a loss in one field alone is then seen far sooner.

    Example: watchtower eval compare evals/baselines/own runs/mine --markdown comment.md
    """
    for folder in (baseline, run):
        if not folder.is_dir():
            raise InputError(f"{folder}: is not the folder of a run", remedy="give what --out named")
        if (folder / "scores.json").exists() and not (folder / "outcomes.jsonl").exists():
            raise InputError(
                f"{folder}: is a run of rules or detectors; what is compared are runs of `eval enrichment`",
                remedy="each `eval rules` and `eval detectors` exits 1 by itself where it fails",
            )
    for name, given in (("--alpha", alpha), ("--minimum-effect", minimum_effect)):
        if not 0 <= given < 1:
            raise InputError(f"{name}: {given:g} does not lie between 0 and 1")
    found = evals.compare(baseline, run, alpha=alpha, minimum_effect=minimum_effect)
    if html is not None:
        accept = rule_layer(load(rulebook).rulebook)
        html.write_text(evals.compare_page(run, accept=accept, found=found), encoding="utf-8")
    if markdown is not None:
        markdown.write_text(comparison_markdown(found), encoding="utf-8")
    if as_json:
        print_json(json.loads(pretty(found)) | {"exit_code": found.exit_code})
    else:
        console.print(render_comparison(found))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def gap(
    open_run: Annotated[Path, typer.Argument(metavar="OPEN", help="The folder of a run.")],
    masked_run: Annotated[Path, typer.Argument(metavar="MASKED", help="The same with --mask.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """How much of the accuracy is memory: what is lost, case by case, once the company's name is hidden.

    A worker that reads loses nothing; one that knows companies by heart loses what it knew. Nothing is gated.

    Example: watchtower eval gap runs/open runs/masked
    """
    facts = [read_manifest(folder).run for folder in (open_run, masked_run)]
    if [one.masked for one in facts] != [False, True]:
        raise InputError(
            f"{open_run}, {masked_run}: are not a run with names and one without",
            remedy="run `eval enrichment` on the same cases without and with --mask",
        )
    found = evals.compare(open_run, masked_run, by_id=True)
    if as_json:
        print_json({"gap": [json.loads(pretty(q)) for q in found.questions], "compared": found.compared})
        return
    console.print(render_gap(found))


def bless(
    run: Run,
    because: Annotated[str, typer.Option("--because", help="Why this run is what later ones are held against.")],
    to: Annotated[Path, typer.Option("--to", help="The folder of the baseline.")] = Path("evals/baselines/own"),
    by: Annotated[str, typer.Option("--by", help="Who says so (default: whoever is logged in).")] = "",
    failing: Annotated[
        bool, typer.Option("--failing", help="Bless it though must-pass cases fail; they are named in the record.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Make a run the baseline that `eval compare` holds later runs against, and write down who says so and why.

    The baseline keeps flags and figures, no texts; blessings.jsonl beside them keeps every blessing there was.

    Example: watchtower eval bless runs/mine --because "extract.v2 reads tables; employees up 6 points"
    """
    made = evals.bless(run, to, by=by or getpass.getuser(), because=because, now=system_clock(), failing=failing)
    if as_json:
        print_json(json.loads(pretty(made)))
    else:
        console.print(f"{to}: is now {run}, says {made.by}: {made.because}", markup=False)


def add_to(app: typer.Typer) -> None:
    """The commands of this file, under `watchtower eval`."""
    app.command()(compare)
    app.command()(gap)
    app.command()(bless)
    app.command()(calibrate)
