"""Connected systems are read, and written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from watchtower.bootstrap.events import Taking
from watchtower.bootstrap.tokens import KeptTokens
from watchtower.connectors.oauth import renews
from watchtower.connectors.systems import SYSTEMS
from watchtower.contract.system import Cursor, Pulled, Pulls, Pushes
from watchtower.errors import Busy, Missing, SystemFault, WatchtowerError
from watchtower.flow.systems import state, taking, writing
from watchtower.flow.systems.mapping import asked_of, mapping_mark
from watchtower.flow.systems.state import Standing
from watchtower.rulebook.systems import System
from watchtower.settings import lacking, read_credentials
from watchtower.store import systems as store


@dataclass
class Synced:
    """What a round with one system did. `fault`: why it was broken off; empty where it went well."""

    system: str
    took: taking.Took = field(default_factory=taking.Took)
    pages: int = 0
    gone: int = 0
    """Objects that a whole reading did not bring, and that are no more."""
    wrote: int = 0
    """Writes that reached it."""
    fault: str = ""
    remedy: str = ""


Open = Callable[[str, System], Pulls | Pushes]
UNLIKE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading an answer, or a webhook, raises that is not as its vendor's documentation has it."""


class Syncing(Taking):
    """Connected systems are read, and written to."""

    def systems(self) -> list[Standing]:
        """How each connected system stands."""
        with self.database.read() as conn:
            return state.standing(conn, self.rulebook)

    def sync(
        self,
        name: str,
        *,
        full: bool = False,
        open_: Open | None = None,
        progress: Callable[[Synced], None] = lambda done: None,
        enough: Callable[[], bool] = lambda: False,
    ) -> Synced:
        """Read what changed in a system since it was last read; `full`: all of it. Missing where there is none such.

        Each page is taken in one transaction with the cursor: killed anywhere, the next round goes on from there. A
        fault of the system is noted, and given back, not raised.
        """
        system = self.rulebook.systems.get(name)
        if system is None:
            known = ", ".join(self.rulebook.systems) or "none"
            raise Missing(f"the rulebook has no system {name!r}", remedy=f"systems: {known}")
        done = Synced(name)
        try:
            connector = (open_ or self._open)(name, system)
            if isinstance(connector, Pulls):
                with closing(connector):
                    self._pull(name, system, connector, done, full, progress, enough)
                    if isinstance(connector, Pushes) and not enough():
                        self._push(name, connector, done, enough)
        except SystemFault as fault:
            done.fault, done.remedy = fault.message, fault.remedy
            with self._write() as conn:
                state.note_failure(conn, self._engine, name, str(fault), self.clock(), refused=fault.refused)
            return done
        if not enough():
            with self._write() as conn:
                state.note_success(conn, self._engine, name, self.clock())
        return done

    def _open(self, name: str, system: System) -> Pulls | Pushes:
        """What speaks to a system, with the credentials of the environment. SystemFault where they lack."""
        credentials: Mapping[str, str] | None = read_credentials(name, system.is_a)
        if credentials is None:
            raise SystemFault(
                f"{name}: its credentials are not set", remedy=f"Set {lacking(name, system.is_a)}.", refused=True
            )
        tokens = None
        if renews(system.kind, credentials):
            tokens = KeptTokens(self.database, self.clock, name, system.kind, credentials)
        return SYSTEMS[system.kind](credentials, tokens)

    def due_systems(self, now: datetime) -> list[str]:
        """The systems whose time to be read has come; one that failed is tried again after as long."""
        found = []
        with self.database.read() as conn:
            states = store.states(conn)
        for name, system in self.rulebook.systems.items():
            known, every = states.get(name), system.interval
            last = max((at for at in (known.began_at, known.failed_at) if at), default=None) if known else None
            if every is not None and (last is None or now - last >= every):
                found.append(name)
        return found

    def _pull(
        self,
        name: str,
        system: System,
        connector: Pulls,
        done: Synced,
        full: bool,
        progress: Callable[[Synced], None],
        enough: Callable[[], bool],
    ) -> None:
        asked, by = asked_of(self.rulebook, system), mapping_mark(system)
        with self._write() as conn:
            begun = store.begin(conn, name, self.clock(), anew=full)
        cursor, whole, last = begun.cursor, set[str](), None
        # Where the rulebook maps otherwise now, what was read before says more, or something else.
        there = cursor.get("at", {}) if cursor.get("mapping") == by else {}
        for pulled in _as_documented(name, connector.pull(asked, there)):
            last = msgspec.structs.replace(pulled, cursor={"mapping": by, "at": pulled.cursor})
            whole.update(pulled.whole)
            if not (pulled.changes or pulled.events):
                continue  # how far it was read is written with the next page, or at the end
            done.took += self._take_page(name, cursor, last, begun.round)
            cursor, last = last.cursor, None
            done.pages += 1
            progress(done)
            if enough():
                return
        if last is not None and last.cursor != cursor:
            self._take_page(name, cursor, last, begun.round)
            cursor = last.cursor
        for theirs in sorted(whole):
            self._look_for_missing(name, theirs, connector, done, cursor, begun.round)

    def _push(self, name: str, connector: Pushes, done: Synced, enough: Callable[[], bool]) -> None:
        """What was accepted goes back. One thing that is refused does not hold up the others; its owner is told."""
        if not self.rulebook.systems[name].write:
            return
        looked = writing.PAGE
        while looked == writing.PAGE:
            with self._write() as conn:
                looked = writing.plan_writes(conn, self._engine.program.book, name, self.clock())
        refused: list[str] = []
        while not enough():
            outcome, because = writing.write_next(self.database, self.rulebook, name, connector, self.clock())
            if outcome == "none":
                break
            done.wrote += outcome == "written"
            if outcome == "refused":
                refused.append(because)
        if refused:
            raise SystemFault(
                f"{len(refused)} writes were refused, the first: {refused[0]}",
                remedy="watchtower outbox list --state dead names them; then watchtower outbox retry.", refused=True,
            )  # fmt: skip

    def _take_page(self, name: str, cursor: Cursor, pulled: Pulled, round_: int) -> taking.Took:
        with self._write() as conn:
            held = store.hold(conn, name)
            if held is None or held.cursor != cursor or held.round != round_:
                raise Busy(f"{name}: another process reads it, too", remedy="Let one of them read it.")
            if name not in self._engine.program.book.systems:
                raise WatchtowerError(f"{name}: the rulebook now in force does not name it", remedy="Nothing to do.")
            return taking.take_page(conn, self._engine, name, pulled, round_, self.clock())

    def _look_for_missing(
        self, name: str, theirs: str, connector: Pulls, done: Synced, cursor: Cursor, round_: int
    ) -> None:
        """What all of it did not bring is no more, unless it is still there when asked for by its id."""
        while True:
            with self.database.read() as conn:
                unseen = store.unseen(conn, name, theirs, round_)
            if not unseen:
                return
            try:
                there = connector.present(theirs, [link.id for link in unseen])
            except UNLIKE as error:
                raise _unlike(name, error) from error
            with self._write() as conn:
                gone = taking.take_missing(conn, self._engine, name, unseen, there, round_, self.clock())
            done.gone += gone


def _as_documented(name: str, pages: Iterable[Pulled]) -> Iterator[Pulled]:
    """The same pages. SystemFault where an answer is read that is not as it was documented: one system's must hold up
    no other one."""
    coming = iter(pages)
    while True:
        try:
            page = next(coming, None)
        except UNLIKE as error:
            raise _unlike(name, error) from error
        if page is None:
            return
        yield page


def _unlike(name: str, error: Exception) -> SystemFault:
    return SystemFault(
        f"{name}: an answer is not as its documentation has it: {type(error).__name__}: {str(error)[:200]}",
        remedy="See what stands between: a proxy, a mock. Else this version cannot read what the system says now.",
    )
