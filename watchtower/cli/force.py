"""`watchtower rules activate|history|rollback|asof`: which rulebook is in force in a tower, and which was."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, errors, print_json, time_option
from watchtower.cli.tower import Data, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.rulebook import load
from watchtower.rulebook.compare import Difference, differences
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.lint import lint

app = typer.Typer()

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; your user name otherwise.")]
Note = Annotated[str, typer.Option("--note", help="Why, for those who read the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def activate(
    rulebook: Annotated[Path, typer.Argument(metavar="RULEBOOK", help="A YAML file, or a folder of them.")],
    by: By = "",
    note: Note = "",
    allow_findings: Annotated[
        bool, typer.Option("--allow-findings", help="Also with findings of rules check.")
    ] = False,
    pass_over: Annotated[
        bool, typer.Option("--pass-over", help="Leave out what earlier events say and this rulebook does not allow.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Put a rulebook in force in this tower. Who, when and what changed is kept; towers that run take it up at once.

    Example: watchtower rules activate rulebook/ --note "first contact within 24 hours"
    """
    loaded = load(rulebook)
    findings = lint(loaded, compile_rulebook(loaded))
    if findings and not allow_findings:
        for finding in findings:
            errors.print(str(finding), markup=False)
        raise InputError(
            f"{rulebook}: {len(findings)} findings", remedy="mend them, or give --allow-findings to put it in force so"
        )
    with open_tower(data) as tower:
        found = differences(tower.rulebook, loaded.rulebook)
        old = tower.rulebook.version
        settled = tower.activate(loaded, by=by or getpass.getuser(), note=note, pass_over=pass_over)
    if as_json:
        print_json({
            "old": old, "new": loaded.rulebook.version, "changes": [difference.to_json() for difference in found],
            "opened": settled.opened, "resolved": settled.resolved, "corrected": settled.corrected,
        })  # fmt: skip
        return
    _show(found)
    if old == loaded.rulebook.version:
        console.print(f"{old} is in force already")
    else:
        console.print(
            f"{old} -> {loaded.rulebook.version}: {settled.opened} alerts opened, "
            f"{settled.resolved + settled.corrected} closed; rules rollback takes it back"
        )


@app.command()
def history(data: Data = None, as_json: AsJson = False) -> None:
    """Which rulebooks were in force, since when, by whose hand, and what each changed.

    Example: watchtower rules history
    """
    with open_tower(data) as tower:
        past = tower.activations()
    if as_json:
        print_json([
            {"version": a.version, "name": a.name, "at": format_time(a.at), "by": a.by, "note": a.note,
             "changes": a.changes}
            for a in past
        ])  # fmt: skip
        return
    table = Table("since", "version", "by", "changes", "note", box=None, header_style="bold")
    for a in past:
        table.add_row(format_time(a.at), a.version, a.by, str(len(a.changes) or ""), a.note)
    console.print(table)


@app.command()
def rollback(
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="One of rules history; else the one before.")
    ] = "",
    by: By = "",
    note: Note = "",
    data: Data = None,
) -> None:
    """Put an earlier rulebook in force again. Alerts of rules that it has not are closed with that reason.

    Example: watchtower rules rollback --note "Too many alerts"
    """
    with open_tower(data) as tower:
        old = tower.rulebook.version
        chosen = tower.roll_back(version, by=by or getpass.getuser(), note=note)
    console.print(f"{old} -> {chosen.version}, as it was in force since {format_time(chosen.at)}")


@app.command()
def asof(
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant, e.g. 2026-03-02T09:00:00Z.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What held, was unknown or was due in this tower at an instant, under the rulebook that was in force then.

    Example: watchtower rules asof --at 2026-03-05T09:00:00Z
    """
    instant = time_option(at, "--at")
    with open_tower(data) as tower:
        program, states = tower.states_at(instant)
    if as_json:
        print_json({
            "at": format_time(instant), "version": program.book.version,
            "results": [state.to_json() for state in states],
        })  # fmt: skip
        return
    from watchtower.cli.rules import show_states

    show_states(states, program, instant)


@app.command()
def shadow(
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From when on; else from the beginning.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What the rules with `mode: shadow` would have told, had they been active.

    Example: watchtower rules shadow
    """
    start = time_option(since, "--since") if since else datetime(1970, 1, 1, tzinfo=UTC)
    with open_tower(data) as tower:
        found = tower.shadow(start)
        owners = {rule.id: rule.owner for rule in tower.rulebook.rules}
    if as_json:
        print_json([
            {"rule": s.rule, "alerts": s.alerts, "standing": s.standing, "records": s.records} for s in found
        ])  # fmt: skip
        return
    table = Table("rule", "alerts", "standing now", "records", "owner", box=None, header_style="bold")
    for s in found:
        table.add_row(s.rule, str(s.alerts), str(s.standing), str(s.records), owners[s.rule])
    console.print(table if found else "no rule runs in shadow")


def _show(found: list[Difference]) -> None:
    marks = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}
    for difference in found:
        console.print(f"{marks[difference.kind]} {difference.path}", highlight=False)
        if difference.kind == "changed":
            console.print(f"    was {str(difference.old):.200}", markup=False, highlight=False)
            console.print(f"    is  {str(difference.new):.200}", markup=False, highlight=False)
