"""`watchtower audit-log`: who did what, when, and whether anybody changed it afterwards."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.store import audit

app = typer.Typer(name="audit-log", no_args_is_help=True, help="Who did what, when.")


@app.command("list")
def list_(
    data: Data = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What people and administrators did, the newest first.

    Example: watchtower audit-log list --limit 10
    """
    with open_tower(data) as tower, tower.database.read() as conn:
        rows = audit.newest(conn, limit)
    if as_json:
        print_json([
            {"seq": row.seq, "at": format_time(row.at), "actor": row.actor, "key": row.key, "what": row.what,
             "about": row.about, "data": row.data, "hash": row.hash.hex()}
            for row in rows
        ])  # fmt: skip
        return
    table = Table("no.", "when", "who", "key", "what", "about", box=None, header_style="bold")
    for row in rows:
        table.add_row(str(row.seq), f"{row.at:%Y-%m-%d %H:%M:%S}", row.actor, row.key, row.what, row.about)
    console.print(table)


@app.command("verify")
def verify(
    data: Data = None,
    holds: Annotated[
        str | None, typer.Option("--holds", metavar="HASH", help="A hash noted earlier, which must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole chain; exit 1 where a row was changed or taken out. Prints the last hash: note it elsewhere.

    Rows cut off at the end leave no trace in the chain itself; a hash that was noted elsewhere shows them.

    Example: watchtower audit-log verify --holds 5d0c...
    """
    with open_tower(data) as tower, tower.database.read() as conn:
        count, faults, last = audit.verify(conn)
        place = audit.place_of(conn, holds.strip().lower()) if holds else None
    if holds and place is None:
        faults.append(f"the hash {holds:.80} is not in the log any more")
    if as_json:
        print_json({"rows": count, "faults": faults, "last": last})
    else:
        console.print(
            f"{count} rows, last hash {last or 'none'}" + (f"; the noted one is row {place}" if place else "")
        )
    if faults:
        raise InputError("\n".join(faults), remedy="somebody wrote to the table by hand: compare it with a backup")


__all__ = ["app"]
