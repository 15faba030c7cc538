"""`watchtower eval ...`: offline runs against labelled cases."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

import evals
from evals.production import backtest_scenario, classifier_rows, roster, rule_layer
from watchtower.bootstrap import Tower, build, system_clock
from watchtower.cli import evals_gate, evals_labels
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import bar
from watchtower.errors import InputError
from watchtower.rulebook import DEFAULT, load
from watchtower.settings import read_settings
from watchtower.workers import open_worker
from watchtower.workers.normal import normalised

app = typer.Typer(no_args_is_help=True, help="Offline runs against labelled cases, and comparing them.")


Cases = Annotated[Path | None, typer.Option("--cases", help="Labelled cases: JSONL (default: the project's own).")]
Out = Annotated[Path, typer.Option("--out", help="The run's folder: recordings, scores, report.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Price = Annotated[
    str | None,
    typer.Option("--price", help="Money for a million tokens read and written, such as 0.15,0.60: gives the cost."),
]
OWN = Path(evals.__file__).parent / "cases"


def prices_of(text: str | None) -> evals.Prices | None:
    """READ,WRITTEN as prices; InputError for anything else."""
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        read = written = -1.0
    if not (0 <= read < float("inf") and 0 <= written < float("inf")):
        raise InputError(f"--price: {text!r} is not two amounts", remedy="write READ,WRITTEN such as 0.15,0.60")
    return evals.Prices(read, written)


@app.command()
def enrichment(
    out: Out,
    cases: Cases = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="A seeded sample of this many cases.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which sample --limit takes.")] = 0,
    mask: Annotated[bool, typer.Option("--mask", help="Hide the company's name in its text.")] = False,
    no_model: Annotated[bool, typer.Option("--no-model", help="Patterns, gazetteer and classifiers only.")] = False,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Ask each case so often: a model varies.")] = 1,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Batches of cases asked at a time.")] = 1,
    completions: Annotated[
        Path | None,
        typer.Option("--completions", help="A file of the model's answers: read from, and added to."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only --completions answer; no model is asked.")] = False,
    price: Price = None,
    rescore: Annotated[bool, typer.Option("--rescore", help="Score what was recorded; ask nobody.")] = False,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose acceptance rules decide.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Run the enrichment worker over labelled cases; the rulebook's acceptance rules decide, as in production.

    Classifiers learn from the cases' tuning split, never from those that are scored. A run that stopped goes on
    where it stopped, and what was answered is not asked again. With --completions the model's answers are kept
    in a file of their own, by content: prompts, patterns and grounding can then change without paying twice.

    Example: watchtower eval enrichment --cases firmographics_1500.jsonl --limit 100 --out runs/first
    """
    path = cases or OWN / "enrichment"
    accept = rule_layer(load(rulebook).rulebook)
    options = {
        "now": system_clock(), "limit": limit, "seed": seed, "mask": mask, "accept": accept, "repeats": repeats,
        "prices": prices_of(price),
    }  # fmt: skip
    if offline and completions is None:
        raise InputError("--offline: needs --completions FILE", remedy="name the file of recorded completions")
    if rescore:
        scores = evals.run_enrichment(path, out, worker=None, **options)  # type: ignore[arg-type]
    else:
        rows = classifier_rows(path)
        labels = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
        with ExitStack() as stack:
            kept: list[evals.Completions] = []

            def through(model: Any) -> Any:
                if completions is None or (model is None and not offline):
                    return model
                kept.append(stack.enter_context(evals.Completions(completions, None if offline else model)))
                return kept[0]

            worker = stack.enter_context(
                open_worker(read_settings(), rows, use_model=not (no_model or offline), through=through)
            )
            progress = stack.enter_context(bar("cases"))
            task = progress.add_task("asking", total=None, count=0)
            scores = evals.run_enrichment(
                path, out, worker=worker, identity={"labels": labels}, parallel=parallel,
                progress=lambda done, total, _: progress.update(task, completed=done, total=total, count=done),
                meter=kept[0] if kept else None,
                **options,  # type: ignore[arg-type]
            )  # fmt: skip
    _show(scores, out, as_json)


@app.command()
def score(
    run: Annotated[Path, typer.Argument(help="The folder of a run of `eval enrichment`.")],
    cases: Annotated[
        Path | None, typer.Option("--cases", help="Corrected labels for the run's cases; their texts must be the same.")
    ] = None,
    price: Price = None,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose acceptance rules decide.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Score a run again from its own folder, asking nobody: under other acceptance rules, or with other labels.

    The same recording, rules and labels give the same bytes.

    Example: watchtower eval score runs/first --rulebook rulebook/
    """
    accept = rule_layer(load(rulebook).rulebook)
    scores = evals.score_run(run, now=system_clock(), accept=accept, labels=cases, prices=prices_of(price))
    _show(scores, run, as_json)


@app.command()
def normalisation(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Normalise raw values whose one form is known, and values that are none: accuracy, and precision of what is given.

    Exit 1 where one comes out wrong, unless the case says that this fault is known and open.

    Example: watchtower eval normalisation --out runs/normal
    """
    scores = evals.run_normalisation(
        cases or OWN / "normalisation",
        out,
        normalise=lambda kind, raw, region: normalised(kind, raw, region)["value"],
        now=system_clock(),
    )
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_normalisation(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@app.command()
def journeys(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Take whole journeys through a tower of their own: events, texts, a worker's answers, the clock.

    The tower stands on an embedded database in a folder that is gone afterwards; no other is touched. Exit 1 where
    a journey does not end with exactly the fields, alerts and decisions that it must.

    Example: watchtower eval journeys --out runs/journeys
    """
    scores = evals.run_journeys(cases or OWN / "journeys", out, open_tower=_own_tower, now=system_clock())
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_journeys(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@contextmanager
def _own_tower(book: str, clock: Callable[[], datetime]) -> Iterator[Tower]:
    """A tower on an embedded database in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="watchtower-journeys-") as folder:
        path = Path(folder) / "rulebook.yaml"
        path.write_text(book, encoding="utf-8")
        settings = read_settings(data=Path(folder) / "data", database_url=None, jobs_url=None)
        with build(settings, rulebook=path, clock=clock) as tower:
            yield tower


def _show(scores: evals.Scores, out: Path, as_json: bool) -> None:
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
        return
    console.print(evals.render_terminal(scores))
    errors.print(f"report: {out / 'report.html'}", markup=False)


@app.command()
def detectors(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Run the detectors over labelled cases: precision, recall, and realised false alarms beside the promise.

    Example: watchtower eval detectors --out runs/detectors
    """
    scores = evals.run_detectors(cases or OWN / "detectors", out, detectors=roster(), now=system_clock())
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_detectors(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@app.command()
def acceptance(
    out: Out,
    cases: Cases = None,
    rulebook: Annotated[Path, typer.Option("--rulebook", help="Whose acceptance rules decide.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Put proposals whose fate is known before the acceptance rules: invented quotes, shifted spans, wrong values.

    Exit 1 where a decision is not the expected one, unless the case says that this fault is known and open.

    Example: watchtower eval acceptance --out runs/gate
    """
    book = load(rulebook).rulebook
    scores = evals.run_acceptance(
        cases or OWN / "acceptance", out, accept=rule_layer(book), name=f"rulebook {book.version}", now=system_clock()
    )
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_acceptance(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


@app.command()
def rules(out: Out, cases: Cases = None, as_json: AsJson = False) -> None:
    """Run scenarios (events and the intervals they must give) through the rules.

    Example: watchtower eval rules --out runs/rules
    """
    scores = evals.run_rules(cases or OWN / "rules", out, evaluate=backtest_scenario, now=system_clock())
    if as_json:
        print_json(json.loads((out / "scores.json").read_text()))
    else:
        console.print(evals.render_rules(scores))
    if scores.exit_code:
        raise typer.Exit(scores.exit_code)


evals_gate.add_to(app)
evals_labels.add_to(app)
