"""`watchtower review`: alert after alert, then proposal after proposal, one key for each decision."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

import click
import typer
from rich.panel import Panel
from rich.text import Text

from watchtower.api.review.evidence import pieces, quotes_in
from watchtower.bootstrap import Tower
from watchtower.cli.alerts import Actor, described, history_of, who
from watchtower.cli.output import console
from watchtower.cli.tower import Data, open_tower
from watchtower.errors import WatchtowerError
from watchtower.flow.acts import FALSE_ALARM, Verb
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertRow, ProposalRow

MOST = 500
KEYS = "a acknowledge/accept  r resolve/reject  f false alarm  s snooze a day  u undo  j next  k back  q quit"
STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue"}
ACTS: dict[str, tuple[Verb, str]] = {
    "a": ("acknowledge", ""), "r": ("resolve", ""), "f": ("resolve", FALSE_ALARM), "s": ("snooze", ""),
}  # fmt: skip


def review(
    data: Data = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Only this queue.")] = None,
    proposals: Annotated[bool, typer.Option("--proposals", help="Only what workers proposed.")] = False,
    actor: Actor = None,
) -> None:
    """Review in the terminal: what is open, the gravest first, then what workers proposed, with its evidence.

    One key decides and goes on: a acknowledges (accepts), r resolves (rejects), f is a false alarm, s snoozes for a
    day, u takes the last one back, j and k go on and back, q ends. Of an input that is no terminal, its characters are
    the keys.

    Example: watchtower review --queue attention-needed
    """
    name = who(actor)
    with open_tower(data) as tower:
        session = Session(tower, name, keys())
        if not proposals:
            session.alerts(queue)
        session.proposals()
    console.print(f"{session.done} decided as {name}")


def keys() -> Iterator[str]:
    """The keys as they are pressed; of a pipe its characters, and then `q`."""
    while True:
        if sys.stdin.isatty():
            yield click.getchar()
        else:
            char = sys.stdin.read(1)
            if not char:
                yield "q"
                return
            if not char.isspace():
                yield char


class Session:
    """One reviewer's way through the queue."""

    def __init__(self, tower: Tower, name: str, pressed: Iterator[str]) -> None:
        self.tower, self.name, self.pressed = tower, name, pressed
        self.done = 0
        self._last: tuple[str, Callable[[], object], str] | None = None
        """What was decided on last, what takes it back, and how it then stands."""
        self._ended = False

    def alerts(self, queue: str | None) -> None:
        """Alert after alert."""
        wanted = AlertFilter(status=("open",), inhibited=False, queue=(queue,) if queue else ())
        with self.tower.database.read() as conn:
            rows = queries.alerts(conn, wanted, after=None, limit=MOST)
        if not rows:
            console.print("nothing is open")
        self._through(rows, self._show_alert, self._act)

    def proposals(self) -> None:
        """Proposal after proposal."""
        with self.tower.database.read() as conn:
            rows = queries.proposals(conn, status=["review"], limit=MOST)
        if rows and not self._ended:
            console.print(f"{len(rows)} proposals wait")
        self._through(rows, self._show_proposal, self._decide)

    def _through(self, rows: list[Any], show: Callable[[Any, str], None], act: Callable[[Any, str], bool]) -> None:
        at, shown = 0, -1
        while at < len(rows) and not self._ended:
            if shown != at:
                show(rows[at], f"{at + 1} of {len(rows)}")
                shown = at
            key = next(self.pressed, "q")
            if key in ("q", "\x03", "\x04", "\x1b"):
                self._ended = True
            elif key == "j":
                at += 1
            elif key == "k":
                at, shown = max(0, at - 1), -1
            elif key == "u":
                self._undo()
            elif key == "?":
                console.print(KEYS)
            elif act(rows[at], key):
                at += 1

    def _said(self, work: Callable[[], object], words: str) -> bool:
        try:
            work()
        except WatchtowerError as fault:
            console.print(f"not done: {fault.message}", style="red", markup=False)
            return True  # somebody else was first: on to the next
        self.done += 1
        console.print(words, style="green", markup=False)
        return True

    def _act(self, row: AlertRow, key: str) -> bool:
        if key not in ACTS:
            console.print(KEYS)
            return False
        verb, verdict = ACTS[key]
        until = self.tower.clock() + timedelta(days=1) if verb == "snooze" else None
        self._last = (row.id, lambda: self.tower.act(row.id, "reopen", actor=self.name), "is open again")
        return self._said(
            lambda: self.tower.act(row.id, verb, actor=self.name, until=until, verdict=verdict, expected=row.revision),
            f"{verb}: {row.subject}",
        )

    def _undo(self) -> None:
        last, self._last = self._last, None
        if last is None:
            console.print("there is nothing to take back")
            return
        about, work, words = last
        before = self.done
        self._said(work, f"taken back: {about} {words}")
        if self.done > before:
            self.done = before - 1

    def _decide(self, row: ProposalRow, key: str) -> bool:
        if key not in ("a", "r"):
            console.print(KEYS)
            return False
        verdict: Literal["accept", "reject"] = "accept" if key == "a" else "reject"
        self._last = (row.id, lambda: self.tower.withdraw(row.id, actor=self.name), "waits for review again")
        return self._said(
            lambda: self.tower.decide(row.id, verdict, actor=self.name), f"{verdict}: {row.field} of {row.subject}"
        )

    def _show_alert(self, row: AlertRow, place: str) -> None:
        fresh, actions = history_of(self.tower, row.id)
        lines = described(self.tower, fresh, actions, self.tower.clock())
        body = Text("\n".join(lines[1:]))
        head = Text(lines[0], style=STYLES.get(row.severity, ""))
        console.print(Panel(body, title=head, title_align="left", subtitle=f"{place}  ? for keys"))

    def _show_proposal(self, row: ProposalRow, place: str) -> None:
        with self.tower.database.read() as conn:
            record = queries.record_by_id(conn, row.object, row.record)
            documents = queries.documents(conn, row.object, row.record)
        evidence = row.evidence if isinstance(row.evidence, list) else []
        body = Text(f"now {record.state.get(row.field) if record else None!r}, would become ")
        body.append(repr(row.value), style="bold")
        body.append(f"\n{row.confidence:.0%} sure, {row.method} {row.model}: {row.because}\n")
        for document in documents:
            marked = quotes_in(document.text, document.id, evidence)
            if marked:
                body.append(f"\n{document.kind} {document.id}: ")
                for piece in pieces(document.text, marked):
                    body.append(" … " if piece.cut else "")
                    body.append(piece.text, style="reverse" if piece.marked else "")
        head = f"proposal: {row.field} of {row.subject}"
        titled = Text(head, style="magenta")
        console.print(Panel(body, title=titled, title_align="left", subtitle=f"{place}  ? for keys"))
