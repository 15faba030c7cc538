"""A rulebook comes into force: every record is folded and evaluated anew, and nobody is told of the past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.flow.apply import Engine, rebuild_records
from watchtower.flow.settle import Settled, settle
from watchtower.rules.compile import Program
from watchtower.store import journal, rulebooks
from watchtower.store.alerts import Closing, NewAction, add_actions, close_alerts
from watchtower.store.database import Database

BATCH = 1000
NO_LONGER = "the rule is no longer in force"


def activate(
    database: Database,
    program: Program,
    *,
    by: str,
    now: datetime,
    progress: Callable[[int], None] = lambda n: None,
) -> Settled:
    """Put a rulebook in force. All of it in one transaction: until it commits, the old one stands."""
    engine, book = Engine.of(program), program.book
    names = [compiled.rule.id for compiled in program.rules]
    with database.begin() as conn:
        rulebooks.save(conn, book.version, book.name, book.content(), now)
        rulebooks.activate(conn, book.version, by=by, now=now)
        subject = f"rulebook/{book.version}"
        seq = journal.last_seq(conn)
        event = Event(
            id=f"rb_{book.version}.{seq}",
            source=CORE_SOURCE,
            type="rulebook.activated",
            subject=subject,
            time=now,
            data={"version": book.version, "by": by},
        )
        journal.append(conn, [event], layer="decision", received_at=now)
        rulebooks.drop_other_spans(conn, names)
        orphans = rulebooks.orphaned_alerts(conn, names)
        close_alerts(conn, [Closing(id=id_, at=format_time(now), resolution=NO_LONGER) for id_ in orphans])
        add_actions(
            conn,
            [
                NewAction(alert=id_, at=format_time(now), actor=CORE_SOURCE, verb="resolved", note=NO_LONGER)
                for id_ in orphans
            ],
        )
        last, done = ("", ""), 0
        settled = Settled()
        while batch := rulebooks.records_after(conn, *last, BATCH):
            known = [row for row in batch if row[0] in engine.folds]
            applied = rebuild_records(conn, engine, known)
            last, done = batch[-1][:2], done + len(batch)
            rulebooks.skip_past_spans(conn, now)
            settled += settle(conn, engine, now, applied)
            progress(done)
    return settled
