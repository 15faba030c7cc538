"""Notifications: what there is, what went wrong, and those that were given up once more."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError, Missing
from watchtower.store import audit, outbox

app = typer.Typer(no_args_is_help=True, help="Notifications: what waits, what failed and why; send it again.")

ReceiverOption = Annotated[str | None, typer.Option("--receiver", help="Only of this receiver.")]


@app.command("list")
def list_(
    data: Data = None,
    state: Annotated[str | None, typer.Option("--state", help=f"One of {', '.join(outbox.STATES)}.")] = None,
    receiver: ReceiverOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many notifications.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Notifications, the latest first: to whom, how often tried, and what went wrong last.

    Example: watchtower outbox list --state dead
    """
    if state is not None and state not in outbox.STATES:
        raise InputError(f"--state: {state!r} is not one of {', '.join(outbox.STATES)}")
    with open_tower(data) as tower, tower.database.read() as conn:
        rows = outbox.listed(conn, state=state, receiver=receiver, limit=limit)
        counts = outbox.counts(conn)
    if as_json:
        print_json([
            {**row._asdict(), "created_at": format_time(row.created_at), "due_at": format_time(row.due_at),
             "tried_at": format_time(row.tried_at) if row.tried_at else None}
            for row in rows
        ])  # fmt: skip
        return
    table = Table("id", "receiver", "type", "alert", "state", "tried", "due", "error", box=None, header_style="bold")
    for row in rows:
        due = f"{row.due_at:%Y-%m-%d %H:%M:%S}" if row.state == "pending" else ""
        table.add_row(
            row.id, row.receiver, row.type, row.alert, row.state, str(row.attempts), due, row.error.replace("[", "\\[")
        )
    console.print(table)
    for name, kept, count in counts:
        console.print(f"{name}: {count} {kept}")


@app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These; all dead ones where none.")] = None,
    data: Data = None,
    receiver: ReceiverOption = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; your user name otherwise.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make notifications due again, under the same ids: the ones named, or all that were given up.

    Example: watchtower outbox retry --receiver ops
    """
    with open_tower(data) as tower, tower.database.begin() as conn:
        now = tower.clock()
        again = outbox.retry(conn, ids or [], receiver, now)
        if missing := sorted(set(ids or []) - set(again)):
            raise Missing(
                f"notification {missing[0]!r}: is not there, or neither dead nor pending",
                remedy="watchtower outbox list shows what there is",
            )
        if again:
            about = " ".join(ids) if ids else receiver or "all"
            actor = by or getpass.getuser()
            audit.note(conn, actor=actor, what="outbox.retry", about=about, now=now, data={"notifications": len(again)})
    if as_json:
        print_json(again)
    else:
        console.print(f"{len(again)} notifications are due again")
