"""`watchtower rules ...`: check, test, evaluate and backtest a rulebook. No database needed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from statistics import median_high
from typing import Annotated, Any

import typer
from rich.table import Table

from watchtower.cli.force import app as force
from watchtower.cli.output import console, errors, print_json, print_json_list, time_option
from watchtower.cli.reading import EventFile, history_of, period_of, program_of
from watchtower.cli.rules_init import init
from watchtower.contract import Event, format_time
from watchtower.errors import Fault, InputError, RulebookError
from watchtower.flow.backtest import Held, State, duckdb_engine
from watchtower.flow.diff import alerting, compare, counted, week_of
from watchtower.flow.engines import ENGINES, held_on, on_engines
from watchtower.flow.examples import run_examples
from watchtower.flow.explain import explain_events
from watchtower.flow.gaps import unfilled, valued
from watchtower.flow.gates import check_fields, passage_event, try_events
from watchtower.rulebook import Loaded
from watchtower.rules.compile import Program
from watchtower.rules.lint import lint

app = typer.Typer(no_args_is_help=True, help="Check, test, evaluate and backtest a rulebook; put one in force.")
app.add_typer(force)
app.command()(init)

RulebookPath = Annotated[Path, typer.Argument(metavar="RULEBOOK", help="A YAML file, or a folder of them.")]
EventsPath = Annotated[
    Path, typer.Argument(metavar="EVENTS", help="Events as JSONL (-: standard input), or any table with --mapping.")
]
MappingPath = Annotated[Path | None, typer.Option("--mapping", help="How rows of a table become events (YAML).")]
Engines = Annotated[
    str,
    typer.Option("--engine", help=f"One of {', '.join(ENGINES)}; or several, with commas: they must agree."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Lenient = Annotated[
    bool, typer.Option("--set-aside", help="Go on without the events that cannot be read, naming them.")
]


@app.command()
def check(
    rulebook: RulebookPath,
    strict: Annotated[bool, typer.Option("--strict", help="Findings count as faults.")] = False,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="EVENTS", help="Also name the fields that nothing fills there.")
    ] = None,
    mapping: MappingPath = None,
    as_json: AsJson = False,
) -> None:
    """Load, type-check and lint a rulebook. Exit 1 with file:line:column for each fault.

    Example: watchtower rules check rulebook/ --events events.jsonl
    """
    try:
        loaded, program = program_of(rulebook)
    except RulebookError as error:
        if as_json:
            print_json({"ok": False, "faults": [_fault(f) for f in error.faults], "findings": []})
        else:
            for fault in error.faults:
                errors.print(str(fault), markup=False)
            errors.print(f"[red]{len(error.faults)} fault{'s'[: len(error.faults) != 1]}[/]")
        raise typer.Exit(1) from None
    findings = lint(loaded, program)
    if events is not None:
        findings = sorted(findings + _unfilled(loaded, program, EventFile(events, mapping)))
    failed = bool(strict and findings)
    if as_json:
        print_json({
            "ok": not failed, "version": program.book.version, "rules": len(program.rules),
            "faults": [], "findings": [_fault(f) for f in findings],
        })  # fmt: skip
    else:
        for finding in findings:
            console.print(f"[yellow]warning:[/] {str(finding).replace('[', chr(92) + '[')}")
        verdict = "[red]not accepted (--strict)[/]" if failed else "[green]ok[/]"
        console.print(
            f"{verdict}: {len(program.rules)} rules on {len(program.book.objects)} objects, "
            f"{len(findings)} warnings, version {program.book.version}"
        )
    if failed:
        raise typer.Exit(1)


def _unfilled(loaded: Loaded, program: Program, source: EventFile) -> list[Fault]:
    """A finding for each field that rules read and hardly a record of these events has in the end."""
    kept: list[Event] = []
    history = history_of(program, source, None, set_aside=True, keep=kept)
    if not kept:
        return []
    with duckdb_engine(history.versions) as engine:
        found = unfilled(engine, program, max(event.time for event in kept))
    return [
        loaded.place("objects", name, "fields", field).fault(
            f"{name}.{field} is read by {', '.join(rules[:5])}{', ...' if len(rules) > 5 else ''}, and "
            + (
                f"{known} of {there} records have it ({known / there:.1%})"
                if known
                else f"none of {there} records has it"
            ),
            "see who should fill it, or drop the rule",
        )
        for name, field, known, there, rules in found
    ]


def _fault(fault: Any) -> dict[str, Any]:
    return {
        "file": fault.file, "line": fault.line, "column": fault.column,
        "message": fault.message, "remedy": fault.remedy,
    }  # fmt: skip


@app.command()
def test(rulebook: RulebookPath, as_json: AsJson = False) -> None:
    """Run the examples that stand beside the rules. Exit 1 where one does not do what it says.

    Example: watchtower rules test rulebook/
    """
    loaded, program = program_of(rulebook)
    outcomes = run_examples(loaded, program)
    failed = [outcome for outcome in outcomes if outcome.fault is not None]
    if as_json:
        print_json({
            "version": program.book.version, "passed": len(outcomes) - len(failed), "failed": len(failed),
            "examples": [
                {"rule": o.rule, "kind": o.kind, "at": format_time(o.at), "holds": o.holds, "ok": o.fault is None,
                 "fault": str(o.fault) if o.fault else None}
                for o in outcomes
            ],
        })  # fmt: skip
    else:
        for outcome in failed:
            errors.print(str(outcome.fault), markup=False)
        without = [c.rule.id for c in program.rules if not c.rule.examples]
        if without:
            console.print(f"[yellow]no example:[/] {', '.join(without)}")
        colour = "red" if failed else "green"
        console.print(f"[{colour}]{len(outcomes) - len(failed)} examples passed, {len(failed)} failed[/]")
    if failed:
        raise typer.Exit(1)


@app.command()
def show(
    rulebook: RulebookPath,
    rule: Annotated[
        str, typer.Option("--rule", metavar="ID", help="Only this rule, or those of `deal.proposal`.")
    ] = "",
    derived: Annotated[bool, typer.Option("--derived", help="Only rules that follow from other parts.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every rule as it runs: those written as such, and those that follow from lifecycles, handoffs, budgets,
    cadences and acceptance.

    Example: watchtower rules show rulebook/ --rule opportunity.proposal
    """
    _, program = program_of(rulebook)
    found = [
        c.rule for c in program.rules
        if (c.rule.id == rule or c.rule.id.startswith(f"{rule}.") or not rule) and (c.rule.origin or not derived)
    ]  # fmt: skip
    if rule and not found:
        raise InputError(f"--rule {rule!r} is not in the rulebook", remedy="rules show without it lists all")
    if as_json:
        print_json({
            "version": program.book.version,
            "rules": [
                {**r.model_dump(mode="json", by_alias=True, exclude={"examples"}), "origin": r.origin or None,
                 "examples": len(r.examples)}
                for r in found
            ],
        })  # fmt: skip
        return
    for r in found:
        after = f" for {r.for_}" if r.for_ else ""
        console.print(f"[bold]{r.id}[/]  {r.object}, {r.severity}, to {r.queue}, owner {r.owner or 'nobody'}"
                      f"{', shadow' if r.mode == 'shadow' else ''}")  # fmt: skip
        console.print(f"  when {' '.join(r.when.split())}{after}", markup=False, highlight=False)
        if r.because:
            console.print(f"  {r.because} {r.then}", markup=False, highlight=False)
        if r.origin:
            console.print(f"  from {r.origin}", markup=False, highlight=False)


@app.command(name="eval")
def evaluate(
    rulebook: RulebookPath,
    events: EventsPath,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant, e.g. 2026-03-02T09:00:00Z.")],
    mapping: MappingPath = None,
    engine: Engines = "duckdb",
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """What holds, is unknown, or falls due later, at an instant.

    Example: watchtower rules eval rulebook/ events.jsonl --at 2026-03-05T09:00:00Z --json
    """
    instant = time_option(at, "--at")
    _, program = program_of(rulebook)
    history = history_of(program, EventFile(events, mapping), instant, set_aside)
    states = on_engines(engine, program, history, lambda run: run.states_at(instant))
    if as_json:
        print_json({
            "at": format_time(instant), "version": program.book.version,
            "results": [state.to_json() for state in states],
        })  # fmt: skip
        return
    show_states(states, program, instant)


@app.command()
def backtest(
    rulebook: RulebookPath,
    events: EventsPath,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Start, inclusive.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive.")],
    mapping: MappingPath = None,
    engine: Engines = "duckdb",
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """Every interval in which a rule held on a record.

    Example: watchtower rules backtest rulebook/ events.jsonl --from 2026-01-01T00:00:00Z --to 2026-04-01T00:00:00Z
    """
    first, last = period_of(start, end)
    _, program = program_of(rulebook)
    history = history_of(program, EventFile(events, mapping), None, set_aside)
    with held_on(engine, program, history, first, last) as found:
        if as_json:
            head = {"from": format_time(first), "to": format_time(last), "version": program.book.version}
            print_json_list(head, "intervals", (held.to_json() for held in found))
        else:
            _show_held(found, program)


@app.command()
def gaps(
    rulebook: RulebookPath,
    events: EventsPath,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant.")],
    mapping: MappingPath = None,
    engine: Engines = "duckdb",
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """The fields that starve rules at an instant: what is missing, on how many records, and which rules it silences.

    Example: watchtower rules gaps rulebook/ events.jsonl --at 2026-03-05T09:00:00Z
    """
    instant = time_option(at, "--at")
    program = valued(program_of(rulebook)[1])
    history = history_of(program, EventFile(events, mapping), instant, set_aside)
    found = on_engines(engine, program, history, lambda run: run.gaps_at(instant))
    if as_json:
        print_json({"at": format_time(instant), "version": program.book.version, "gaps": [g.to_json() for g in found]})
        return
    heads = ("field", "weight", "value", "records", "filled", "filled by", "rules")
    table = Table(*heads, box=None, header_style="bold")
    for gap in found:
        filled = "" if gap.fill_rate is None else f"{gap.fill_rate:.0%}"
        worth = f"{gap.value:,.0f}" if gap.value else ""
        field = f"{gap.object}.{gap.field}"
        table.add_row(field, str(gap.weight), worth, str(gap.records), filled, gap.filled_by, ", ".join(gap.rules))
    console.print(table if found else "no rule is unknown")


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The rulebook as it is.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The rulebook as it would be.")],
    events: EventsPath,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="Start, inclusive.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive.")],
    mapping: MappingPath = None,
    engine: Engines = "duckdb",
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """What a change of rules would have changed: alerts gained, lost and moved, by rule, owner and week.

    Example: watchtower rules diff rulebook/ rulebook-new/ events.jsonl --from 2026-01-01T00:00:00Z
    --to 2026-04-01T00:00:00Z
    """
    first, last = period_of(start, end)
    programs = [program_of(rulebook)[1] for rulebook in (old, new)]
    source = EventFile(events, mapping)
    found = []
    for program in programs:
        history = history_of(program, source, None, set_aside)
        found.append(alerting(on_engines(engine, program, history, lambda run: run.held_between(first, last)), program))
    changes = compare(*found)
    owners = {c.rule.id: c.rule.owner or "nobody" for program in programs for c in program.rules}
    zone = programs[1].book.zone
    by = {
        "by_rule": counted(changes, lambda change: change.rule),
        "by_owner": counted(changes, lambda change: owners[change.rule]),
        "by_week": counted(changes, lambda change: week_of(change, zone)),
    }
    if as_json:
        print_json({
            "from": format_time(first), "to": format_time(last), "old": programs[0].book.version,
            "new": programs[1].book.version, "changes": [change.to_json() for change in changes], **by,
        })  # fmt: skip
        return
    console.print(f"{programs[0].book.version} -> {programs[1].book.version}")
    if not changes:
        console.print("no alert would have changed")
    for title, rows in zip(("rule", "owner", "week"), by.values(), strict=True):
        table = Table(title, "gained", "lost", "moved", box=None, header_style="bold")
        for name, row in rows.items():
            table.add_row(name, *(str(row[kind] or "") for kind in ("gained", "lost", "moved")))
        if rows:
            console.print(table)


@app.command()
def explain(
    rulebook: RulebookPath,
    events: EventsPath,
    rule: Annotated[str, typer.Option("--rule", metavar="ID", help="The rule.")],
    record: Annotated[str, typer.Option("--record", metavar="OBJECT/ID", help="The record.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant.")],
    mapping: MappingPath = None,
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """Why a rule holds on a record, or does not: each condition, the value read, and where it came from.

    Example: watchtower rules explain rulebook/ events.jsonl --rule mql_uncontacted --record lead/L-17
    --at 2026-03-05T09:00:00Z
    """
    instant = time_option(at, "--at")
    _, program = program_of(rulebook)
    kept: list[Event] = []
    history_of(program, EventFile(events, mapping), instant, set_aside, keep=kept)
    answer = explain_events(program, kept, rule, record, instant)
    if as_json:
        print_json(answer)
        return
    console.print(answer["sentence"], markup=False)
    for condition in answer["conditions"]:
        mark = {True: "so", False: "not so", None: "unknown"}[condition["value"]]
        console.print(f"  {mark:8} {condition['text']}", markup=False)
        for read in condition["reads"]:
            origin = f"  ({read['source']}, event {read['event']}, {read['at']})" if read["event"] else ""
            console.print(f"             {read['field']} = {read['value']!r}{origin}", markup=False)


@app.command()
def gate(
    rulebook: RulebookPath,
    events: EventsPath,
    record: Annotated[str, typer.Option("--record", metavar="OBJECT/ID", help="The record.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="The instant.")],
    handoff: Annotated[str, typer.Option("--handoff", metavar="NAME", help="The handoff; without it, a move.")] = "",
    action: Annotated[str, typer.Option("--action", help="offer, accept or reject.")] = "offer",
    given: Annotated[
        list[str], typer.Option("--set", metavar="FIELD=VALUE", help="A value that comes with it; may be repeated.")
    ] = [],  # noqa: B006 - typer copies defaults
    mapping: MappingPath = None,
    set_aside: Lenient = False,
    as_json: AsJson = False,
) -> None:
    """May this record be handed over, or make this move? Exit 1 with what is missing where it may not.

    Example: watchtower rules gate rulebook/ events.jsonl --record opportunity/O-7 --set stage=won
    --at 2026-03-05T09:00:00Z
    """
    instant = time_option(at, "--at")
    _, program = program_of(rulebook)
    fields = dict(map(_given, given))
    check_fields(program, record, fields)
    event = passage_event(
        program, record, handoff=handoff or None, action=action, fields=fields,
        id="gate", source="person", time=instant,
    )  # fmt: skip
    kept: list[Event] = []
    history_of(program, EventFile(events, mapping), instant, set_aside, keep=kept)
    passage = try_events(program, kept, event)
    if as_json:
        print_json(passage.to_json())
    elif passage.allowed:
        console.print("[green]allowed[/]")
    else:
        for refusal in passage.refusals:
            console.print(f"[red]refused[/] by [bold]{refusal.rule}[/]: {refusal.because}", highlight=False)
            console.print(f"  {refusal.sentence}", markup=False, highlight=False)
            console.print(f"  {refusal.then}", markup=False, highlight=False)
        if passage.missing:
            console.print(f"missing: {', '.join(passage.missing)}", markup=False)
    if not passage.allowed:
        raise typer.Exit(1)


def _given(text: str) -> tuple[str, Any]:
    """`amount=24000` with the value as JSON where it reads as such, else as text; `amount=` clears it."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--set {text!r} is not FIELD=VALUE", remedy="write --set stage=won")
    try:
        return name, json.loads(value) if value else None
    except ValueError:
        return name, value


def show_states(states: list[State], program: Program, at: datetime) -> None:
    counts: dict[str, Counter[str]] = {}
    for state in states:
        counts.setdefault(state.rule, Counter())[state.state] += 1
    table = Table("rule", "holds", "unknown", "due later", "severity", "owner", box=None, header_style="bold")
    for compiled in program.rules:
        found = counts.get(compiled.rule.id, Counter())
        row = [str(found[kind] or "") for kind in ("holds", "unknown", "pending")]
        table.add_row(compiled.rule.id, *row, compiled.rule.severity, compiled.rule.owner)
    console.print(f"at {format_time(at)}, rulebook {program.book.name} {program.book.version}")
    console.print(table)
    for state in [s for s in states if s.state == "holds"][:20]:
        console.print(
            f"  {state.rule}  {state.record}  since {format_time(state.since) if state.since else 'ever'}",
            markup=False,
        )
    if (more := sum(s.state == "holds" for s in states) - 20) > 0:
        console.print(f"  and {more} more (--json lists all)")


def _show_held(found: Iterable[Held], program: Program) -> None:
    rows: dict[str, tuple[str, ...]] = {}
    for rule, mine in groupby(found, key=lambda held: held.rule):
        records, hours = set(), []
        for held in mine:
            records.add(held.record)
            hours.append((held.until - held.since).total_seconds() / 3600)
        rows[rule] = (str(len(hours)), str(len(records)), f"{median_high(hours):.1f}")
    table = Table("rule", "intervals", "records", "median hours", box=None, header_style="bold")
    for compiled in program.rules:
        table.add_row(compiled.rule.id, *rows.get(compiled.rule.id, ("0", "0", "")))
    console.print(f"rulebook {program.book.name} {program.book.version}")
    console.print(table)
