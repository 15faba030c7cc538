"""What is wrong, in words, each with the remedy: `watchtower doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchtower.contract import format_time
from watchtower.errors import WatchtowerError
from watchtower.flow.systems.state import Standing
from watchtower.rulebook import Loaded, from_content
from watchtower.rules.compile import compile_rulebook
from watchtower.store.database import Database
from watchtower.store.diagnosis import Facts, jobs_facts, server_facts, tower_facts
from watchtower.store.jobs import STALLED
from watchtower.store.migrations import HEAD

LATE = timedelta(minutes=1)
"""A running clock looks every second; what has waited this long waits for a clock that does not run."""
SKEW = timedelta(seconds=5)
"""Between this machine and the database's: beyond it, `now()` here and times stamped there disagree."""
LONG = timedelta(minutes=10)
"""A transaction open for longer keeps the database from cleaning up."""
WAITED = timedelta(hours=1)
"""A batch of jobs that has waited this long waits for workers that do not come."""
ROOM = 1 << 30
"""Bytes of free disk below which it is told."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `state` is ok, note (nothing is wrong; worth knowing) or wrong."""

    name: str
    state: str
    says: str
    remedy: str = ""


def examine(database: Database, now: datetime) -> Iterator[Finding]:
    """Everything that the database can tell, the gravest first. `now`: this machine's clock."""
    with database.read() as conn:
        facts = server_facts(conn)
        if facts.revision == HEAD:
            facts = tower_facts(conn, now - LATE)
    megabytes = facts.size / 1e6
    yield Finding("database", "ok", f"{database.address}: PostgreSQL {facts.server}, {megabytes:,.0f} MB")
    yield _revision(facts)
    yield _skew(facts, now)
    if facts.longest is not None and facts.longest > LONG:
        yield Finding(
            "transactions", "wrong", f"one has been open for {_span(facts.longest)}",
            "Look for it in pg_stat_activity; end it, or wait for it: meanwhile nothing is cleaned up.",
        )  # fmt: skip
    if facts.revision != HEAD:
        return
    yield _rulebook(facts)
    yield _clock(facts, now)
    yield _sources(facts)
    yield _letters(facts)
    yield _notifications(facts, now)


def jobs(database: Database, now: datetime) -> Finding:
    """The queue of the workers."""
    with database.read() as conn:
        facts = jobs_facts(conn, STALLED)
    at_work = "1 worker process" if facts.workers == 1 else f"{facts.workers} worker processes"
    if facts.oldest is None:
        return Finding("jobs", "ok", f"nothing waits; {at_work}")
    says = f"{facts.waiting} batches wait, the oldest for {_span(now - facts.oldest)}; {at_work}"
    if now - facts.oldest > WAITED:
        remedy = "watchtower worker, or watchtower up: nobody takes them." if not facts.workers else (
            "See the workers' logs; more of them work side by side."
        )  # fmt: skip
        return Finding("jobs", "wrong", says, remedy)
    return Finding("jobs", "ok", says)


def disk(free: int, total: int, place: str) -> Finding:
    """Room on a disk."""
    says = f"{free / 1e9:,.1f} GB of {total / 1e9:,.0f} GB free at {place}"
    if free < ROOM:
        return Finding("disk", "wrong", says, "Free some: a full disk stops the database.")
    return Finding("disk", "ok", says)


def model(name: str) -> Finding:
    """The language model that enrichment would use."""
    if name:
        return Finding("model", "ok", f"{name} is at hand")
    return Finding(
        "model", "note", "no language model is at hand: enrichment goes by patterns, gazetteer and classifiers",
        "watchtower models pull, or name an endpoint by WATCHTOWER_LLM_BASE_URL.",
    )  # fmt: skip


def systems(standing: Sequence[Standing], lacking: Mapping[str, str], now: datetime) -> Finding:
    """Connected systems. `lacking`: by name, what to set for credentials that are missing."""
    if lacking:
        listed = "; ".join(f"{name} ({says})" for name, says in lacking.items())
        return Finding(
            "systems", "wrong", f"credentials are missing: {', '.join(lacking)}", f"Set the variables: {listed}."
        )
    failing = [one for one in standing if one.failure]
    if failing:
        says = "; ".join(f"{one.name}: {next(iter(one.failure.splitlines()))}" for one in failing)
        return Finding("systems", "wrong", says, "watchtower sync tries again, and says more.")
    listed = ", ".join(
        f"{one.name} {_span(now - one.succeeded_at)} ago" if one.succeeded_at else f"{one.name} never"
        for one in standing
    )
    return Finding("systems", "ok", f"last read: {listed}" if listed else "the rulebook connects none")


def _revision(facts: Facts) -> Finding:
    if facts.revision == HEAD:
        return Finding("tables", "ok", f"revision {HEAD}, the newest")
    if facts.revision is None:
        return Finding("tables", "wrong", "there are none yet", "Start watchtower once: it makes them.")
    return Finding(
        "tables", "wrong", f"revision {facts.revision}; this version needs {HEAD}",
        "Back up, then start any command of this version: it brings the tables up. If theirs is the newer one, "
        "install that version.",
    )  # fmt: skip


def _skew(facts: Facts, now: datetime) -> Finding:
    skew = abs(facts.clock - now)
    says = f"this machine and the database differ by {skew.total_seconds():.1f} s"
    if skew > SKEW:
        return Finding("time", "wrong", says, "Let both follow a time server (chrony, systemd-timesyncd).")
    return Finding("time", "ok", says)


def _rulebook(facts: Facts) -> Finding:
    if facts.rulebook is None:
        return Finding("rulebook", "wrong", "none is in force", "watchtower rules activate PATH")
    try:
        program = compile_rulebook(Loaded(from_content(facts.rulebook), {}))
    except WatchtowerError as error:
        return Finding(
            "rulebook", "wrong", f"the one in force does not load: {error.message}",
            "watchtower rules rollback, or install the version that put it in force.",
        )  # fmt: skip
    book = program.book
    return Finding("rulebook", "ok", f"{book.name} {book.version}, {len(book.rules)} rules")


def _clock(facts: Facts, now: datetime) -> Finding:
    if facts.importing:
        return Finding("clock", "note", "stands still while history is imported")
    if facts.overdue and facts.oldest is not None:
        return Finding(
            "clock", "wrong", f"{facts.overdue} things are due and undone, the oldest for {_span(now - facts.oldest)}",
            "Run watchtower up, or watchtower tick; if it runs, its log says what hinders it.",
        )  # fmt: skip
    return Finding("clock", "ok", "nothing is overdue")


def _sources(facts: Facts) -> Finding:
    if facts.silent:
        listed = ", ".join(f"{name} since {format_time(since)[:19]}Z" for name, since in facts.silent)
        return Finding("sources", "wrong", f"silent: {listed}", "See that the system sends, and that its key is valid.")
    listed = ", ".join(f"{name} {format_time(at)[:19]}Z" for name, at in sorted(facts.sources.items()))
    return Finding("sources", "ok", f"last heard: {listed}" if listed else "none has sent anything yet")


def _letters(facts: Facts) -> Finding:
    says = f"{facts.letters} open, {facts.quarantined} events wait for their time"
    if facts.letters:
        return Finding("dead letters", "note", says, "watchtower deadletters list; then redrive or discard.")
    return Finding("dead letters", "ok", says)


def _notifications(facts: Facts, now: datetime) -> Finding:
    if facts.untold is not None:
        return Finding(
            "notifications", "wrong", f"due and not tried, the oldest for {_span(now - facts.untold)}",
            "Run watchtower up, or watchtower deliver; if it runs, its log says what hinders it.",
        )  # fmt: skip
    if facts.given_up:
        return Finding(
            "notifications", "wrong", f"{facts.given_up} were given up after days of trying",
            "watchtower outbox list --state dead says why; then watchtower outbox retry.",
        )  # fmt: skip
    return Finding("notifications", "ok", "none is late")


def _span(length: timedelta) -> str:
    return str(timedelta(seconds=int(length.total_seconds())))
