"""Replay: the journal is walked in order, what follows from it is made again, and held against what is there.

What sources, workers and people said is taken over as it is. Decisions are made again by the functions that made them
first, transaction by transaction, with the time of each as its now; the clock of this machine is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from watchtower.contract import parse_time
from watchtower.errors import InputError, WatchtowerError
from watchtower.flow import intake, merging, work
from watchtower.flow.activation import put_in_force
from watchtower.flow.acts import ENTRIES, PERSON, act
from watchtower.flow.apply import Engine, apply_events
from watchtower.flow.erasure import ERASED
from watchtower.flow.handover import cross
from watchtower.flow.replay_compare import (
    Difference,
    Digest,
    Reader,
    alike,
    body_differs,
    decisions_differ,
    rows_differ,
)
from watchtower.flow.settle import APART, settle
from watchtower.flow.verdicts import FIELD_REJECTED, WITHDRAWALS, person_decides, person_withdraws
from watchtower.rulebook import Loaded, from_content
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.fold import FIELD_ACCEPTED, HEARD
from watchtower.rules.merging import MERGED, UNMERGED
from watchtower.store import journal, rulebooks, scratch
from watchtower.store import work as requests
from watchtower.store.database import Connection, Database
from watchtower.store.scratch import Entry

PAGE = 2_000
"""Entries read at once; a transaction of more is held in memory whole."""
SHOWN = 20
"""Differences that are named; the others are counted."""
_GIVEN = ("field.requested", "signal.requested", merging.REQUESTED, ERASED, APART)
"""What the rule layer asks of workers: taken over like their answers, for it depends on which of them were there."""
_REFUSALS = ("handoff.refused", "transition.refused")
_VERBS = {kind: verb for verb, kind in ENTRIES.items()}


@dataclass
class Replayed:
    """What a replay did and found."""

    until: int = 0
    """The number of the last entry that was replayed."""
    entries: int = 0
    transactions: int = 0
    decisions: int = 0
    """Made again."""
    tables: dict[str, Digest] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    """The first ones."""
    different: int = 0
    """All of them."""
    lacks: list[str] = field(default_factory=list)
    """What an earlier version did not journal."""

    def add(self, *found: Difference, more: int = 0) -> None:
        self.different += len(found) + more
        self.differences += found[: max(0, SHOWN - len(self.differences))]


def replay(
    database: Database,
    *,
    verify: bool,
    until: int | None = None,
    dump: Path | None = None,
    progress: Callable[[int, int], None] = lambda seq, last: None,
) -> Replayed:
    """Rebuild everything from the journal, as it is at this moment, into temporary tables.

    `verify`: hold each decision, and in the end each row, against what is there. `until`: stop after this entry; rows
    are then not compared, since nobody kept them. `dump`: a folder for the rebuilt rows, one file of JSON a table.
    The tower may go on working meanwhile.
    """
    done = Replayed()
    with database.read() as live, scratch.scratch(database) as conn:
        scratch.patient(live)
        last = journal.last_seq(live)
        if until is not None and until < 1:
            raise InputError(f"--until: {until} is no entry's number", remedy=f"the journal holds 1 to {last}")
        stop = last if until is None else min(until, last)
        done.lacks = _lacks(live)
        walk = _Walk(live, conn, done, verify)
        for transaction in transactions(live, stop):
            walk.take(transaction)
            progress(transaction[-1].seq, stop)
        for table in scratch.REBUILT:
            _compare(live if verify and stop == last else None, conn, table, dump, done)
    return done


def transactions(live: Connection, until: int) -> Iterator[list[Entry]]:
    """The entries up to this number, those together that were written together."""
    for _, group in groupby(_entries(live, until), key=lambda e: e.received_at if e.txn is None else e.txn):
        yield list(group)


def _entries(live: Connection, until: int) -> Iterator[Entry]:
    after = 0
    while page := scratch.entries(live, after, until, PAGE):
        after = page[-1].seq
        yield from page


def _lacks(live: Connection) -> list[str]:
    acts, last = scratch.unjournalled(live)
    found = []
    if last:
        found.append(f"entries up to {last} do not say which were written together: their times have to tell")
    if acts:
        found.append(f"{acts} acts of people on alerts were not journalled: what they did cannot be made again")
    return found


def given(entry: Entry) -> bool:
    """Whether an entry is taken over; the others are decisions, to be made again."""
    if entry.layer != "decision" or entry.type in _GIVEN:
        return True
    return entry.type == HEARD and "ran" in entry.event.data


class _Walk:
    """The journal's way through the temporary tables."""

    def __init__(self, live: Connection, conn: Connection, done: Replayed, verify: bool) -> None:
        self.live, self.conn, self.done, self.verify = live, conn, done, verify
        self.engine: Engine | None = None
        self._analyzed = 0

    def take(self, transaction: Sequence[Entry]) -> None:
        """One transaction, in one transaction."""
        done = self.done
        for part in parts(transaction):
            inputs = [entry for entry in part if given(entry)]
            kept = part[len(inputs) :]
            scratch.put(self.conn, inputs)
            seen = part[0].seq - 1 if not inputs else inputs[-1].seq
            if kept:
                scratch.number_from(self.conn, kept[0].seq)
            scratch.hold_clock(self.conn, any(entry.type == "clock.held" for entry in kept))
            found = self._again(inputs, kept)
            made = scratch.entries(self.conn, seen, 2**62, 10**9) if found is None else []
            if self.verify:
                done.add(*filter(None, map(body_differs, inputs)))
                done.add(*(decisions_differ(kept, made) if found is None else [found]))
            if not alike(made, kept):
                # The journal stays what it is, so that one difference does not shift all that follows.
                scratch.cut(self.conn, seen)
                scratch.put(self.conn, kept)
            done.decisions += len(made)
        self.conn.commit()
        done.entries += len(transaction)
        done.transactions += 1
        done.until = transaction[-1].seq
        if done.entries >= 2 * self._analyzed + 500:
            scratch.analyze(self.conn)
            self.conn.commit()
            self._analyzed = done.entries

    def _again(self, inputs: Sequence[Entry], kept: Sequence[Entry]) -> Difference | None:
        """Make the decisions of a part again; what kept them from being made, if anything did."""
        first = (inputs or kept)[0]
        try:
            with self.conn.begin_nested():
                if first.type == "rulebook.activated" and not inputs:
                    self._activate(first)
                elif self.engine is None:
                    raise InputError(f"entry {first.seq} comes before any rulebook was in force")
                elif inputs:
                    _follow(self.conn, self.engine, inputs)
                else:
                    _decide(self.conn, self.engine, first)
        except (WatchtowerError, ValueError, KeyError, TypeError) as error:
            place = f"{first.seq} {first.type} ({first.source}, {first.id})"
            return Difference(
                "journal", place, "", first.type, f"cannot be made again: {type(error).__name__}: {error}"
            )
        return None

    def _activate(self, entry: Entry) -> None:
        data = entry.event.data
        content = rulebooks.content(self.live, data["version"])
        if content is None:
            raise InputError(f"rulebook {data['version']}: its content is not there")
        engine = Engine.of(compile_rulebook(Loaded(from_content(content), {})))
        if engine.program.book.version != data["version"]:
            raise InputError(f"rulebook {data['version']}: its content is that of {engine.program.book.version}")
        put_in_force(self.conn, engine, by=data["by"], now=entry.received_at, note=data["note"], pass_over=True)
        self.engine = engine


_KINDS = {
    "field.proposed": "proposals", "field.answered": "proposals", "signal.answered": "signals",
    "signal.raised": "signals", "field.unanswered": "unanswered", "signal.unanswered": "unanswered",
    merging.PROPOSED: "pairs", merging.ANSWERED: "pairs",
}  # fmt: skip


def kind(entry: Entry) -> str:
    """What is to be done with an input: inputs of one kind that follow each other are taken together."""
    return "core" if entry.layer == "core" else _KINDS.get(entry.type, entry.type)


def parts(transaction: Sequence[Entry]) -> Iterator[list[Entry]]:
    """What was taken, with what was decided on it; more than one where one transaction took several things."""
    part: list[Entry] = []
    for entry in transaction:
        if part and given(entry):
            last = part[-1]
            if not given(last) or kind(entry) != kind(last) or entry.type == "signal.answered":
                yield part
                part = []
        part.append(entry)
    if part:
        yield part


def _follow(conn: Connection, engine: Engine, inputs: Sequence[Entry]) -> None:
    """What follows from what was said."""
    events, now = [entry.event for entry in inputs], inputs[0].received_at
    what = kind(inputs[0])
    if what == "core":
        intake.follow(conn, engine, events, now)
    elif what == HEARD:
        apply_events(conn, engine, events)
    elif what in (ERASED, APART):
        return
    elif what == merging.REQUESTED:
        merging.asked(conn, events)
    elif what == "pairs":
        merging.decide_pairs(conn, engine, events, now)
    elif what == "field.requested":
        work.asked(conn, events)
    elif what == "signal.requested":
        requests.ask(conn, [work.detection(event) for event in events])
    elif what == "signals":
        asked = events[0].data["request"]
        work.admit_signals(conn, engine, requests.requests(conn, [asked])[asked], events[1:], now)
    elif what == "unanswered":
        requests.answered(conn, [event.data["request"] for event in events], now)
    elif what == "proposals":
        proposed = [event for event in events if event.type == "field.proposed"]
        answered = [event for event in events if event.type == "field.answered"]
        work.decide_proposals(conn, engine, proposed, answered, now)
    else:
        raise ValueError(f"{what} is no kind of entry that is known here")


def _decide(conn: Connection, engine: Engine, entry: Entry) -> None:
    """What a person did, else what the clock did."""
    now, data = entry.received_at, entry.event.data
    if entry.source.startswith(PERSON) and entry.type in _VERBS:
        act(
            conn, data["alert"], _VERBS[entry.type], actor=entry.source.removeprefix(PERSON), note=data["note"],
            until=parse_time(data["until"]) if "until" in data else None, assignee=data.get("assignee"),
            verdict=data.get("verdict", ""), now=now,
        )  # fmt: skip
    elif entry.type in (FIELD_ACCEPTED, FIELD_REJECTED) and data.get("by") == "person":
        verdict = "accept" if entry.type == FIELD_ACCEPTED else "reject"
        person_decides(conn, engine, data["proposal"], verdict, actor=data["actor"], note=data["because"], now=now)
    elif entry.type in WITHDRAWALS:
        person_withdraws(conn, engine, data["proposal"], actor=data["actor"], note=data["because"], now=now)
    elif entry.type in (MERGED, UNMERGED, merging.REJECTED) and data.get("by") == "person":
        _join(conn, engine, entry)
    elif entry.type in _REFUSALS:
        cross(
            conn, engine, entry.event.subject, handoff=data["handoff"], action=data.get("action", "offer"),
            fields=data["fields"], actor=data["actor"], note="", now=now, trial=False,
        )  # fmt: skip
    else:
        settle(conn, engine, now)


def _join(conn: Connection, engine: Engine, entry: Entry) -> None:
    """What a person said of two records."""
    now, data = entry.received_at, entry.event.data
    said = {"actor": data["actor"], "note": data["because"], "now": now}
    if entry.type == UNMERGED:
        merging.person_unmerges(conn, engine, data["merge"], **said)
    elif data["proposal"] is None:
        merging.person_merges(conn, engine, entry.object, entry.record, data["into"], **said)
    else:
        verdict = "accept" if entry.type == MERGED else "reject"
        into = data["into"] if entry.type == MERGED else None
        merging.person_decides(conn, engine, data["proposal"], verdict, into=into, **said)


def _compare(live: Connection | None, conn: Connection, table: str, dump: Path | None, done: Replayed) -> None:
    """Count and hash a rebuilt table, write it out, hold it against the live one."""
    if dump is None:
        done.tables[table] = _through(live, conn, table, None, done)
        return
    dump.mkdir(parents=True, exist_ok=True)
    with (dump / f"{table}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        done.tables[table] = _through(live, conn, table, file.write, done)


def _through(
    live: Connection | None, conn: Connection, table: str, keep: Callable[[str], Any] | None, done: Replayed
) -> Digest:
    made = Reader(scratch.lines(conn, table), keep)
    if live is None:
        for _ in made:
            pass
    else:
        count, first = rows_differ(table, scratch.lines(live, table), made)
        if first is not None:
            done.add(first, more=count - 1)
    return made.digest()


__all__ = ["Difference", "Replayed", "replay"]
