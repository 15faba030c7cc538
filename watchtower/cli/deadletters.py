"""`watchtower deadletters`: what could not be taken: look at it, send it through the door again, or let it go."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError, Missing
from watchtower.store import deadletters
from watchtower.store.deadletters import StoredLetter

OUTCOMES = ("open", "quarantined", "redriven", "discarded", "all")

app = typer.Typer(
    no_args_is_help=True,
    help="What could not be taken, with the reason; and events of the future that wait for their time.",
)


@app.command("list")
def list_(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Only those whose reason holds this.")] = "",
    outcome: Annotated[str, typer.Option("--outcome", help=", ".join(OUTCOMES))] = "open",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many letters.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The letters, the latest first.

    Example: watchtower deadletters list --reason "no object"
    """
    if outcome not in OUTCOMES:
        raise InputError(f"--outcome: {outcome!r} is unknown", remedy=f"accepted are {', '.join(OUTCOMES)}")
    with open_tower(data) as tower, tower.database.read() as conn:
        found = deadletters.letters(conn, outcome=outcome, reason=reason, limit=limit)
        dead, waiting, _ = deadletters.waiting(conn)
    if as_json:
        print_json({"open": dead, "quarantined": waiting, "letters": [_facts(letter) for letter in found]})
        return
    table = Table("n", "received", "source", "id", "type", "outcome", "reason", box=None, header_style="bold")
    for one in found:
        table.add_row(
            str(one.seq), format_time(one.received_at)[:19] + "Z", one.source or one.origin, one.event or "",
            one.type or "", one.outcome, one.reason,
        )  # fmt: skip
    if found:
        console.print(table, markup=False)
    console.print(f"{dead} open, {waiting} in quarantine until their time comes")


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number, as `deadletters list` shows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """One letter, with its body as it came.

    Example: watchtower deadletters show 17
    """
    with open_tower(data) as tower, tower.database.read() as conn:
        found = deadletters.letter(conn, number)
    if found is None:
        raise _unknown(number)
    if as_json:
        print_json(_facts(found) | {"body": found.body})
        return
    for name, value in _facts(found).items():
        if value not in (None, ""):
            console.print(f"{name:>12}  {value}", markup=False)
    if found.size != len(found.raw):
        console.print(f"the body, cut at {len(found.raw)} of {found.size} characters:")
    body = found.body
    console.print(body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=True), markup=False)


@app.command()
def redrive(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[N ...]", help="Their numbers, or --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that stand open.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Send letters through the door again, under the source they came with. Twice adds nothing.

    What is refused again stays, with the new reason; exit 1 if there was any.

    Example: watchtower deadletters redrive --all
    """
    if bool(numbers) == every:
        raise InputError("redrive: name the letters, or say --all", remedy="watchtower deadletters list shows them")
    with open_tower(data) as tower:
        with tower.database.read() as conn:
            named = {number: deadletters.letter(conn, number) for number in numbers or ()}
        for number, found in named.items():
            _check(number, found)
        counts = tower.redrive(None if every else sorted(named))
        with tower.database.read() as conn:
            left = deadletters.waiting(conn)[0]
    closed = sum(1 for found in named.values() if found is not None and found.closed_at is not None)
    again = counts["refused"] + counts["conflict"]
    if as_json:
        keys = ("accepted", "duplicate", "conflict", "quarantined", "refused")
        print_json({**{key: counts[key] for key in keys}, "closed_already": closed, "open": left})
    else:
        console.print(
            f"{counts['accepted']} taken, {counts['duplicate']} were there already, {again} refused again, "
            f"{closed} were closed already; {left} stand open"
        )
    if again:
        raise typer.Exit(1)


@app.command()
def discard(
    number: Annotated[int, typer.Argument(metavar="N", help="Its number, as `deadletters list` shows it.")],
    because: Annotated[str, typer.Option("--because", help="Why nobody needs it.")],
    data: Data = None,
) -> None:
    """Let a letter go. It stays on record, with the reason, and is not redriven any more.

    Example: watchtower deadletters discard 17 --because "a test of the vendor's"
    """
    if not because.strip():
        raise InputError("--because: say why nobody needs it")
    with open_tower(data) as tower:
        with tower.database.read() as conn:
            found = deadletters.letter(conn, number)
        if found is None:
            raise _unknown(number)
        done = tower.discard(number, because)
    console.print(f"letter {number} is discarded" if done else f"letter {number} was closed already: {found.outcome}")


def _check(number: int, found: StoredLetter | None) -> None:
    if found is None:
        raise _unknown(number)
    if found.outcome == "open" and not found.redrivable:
        raise InputError(
            f"letter {number}: what came is not a whole event ({found.origin}), and cannot go through the door",
            remedy="correct it where it came from and send it again; then discard this one",
        )


def _unknown(number: int) -> Missing:
    return Missing(f"letter {number} does not exist", remedy="watchtower deadletters list --outcome all shows them")


def _facts(letter: StoredLetter) -> dict[str, Any]:
    def at(time: Any) -> str | None:
        return None if time is None else format_time(time)

    return {
        "n": letter.seq, "outcome": letter.outcome, "reason": letter.reason, "source": letter.source,
        "id": letter.event, "type": letter.type, "origin": letter.origin, "credential": letter.credential,
        "received_at": at(letter.received_at), "tried_at": at(letter.tried_at), "attempts": letter.attempts,
        "size": letter.size, "redrivable": letter.redrivable, "due_at": at(letter.due_at),
        "redriven_at": at(letter.redriven_at), "closed_at": at(letter.closed_at), "because": letter.because,
    }  # fmt: skip
