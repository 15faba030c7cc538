"""The commands of whoever keeps the tower running: backup, restore, doctor."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from watchtower.bootstrap import system_clock
from watchtower.cli.output import console, print_json
from watchtower.cli.systems import systems_examined
from watchtower.cli.tower import AsJson, Data, open_tower, settings_of
from watchtower.errors import InputError, StoreError
from watchtower.flow import doctor as doctors
from watchtower.flow import erasure
from watchtower.flow.doctor import Finding
from watchtower.settings import Settings
from watchtower.store import backup as backups
from watchtower.store import jobs as jobs_store
from watchtower.store.backup import Manifest
from watchtower.store.database import Database, connect
from watchtower.workers import model_name


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it, such as watchtower.zip.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write everything the tower knows into one file, while it runs. It holds what the tables hold: keep it safe.

    The key of personal data (WATCHTOWER_MASTER_KEY, or master.key in the data folder) is not in it: keep that apart.

    Example: watchtower backup /backups/monday.zip
    """
    if not file.parent.is_dir():
        raise InputError(f"{file.parent}: is no folder")
    database = connect(settings_of(data))
    try:
        manifest = backups.back_up(database, file, system_clock())
    finally:
        database.close()
    _say(manifest, f"backed up to {file}", as_json)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where the database holds something: it is lost.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read the file and compare every hash.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, into an empty database, and its tables to this version. All or nothing.

    Stop the service first (watchtower up, serve, tick, worker). Who was erased since (erased.keys in the data folder)
    stays erased.

    Example: watchtower restore /backups/monday.zip
    """
    if check:
        _say(backups.check(file), f"{file} is whole", as_json)
        return
    settings = settings_of(data)
    database = connect(settings)
    try:
        erased = backups.forgotten(settings.data / "erased.keys")
        manifest = backups.restore(database, file, system_clock(), force=force, erased=erased)
    finally:
        database.close()
    _say(manifest, f"restored {file}", as_json)


def erase(
    subject: Annotated[str, typer.Argument(metavar="OBJECT/ID", help="Whom: contact/C-1.")],
    because: Annotated[str, typer.Option("--because", help="Why; without personal data: it is kept.")],
    by: Annotated[str, typer.Option("--by", help="Who decided it.")] = "command line",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person: destroy the key of what the rulebook marks as personal. It cannot be undone.

    What follows from the rest stays as it was, and a replay passes as before: what was personal reads as (erased).

    Example: watchtower erase contact/C-1 --because "asked on 3 March, ticket 812"
    """
    with open_tower(data) as tower:
        done = tower.erase(subject, because=because, by=by)
    if as_json:
        print_json(erasure.to_json(done))
        return
    console.print(
        f"{subject} is erased: {done.entries} entries of the journal, with what follows from them, read as (erased); "
        f"{done.letters} dead letters were emptied"
    )


def retention(
    days: Annotated[int, typer.Option("--days", min=1, help="How long operations keep what is over.")] = 90,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    by: Annotated[str, typer.Option("--by", help="Who decided it.")] = "command line",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Erase whom the rulebook keeps no longer (keep_personal on an object), and clear away what is over.

    Notifications that went out about alerts that are over, closed dead letters and detectors' snapshots go once they
    are older than --days. The journal, records and alerts stay. `watchtower up` does this once a day.

    Example: watchtower retention --dry-run
    """
    with open_tower(data) as tower:
        done = tower.retain(days, by=by, dry=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, **done.counts(), "subjects": sorted(done.people)})
        return
    for subject, because in sorted(done.people.items()):
        console.print(f"{subject}: {because}", markup=False)
    said = ", ".join(f"{count} {what}" for what, count in done.counts().items())
    console.print(f"{'would go' if dry_run else 'gone'}: {said}")


def doctor(data: Data = None, as_json: AsJson = False) -> None:
    """Look at everything the tower stands on, and say what is wrong and what to do about it; exit 1 if anything is.

    Example: watchtower doctor
    """
    settings = settings_of(data)
    try:
        database = connect(settings)
    except StoreError as error:
        found = [Finding("database", "wrong", error.message, error.remedy)]
    else:
        try:
            found = list(doctors.examine(database, system_clock()))
            found.append(_jobs(settings, database))
            found += systems_examined(database)
        finally:
            database.close()
    if settings.data.is_dir():
        usage = shutil.disk_usage(settings.data)
        found.append(doctors.disk(usage.free, usage.total, str(settings.data)))
    found.append(doctors.model(model_name(settings)))
    wrong = any(one.state == "wrong" for one in found)
    if as_json:
        print_json({
            "wrong": wrong,
            "findings": [{"name": f.name, "state": f.state, "says": f.says, "remedy": f.remedy} for f in found],
        })  # fmt: skip
    else:
        for one in found:
            console.print(f"{one.state:>6}  {one.name}: {one.says}", markup=False)
            if one.remedy:
                console.print(f"        {one.remedy}", markup=False)
    if wrong:
        raise typer.Exit(1)


def _jobs(settings: Settings, core: Database) -> Finding:
    """The jobs database, as it stands: nothing is made."""
    url = settings.jobs_url.get_secret_value() if settings.jobs_url is not None else jobs_store.beside(core.url)
    try:
        database = jobs_store.open_as_worker(url)
    except jobs_store.NotYet:
        return Finding("jobs", "ok", "no worker was ever asked for anything")
    except StoreError as error:
        return Finding("jobs", "wrong", error.message, error.remedy)
    try:
        return doctors.jobs(database, system_clock())
    finally:
        database.close()


def _say(manifest: Manifest, what: str, as_json: bool) -> None:
    rows = sum(table.rows for table in manifest.tables)
    if as_json:
        facts: dict[str, Any] = {
            "taken_at": manifest.taken_at, "watchtower": manifest.watchtower, "revision": manifest.revision,
            "rulebook": manifest.rulebook, "last_seq": manifest.last_seq, "rows": rows,
            "tables": {table.name: {"rows": table.rows, "sha256": table.sha256} for table in manifest.tables},
        }  # fmt: skip
        print_json(facts)
        return
    console.print(
        f"{what}: {rows:,} rows of {len(manifest.tables)} tables, journal up to {manifest.last_seq}, "
        f"revision {manifest.revision}, taken {manifest.taken_at}"
    )
