"""Dead letters go through the door again: when a person says so, or when the time of an event has come.

There is one door: a letter is decoded and taken like what came first, under the source it came with. What was there
already answers `duplicate`, so that a letter redriven twice adds nothing; what is refused again stays, with the reason
it is refused for now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from watchtower.flow import intake
from watchtower.flow.apply import Engine
from watchtower.flow.settle import Settled, apart, settle
from watchtower.store import deadletters
from watchtower.store.database import Connection
from watchtower.store.deadletters import StoredLetter

BATCH = 500
"""Letters that go through the door in one transaction."""
DUE_BATCHES = 10
"""Batches of events that leave quarantine in one tick: five thousand; the others follow with the next."""
_TAKEN = frozenset({"accepted", "duplicate"})


@dataclass(frozen=True)
class Redriven:
    """What became of the letters that went through the door again, by verdict."""

    counts: Counter[str] = field(default_factory=Counter)
    last: int = 0
    """The greatest number among them; 0 where there was none."""


def redrive(
    conn: Connection, engine: Engine, now: datetime, *, seqs: Sequence[int] | None = None, after: int = 0
) -> Redriven:
    """Take the next batch of open letters with numbers above `after`; None as `seqs`: all of them."""
    found = deadletters.lock_redrivable(conn, seqs, after=after, limit=BATCH)
    counts: Counter[str] = Counter()
    for verdicts, _ in _again(conn, engine, found, now):
        counts.update(verdict.status for verdict in verdicts)
    return Redriven(counts, found[-1].seq if found else 0)


def tick(conn: Connection, engine: Engine, now: datetime) -> Settled:
    """Take the events of the future whose time has come, then settle what is due."""
    done, spoken = Settled(), False
    for _ in range(DUE_BATCHES):
        found = deadletters.lock_due(conn, now, BATCH)
        if not found:
            break
        for verdicts, settled in _again(conn, engine, found, now, spoken=spoken):
            done += settled
            spoken = spoken or any(verdict.status == "accepted" for verdict in verdicts)
    return done + settle(conn, engine, now)


def _again(
    conn: Connection, engine: Engine, found: Sequence[StoredLetter], now: datetime, *, spoken: bool = False
) -> Iterator[tuple[list[intake.Verdict], Settled]]:
    """Letters of one origin at a time, in their order. `spoken`: whether others of this transaction went in before."""
    for origin, group in groupby(found, key=lambda letter: letter.origin):
        if spoken:
            apart(conn, now)
        listed = list(group)
        items = [sent for letter in listed for sent in intake.decode([letter.body], letter.credential)]
        taken = intake.take(conn, engine, items, now, origin=origin)
        for status in sorted(_TAKEN):
            seqs = [one.seq for one, v in zip(listed, taken.verdicts, strict=True) if v.status == status]
            deadletters.close(conn, seqs, status, now)
        spoken = spoken or any(verdict.status == "accepted" for verdict in taken.verdicts)
        yield taken.verdicts, taken.settled
