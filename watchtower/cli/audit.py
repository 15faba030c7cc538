"""`watchtower audit`: a design review of a rulebook, and of what its events show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, print_json, time_option
from watchtower.cli.reading import EventFile, history_of, program_of
from watchtower.cli.rules import AsJson, Lenient, MappingPath, RulebookPath
from watchtower.contract import Event
from watchtower.errors import InputError
from watchtower.flow.audit.finding import PRIORITIES
from watchtower.flow.audit.observe import observe, with_everything
from watchtower.flow.audit.page import html
from watchtower.flow.audit.review import Review
from watchtower.flow.audit.review import audit as review_of

SHOWN = 12
"""Findings shown in the terminal; the page and --json have all."""


def audit(
    rulebook: RulebookPath,
    events: Annotated[
        Path | None,
        typer.Argument(metavar="[EVENTS]", help="Events as JSONL, or any table with --mapping: what happened."),
    ] = None,
    mapping: MappingPath = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="The instant looked at (default: the last event's).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write audit.html and audit.json there.")
    ] = None,
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """A design review: handoffs, missing components, definitions that people use in different ways, what nobody uses,
    rework, gaps ranked P0 to P2, and the maturity stage, each with what it was computed from.

    Example: watchtower audit rulebook/ events.jsonl --out review/
    """
    if events is None:
        for given, name in ((mapping, "--mapping"), (at, "--at")):
            if given is not None:
                raise InputError(f"{name} is about events, and none are given", remedy="name EVENTS, or leave it out")
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file", remedy="name a folder")
    instant = time_option(at, "--at") if at else None
    loaded, program = program_of(rulebook)
    seen = None
    if events is not None:
        wide, kept = with_everything(program), list[Event]()
        history = history_of(wide, EventFile(events, mapping), instant, set_aside, keep=kept)
        seen = observe(loaded, program, history, kept, instant)
    review = review_of(program, seen)
    answer = review.to_json()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "audit.html").write_text(html(review), encoding="utf-8")
        text = json.dumps(answer, ensure_ascii=False, indent=2, allow_nan=False)
        (out / "audit.json").write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json(answer)
        return
    _show(review)
    if out is not None:
        console.print(f"{out / 'audit.html'}", markup=False)


def _show(review: Review) -> None:
    stage = review.maturity
    console.print(f"[bold]{stage.stage}[/]: {stage.means}")
    for criterion in stage.open:
        console.print(f"  for {stage.next}: {criterion.says}: {criterion.evidence}", markup=False)
    counts = ", ".join(f"{n} {priority} ({PRIORITIES[priority]})" for priority, n in review.counts.items())
    console.print(f"{len(review.findings)} gaps: {counts}")
    table = Table("", "gap", "because", "do", box=None, header_style="bold")
    for finding in review.findings[:SHOWN]:
        table.add_row(finding.priority, *(_plain(t) for t in (finding.title, finding.reason, finding.do)))
    console.print(table)
    if len(review.findings) > SHOWN:
        console.print(f"and {len(review.findings) - SHOWN} more: --out DIR, or --json")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
