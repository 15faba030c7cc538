"""`watchtower eval ...`: offline runs against labelled cases."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

import evals
from evals.production import backtest_scenario, classifier_rows, roster, rule_layer
from watchtower.bootstrap import system_clock
from watchtower.cli import evals_gate
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import bar
from watchtower.errors import InputError
from watchtower.rulebook import DEFAULT, load
from watchtower.settings import read_settings
from watchtower.workers import open_worker

app = typer.Typer(no_args_is_help=True, help="Offline runs against labelled cases, and comparing them.")


Cases = Annotated[Path | None, typer.Option("--cases", help="Labelled cases: JSONL (default: the project's own).")]
Out = Annotated[Path, typer.Option("--out", help="The run's folder: recordings, scores, report.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
OWN = Path(evals.__file__).parent / "cases"


@app.command()
def enrichment(
    out: Out,
    cases: Cases = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="A seeded sample of this many cases.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    mask: Annotated[bool, typer.Option("--mask", help="Hide the company's name in its text.")] = False,
    no_model: Annotated[bool, typer.Option("--no-model", help="Patterns, gazetteer and classifiers only.")] = False,
    rescore: Annotated[bool, typer.Option("--rescore", help="Score what was recorded; ask nobody.")] = False,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose acceptance rules decide.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Run the enrichment worker over labelled cases; the rulebook's acceptance rules decide, as in production.

    Classifiers learn from the cases' tuning split, never from those that are scored. A run that stopped goes on.

    Example: watchtower eval enrichment --cases firmographics_1500.jsonl --limit 100 --out runs/first
    """
    path = cases or OWN / "enrichment.jsonl"
    accept = rule_layer(load(rulebook).rulebook)
    options = {"now": system_clock(), "limit": limit, "seed": seed, "mask": mask, "accept": accept}
    if rescore:
        scores = evals.run_enrichment(path, out, worker=None, **options)  # type: ignore[arg-type]
    else:
        rows = classifier_rows(path)
        labels = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
        with open_worker(read_settings(), rows, use_model=not no_model) as worker, bar("cases") as progress:
            task = progress.add_task("asking", total=None, count=0)
            scores = evals.run_enrichment(
                path, out, worker=worker, identity={"labels": labels},
                progress=lambda done, total, _: progress.update(task, completed=done, total=total, count=done),
                **options,  # type: ignore[arg-type]
            )  # fmt: skip
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_terminal(scores))
        errors.print(f"report: {out / 'report.html'}", markup=False)


@app.command()
def detectors(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Run the detectors over labelled cases: precision, recall, and realised false alarms beside the promise."""
    scores = evals.run_detectors(cases or OWN / "detectors", out, detectors=roster(), now=system_clock())
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_detectors(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@app.command()
def rules(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Run scenarios (events and the intervals they must give) through the rules."""
    scores = evals.run_rules(cases or OWN / "rules", out, evaluate=backtest_scenario, now=system_clock())
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_rules(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(help="The folder of the earlier run.")],
    run: Annotated[Path, typer.Argument(help="The folder of the later run.")],
) -> None:
    """Compare two runs case by case. Exit 1 on a regression, or where a must-pass case fails."""
    for folder in (baseline, run):
        if not folder.is_dir():
            raise InputError(f"{folder}: is not the folder of a run", remedy="give what --out named")
        if (folder / "scores.json").exists() and not (folder / "outcomes.jsonl").exists():
            raise InputError(
                f"{folder}: is a run of rules or detectors; what is compared are runs of `eval enrichment`",
                remedy="each `eval rules` and `eval detectors` exits 1 by itself where it fails",
            )
    found = evals.compare(baseline, run)
    console.print(evals.render_comparison(found))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


evals_gate.add_to(app)
