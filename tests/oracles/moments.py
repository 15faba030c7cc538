"""Instants where time is awkward: changes of clocks, ends of months, and a microsecond beside them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from oracles.fields import MICRO, ZONES


def transitions(zone: str) -> list[datetime]:
    """The instants of 2025 and 2026 at which the zone's offset changes, to the half hour."""
    info, found = ZoneInfo(zone), []
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at.year < 2027:
        after = at + timedelta(minutes=30)
        if at.astimezone(info).utcoffset() != after.astimezone(info).utcoffset():
            found.append(after)
        at = after
    return found


_TRANSITIONS = {zone: transitions(zone) for zone in ZONES}


def moment_of(rng: random.Random, zone: str) -> datetime:
    """An instant near a change of clocks, a month's end, or anywhere; often at a round time."""
    info = ZoneInfo(zone)
    kind = rng.randrange(5)
    if kind == 0 and _TRANSITIONS[zone]:
        near = rng.choice(_TRANSITIONS[zone]) + timedelta(days=rng.choice((-31, -2, -1, 0, 0, 1)))
        at = near + timedelta(minutes=30 * rng.randrange(-5, 6))
    elif kind == 1:
        year, month = rng.choice(((2025, 12), (2026, 1), (2026, 2), (2026, 3), (2026, 4), (2026, 5)))
        first = datetime(year + month // 12, month % 12 + 1, 1, rng.choice((0, 0, 9, 23)), tzinfo=info)
        at = first.astimezone(UTC) - timedelta(days=rng.choice((0, 1, 1, 2)))
    elif kind == 2:
        at = datetime(2026, 3, rng.randrange(1, 31), rng.randrange(24), tzinfo=UTC)
    else:
        at = datetime(
            2026, rng.randrange(1, 7), rng.randrange(1, 29), rng.randrange(24), rng.choice((0, 30)), tzinfo=UTC
        )
    return at + rng.choice((0, 0, 0, 0, 1, -1)) * MICRO


def moment_text(rng: random.Random, zone: str) -> str:
    return moment_of(rng, zone).isoformat(timespec="microseconds").replace("+00:00", "Z")


def day_text(rng: random.Random) -> str:
    return rng.choice(
        ("2026-01-31", "2026-03-28", "2026-03-29", "2026-04-05", "2026-02-28", "2026-06-15", "2026-03-08")
    )
