"""What there is to do by the clock, in one look: most batches and ticks find nothing, and need not ask five times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from watchtower.store import alerts, spans, turns
from watchtower.store.direct import ask


class Agenda(NamedTuple):
    """What a transaction that settles finds at its begin."""

    seq: int
    """The greatest number in the journal; 0 where it is empty."""
    importing: bool
    """Whether history is being read in: see `turns.import_under_way`."""
    due: bool
    """Whether a span waits on which an alert opens by now."""
    ended: bool
    """Whether an opened span has ended by now."""
    waking: bool
    """Whether a snooze is over."""
    climbing: bool
    """Whether an alert climbs a rung."""
    held: bool
    """Whether a message waits to be released."""


_LOOK = text(
    f"""
    select coalesce((select max(seq) from journal), 0),
      case when :ask then {turns.IMPORTING} else :given end,
      exists (select from span where {spans.WAITING} and opens_at <= :now {spans.AMONG}),
      exists (select from span where {spans.ENDING} and until <= :now {spans.AMONG}),
      exists (select from alert where {alerts.WAKING}),
      cast(:rungs as json) is not null and exists ({alerts.CLIMBING}),
      exists (select from outbox where state = 'waiting'),
      case when :wait then pg_advisory_xact_lock(:tick)::text end
    """
)


def look(
    conn: Connection, now: datetime, rungs: Sequence[alerts.Rung] = (), rules: Sequence[str] | None = None
) -> Agenda:
    """Take the turn of the tick, to the end of the transaction, and look. `rules`: spans of these alone.

    The journal's turn is held already (`journal.wait`): nothing here changes under the look.
    """
    held = turns.held(conn)
    given = {
        "now": now, "rules": rules, "rungs": alerts.rungs_json(rungs) if rungs else None, "ask": held is None,
        "given": bool(held), "import": turns.IMPORT, "tick": turns.TICK, "wait": not turns.alone(conn),
    }  # fmt: skip
    return Agenda(*ask(conn, _LOOK, given).fetchone()[:7])
