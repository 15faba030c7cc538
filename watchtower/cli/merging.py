"""`watchtower duplicates`: pairs of records that may be one, in a file or in the store; what people decide on them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from typer.core import TyperGroup

from watchtower.cli.alerts import Actor, who
from watchtower.cli.duplicates import duplicates, weights_line
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.store.merges import MergeProposal, MergeRow


class _FileFirst(TyperGroup):
    """`watchtower duplicates accounts.csv` is `watchtower duplicates file accounts.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["file", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FileFirst, no_args_is_help=True,
    help="Records that may be one: find pairs in a file or in the store, review them, make them one, take them apart.",
)  # fmt: skip
app.command("file")(duplicates)

Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; it stays with the decision.")]
Pair = Annotated[str, typer.Argument(metavar="PAIR", help="The pair's id, as `duplicates review` lists it.")]


@app.command("find")
def find(
    kind: Annotated[str, typer.Option("--object", metavar="OBJECT", help="Which records are compared.")] = "account",
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="At most so many pairs.")] = 1000,
    workers: Annotated[int, typer.Option("--workers", min=1, max=16, help="Processes that read the records.")] = 1,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Compare the records of the store, and propose pairs that may be one.

    Pairs wait for a person, unless a rule of the rulebook's `merging` names what makes two records one and the tower
    finds it so itself. A pair that a person rejected is proposed again only when a compared value has changed.

    Example: watchtower duplicates find --object account
    """
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=errors, transient=True, disable=not errors.is_terminal,
    )  # fmt: skip
    with open_tower(data) as tower, bar:
        tasks: dict[str, Any] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=None)
            bar.update(tasks[stage], completed=done, total=total or None)

        counts = tower.find_pairs(kind, most=most, workers=workers, told=told)
    if as_json:
        print_json({key: counts[key] for key in ("records", "accepted", "review", "refused")})
        return
    console.print(
        f"{counts['records']:,} records: {counts['accepted']:,} pairs made one by a rule, {counts['review']:,} wait "
        f"for a person, {counts['refused']:,} refused"
    )
    if counts["review"]:
        console.print("watchtower duplicates review shows them")


@app.command("review")
def review(
    kind: Annotated[str | None, typer.Option("--object", metavar="OBJECT", help="Of these records alone.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="At most so many.")] = 20,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """The pairs that wait for a person: both records side by side, what was compared, and what each comparison weighs.

    One bit: twice as often among pairs that are one as among pairs that are not.

    Example: watchtower duplicates review --object account --limit 5
    """
    with open_tower(data) as tower:
        found = tower.pairs(name=kind, limit=limit)
    if as_json:
        print_json([msgspec.to_builtins(pair) for pair in found])
        return
    for pair in found:
        _show(pair)
    if not found:
        console.print("nothing waits")


def _show(pair: MergeProposal) -> None:
    console.print(f"\n{pair.id}  {pair.probability:.3f}  {pair.bits:+.1f} bits", markup=False, style="bold")
    table = Table("", f"{pair.object}/{pair.record} goes", f"{pair.object}/{pair.survivor} stays", box=None)
    for field, (gone, stays) in pair.compared.items():
        table.add_row(*(_text(value) for value in (field, gone, stays)))
    console.print(table)
    console.print("  " + weights_line(pair.weights), markup=False)
    console.print("  " + pair.because, markup=False)


def _text(value: Any) -> str:
    return "" if value is None else str(value).replace("[", "\\[")


@app.command("accept")
def accept(
    pair: Pair,
    into: Annotated[
        str | None, typer.Option("--into", metavar="ID", help="Which of the two stays; else who came first.")
    ] = None,
    note: Note = "",
    data: Data = None,
    actor: Actor = None,
) -> None:
    """Make the two records one. The other id is found for ever; `duplicates undo` takes them apart again.

    Example: watchtower duplicates accept mp_4f... --note "same register number"
    """
    with open_tower(data) as tower:
        tower.decide_pair(pair, "accept", actor=who(actor), note=note, into=into)
        done = next(merge for merge in tower.merged(limit=1000) if merge.proposal == pair)
    console.print(f"{done.id}: {done.object}/{done.record} is {done.object}/{done.survivor} from now on", markup=False)


@app.command("reject")
def reject(pair: Pair, note: Note = "", data: Data = None, actor: Actor = None) -> None:
    """They are two. They are proposed again only when a compared value has changed.

    Example: watchtower duplicates reject mp_5c2a77d1e0b4
    """
    with open_tower(data) as tower:
        tower.decide_pair(pair, "reject", actor=who(actor), note=note)
    console.print(f"{pair}: rejected", markup=False)


@app.command("merge")
def merge(
    record: Annotated[str, typer.Argument(metavar="OBJECT/ID", help="The record that goes.")],
    into: Annotated[str, typer.Argument(metavar="ID", help="The record of the same object that stays.")],
    note: Note = "",
    data: Data = None,
    actor: Actor = None,
) -> None:
    """Make two records one that nobody proposed.

    Example: watchtower duplicates merge account/A-17 A-3 --note "renamed in May"
    """
    with open_tower(data) as tower:
        done = tower.merge(record, into.rpartition("/")[2], actor=who(actor), note=note)
    console.print(f"{done}: {record} is {into} from now on", markup=False)


@app.command("merged")
def merged(
    undone: Annotated[bool, typer.Option("--all", help="Also those that were undone.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1000, help="At most so many.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """What was made one, the latest first, and by whom.

    Example: watchtower duplicates merged
    """
    with open_tower(data) as tower:
        found = tower.merged(undone=undone, limit=limit)
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
        return
    table = Table("id", "record", "is", "since", "by", "undone", box=None, header_style="bold")
    for one in found:
        table.add_row(*map(_text, _row(one)))
    console.print(table if found else "nothing was merged")


def _row(one: MergeRow) -> tuple[str, ...]:
    undone = f"{one.undone_at:%Y-%m-%d %H:%M} by {one.undone_by}" if one.undone_at else ""
    return one.id, f"{one.object}/{one.record}", one.survivor, f"{one.at:%Y-%m-%d %H:%M}", one.by, undone


@app.command("undo")
def undo(
    merge_id: Annotated[str, typer.Argument(metavar="MERGE", help="The merge's id, as `duplicates merged` lists it.")],
    note: Note = "",
    data: Data = None,
    actor: Actor = None,
) -> None:
    """Take two records apart: each is then what it would be if they had never been one, late events included.

    Alerts that were told meanwhile are corrected, in the journal as in the queue.

    Example: watchtower duplicates undo mp_4f19a2c07d51
    """
    with open_tower(data) as tower:
        tower.unmerge(merge_id, actor=who(actor), note=note)
    console.print(f"{merge_id}: undone", markup=False)
