"""How fast and whether a provider is asked: rates a minute, calls at once, and a circuit breaker.

The clock (seconds, monotonic) and sleep are passed in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from enrichment.errors import CallFailed

Seconds = Callable[[], float]

STRIKES = 3
"""After this many calls in a row without an answer, the endpoint is left alone for a while."""
COOLDOWN = 30.0
LONGEST = 600.0
"""Seconds that an endpoint is left alone: at first, and at most. Each failed trial doubles it."""
BURST = 5.0
"""Seconds' worth of a rate that may be used at once after a rest."""
PATIENCE = 120.0
"""Seconds that a call waits for its turn under a rate; a later turn is not waited for."""


@dataclass(frozen=True)
class Limits:
    """What a provider allows. 0: no limit. `slots`: calls at once."""

    slots: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


class Rate:
    """At most so many units a minute, with bursts of BURST seconds' worth (at least one call's).

    The generic cell rate algorithm: `_due` is when all that was taken so far will have been earned (ITU-T I.371).
    """

    def __init__(self, per_minute: int, clock: Seconds) -> None:
        self._each = 60.0 / per_minute
        self._clock, self._due = clock, clock() - BURST

    def take(self, units: float) -> float:
        """Take them, and tell how long to wait before they are used."""
        now = self._clock()
        self._due = max(self._due, now - BURST)
        wait = max(0.0, self._due - now)
        self._due += units * self._each
        return wait

    def give_back(self, units: float) -> None:
        """They were not used."""
        self._due -= units * self._each


class Pace:
    """Waits until a call may be made under all limits."""

    def __init__(
        self, limits: Limits, *, clock: Seconds = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._lock, self._sleep = threading.Lock(), sleep
        self._requests = Rate(limits.requests_per_minute, clock) if limits.requests_per_minute else None
        self._tokens = Rate(limits.tokens_per_minute, clock) if limits.tokens_per_minute else None
        self.room = threading.BoundedSemaphore(limits.slots) if limits.slots else None

    def wait(self, tokens: int) -> None:
        """Until a call of about so many tokens may be made. CallFailed where that is too far off."""
        with self._lock:
            waits = [rate.take(n) for rate, n in ((self._requests, 1), (self._tokens, tokens)) if rate is not None]
            wait = max(waits, default=0.0)
            if wait > PATIENCE:
                self._give_back(tokens)
        if wait > PATIENCE:
            raise CallFailed("rate_limited", f"our own limits leave no room for {wait:.0f} s", free=True)
        if wait > 0:
            self._sleep(wait)

    def spare(self, tokens: int) -> None:
        """The call was not made after all."""
        with self._lock:
            self._give_back(tokens)

    def _give_back(self, tokens: int) -> None:
        if self._requests is not None:
            self._requests.give_back(1)
        if self._tokens is not None:
            self._tokens.give_back(tokens)


class Breaker:
    """Leaves an endpoint alone that does not answer; after a while one call may try whether it does again."""

    def __init__(self, *, strikes: int = STRIKES, cooldown: float = COOLDOWN, clock: Seconds = time.monotonic) -> None:
        self._strikes, self._cooldown, self._clock = strikes, cooldown, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self._rest = cooldown
        self._trying = False

    def admit(self) -> None:
        """Return where a call may be made; CallFailed (tripped) where the endpoint is left alone."""
        with self._lock:
            if self._failed < self._strikes and self._clock() >= self._until:
                return
            left = self._until - self._clock()
            if left <= 0 and not self._trying:
                self._trying = True
                return
        raise CallFailed("tripped", f"the endpoint is left alone for {max(left, 0):.0f} s more", free=True)

    def answered(self) -> None:
        """A call was answered, well or badly."""
        with self._lock:
            self._failed, self._until, self._rest, self._trying = 0, 0.0, self._cooldown, False

    def failed(self, *, hold: float | None = None) -> None:
        """A call was not answered. `hold`: the provider says for how long not to come back."""
        with self._lock:
            self._failed += 1
            # Calls that were under way when the endpoint was given up say nothing new.
            if self._trying or self._failed == self._strikes:
                self._until = self._clock() + self._rest
                self._rest = min(2 * self._rest, LONGEST)
            if hold is not None:
                self._until = max(self._until, self._clock() + min(hold, LONGEST))
            self._trying = False

    def trip(self) -> None:
        """There is no endpoint at all."""
        with self._lock:
            self._failed = max(self._failed, self._strikes - 1)
        self.failed()
