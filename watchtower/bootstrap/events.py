"""Events come in, the clock goes on, and people are forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from watchtower.ahead import ahead
from watchtower.bootstrap.core import Clock, Core
from watchtower.connectors import Batch, Refused
from watchtower.contract import Event
from watchtower.flow import deadletters, intake, retention
from watchtower.flow.apply import Engine
from watchtower.flow.counted import count_settled, count_taken
from watchtower.flow.delivery import Courier
from watchtower.flow.erasure import Erasure, erase
from watchtower.flow.intake import Sent, Verdict
from watchtower.flow.retention import Retained
from watchtower.flow.settle import Settled
from watchtower.flow.subscribing import receivers, secret_name
from watchtower.flow.watching import job_heard
from watchtower.metered import TICKS, timed
from watchtower.rulebook.telling import Receiver
from watchtower.settings import Settings, read_secret
from watchtower.store import audit, spans, turns
from watchtower.store.backup import forget
from watchtower.store.database import Connection, Database
from watchtower.store.deadletters import DeadLetter, add_deadletters, discard, next_due
from watchtower.store.group import Group
from watchtower.store.subscriptions import subscriptions
from watchtower.tracing import span


class Taking(Core):
    """Events come in, the clock goes on, and people are forgotten."""

    def __init__(self, settings: Settings, database: Database, engine: Engine, clock: Clock) -> None:
        super().__init__(settings, database, engine, clock)
        self._group: Group[Sent, Verdict] = Group(lambda items: self._take(items, "api"))

    def take(self, raw: Sequence[Mapping[str, Any]], *, source: str | None = None) -> list[Verdict]:
        """CloudEvents JSON in; a verdict for each. `source`: the name the sender's credential stands for."""
        # Made ready here, while another's transaction is under way, and not within one's own.
        items = intake.ready(self._engine, intake.decode(raw, source))
        return list(self._group.put(items)) if items else []

    def take_batches(self, batches: Iterable[Batch], *, origin: str) -> Iterator[tuple[Batch, list[Verdict]]]:
        """Batches that a connector reads, each with its verdicts: one is read while the one before goes in."""

        def read(batch: Batch) -> tuple[Batch, list[Sent]]:
            return batch, intake.ready(self._engine, batch.events)

        with closing(ahead(batches, read)) as coming:
            for batch, sent in coming:
                yield batch, self.take_events(sent, refused=batch.refused, origin=origin)

    def take_events(
        self, events: Sequence[Event | Sent], *, refused: Sequence[Refused] = (), origin: str = "import"
    ) -> list[Verdict]:
        """Events that a connector read; rows it could not read go to the dead letters."""
        if refused:
            letters = [DeadLetter(origin=r.place, reason=r.reason, body=r.raw, event=r.event) for r in refused]
            with self._write() as conn:
                add_deadletters(conn, letters, self.clock())
        return self._take(list(events), origin)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While history is read in, alerts stand still; at the end all that is due is settled at once."""
        with turns.importing(self.database):
            yield
        self.tick()

    def _take(self, items: Sequence[Event | Sent], origin: str) -> list[Verdict]:
        if not items:
            return []
        with span("events.take", events=len(items), origin="api" if origin == "api" else "file"), self._write() as conn:
            now = self.clock()
            taken = intake.take(conn, self._engine, items, now, origin=origin)
        count_taken(self._engine.program.book, items, taken.verdicts, now, live=origin == "api")
        count_settled(taken.settled)
        return taken.verdicts

    def redrive(self, seqs: Sequence[int] | None = None, *, by: str = "command line") -> Counter[str]:
        """Dead letters go through the door again, those that can: how many got which verdict. None: all of them."""
        counts: Counter[str] = Counter()
        after = 0
        while True:
            with self._write() as conn:
                now = self.clock()
                done = deadletters.redrive(conn, self._engine, now, seqs=seqs, after=after)
                if done.last:
                    about = f"up to {done.last}"
                    audit.note(conn, actor=by, what="deadletters.redrive", about=about, now=now, data=done.counts)
            counts += done.counts
            if not done.last:
                return counts
            after = done.last

    def discard(self, seq: int, because: str, *, by: str = "command line") -> bool:
        """A dead letter is not wanted; False where it is closed already, or unknown."""
        with self._write() as conn:
            now = self.clock()
            done = discard(conn, seq, because, now)
            if done:
                audit.note(conn, actor=by, what="deadletters.discard", about=str(seq), now=now, data={"note": because})
            return done

    def erase(self, subject: str, *, because: str, by: str) -> Erasure:
        """Erase a person (`contact/C-1`): destroy the key of what is personal. InputError."""
        with self._write() as conn:
            done = self._erase(conn, subject, because, by, self.clock())
        forget(self.database, self.settings.data / "erased.keys", [done.key])
        return done

    def _erase(self, conn: Connection, subject: str, because: str, by: str, now: datetime) -> Erasure:
        done = erase(conn, self._engine, subject, because=because, by=by, now=now)
        audit.note(conn, actor=by, what="person.erase", about=subject, now=now, data={"note": because})
        return done

    def retain(self, days: int, *, by: str, dry: bool = False) -> Retained:
        """Erase whom the rulebook keeps no longer (`keep_personal`), and delete what only the past of operations needs
        and is older than `days`: notifications that went out, closed dead letters, snapshots. `dry`: only count."""
        now, folder = self.clock(), self.settings.data / "snapshots"
        with self.database.read() as conn:
            found = retention.due(conn, self._engine, now, days, folder)
        if dry:
            return found
        for several in retention.lots(found.people):
            with self._write() as conn:
                keys = [self._erase(conn, subject, because, by, now).key for subject, because in several]
            forget(self.database, self.settings.data / "erased.keys", keys)
        with self._write() as conn:
            done = retention.let_go(conn, found, now, days)
            if done.anything:
                audit.note(conn, actor=by, what="retention", about=f"{days} days", now=now, data=done.counts())
        return done

    def tick(self, now: datetime | None = None) -> Settled:
        """Take what waited for its time, and open, resolve and correct what is due."""
        with timed(TICKS), span("tick"), self._write() as conn:
            turns.let_go_when_hung(conn)
            done = deadletters.tick(conn, self._engine, now or self.clock())
            job_heard(conn, self._engine, "clock", now or self.clock())
        count_settled(done)
        return done

    def next_instant(self) -> datetime | None:
        """When the clock alone will change something."""
        with self.database.read() as conn:
            known = (spans.next_instant(conn), next_due(conn))
        return min((instant for instant in known if instant is not None), default=None)

    def _receivers(self) -> dict[str, Receiver]:
        with self.database.read() as conn:
            return receivers(conn, self.rulebook)

    def _secret(self, name: str) -> str | None:
        with self.database.read() as conn:
            own = {secret_name(one.id): one.secret for one in subscriptions(conn)}
        return own.get(name) or read_secret(name)

    @contextmanager
    def courier(self) -> Iterator[Courier]:
        """What carries notifications to the receivers of the rulebook in force, and to who subscribed."""
        courier = Courier(
            self.database, self._receivers, self._secret, self.clock,
            zone=lambda: self.rulebook.zone, pages=self.settings.public_url or "",
        )  # fmt: skip
        try:
            yield courier
        finally:
            courier.close()
