"""The spans of the live service: what is kept when a record's history changes from some instant on. Pure.

Whatever the order in which events arrive, the kept spans are those of the whole history at once; and every
alert that was told on the strength of an earlier reading is either still true or named for correction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from watchtower.rules.spans import FOREVER

Interval = tuple[datetime, datetime]


class Span(msgspec.Struct, frozen=True, kw_only=True, order=True, gc=False):
    """An interval [since, until) in which a rule holds, or is unknown, on a record; None: without end."""

    rule: str
    object: str
    record: str
    state: str
    since: datetime
    until: datetime | None
    opens_at: datetime
    opened: bool = False
    closed: bool = False


class RawSpan(msgspec.Struct, frozen=True, gc=False):
    """What an engine says of one version: `certain` where the rule holds, else where it holds or is unknown."""

    rule: str
    record: str
    certain: bool
    since: datetime
    until: datetime | None


@dataclass
class Change:
    """How the kept spans of one rule on one record change, and which told alerts were told wrongly."""

    gone: list[Span] = field(default_factory=list)
    made: list[Span] = field(default_factory=list)
    withdrawn: list[Span] = field(default_factory=list)
    """Opened, and by what is known now it never held for long enough."""
    reopened: list[Span] = field(default_factory=list)
    """Closed, and by what is known now it ended at another time, or has not ended."""


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Touching and overlapping intervals joined, in order."""
    joined: list[Interval] = []
    for since, until in sorted(intervals):
        if joined and since <= joined[-1][1]:
            if until > joined[-1][1]:
                joined[-1] = (joined[-1][0], until)
        else:
            joined.append((since, until))
    return joined


def subtract(whole: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """What of `whole` is not in `taken`; both merged and in order."""
    left: list[Interval] = []
    for since, until in whole:
        for start, end in taken:
            if end <= since or start >= until:
                continue
            if start > since:
                left.append((since, start))
            since = max(since, end)
            if since >= until:
                break
        if since < until:
            left.append((since, until))
    return left


def revise(
    kept: Sequence[Span],
    raw: Sequence[RawSpan],
    start: datetime,
    *,
    rule: str,
    subject: tuple[str, str],
    opens: Callable[[datetime], datetime],
) -> Change:
    """The spans of one rule on one record after its history changed from `start` on.

    `kept`: those that reach to `start` or beyond. `raw`: the engine's, from `start` on.
    """
    change = Change()
    certain = merge((span.since, span.until or FOREVER) for span in raw if span.certain)
    maybe = merge((span.since, span.until or FOREVER) for span in raw if not span.certain)
    for state, fresh in (("holds", certain), ("unknown", subtract(maybe, certain))):
        mine = {span.since: span for span in kept if span.state == state}
        before = [(span.since, min(span.until or FOREVER, start)) for span in mine.values() if span.since < start]
        for since, until in merge(before + fresh):
            old = mine.pop(since, None)
            end = None if until == FOREVER else until
            opens_at = opens(since)  # anew: another rulebook may give the rule another delay
            if old is not None and old.until == end and old.opens_at == opens_at:
                continue
            opened = old is not None and old.opened
            closed = old is not None and old.closed
            if old is not None and opened and until <= opens_at:
                change.withdrawn.append(old)
                opened = closed = False
            elif old is not None and closed and old.until != end:
                change.reopened.append(old)
                closed = False
            change.made.append(
                Span(
                    rule=rule, object=subject[0], record=subject[1], state=state, since=since, until=end,
                    opens_at=opens_at, opened=opened, closed=closed,
                )
            )  # fmt: skip
        for old in mine.values():
            change.gone.append(old)
            if old.opened:
                change.withdrawn.append(old)
    return change
