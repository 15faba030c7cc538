"""`watchtower detect`: run the declared detectors; `detect calibrate`: see whether they keep their word."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from evals.statistics import clopper_pearson
from watchtower.bootstrap import Tower
from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, bar, open_tower
from watchtower.contract import Calibration, format_time
from watchtower.errors import InputError

app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")
Only = Annotated[str | None, typer.Option("--detector", help="Only this detector, or this signal.")]


@app.callback()
def detect(
    context: typer.Context,
    data: Data = None,
    detector: Only = None,
    held: Annotated[bool, typer.Option("--held", help="Run nothing: list what is held back this week.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the declared detectors over a snapshot of now. Signals feed the rules that read them; no more.

    Where a signal belongs to a family, the family's weekly budget limits how much of what is told may be false, and
    how much one owner is told. The rest is held back: kept with its reason, and read by no rule.

    Example: watchtower detect --held
    """
    if context.invoked_subcommand is not None:
        if data is not None or detector is not None or held or as_json:
            raise InputError(
                f"detect: options stand before {context.invoked_subcommand!r}",
                remedy=f"give them behind it: watchtower detect {context.invoked_subcommand} --json",
            )
        return
    with open_tower(data) as tower:
        if held:
            _show_held(tower, detector, as_json)
            return
        done = list(tower.detect(only=frozenset([detector]) if detector else None))
        names = ", ".join(tower.rulebook.signals) or "none"
    if detector and not done:
        raise _unknown(detector, names)
    if as_json:
        print_json([
            {"signal": d.signal, "detector": d.detector, "raised": d.raised, "held": d.held,
             "abstained": dict(d.abstained)}
            for d in done
        ])  # fmt: skip
        return
    for d in done:
        held_back = f", {d.held} of them held back (watchtower detect --held)" if d.held else ""
        console.print(f"{d.signal} ({d.detector}): {d.raised} signals raised{held_back}")
        for cohort, reason in d.abstained.items():
            console.print(f"  no judgement on {cohort}: {reason}", markup=False)


def _show_held(tower: Tower, signal: str | None, as_json: bool) -> None:
    found = [row for row in tower.held() if signal is None or signal == row.name]
    if as_json:
        print_json([
            {"signal": h.name, "record": h.subject, "family": h.family, "p_value": h.p_value, "because": h.because,
             "raised_at": format_time(h.raised_at)}
            for h in found
        ])  # fmt: skip
        return
    table = Table("signal", "record", "p", "because", box=None, header_style="bold")
    for h in found:
        table.add_row(h.name, h.subject, f"{h.p_value:.3g}", h.because)
    console.print(table)
    console.print(f"{len(found)} signals held back this week")


@app.command()
def calibrate(
    data: Data = None,
    detector: Only = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=1_000, help="Companies to simulate.")] = 5,
    as_json: AsJson = False,
) -> None:
    """The false alarms that a detector promises, beside those on data in which nothing is wrong.

    Each detector is fitted to a snapshot of now. What it has fitted is simulated anew, as often as --runs says, as
    large as the company is, cohort by cohort; the detector is fitted to that and looks at it as it would look at the
    real one. Whatever it raises is a false alarm. The interval is Clopper-Pearson's, 95%. Exit 1 where even the 99.9%
    interval's lower end is above the promise. Nothing is raised, nothing enters the journal.

    Example: watchtower detect calibrate --detector usage_decline --runs 20
    """
    with open_tower(data) as tower, bar("simulations") as progress:
        task = progress.add_task("calibrating", total=1.0, count=0)

        def step(done: int, total: int) -> None:
            progress.update(task, completed=done / total, count=done)

        found = tower.calibrate(only=frozenset([detector]) if detector else None, runs=runs, progress=step)
        names = ", ".join(tower.rulebook.signals) or "none"
    if detector and not found:
        raise _unknown(detector, names)
    if as_json:
        print_json([
            {
                "signal": request.signal, "detector": request.detector, "promised": request.budget,
                "cohorts": None if counts is None else [_row(one) for one in counts],
            }
            for request, counts in found
        ])  # fmt: skip
    else:
        table = Table("signal", "cohort", "promised", "realised", "95% interval", "judged", "per", box=None)
        for request, counts in found:
            name = f"{request.signal} ({request.detector})"
            if not counts:
                because = "states no rate that can be simulated" if counts is None else "judges nothing here"
                table.add_row(name, because)
            for one in counts or ():
                low, high = _interval(one)
                realised = "-" if one.realised is None else f"{one.realised:.4f}"
                style = "red" if _broken(one) else ""
                judged, interval = f"{one.judged:,}", f"[{low:.4f} {high:.4f}]".replace("[", "\\[")
                table.add_row(name, one.cohort, f"{one.promised:g}", realised, interval, judged, one.per, style=style)
        console.print(table)
    if any(_broken(one) for _, counts in found for one in counts or ()):
        raise typer.Exit(1)


def _row(one: Calibration) -> dict[str, object]:
    low, high = _interval(one)
    return {
        "cohort": one.cohort, "realised": one.realised, "interval": [low, high], "raised": one.raised,
        "judged": one.judged, "per": one.per, "kept": not _broken(one),
    }  # fmt: skip


def _interval(one: Calibration) -> tuple[float, float]:
    found = clopper_pearson(one.raised, one.judged)
    return found.low, found.high


def _broken(one: Calibration) -> bool:
    # of many cohorts that keep their word, one in forty has an interval of 95% above it
    return one.judged > 0 and clopper_pearson(one.raised, one.judged, 0.999).low > one.promised


def _unknown(detector: str, names: str) -> InputError:
    return InputError(
        f"--detector: {detector!r} is neither a declared signal nor its detector", remedy=f"signals: {names}"
    )
