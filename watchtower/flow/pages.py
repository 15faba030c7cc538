"""A company's own pages as documents: which are wanted, and the events that bring them in.

A page is no worker's word: it is what the company says of itself, and it comes in as what any source says does, by an
event `document.added` through the one door, under the source name `web`. Who fetches takes a domain and gives back
text; it never sees a record. Only domains that a person or a system entered are read: what AI filled leads nowhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.apply import Engine
from watchtower.flow.plan import starving
from watchtower.flow.work import digest, own_domains
from watchtower.store import records, work
from watchtower.store.database import Connection

SOURCE = "web"
"""The name under which pages come in."""
PREFIX = "web:"
"""How the ids of their documents begin: a page that is read again replaces what it said before."""


@dataclass(frozen=True)
class Wanted:
    """One record's pages. `rank`: the severity that starves, times what the starving records are worth."""

    object: str
    record: str
    domain: str
    paths: tuple[str, ...]
    rank: float


def wanted(
    conn: Connection,
    engine: Engine,
    now: datetime,
    *,
    limit: int,
    only: frozenset[str] | None = None,
    resting: Collection[str] = (),
) -> list[Wanted]:
    """The pages to read now, the most wanted first: of records that starve, where the last reading is long ago.

    `resting`: domains that are left alone for now, because they gave no page lately.
    """
    found = []
    by_object: dict[str, dict[str, float]] = {}
    for (name, record), one in starving(conn, engine, now, only).items():
        if name in engine.program.book.enrichment.web:
            by_object.setdefault(name, {})[record] = one.weight * (1 + max(sum(one.worth.values()), 0.0))
    for name, ranks in by_object.items():
        web = engine.program.book.enrichment.web[name]
        since = now - timedelta(days=int(web.again.split()[0]))
        stored, documents = records.load(conn, name, sorted(ranks)), work.documents_of(conn, name, sorted(ranks))
        for record, rank in ranks.items():
            row = stored.get(record)
            if row is None or row.deleted_at is not None:
                continue
            domain = row.state.get(web.domain)
            read = {doc.id: doc.added_at for doc in documents.get(record, ()) if doc.id.startswith(PREFIX)}
            due = tuple(path for path in web.pages if (at := read.get(PREFIX + path)) is None or at < since)
            if domain and due and domain not in resting and str(domain) in own_domains(engine, name, row):
                found.append(Wanted(name, record, str(domain), due, rank))
    return sorted(found, key=lambda one: (-one.rank, one.object, one.record))[:limit]


def page_event(one: Wanted, path: str, url: str, text: str, now: datetime) -> dict[str, Any]:
    """The event that brings a page in, as CloudEvents JSON. `path`: as it was asked for."""
    at = format_time(now)
    return {
        "specversion": "1.0", "id": f"page.{digest(one.object, one.record, path, at)}", "source": SOURCE,
        "type": "document.added", "subject": f"{one.object}/{one.record}", "time": at,
        "data": {"document": PREFIX + path, "kind": "web", "url": url, "text": text},
    }  # fmt: skip
