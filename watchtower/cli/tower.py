"""The commands that need the tower: import, tick, enrich."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from watchtower.bootstrap import Tower, build
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.reading import landed
from watchtower.connectors import gathered, load_mapping, open_source
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.flow.plan import Cost
from watchtower.logs import configure
from watchtower.settings import Settings, read_settings
from watchtower.workers import model_name, model_status, slots

Data = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder (default: WATCHTOWER_DATA, else the user's data folder)."),
]
RulebookOption = Annotated[
    Path | None,
    typer.Option("--rulebook", help="Put this rulebook in force (default: the one in force, else the shipped one)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def settings_of(data: Path | None) -> Settings:
    """The settings of a command; from here on its log goes where they say."""
    settings = read_settings(**({} if data is None else {"data": data}))
    configure(settings.log_format)
    return settings


def open_tower(data: Path | None, rulebook: Path | None = None) -> Tower:
    return build(settings_of(data), rulebook=rulebook)


def bar(unit: str) -> Progress:
    """A progress bar on standard error, gone when it is done."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[count]} " + unit), TimeElapsedColumn(), console=errors, transient=True,
        disable=not errors.is_terminal,  # it would leave an empty line in a log
    )  # fmt: skip


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Set once by Ctrl-C or SIGTERM, to be looked at between two batches; a second one stops at once.

    Python raises KeyboardInterrupt wherever it is; within a weakref's callback it is dropped, and the work goes on.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def import_file(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSONL events (-: standard input), or CSV, Parquet, XES with --mapping."),
    ],
    mapping: Annotated[Path | None, typer.Option("--mapping", help="How rows become events (YAML).")] = None,
    data: Data = None,
    rulebook: RulebookOption = None,
    as_json: AsJson = False,
) -> None:
    """Read a file of events, or of rows that a mapping turns into events, into the journal.

    A bad row is named and set aside, the rest goes in; exit 1 if there were any. Importing again adds nothing twice.
    Ctrl-C stops between two batches: what was acknowledged is kept, and a second run goes on from there.
    More than 50,000 events are sorted by record first (on disk, in the folder for temporary files), which makes the
    import three times as fast; the journal then holds them record by record.

    Example: watchtower import loans.parquet --mapping examples/bpic2012/mapping.yaml
    """
    chosen = load_mapping(mapping) if mapping else None
    source = open_source(landed(file), chosen)
    if rulebook is None and chosen is not None and chosen.rulebook_path is not None:
        rulebook = chosen.rulebook_path
    started = time.perf_counter()
    counts: Counter[str] = Counter()
    named = 0
    with open_tower(data, rulebook) as tower, tower.importing(), bar("events") as progress:
        task = progress.add_task(f"importing {file.name}", total=1.0, count=0)
        with asked_to_stop() as stop:
            for batch, verdicts in tower.take_batches(gathered(source.batches()), origin=file.name):
                counts.update(verdict.status for verdict in verdicts)
                counts["refused"] += len(batch.refused)
                reasons = [f"{r.place}: {r.reason}" for r in batch.refused]
                reasons += [f"event {v.id}: {v.reason}" for v in verdicts if v.status in ("refused", "conflict")]
                for reason in reasons[: max(20 - named, 0)]:
                    errors.print(f"set aside: {reason}", markup=False)
                named += len(reasons)
                progress.update(task, completed=batch.done, count=sum(counts.values()))
                if stop.is_set():
                    break
        if stop.is_set():
            # Leaving by an error: what stands open is not settled by half a history.
            errors.print(f"stopped: {counts['accepted']} events are in; run the same command again to go on")
            raise typer.Exit(130)
    seconds = time.perf_counter() - started
    bad = counts["refused"] + counts["conflict"]
    if as_json:
        print_json(
            {
                **{k: counts[k] for k in ("accepted", "duplicate", "conflict", "quarantined", "refused")},
                "seconds": round(seconds, 3),
            }
        )
    else:
        rate = counts.total() / seconds if seconds else 0
        console.print(
            f"{counts['accepted']} events in, {counts['duplicate']} were there already, {bad} set aside "
            f"({seconds:.1f} s, {rate:,.0f} a second)"
        )
        if counts["quarantined"]:
            console.print(f"{counts['quarantined']} lie ahead, and are taken when their time has come")
        if bad:
            console.print("what was set aside stands among the dead letters: watchtower deadletters list")
    if bad:
        raise typer.Exit(1)


def tick(
    data: Data = None,
    workers: Annotated[
        bool,
        typer.Option("--workers", help="Also take up what worker processes answered, and ask them what is due."),
    ] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Tick on, whenever something falls due, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open and resolve what has fallen due, once. `watchtower up` does this by itself.

    Beside `serve` and `worker` processes run two of `tick --stay --workers`, on two machines: one ticks at a time, and
    where it is killed, or is not heard of for 7 seconds in the midst of a tick, the other goes on. No alert is told
    twice.

    SIGTERM lets the step at hand end, and leaves the others; a second one stops at once.

    Example: watchtower tick --stay --workers
    """
    if stay:
        if as_json:
            raise InputError("--json: answers once, and --stay goes on", remedy="leave one of them away")
        from watchtower.cli.service import tick_on

        tick_on(settings_of(data), workers=workers)
        return
    with open_tower(data) as tower, asked_to_stop() as stop:
        for step in (tower.take_up, tower.hand_down) if workers else ():
            step()
            if stop.is_set():
                raise typer.Exit(143)
        done = tower.tick()
        after = tower.next_instant()
    if as_json:
        print_json({
            "opened": done.opened, "resolved": done.resolved, "corrected": done.corrected,
            "next": format_time(after) if after else None,
        })  # fmt: skip
    else:
        console.print(f"{done.opened} alerts opened, {done.resolved} resolved, {done.corrected} corrected")
        console.print(f"next at {format_time(after)}" if after else "nothing is due later")


def enrich(
    context: typer.Context,
    data: Data = None,
    records: Annotated[
        str | None,
        typer.Option("--records", metavar="A/1,A/2", help="These records, whether they starve a rule or not."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many records.")] = 100,
    no_model: Annotated[bool, typer.Option("--no-model", help="Patterns, gazetteer and classifiers only.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked, and stop.")] = False,
    batch: Annotated[
        bool,
        typer.Option("--batch", help="By the provider's Batch API: cheaper, within a day; run it again."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill the fields that starve rules: ask the worker, and let acceptance rules decide on what it proposes.

    What is asked first is what starves the heaviest rules of the most valuable records for the least money; the
    rulebook's `enrichment.budget` bounds what a run, a day and a record may cost. `--dry-run` shows what would be
    asked, and its price at most, and asks nothing.

    Example: watchtower enrich --dry-run
    """
    if context.invoked_subcommand is not None:
        return
    only = frozenset(part.strip() for part in records.split(",")) if records else None
    for subject in only or ():
        if "/" not in subject:
            raise InputError(f"--records: {subject!r} is not of the form object/id")
    with open_tower(data) as tower:
        if dry_run:
            _show_plan(tower, limit, only, "" if no_model else model_name(tower.settings), as_json)
            return
        if batch:
            _enrich_offline(tower, limit, only, as_json)
            return
        with tower.worker(use_model=not no_model) as worker, bar("records") as progress:
            status = model_status(worker)
            errors.print(f"language model: {status.name}" if status.ready else status.detail, markup=False)
            task = progress.add_task("enriching", total=None, count=0)
            run = tower.enrich(
                worker, limit=limit, only=only, slots=slots(tower.settings),
                progress=lambda done, total: progress.update(task, completed=done, total=total, count=done),
            )  # fmt: skip
    d = run.decided
    if as_json:
        print_json({
            "records": run.requests, "proposals": run.proposals, "accepted": d.accepted, "review": d.review,
            "refused": d.refused, "model": status.name if status.ready else None, "cost": _cost(run.cost),
            "cost_per_accepted": run.cost.money / d.accepted if run.cost.money is not None and d.accepted else None,
        })  # fmt: skip
    else:
        console.print(
            f"{run.requests} records asked about, {run.proposals} proposals: {d.accepted} accepted, "
            f"{d.review} to review, {d.refused} refused"
        )
        if run.cost.calls:
            money = run.cost.money or 0.0
            each = f", {money / d.accepted:.4f} for each accepted field" if d.accepted and money else ""
            console.print(
                f"{run.cost.calls} calls, {run.cost.tokens:,} tokens, {_price(tower, run.cost)}{each} "
                "(by enrichment.prices)"
            )


def _enrich_offline(tower: Tower, limit: int, only: frozenset[str] | None, as_json: bool) -> None:
    with bar("records") as progress:
        task = progress.add_task("enriching", total=None, count=0)
        done = tower.enrich_offline(
            limit=limit, only=only,
            progress=lambda n, total: progress.update(task, completed=n, total=total, count=n),
        )  # fmt: skip
    d = done.run.decided
    if as_json:
        print_json({
            "records": done.run.requests, "proposals": done.run.proposals, "accepted": d.accepted, "review": d.review,
            "refused": d.refused, "taken_back": done.taken, "handed_over": done.handed, "waiting": done.waiting,
        })  # fmt: skip
        return
    console.print(
        f"{done.taken} calls answered by the provider's batches: {d.accepted} values accepted, {d.review} to review, "
        f"{d.refused} refused; {done.handed} calls handed over"
    )
    if done.waiting:
        console.print(f"{done.waiting} batches are under way: run the same command again to take their answers")


def _show_plan(tower: Tower, limit: int, only: frozenset[str] | None, means: str, as_json: bool) -> None:
    made = tower.plan(limit=limit, only=only, means=means)
    if as_json:
        print_json({
            "model": means or None, "currency": tower.rulebook.currency, "cost": _cost(made.cost),
            "passed_over": dict(made.passed_over),
            "asks": [
                {"record": one.request.record.subject, "fields": [f.name for f in one.request.fields],
                 "stale": list(one.stale), "because": list(one.request.because),
                 "documents": [doc.id for doc in one.request.documents], "weight": one.weight, "value": one.value,
                 "rank": one.rank, "cost": _cost(one.cost)}
                for one in made.asks
            ],
        })  # fmt: skip
        return
    table = Table(
        "record", "fields", "rules that starve", "weight", "value", "calls", "tokens", "price", box=None,
        header_style="bold",
    )  # fmt: skip
    for one in made.asks:
        table.add_row(
            one.request.record.subject, ", ".join(f.name for f in one.request.fields), ", ".join(one.request.because),
            str(one.weight), f"{one.value:,.0f}", str(one.cost.calls), f"{one.cost.tokens:,}", _price(tower, one.cost),
        )  # fmt: skip
    console.print(table)
    cost = made.cost
    console.print(
        f"{len(made.asks)} records would be asked about, by {means or 'patterns, gazetteer and classifiers'}: at most "
        f"{cost.calls} calls, {cost.tokens:,} tokens, {_price(tower, cost)}"
    )
    for reason, count in sorted(made.passed_over.items()):
        console.print(f"{count} more are passed over: {reason}")


def _cost(cost: Cost) -> dict[str, float | int | None]:
    return {"calls": cost.calls, "tokens": cost.tokens, "money": cost.money}


def _price(tower: Tower, cost: Cost) -> str:
    if cost.money is None:
        return "no price is known (enrichment.prices)"
    return f"{cost.money:.4f} {tower.rulebook.currency}"
