"""Counts that every page asks for: remembered for a moment where they cost something, and made only once meanwhile.

Fifty thousand open alerts are counted in some ten milliseconds; at fifty pages a second that would be all there is.
What took so long to make is told for ten times as long, a second at most: at most a tenth of a core goes into it. What
is made at once is made anew each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

CHEAP = 0.010
FACTOR = 10
LONGEST = 1.0
MOST = 500


class Remembered:
    """Whoever comes while a thing is being made waits for it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Hashable, tuple[float, Any]] = {}
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives for this key, or gave a moment ago."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            until, value = self._made.get(key, (0.0, None))
            begun = monotonic()
            if begun < until:
                return value  # type: ignore[no-any-return]
            value = make()
            now = monotonic()
            with self._lock:
                if len(self._made) >= MOST:
                    self._made, self._making = {}, {key: making}
                if now - begun > CHEAP:
                    self._made[key] = (now + min(FACTOR * (now - begun), LONGEST), value)
            return value
