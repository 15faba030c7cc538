"""A rulebook comes into force: every record is folded and evaluated anew, and nobody is told of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from watchtower.contract import CORE_SOURCE, Event, format_time
from watchtower.flow.apply import Applied, Engine, evaluate_records, rebuild_records
from watchtower.flow.misfits import find_misfits, refused
from watchtower.flow.outbox import tell_ended
from watchtower.flow.settle import Settled, settle
from watchtower.flow.watching import begin_watching
from watchtower.rulebook import from_content
from watchtower.rulebook.compare import differences
from watchtower.store import audit, journal, rulebooks
from watchtower.store.alerts import Closing, NewAction, add_actions, close_alerts
from watchtower.store.database import Connection, Database

BATCH = 1000
NO_LONGER = "the rule is no longer in force"
CHANGED = "the rule has changed"


def activate(
    database: Database,
    engine: Engine,
    *,
    by: str,
    now: datetime,
    note: str = "",
    pass_over: bool = False,
    progress: Callable[[int], None] = lambda n: None,
) -> Settled:
    """Put a rulebook in force. All of it in one transaction: until it commits, the old one stands.

    InputError where earlier events say what the rulebook does not allow, unless `pass_over`: then that is left out."""
    with database.begin() as conn:
        rulebooks.hold_turn(conn)
        audit.note(
            conn, actor=by, what="rulebook.activate", about=engine.program.book.version, now=now, data={"note": note}
        )
        return put_in_force(conn, engine, by=by, now=now, note=note, pass_over=pass_over, progress=progress)


def put_in_force(
    conn: Connection,
    engine: Engine,
    *,
    by: str,
    now: datetime,
    note: str,
    pass_over: bool,
    progress: Callable[[int], None] = lambda n: None,
) -> Settled:
    """The same, within a transaction that nobody else writes beside."""
    book, names = engine.program.book, list(engine.rules)
    content = rulebooks.active(conn)
    before = None if content is None else from_content(content)
    changes = [] if before is None else [d.to_json() for d in differences(before, book)]
    misfits = [] if before is None else find_misfits(conn, engine, before, _batches(conn, engine))
    if misfits and not pass_over:
        raise refused(misfits)
    rulebooks.save(conn, book.version, book.name, book.content(), now)
    rulebooks.activate(conn, book.version, by=by, now=now, note=note, changes=changes)
    subject = f"rulebook/{book.version}"
    seq = journal.last_seq(conn)
    event = Event(
        id=f"rb_{book.version}.{seq}",
        source=CORE_SOURCE,
        type="rulebook.activated",
        subject=subject,
        time=now,
        data={"version": book.version, "by": by, "note": note, "changes": changes}
        | ({"passed_over": [misfit.to_json() for misfit in misfits]} if misfits else {}),
    )
    journal.append(conn, [event], layer="decision", received_at=now)
    rulebooks.drop_other_spans(conn, names)
    told = [name for name, compiled in engine.rules.items() if compiled.rule.mode == "active"]
    orphans = rulebooks.orphaned_alerts(conn, told)
    close_alerts(conn, [Closing(id=id_, at=format_time(now), resolution=NO_LONGER) for id_ in orphans])
    tell_ended(conn, book, orphans, event.id, now)
    add_actions(
        conn,
        [
            NewAction(alert=id_, at=format_time(now), actor=CORE_SOURCE, verb="resolved", note=NO_LONGER)
            for id_ in orphans
        ],
    )
    for batch in _batches(conn, engine):
        rebuild_records(conn, engine, batch)
    # Only when all are folded: a rule may look through to a record of a later batch.
    applied, done = Applied(), 0
    for batch in _batches(conn, engine):
        found = evaluate_records(conn, engine, batch)
        applied.withdrawn += [span for span in found.withdrawn if not span.closed]
        applied.reopened += found.reopened
        done += len(batch)
        progress(done)
    begin_watching(conn, engine, now)
    rulebooks.skip_past_spans(conn, now)
    rulebooks.tell_standing(conn, told, now)
    return settle(conn, engine, now, applied, because=CHANGED, spoken=True)


def _batches(conn: Connection, engine: Engine) -> Iterator[list[tuple[str, str, datetime]]]:
    last = ("", "")
    while batch := rulebooks.records_after(conn, *last, BATCH):
        last = batch[-1][:2]
        yield [row for row in batch if row[0] in engine.folds]
