"""`watchtower reporting`: views for people's own tools."""

from __future__ import annotations

from typing import Annotated

import typer

from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, open_tower

app = typer.Typer(name="reporting", no_args_is_help=True, help="Views for people's own tools.")


@app.callback()
def _group() -> None:
    """Views for people's own tools: the schema `reporting` (docs/reporting.md)."""


@app.command("refresh")
def refresh(
    data: Data = None,
    months: Annotated[
        int, typer.Option("--months", min=0, max=120, help="Months whose metrics are measured, this one among them.")
    ] = 3,
    viewer: Annotated[str, typer.Option("--viewer", metavar="ROLE", help="The role that may read them.")] = "viewer",
    as_json: AsJson = False,
) -> None:
    """Make the views anew, and measure the rulebook's metrics over the last months.

    Run it after an upgrade and after a rulebook that changes fields; each night where metrics are read. Measuring reads
    the whole journal: --months 0 leaves it out.

    Example: watchtower reporting refresh --months 1
    """
    with open_tower(data) as tower:
        views, metrics = tower.refresh_reporting(months=months, viewer=viewer)
    if as_json:
        print_json({"views": views, "metrics": metrics})
    else:
        console.print(f"{len(views)} views in the schema reporting, {metrics} values of metrics", markup=False)


__all__ = ["app"]
