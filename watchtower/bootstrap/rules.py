"""The rulebook comes into force, and what it says of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from watchtower.bootstrap.core import Core, Progress
from watchtower.contract import Event, format_time
from watchtower.errors import Missing
from watchtower.flow.activation import activate
from watchtower.flow.apply import Engine
from watchtower.flow.backtest import State, duckdb_engine, states_at
from watchtower.flow.history import fold_history
from watchtower.flow.metrics import Measured, last_months, measure
from watchtower.flow.recurring import Recurring, recurring
from watchtower.flow.replay import Replayed, replay
from watchtower.flow.settle import Settled
from watchtower.flow.streams import folded
from watchtower.rulebook import Loaded, from_content
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.merging import decides
from watchtower.store import journal, reporting, rulebooks
from watchtower.store.database import Connection


class Ruling(Core):
    """The rulebook comes into force, and what it says of the past."""

    def activate(
        self,
        loaded: Loaded,
        *,
        by: str,
        note: str = "",
        pass_over: bool = False,
        progress: Callable[[int], None] = lambda n: None,
    ) -> Settled:
        """Put a rulebook in force; nothing where it is in force already. InputError where earlier events say what it
        does not allow, unless `pass_over`."""
        program = compile_rulebook(loaded)
        if program.book.version == self.rulebook.version:
            return Settled()
        engine = Engine.of(program)
        settled = activate(
            self.database, engine, by=by, now=self.clock(), note=note, pass_over=pass_over, progress=progress
        )
        self._engine = engine
        return settled

    def activations(self) -> list[rulebooks.Activation]:
        """Every rulebook that ever was in force, the first one first."""
        with self.database.read() as conn:
            return rulebooks.history(conn)

    def roll_back(self, version: str = "", *, by: str, note: str = "") -> rulebooks.Activation:
        """Put an earlier rulebook in force again: the one before, or the one named. Missing where there is none."""
        past = [known for known in self.activations() if known.version != self.rulebook.version]
        chosen = [known for known in past if known.version.startswith(version)]
        if not chosen:
            raise Missing(
                f"rulebook {version!r} was never in force" if version else "no other rulebook was ever in force",
                remedy="watchtower rules history lists those that were",
            )
        back = self._loaded(chosen[-1].version)
        # The way back is never barred: what came since and the earlier rulebook does not know is passed over.
        self.activate(back, by=by, note=note or f"back to {chosen[-1].version}", pass_over=True)
        return chosen[-1]

    def shadow(self, since: datetime) -> list[rulebooks.Shadow]:
        """What the rules that run in shadow would have told since then."""
        rules = [rule.id for rule in self.rulebook.rules if rule.mode == "shadow"]
        with self.database.read() as conn:
            return rulebooks.shadow(conn, rules, since, self.clock())

    def book_at(self, at: datetime) -> Program:
        """The rules that were in force at an instant. Missing where there were none yet."""
        with self.database.read() as conn:
            version = rulebooks.version_in_force(conn, at)
        if version is None:
            raise Missing(
                f"no rulebook was in force at {format_time(at)}", remedy="watchtower rules history tells when"
            )
        return compile_rulebook(self._loaded(version))

    def _loaded(self, version: str) -> Loaded:
        with self.database.read() as conn:
            return Loaded(from_content(rulebooks.content(conn, version) or {}), {})

    def states_at(self, at: datetime) -> tuple[Program, list[State]]:
        """What held, was unknown or was due at an instant, under the rules then in force, by the journal of today."""
        program = self.book_at(at)
        with self.database.read() as conn:
            history = fold_history(program, _folded(conn), until=at)
        with duckdb_engine(history.versions) as engine:
            return program, states_at(engine, program, at)

    def measure(self, start: datetime, end: datetime) -> list[Measured]:
        """Every metric of the rulebook in force over [start, end), by the journal of today."""
        with self.database.read() as conn:
            return measure(Loaded(self.rulebook, {}), _folded(conn), start, end)

    def rework(self, start: datetime, end: datetime) -> list[Recurring]:
        """Where work was done again in [start, end), the most frequent first."""
        with self.database.read() as conn:
            return recurring(conn, self.rulebook, start, end)

    def refresh_reporting(self, *, months: int, viewer: str | None) -> tuple[list[str], int]:
        """Make the views of `reporting` anew, and keep the metrics of the last months; the views, and how many values.

        Months are those of the rulebook's zone; this one is measured up to now. StoreError.
        """
        now, book = self.clock(), self.rulebook
        with self._write() as conn:
            views = reporting.install(conn, book.objects, viewer)
        rows = []
        for start, end in last_months(now, book.zone, months):
            rows += [
                reporting.MetricRow(
                    period_start=start, period_end=end, metric=one.metric, part=one.part, value=one.value, cases=one.n,
                    low=one.low, high=one.high, target=book.metrics[one.metric].target,
                    unit=book.metrics[one.metric].unit, owner=book.metrics[one.metric].owner, rulebook=book.version,
                    measured_at=now,
                )
                for one in self.measure(start, min(end, now))
            ]  # fmt: skip
        with self._write() as conn:
            reporting.keep_metrics(conn, rows)
        return views, len(rows)

    def replay(
        self,
        *,
        verify: bool = True,
        until: int | None = None,
        dump: Path | None = None,
        progress: Progress = lambda seq, last: None,
    ) -> Replayed:
        """Make everything again from the journal, beside what is there, and say whether it is the same. InputError."""
        return replay(self.database, verify=verify, until=until, dump=dump, progress=progress)


def _folded(conn: Connection) -> Iterator[Event]:
    """Every entry of the journal that changes a record, in order of arrival, and what was merged."""
    after = 0
    while batch := journal.tail(conn, after, 10_000):
        after = batch[-1][0]
        yield from (event for _, event, layer in batch if folded(event.type, layer) or decides(event))
