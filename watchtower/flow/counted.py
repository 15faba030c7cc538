"""What was taken, decided and delivered, as counts of this process. Names that the rulebook does not give are `other`.

Called after the transaction is committed: what was rolled back was not done, and counting may fail no event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from watchtower import metered
from watchtower.contract import Event
from watchtower.flow.intake import Sent, Verdict
from watchtower.flow.settle import Settled
from watchtower.rulebook import Rulebook

if TYPE_CHECKING:
    from watchtower.flow.jobs import Tally


def count_taken(
    book: Rulebook, items: Sequence[Event | Sent], verdicts: Sequence[Verdict], now: datetime, *, live: bool
) -> None:
    """Events at the door. `live`: they came as they happened, so that how late they are says something."""
    counts: Counter[tuple[str, str]] = Counter()
    for item, verdict in zip(items, verdicts, strict=True):
        what = item.what if isinstance(item, Sent) else item
        named = what.source if isinstance(what, Event) else (item.credential if isinstance(item, Sent) else None) or ""
        source = metered.known(named, book.source_names)
        counts[source, metered.known(verdict.status, metered.VERDICTS)] += 1
        if live and verdict.status == "accepted" and isinstance(what, Event):
            metered.INGEST_LAG.labels(source).observe(max((now - what.time).total_seconds(), 0.0))
            metered.LAST_EVENT.labels(source).set(now.timestamp())
    for labels, count in counts.items():
        metered.EVENTS.labels(*labels).inc(count)


def count_settled(done: Settled) -> None:
    """What a tick decided."""
    for what in ("opened", "resolved", "corrected"):
        if count := getattr(done, what):
            metered.DECIDED.labels(what).inc(count)


def count_proposal(status: str) -> None:
    """What acceptance made of one proposal."""
    metered.PROPOSED.labels(metered.known(status, ("accepted", "review", "refused"))).inc()


def count_tally(book: Rulebook, tally: Tally) -> None:
    """What was decided on the answers of workers."""
    for verdict in ("accepted", "review", "refused"):
        if count := getattr(tally.decided, verdict):
            metered.PROPOSED.labels(verdict).inc(count)
    metered.ANSWERS.labels("failed").inc(len(tally.faults))
    metered.ANSWERS.labels("answered").inc(tally.answers - len(tally.faults))
    for request, found in tally.signals.items():
        name = metered.known(request.removeprefix("dq_").partition(".")[0], book.signals)
        metered.DETECTED.labels(name, "failed" if request in tally.faults else "answered").inc()
        metered.RAISED.labels(name, "yes").inc(found.raised - found.held)
        metered.RAISED.labels(name, "held").inc(found.held)


def count_delivery(receiver: str, *, ai_informed: bool, outcome: str, messages: int) -> None:
    """Attempts to deliver. The receiver is one that the rulebook declares: only such are delivered to."""
    metered.DELIVERED.labels(receiver, str(ai_informed).lower(), outcome).inc(messages)
