"""What goes wrong in a generated year without breaking a rule: drifts, detours and early signs, for detectors to find.

Each is drawn from the record's own name, so that the rest of a year stays as it would have been without it. What is
noted as planted is what stands at the year's end; a detector looks at that time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from watchtower.flow.company_log import Log

SHARES = {
    "put_off": 0.2,
    "unsigned_detour": 0.4,
    "raw_turned_away": 0.9,
    "sal_left_out": 0.95,
    "outbound": 0.8,
    "payment_fails_last": 0.035,
    "tickets_burst": 0.05,
    "goes_quiet": 0.03,
}
"""Of deals opened of late; of those decided in discovery in the last weeks; of leads that come to nothing since the
drift began; of the region's accepted leads since then; of leads since then; of subscriptions; of customers; of
customers."""
DRIFT = timedelta(weeks=12)
"""How long before the year's end teams begin to work otherwise."""
LATELY = timedelta(days=26)
HELD_OPEN = timedelta(days=110)
NEWS = timedelta(days=90)
"""How long it is news that somebody left."""
QUIET = timedelta(days=72)
"""For how long nobody has spoken with a customer who fell silent; usual are 15 to 45 days."""
REGION = "southern_europe"
"""The team that leaves out the acceptance of leads."""
ENOUGH_PUSHES = 2
"""How often a deal was put off, from which on it counts as planted."""
FIRST_MONDAY, HALF_YEAR = datetime(1970, 1, 5, tzinfo=UTC), timedelta(weeks=26)


def drawn(record: str, what: str) -> bool:
    """Whether this happens to this record."""
    return Random(f"{record} {what}").random() < SHARES[what]


def marketing_turned(end: datetime) -> datetime:
    """Since when leads come and are taken up otherwise.

    Detectors of rates compare a half-year of 26 weeks, from fixed Mondays on, with the one before. What began before
    the present one is a part of what is usual by now; so it begins with it, once that has lasted four weeks.
    """
    began = FIRST_MONDAY + (end - FIRST_MONDAY) // HALF_YEAR * HALF_YEAR
    return max(began, end - DRIFT) if began <= end - timedelta(weeks=4) else end - DRIFT


def late_in(log: Log, at: datetime, span: timedelta = DRIFT) -> bool:
    """Whether a time lies in the last stretch of the year."""
    return log.end - span <= at < log.end
