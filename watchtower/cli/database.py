"""`watchtower database`: the roles of a PostgreSQL server."""

from __future__ import annotations

from typing import Annotated

import typer

from watchtower.bootstrap import build
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, settings_of
from watchtower.store.jobs import name_of
from watchtower.store.roles import checked, create_roles, open_doors, role_url, scripts

app = typer.Typer(name="database", no_args_is_help=True, help="The roles of the database's server.")


@app.callback()
def _group() -> None:
    """The roles of the database's server."""


@app.command("roles")
def roles(
    data: Data = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Before each name: several towers on one server.")] = "",
    connections: Annotated[
        int, typer.Option("--connections", min=1, max=1000, help="Connections that all workers may hold together.")
    ] = 20,
    show: Annotated[
        bool, typer.Option("--sql", help="Print the SQL, for an administrator to run; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create the roles tower, worker and viewer, or mend them, as an administrator of the server.

    tower runs the service and owns the tables. worker may connect to the jobs database only, read what it is asked
    and answer. viewer may read the core's tables. A new role gets a password, which is printed once.

    Example: DATABASE_URL=postgresql://postgres@db/watchtower watchtower database roles
    """
    named = checked(prefix, connections)
    with build(settings_of(data)) as tower:
        jobs_url = tower.jobs_url
        if show:
            for database, script in scripts(named, name_of(tower.database.url), name_of(jobs_url)):
                print(f"\\connect {database}\n\n{script}")
            return
        jobs = tower.desk.database
        passwords = create_roles(tower.database, jobs, named)
        warnings = open_doors(tower.database, jobs, named)
        where = {named.tower: tower.database.url, named.worker: jobs_url, named.viewer: tower.database.url}
    addresses = {name: role_url(where[name], name, password) for name, password in passwords.items()}
    if as_json:
        print_json(
            {
                "roles": [
                    {"name": name, "url": addresses[name], "new": password is not None}
                    for name, password in passwords.items()
                ],
                "open": warnings,
            }
        )
        return
    for name, password in passwords.items():
        note = "" if password is not None else "   (was there; its password stays)"
        console.print(f"{name}: {addresses[name]}{note}", markup=False)
    console.print("the service: DATABASE_URL, and WATCHTOWER_JOBS_URL for the same role; a worker: WATCHTOWER_JOBS_URL")
    for warning in warnings:
        errors.print(f"{named.worker}: {warning}", markup=False)


__all__ = ["app"]
