"""How often one caller may ask: so many requests a minute, evenly, with a burst at the beginning.

The generic cell rate algorithm (ITU-T I.371): one number a caller, the time at which it would be through with all that
it has asked. Whoever has a credential is counted by it, anybody else by address.
"""

from __future__ import annotations

BURST_SECONDS = 10.0
"""A caller who was quiet may ask at once what is due within so many seconds."""
KNOWN = 10_000
"""Callers remembered; beyond that those who are through are forgotten."""


class Rate:
    """`per_minute` requests for each caller; 0: as many as it likes. Used from one event loop."""

    def __init__(self, per_minute: int, burst_seconds: float = BURST_SECONDS) -> None:
        self.per_minute = per_minute
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._burst = max(burst_seconds, self._gap)
        self._through: dict[str, float] = {}

    def wait(self, caller: str, now: float) -> float:
        """Count a request at `now` (seconds of any clock that only rises): 0 where it may come, else the seconds until
        one may. A request that may not is not counted."""
        if not self._gap:
            return 0.0
        through = max(self._through.get(caller, now), now) + self._gap
        if through - now > self._burst:
            return through - now - self._burst
        if len(self._through) >= KNOWN:
            self._through = {name: at for name, at in self._through.items() if at > now}
        self._through[caller] = through
        return 0.0

    def left(self, caller: str, now: float) -> int:
        """How many more requests may come at once."""
        if not self._gap:
            return 0
        return max(0, int((self._burst - max(self._through.get(caller, now) - now, 0.0)) / self._gap + 1e-9))
