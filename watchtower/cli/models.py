"""`watchtower models ...`: the embedded language model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from watchtower.cli.output import console, errors, print_json
from watchtower.settings import read_settings
from watchtower.workers import model_catalogue, pull_model

app = typer.Typer(no_args_is_help=True, help="The embedded language model: fetch it, see what is here.")


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="A name of `models list` (default: the best).")] = None,
    small: Annotated[bool, typer.Option("--small", help="The small one: half the size, twice as fast.")] = False,
) -> None:
    """Fetch a model, in parts, and check its SHA-256. Goes on where an earlier pull stopped.

    Example: watchtower models pull --small
    """
    settings = read_settings()
    catalogue = model_catalogue(settings)
    chosen = name or (catalogue[-1]["name"] if small else catalogue[0]["name"])
    entry = next((model for model in catalogue if model["name"] == chosen), None)
    if entry is not None:
        errors.print(
            f"{chosen}: {entry['bytes'] / 1e9:.2f} GB, licence {entry['licence']}, {entry['memory']} in memory"
        )
    columns = (TextColumn(chosen), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("pull", total=None)
        path = pull_model(settings, chosen, lambda done, total: bar.update(task, completed=done, total=total))
    console.print(str(path), markup=False)


@app.command(name="list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """The models that can be pulled, the best first, and which are here.

    Example: watchtower models list
    """
    catalogue = model_catalogue(read_settings())
    if as_json:
        print_json(catalogue)
        return
    for model in catalogue:
        where = model["path"] or "not here"
        console.print(f"{model['name']}  {model['bytes'] / 1e9:.2f} GB  {model['licence']}  {where}", markup=False)
