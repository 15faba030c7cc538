"""`watchtower keys`: who may come in over HTTP."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time

app = typer.Typer(name="keys", no_args_is_help=True, help="Who may come in over HTTP.")

ROLE_HELP = (
    "viewer reads; operator also acts on alerts, proposals and handoffs; admin may all; "
    "source posts events under its own name; worker nothing here."
)


@app.command("add")
def add(
    role: Annotated[str, typer.Option("--role", help=ROLE_HELP)],
    name: Annotated[str, typer.Option("--name", help="The person, or the source that events posted with it bear.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; what is kept is its hash. From the first one on, every request needs a key.

    Example: watchtower keys add --role source --name crm
    """
    with open_tower(data) as tower:
        row, secret = tower.door.add(role, name, by=getpass.getuser())
    if as_json:
        print_json({"id": row.id, "role": row.role, "name": row.name, "key": secret})
        return
    print(secret)
    errors.print(f"{row.id}: {row.role} {row.name}; the key is shown this once", markup=False)


@app.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """Every key there ever was, without the keys themselves.

    Example: watchtower keys list
    """
    with open_tower(data) as tower:
        rows = tower.door.all()
    if as_json:
        print_json([
            {"id": row.id, "role": row.role, "name": row.name, "made_at": format_time(row.made_at),
             "made_by": row.made_by, "revoked_at": format_time(row.revoked_at) if row.revoked_at else None}
            for row in rows
        ])  # fmt: skip
        return
    table = Table("id", "role", "name", "made", "by", "revoked", box=None, header_style="bold")
    for row in rows:
        revoked = f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else ""
        table.add_row(row.id, row.role, row.name, f"{row.made_at:%Y-%m-%d %H:%M}", row.made_by, revoked)
    console.print(table)
    if not rows:
        console.print("no key yet: the service is open, and listens on this machine alone")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `watchtower keys list` shows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let a key open nothing any more, within a second and in every process; sessions begun with it end.

    Example: watchtower keys revoke k_1f2e3d4c5b6a
    """
    with open_tower(data) as tower:
        row = tower.door.revoke(key, by=getpass.getuser())
    if as_json:
        print_json(
            {"id": row.id, "role": row.role, "name": row.name, "revoked_at": format_time(row.revoked_at or row.made_at)}
        )
    else:
        console.print(f"{row.id} ({row.role} {row.name}) opens nothing any more", markup=False)


__all__ = ["app"]
