"""`watchtower silence`: tell nobody of certain alerts for a while."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.alerts import Actor, span_option, who
from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time
from watchtower.store.silences import MATCHED, Silence, silences

app = typer.Typer(help="Tell nobody of certain alerts for a while. The alerts stand as ever.", no_args_is_help=True)


@app.command("add")
def add(
    lasting: Annotated[str, typer.Option("--for", metavar="4h", help="How long: 30m, 4h, 3d, 2w.")],
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why; everybody sees it.")],
    rule: Annotated[str, typer.Option("--rule", help="Of this rule.")] = "",
    record: Annotated[str, typer.Option("--record", metavar="OBJECT/ID", help="On this record.")] = "",
    queue: Annotated[str, typer.Option("--queue", help="In this queue.")] = "",
    owner: Annotated[str, typer.Option("--owner", help="Of this owner.")] = "",
    severity: Annotated[str, typer.Option("--severity", help="Of this severity.")] = "",
    data: Data = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """What is to be told of alerts that are all that is named waits until the silence is over, and is then told of
    those that still stand.

    Example: watchtower silence add --queue stuck-deals --for 3d --because "the fair in Milan"
    """
    kind, slash, name = record.partition("/")
    matched = {"rule": rule, "queue": queue, "owner": owner, "severity": severity, "object": kind, "record": name}
    if record and not slash:
        matched |= {"object": "", "record": record}
    with open_tower(data) as tower:
        until = tower.clock() + span_option(lasting, "--for")
        made = tower.silence(matched, until=until, because=because, actor=who(actor))
    if as_json:
        print_json(_json(made))
    else:
        console.print(f"{made.id}: until {made.ends_at:%Y-%m-%d %H:%M} UTC", markup=False)


@app.command("list")
def list_(
    data: Data = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Of what nobody is told now.

    Example: watchtower silence list
    """
    with open_tower(data) as tower, tower.database.read() as conn:
        found = silences(conn, tower.clock(), every=every)
    if as_json:
        print_json([_json(one) for one in found])
        return
    table = Table("id", "of", "until", "by", "because", box=None, header_style="bold")
    for one in found:
        what = ", ".join(f"{name} {getattr(one, name)}" for name in MATCHED if getattr(one, name))
        table.add_row(one.id, what, f"{one.ends_at:%Y-%m-%d %H:%M}", one.made_by, one.because)
    console.print(table if found else "nothing is silenced")


@app.command("end")
def end(
    silence: Annotated[str, typer.Argument(metavar="ID", help="As `watchtower silence list` shows it.")],
    data: Data = None,
    actor: Actor = None,
) -> None:
    """Let a silence end now; what waited for it leaves.

    Example: watchtower silence end si_5f0c2a91b7d4
    """
    with open_tower(data) as tower:
        tower.end_silence(silence, actor=who(actor))
    console.print("ended")


def _json(one: Silence) -> dict[str, object]:
    times = {"begins_at": format_time(one.begins_at), "ends_at": format_time(one.ends_at)}
    return one._asdict() | times
