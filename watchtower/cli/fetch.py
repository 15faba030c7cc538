"""`watchtower fetch`: a company's own pages as documents."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, bar, open_tower
from watchtower.errors import InputError


def fetch(
    data: Data = None,
    records: Annotated[
        str | None, typer.Option("--records", metavar="A/1,A/2", help="These records, whether they starve or not.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many records.")] = 20,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which pages would be read, and read none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the own web pages of records whose absent fields starve rules; each becomes a document for `enrich`.

    The rulebook says of which objects, by `enrichment.web`: {account: {domain: domain, again: 90 days}}; `pages`
    lists the paths that are read. Only hosts of the record's own domain are read, only at public addresses, as
    robots.txt allows. What is read comes in as events of the source `web`.

    Example: watchtower fetch --dry-run
    """
    only = frozenset(part.strip() for part in records.split(",")) if records else None
    for subject in only or ():
        if "/" not in subject:
            raise InputError(f"--records: {subject!r} is not of the form object/id")
    with open_tower(data) as tower:
        if not tower.rulebook.enrichment.web:
            raise InputError(
                "the rulebook in force names no pages", remedy="Add enrichment: {web: {account: {domain: domain}}}."
            )
        wanted = tower.wanted_pages(limit=limit, only=only)
        if dry_run:
            rows = [(f"{one.object}/{one.record}", one.domain, list(one.paths)) for one in wanted]
            if as_json:
                print_json([{"record": record, "domain": domain, "pages": pages} for record, domain, pages in rows])
                return
            table = Table("record", "domain", "pages", box=None, header_style="bold")
            for record, domain, pages in rows:
                table.add_row(record, domain, " ".join(pages))
            console.print(table)
            console.print(f"the pages of {len(rows)} records would be read")
            return
        with bar("records") as progress:
            task = progress.add_task("reading", total=len(wanted), count=0)
            done = tower.fetch(wanted, progress=lambda n, total: progress.update(task, completed=n, count=n))
    if as_json:
        print_json({"records": done.records, "pages": done.pages, "unread": done.unread})
        return
    for place, because in done.unread[:20]:
        errors.print(f"not read: {place}: {because}", markup=False)
    console.print(f"{done.pages} pages of {done.records} records read, {len(done.unread)} not")
