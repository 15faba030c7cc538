"""`watchtower config`: every setting, its value, where that comes from, and what it does."""

from __future__ import annotations

import typer
from rich.table import Table

from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson
from watchtower.surroundings import described, strangers


def config(as_json: AsJson = False) -> None:
    """Every setting: its variable, its value, where the value comes from, its default, what it does.

    Secrets show as stars. Exit 1 where a value is not accepted, or a WATCHTOWER_ variable looks like a misspelt one:
    it would be passed over without a word. Nothing is opened or started.

    Example: WATCHTOWER_PORT=9000 watchtower config
    """
    found, unknown = described(), strangers()
    faults = [one for one in found if one.fault]
    if as_json:
        print_json({
            "settings": [one.to_json() for one in found],
            "unknown": [{"variable": variable, "meant": meant or None} for variable, meant in unknown],
        })  # fmt: skip
    else:
        table = Table("variable", "value", "from", "default", "what it does", box=None, header_style="bold")
        for one in found:
            shown = f"{one.value}  (not accepted)" if one.fault else one.value
            table.add_row(one.variable, shown, one.origin, one.default, one.what)
        console.print(table, markup=False)
    for one in faults:
        errors.print(f"{one.variable}: {one.value} is not accepted; accepted is {one.accepted}", markup=False)
    for variable, meant in unknown:
        hint = f"; is {meant} meant?" if meant else " but a rulebook that names it"
        errors.print(f"{variable}: nothing reads it{hint}", markup=False)
    if faults or any(meant for _, meant in unknown):
        raise typer.Exit(1)
