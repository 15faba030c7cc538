"""`watchtower demo`: the whole system on a generated company's year, then the review page."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from watchtower.api.server import claim, is_loopback, serve
from watchtower.bootstrap import Detected, Enriched, Tower, build, system_clock
from watchtower.cli.output import console, errors, print_json, time_option
from watchtower.cli.service import Host, Port, repeat, ticking
from watchtower.cli.tower import AsJson, bar
from watchtower.errors import InputError, ModelError
from watchtower.flow import demo
from watchtower.flow.company import Breach, Year, generate
from watchtower.flow.demo_signals import warned
from watchtower.rulebook import DEFAULT
from watchtower.rules.spans import shift
from watchtower.settings import Settings, read_settings
from watchtower.store import queries, records
from watchtower.store.alerts import told
from watchtower.store.locks import single_service_lock
from watchtower.store.rows import AlertFilter
from watchtower.workers import model_name, model_status, pull_model

MARK = "demo.txt"
BATCH = 2000
MODEL_SECONDS = 90.0
"""How long the language model reads, in the demo; a record it has begun is finished."""


def run(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="A folder for the demo; it is emptied first (default: beside your data, or in it)."
        ),
    ] = None,
    accounts: Annotated[int, typer.Option("--accounts", min=20, help="How large the company is.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Another company.")] = 7,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", help="When the year ends (default: now).")] = None,
    host: Host = None,
    port: Port = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Do without a language model.")] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Fetch the small language model first, if it is not here (0.5 GB).")
    ] = False,
    model_records: Annotated[
        int, typer.Option("--model-records", min=0, help="How many records the model reads.")
    ] = 12,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after the summary.")] = False,
    as_json: AsJson = False,
) -> None:
    """The whole system on a generated company's year: no key, no network. Then the review page.

    The company is made from a seed, with known breaches, stuck deals and missing facts planted in it, so that the
    summary can say what was found and what was not.

    Example: watchtower demo --accounts 60 --no-model
    """
    began = time.perf_counter()
    settings = _settings(data)
    if not no_serve and not is_loopback(host or settings.host):
        raise InputError(
            f"--host: {host or settings.host} is reached by other machines, and a demo has no keys",
            remedy="stay on 127.0.0.1; watchtower up with keys may listen anywhere",
        )
    address = claim(host or settings.host, settings.port if port is None else port) if not no_serve else 0
    now = time_option(end, "--end") if end else system_clock().replace(minute=0, second=0, microsecond=0)
    stop = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(single_service_lock(settings.data))
        _empty(settings.data)
        errors.print("making a company's year", style="dim")
        year = generate(seed, accounts=accounts, start=now - timedelta(days=365), end=now)
        tower = stack.enter_context(build(settings, rulebook=DEFAULT, clock=(lambda: now) if end else system_clock))
        stack.callback(stop.set)
        with tower.importing(), bar("events") as progress:
            task = progress.add_task("a year of events", total=len(year.events), count=0)
            for first in range(0, len(year.events), BATCH):
                tower.take_events(year.events[first : first + BATCH], origin="demo")
                progress.update(task, advance=BATCH, count=min(first + BATCH, len(year.events)))
        page = stack.enter_context(_page(tower, host or settings.host, address, stop)) if not no_serve else None
        errors.print("detectors look at it", style="dim")
        looks = tower.detect()
        runs = _enrich(tower, settings, no_model=no_model, pull=pull, model_records=model_records)
        summary = _summary(tower, year, now, looks, runs, time.perf_counter() - began)
        if as_json:
            print_json(summary)
        else:
            _show(summary)
        if page is not None:
            repeat(ticking(tower), stop, "clock")
            console.print(f"\nreview page: [bold]{page.address}/[/]   (Ctrl-C ends it)")
            page.wait()


def _settings(data: Path | None) -> Settings:
    settings = read_settings(database_url=None)
    folder = data.expanduser().absolute() if data else beside(settings.data)
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise InputError(f"--data: {folder} holds something that is not a demo", remedy="name an empty or a new folder")
    return read_settings(database_url=None, data=folder)


def may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def beside(data: Path, may: Callable[[Path], bool] = may_write) -> Path:
    """`DATA-demo`; `DATA/demo` where nothing can be made beside it, as in a container of which it is the volume."""
    folder = data.with_name(f"{data.name}-demo")
    return folder if folder.exists() or may(next(one for one in data.parents if one.exists())) else data / "demo"


def _empty(folder: Path) -> None:
    """A demo starts anew. Only a folder that a demo marked as its own is emptied."""
    for name in ("postgres", "snapshots"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / MARK).write_text("A folder of `watchtower demo`: each run empties it.\n", encoding="utf-8")


class _page:
    """The review page, served beside the work."""

    def __init__(self, tower: Tower, host: str, port: int, stop: threading.Event) -> None:
        self.address = ""
        self._up, self._stop, self._fault = threading.Event(), stop, list[BaseException]()
        self._thread = threading.Thread(target=self._serve, args=(tower, host, port), name="page", daemon=True)

    def _serve(self, tower: Tower, host: str, port: int) -> None:
        try:
            serve(tower, host, port, ready=self._ready, stop=self._stop)
        except BaseException as error:  # noqa: BLE001  (it is raised again by whoever waits for the page)
            self._fault.append(error)
        finally:
            self._up.set()

    def _ready(self, address: str) -> None:
        self.address = address
        self._up.set()

    def __enter__(self) -> _page:
        self._thread.start()
        self._up.wait()
        if self._fault:
            raise self._fault[0]
        errors.print(f"review page: [bold]{self.address}/[/] (it fills while we go on)")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def wait(self) -> None:
        """Until Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)
        if self._fault:
            raise self._fault[0]


def _enrich(
    tower: Tower, settings: Settings, *, no_model: bool, pull: bool, model_records: int
) -> list[tuple[str, Enriched, float]]:
    """What patterns, gazetteer and classifiers answer, for all; then the language model, for some of the rest."""
    runs = [_one_run(tower, "patterns, gazetteer, classifiers", use_model=False, limit=100_000)]
    if no_model or not model_records:
        return runs
    try:
        if pull and not model_name(settings):
            with bar("MB") as progress:
                task = progress.add_task("fetching the small model", total=None, count=0)
                pull_model(
                    settings, "qwen2.5-coder-0.5b",
                    lambda done, total: progress.update(task, completed=done, total=total, count=done // 1_000_000),
                )  # fmt: skip
        if model_name(settings):
            runs.append(_one_run(tower, "", use_model=True, limit=model_records, seconds=MODEL_SECONDS))
        else:
            errors.print(
                "no language model is here; `watchtower models pull --small` fetches one (0.5 GB)", style="dim"
            )
    except ModelError as error:
        errors.print(f"going on without a language model: {error}", markup=False)
    return runs


def _one_run(
    tower: Tower, name: str, *, use_model: bool, limit: int, seconds: float = 3600
) -> tuple[str, Enriched, float]:
    began = time.perf_counter()
    with tower.worker(use_model=use_model) as worker, bar("records") as progress:
        task = progress.add_task("enriching", total=None, count=0)
        run = tower.enrich(
            worker, limit=limit, enough=lambda: time.perf_counter() - began > seconds,
            progress=lambda done, total: progress.update(task, completed=done, total=total, count=done),
        )  # fmt: skip
        return name or model_status(worker).name, run, time.perf_counter() - began


def _summary(
    tower: Tower,
    year: Year,
    now: datetime,
    looks: list[Detected],
    runs: list[tuple[str, Enriched, float]],
    seconds: float,
) -> dict[str, Any]:
    of_signals = {
        compiled.rule.id
        for compiled in tower.program.rules
        if any(column.field.partition(".")[0] in tower.rulebook.signals for column in compiled.columns)
    }
    with tower.database.read() as conn:
        alerts = [row for row in told(conn) if row[0] not in of_signals]
        objects = {signal.object for signal in tower.rulebook.signals.values()} | {"account"}
        living = {f"{name}/{id_}": state for name in objects for id_, state in records.living(conn, name).items()}
        queues = queries.alert_counts(conn, AlertFilter(status=("open",)), by="queue")

    def told_at(breach: Breach) -> datetime:
        return shift(breach.since, tower.program.by_id[breach.rule].delay, tower.rulebook.zone)

    found = demo.check(year, now, alerts, living, told_at)
    held: dict[str, list[str]] = defaultdict(list)
    for one in tower.held():
        held[one.name].append(one.subject)
    return {
        "events": len(year.events), "rules": len(tower.rulebook.rules), "open_by_queue": queues,
        "breaches": {
            "planted": found.planted, "found": found.found, "missed": found.missed, "invented": found.invented,
        },
        "signals": [
            asdict(warned(
                year, look.signal, look.detector,
                [record for record, state in living.items() if f"{look.signal}.raised_at" in state],
                held[look.signal], living, look.abstained,
            ))
            for look in looks
        ],
        "fields": {name: asdict(tally) for name, tally in found.filled.items()},
        "enrichment": [
            {"by": name, "records": r.requests, "accepted": r.decided.accepted, "review": r.decided.review,
             "refused": r.decided.refused, "seconds": round(took, 1)}
            for name, r, took in runs
        ],
        "seconds": round(seconds, 1),
    }  # fmt: skip


def _show(summary: dict[str, Any]) -> None:
    found = summary["breaches"]
    console.print(f"\n[bold]A year of a company[/]: {summary['events']} events under {summary['rules']} rules")
    console.print(
        f"breaches: {found['found']} of {found['planted']} planted ones found to the microsecond, "
        f"{len(found['invented'])} invented"
    )
    _show_signals(summary["signals"])
    fields = Table("field", "right", "wrong", "left empty", box=None, header_style="bold", title_justify="left")
    for name, tally in summary["fields"].items():
        fields.add_row(name, str(tally["right"]), str(tally["wrong"]), str(tally["empty"]))
    console.print("\nfields the CRM lacked, filled under acceptance rules, beside the truth:")
    console.print(fields)
    for run_ in summary["enrichment"]:
        console.print(
            f"  {run_['by']}: {run_['records']} records read in {run_['seconds']} s, "
            f"{run_['accepted']} values accepted, {run_['review']} to review, {run_['refused']} refused",
            markup=False,
        )
    queue = Table("queue", "open alerts", box=None, header_style="bold")
    for name, count in sorted(summary["open_by_queue"].items(), key=lambda item: -item[1]):
        queue.add_row(name, str(count))
    console.print("\nwhat stands in the queues now:")
    console.print(queue)
    console.print(f"\n{summary['seconds']} s in all")


def _show_signals(signals: list[dict[str, Any]]) -> None:
    table = Table("signal", "detector", "planted", "found", "invented", "held back", "", box=None, header_style="bold")
    for one in signals:
        table.add_row(
            one["signal"], one["detector"], str(one["planted"]), str(one["found"]), str(len(one["invented"])),
            str(one["held"]), one["because"],
        )  # fmt: skip
    console.print("\nearly warnings, beside what was planted (each may err as often as it promises):")
    console.print(table)
