"""`watchtower rules init`: a rulebook to begin with, as files of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from watchtower.cli.output import console, print_json
from watchtower.errors import InputError
from watchtower.rulebook import CONNECTING, DEFAULT

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files are to stand: new, or empty.")]
System = Annotated[
    list[str] | None,
    typer.Option("--system", metavar="KIND", help="With the part for this system, too (repeatable)."),
]


def init(
    folder: Folder = Path("rulebook"),
    system: System = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Copy the rulebook that ships into a folder, to be changed there; with --system, the part that connects one.

    Parts there are for hubspot, salesforce and attio. Nothing that is there already is overwritten.

    Example: watchtower rules init rulebook --system hubspot
    """
    parts = {path.stem: path for path in sorted(CONNECTING.glob("*.yaml"))}
    wanted = list(dict.fromkeys(system or ()))
    for name in wanted:
        if name not in parts:
            raise InputError(
                f"--system: there is no part for {name!r:.60}",
                remedy=f"Parts there are for {', '.join(parts)}; docs/connectors.md says how others are written.",
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder}: is there, and is not an empty folder", remedy="Name another, or add files by hand."
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = [*sorted(DEFAULT.glob("*.yaml")), *(parts[name] for name in wanted)]
    for path in made:
        shutil.copyfile(path, folder / path.name)
    if as_json:
        print_json({"folder": str(folder), "files": [path.name for path in made]})
        return
    console.print(f"{folder}: {len(made)} files", highlight=False)
    console.print(f"Next: watchtower rules check {folder}; watchtower rules activate {folder}", highlight=False)
