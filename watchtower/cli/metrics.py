"""`watchtower metrics`: the numbers of a rulebook over a file of events."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json
from watchtower.cli.reading import EventFile, period_of
from watchtower.cli.rules import AsJson, EventsPath, MappingPath, RulebookPath
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.flow.metrics import Measured, measure
from watchtower.rulebook import load


def metrics(
    rulebook: RulebookPath,
    events: EventsPath,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Start, inclusive.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive.")],
    role: Annotated[str, typer.Option("--role", metavar="NAME", help="Only the scorecard of this role.")] = "",
    mapping: MappingPath = None,
    as_json: AsJson = False,
) -> None:
    """The metrics that the rulebook declares, over a period: each with the number of cases it stands on, a share also
    with its 95 percent interval.

    Example: watchtower metrics rulebook/ events.jsonl --from 2026-01-01T00:00:00Z --to 2026-04-01T00:00:00Z
    """
    first, last = period_of(start, end)
    loaded = load(rulebook)
    book = loaded.rulebook
    if role and role not in book.scorecards:
        raise InputError(f"--role {role!r} has no scorecard", remedy=f"roles: {', '.join(book.scorecards) or 'none'}")
    chosen = book.scorecards[role].measures if role else dict.fromkeys(book.metrics)
    found = [m for m in measure(loaded, EventFile(events, mapping), first, last) if m.metric in chosen]
    targets = {key: target if target is not None else book.metrics[key].target for key, target in chosen.items()}
    if as_json:
        print_json({
            "from": format_time(first), "to": format_time(last), "version": book.version, "role": role or None,
            "metrics": [
                m.to_json() | {"target": targets[m.metric], "unit": book.metrics[m.metric].unit} for m in found
            ],
        })  # fmt: skip
        return
    table = Table("metric", "", "value", "95% interval", "cases", "target", "owner", box=None, header_style="bold")
    for m in found:
        metric, target = book.metrics[m.metric], targets[m.metric]
        table.add_row(
            m.metric, m.part, f"{_shown(m)} {metric.unit}".strip(), _interval(m), str(m.n),
            "" if target is None else f"{target:g}", metric.owner,
        )  # fmt: skip
    console.print(table if found else "the rulebook declares no metrics")


def _shown(m: Measured) -> str:
    if m.value is None:
        return "no case"
    return f"{m.value:.1%}" if m.low is not None else f"{m.value:,.2f}"


def _interval(m: Measured) -> str:
    return "" if m.low is None or m.high is None else f"{m.low:.1%} to {m.high:.1%}"
