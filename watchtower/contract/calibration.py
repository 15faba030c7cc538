"""What a detector's promise came to on data in which nothing is wrong."""

from __future__ import annotations

import msgspec


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one cohort, simulated from what the detector has fitted."""

    cohort: str
    promised: float
    """The share of false alarms that the request allows, in (0, 1)."""
    raised: int
    judged: int
    """How many could have been raised."""
    per: str
    """What the promise is about: `26 weekly runs`, `stay`, `gap`."""

    @property
    def realised(self) -> float | None:
        """The share raised; None where nothing was judged."""
        return self.raised / self.judged if self.judged else None
