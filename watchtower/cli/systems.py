"""`watchtower sync` reads connected systems; `watchtower systems` says how each stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.progress import TaskID
from rich.table import Table

from watchtower.bootstrap import Tower, system_clock
from watchtower.bootstrap.systems import Synced
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, RulebookOption, asked_to_stop, bar, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.flow import doctor as doctors
from watchtower.flow.doctor import Finding
from watchtower.flow.systems.state import Standing, standing
from watchtower.rulebook import from_content
from watchtower.settings import lacking, read_credentials
from watchtower.store import rulebooks
from watchtower.store.database import Database
from watchtower.store.diagnosis import server_facts
from watchtower.store.migrations import HEAD


def systems(data: Data = None, as_json: AsJson = False) -> None:
    """How each connected system stands: its kind, its last success, the age of its cursor, its last failure, its owner.

    Example: watchtower systems
    """
    with open_tower(data) as tower:
        _show(tower, as_json)


def sync(
    system: Annotated[
        str | None, typer.Argument(metavar="SYSTEM", help="One of the rulebook's systems (default: each of them).")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Read everything again, and end what is no longer there; nothing is said twice."),
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Read nothing: show how each system stands.")] = False,
    data: Data = None,
    rulebook: RulebookOption = None,
    as_json: AsJson = False,
) -> None:
    """Read what changed in connected systems since they were last read, and write back what is to go back.

    The rulebook's systems: says what is read; the credentials stand in the environment (WATCHTOWER_HUBSPOT_TOKEN).
    What was read is kept page by page: stopped or killed, the next run goes on from there. watchtower up does this
    by itself, as often as the rulebook says. Exit 1 where a system could not be read.

    Example: WATCHTOWER_HUBSPOT_TOKEN=pat-... watchtower sync hubspot
    """
    with open_tower(data, rulebook) as tower:
        if listed:
            _show(tower, as_json)
            return
        names = [system] if system else list(tower.rulebook.systems)
        if not names:
            raise InputError(
                "the rulebook connects no systems", remedy="Name them under systems: (docs/connectors.md)."
            )
        done = _read(tower, names, full, as_json)
        tower.tick()
    if as_json:
        print_json({"systems": [_said(one) for one in done]})
    if any(one.fault for one in done):
        raise typer.Exit(1)


def systems_examined(database: Database) -> list[Finding]:
    """The systems that the rulebook in force connects."""
    with database.read() as conn:
        if server_facts(conn).revision != HEAD or (content := rulebooks.active(conn)) is None:
            return []
        book = from_content(content)
        lacks = {
            name: lacking(name, system.is_a)
            for name, system in book.systems.items()
            if read_credentials(name, system.is_a) is None
        }
        return [doctors.systems(standing(conn, book), lacks, system_clock())]


def _read(tower: Tower, names: list[str], full: bool, as_json: bool) -> list[Synced]:
    done = []
    with asked_to_stop() as stop, bar("changes") as progress:
        for name in names:
            task = progress.add_task(f"reading {name}", total=None, count=0)

            def show(so_far: Synced, task: TaskID = task) -> None:
                progress.update(task, count=so_far.took.said)

            one = tower.sync(name, full=full, enough=stop.is_set, progress=show)
            progress.remove_task(task)
            done.append(one)
            if not as_json:
                _tell(one)
            if stop.is_set():
                errors.print("stopped: what was read is in; run the same command again to go on")
                raise typer.Exit(130)
    return done


def _tell(one: Synced) -> None:
    if one.fault:
        errors.print(f"{one.system}: {one.fault}", markup=False)
        if one.remedy:
            errors.print(f"  {one.remedy}", markup=False)
        return
    took = one.took
    more = [
        f"{count} {what}"
        for count, what in (
            (one.gone, "no longer there"), (took.unknown, "references or ids unknown"), (one.wrote, "fields written"),
        ) if count
    ]  # fmt: skip
    tail = f" ({', '.join(more)})" if more else ""
    console.print(f"{one.system}: {took.said} changes read, {took.events} events new{tail}", markup=False)
    if took.refused:
        console.print(f"  {took.refused} were set aside: watchtower deadletters list", markup=False)


def _said(one: Synced) -> dict[str, Any]:
    took = one.took
    return {
        "system": one.system, "changes": took.said, "events": took.events, "refused": took.refused,
        "unknown": took.unknown, "gone": one.gone, "written": one.wrote, "failure": one.fault, "remedy": one.remedy,
    }  # fmt: skip


def _show(tower: Tower, as_json: bool) -> None:
    found, now = tower.systems(), tower.clock()
    if as_json:
        print_json({"systems": [_stands(one, now) for one in found]})
        return
    if not found:
        console.print("the rulebook connects no systems (docs/connectors.md)")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("system", "kind", "owner", "every", "last success", "cursor age", "records", "last failure"):
        table.add_column(title, overflow="fold")
    for one in found:
        table.add_row(
            one.name, one.kind, one.owner, one.every or "it sends", _at(one.succeeded_at), _age(one.moved_at, now),
            str(sum(one.records.values())), _failure(one),
        )  # fmt: skip
    console.print(table)


def _stands(one: Standing, now: datetime) -> dict[str, Any]:
    times = {"began_at": one.began_at, "succeeded_at": one.succeeded_at, "failed_at": one.failed_at}
    return {
        "system": one.name, "kind": one.kind, "owner": one.owner, "every": one.every or None,
        **{key: format_time(at) if at else None for key, at in times.items()},
        "cursor_age_seconds": (now - one.moved_at).total_seconds() if one.moved_at else None,
        "failing": bool(one.failure), "failure": one.failure, "records": one.records, "writes": one.writes,
    }  # fmt: skip


def _failure(one: Standing) -> str:
    if one.failed_at is None:
        return "none"
    first = next(iter(one.failure.splitlines()), "") if one.failure else "over since"
    return f"{format_time(one.failed_at)[:19]}Z: {first}"


def _at(at: datetime | None) -> str:
    return f"{format_time(at)[:19]}Z" if at else "never"


def _age(at: datetime | None, now: datetime) -> str:
    return str(timedelta(seconds=int((now - at).total_seconds()))) if at else "none"
