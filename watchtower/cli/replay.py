"""`watchtower replay`: everything is made again from the journal, and held against what is there."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json
from watchtower.cli.tower import AsJson, Data, bar, open_tower
from watchtower.flow.replay import Replayed


def replay(
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Hold each decision and row against what is there; exit 1 if one differs."),
    ] = False,
    until: Annotated[
        int | None, typer.Option("--until", metavar="SEQ", help="Stop after this entry; rows are then not compared.")
    ] = None,
    dump: Annotated[
        Path | None, typer.Option("--dump", metavar="FOLDER", help="Write what was rebuilt: one JSONL file a table.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild records, versions, spans, alerts and decisions from the journal, into temporary tables.

    Nothing that is there is changed, and the service may go on meanwhile. With --verify, each decision of the journal
    must come out again, and each row must be the same, byte for byte; what is not is named.

    Example: watchtower replay --verify
    Example: watchtower replay --until 1200 --dump then/    what was so after entry 1200
    """
    started = time.perf_counter()
    with open_tower(data) as tower, bar("entries") as progress:
        task = progress.add_task("replaying", total=None, count=0)
        done = tower.replay(
            verify=verify, until=until, dump=dump,
            progress=lambda seq, last: progress.update(task, completed=seq, total=last, count=seq),
        )  # fmt: skip
    seconds = time.perf_counter() - started
    if as_json:
        print_json({
            "until": done.until, "entries": done.entries, "transactions": done.transactions,
            "decisions": done.decisions, "verified": verify, "different": done.different, "lacks": done.lacks,
            "differences": [difference.to_json() for difference in done.differences],
            "tables": {name: asdict(digest) for name, digest in done.tables.items()}, "seconds": round(seconds, 3),
        })  # fmt: skip
    else:
        _show(done, verify, seconds)
    if done.different:
        raise typer.Exit(1)


def _show(done: Replayed, verify: bool, seconds: float) -> None:
    console.print(
        f"{done.entries} entries in {done.transactions} transactions, up to {done.until}: "
        f"{done.decisions} decisions made again ({seconds:.1f} s)"
    )
    table = Table("table", "rows", "digest", box=None, header_style="bold")
    for name, digest in done.tables.items():
        table.add_row(name, str(digest.rows), digest.digest)
    console.print(table)
    for words in done.lacks:
        console.print(f"lacking: {words}", markup=False)
    for difference in done.differences:
        console.print(f"differs: {difference}", markup=False)
    if verify:
        more = f", of which {len(done.differences)} are named" if done.different > len(done.differences) else ""
        console.print(f"{done.different} differences{more}" if done.different else "all the same, byte for byte")
