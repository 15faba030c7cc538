"""What was just asked, remembered: exactly as long as nothing has changed, or (counts) a moment longer.

A mark of the database is the same as long as nobody has written; an answer made under it is then the answer. Counts of
a full queue cost some ten milliseconds, and would be all there is at fifty pages a second: where somebody has written
since, they may be a little old. What took long to make is told for ten times as long, and made anew in the background.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Any, NamedTuple, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")

CHEAP = 0.010
"""Seconds: what is made within them is never told when it is old."""
FACTOR = 10
OLDEST = 5.0
"""Seconds for which an old count is told while a new one is being made."""
KEPT = 60.0
MOST = 500


class _Made(NamedTuple):
    mark: str
    at: float
    cost: float
    value: Any


class Remembered:
    """Whoever comes while a thing is being made waits for it, unless an old one will do. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Hashable, _Made] = {}
        self._making: dict[Hashable, threading.Lock] = {}

    def exact(self, key: Hashable, mark: str, make: Callable[[], T]) -> T:
        """What `make` gives, or gave under the same mark."""
        return self._get(key, mark, make, 0.0)

    def about(self, key: Hashable, mark: str, make: Callable[[], T]) -> T:
        """What `make` gives, or gave a moment ago, where it costs much."""
        return self._get(key, mark, make, OLDEST)

    def doubt(self) -> None:
        """Somebody here has just changed something, and wants to see it: old counts will not do."""
        with self._lock:
            self._made = {key: made._replace(at=float("-inf")) for key, made in self._made.items()}

    def _get(self, key: Hashable, mark: str, make: Callable[[], T], oldest: float) -> T:
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
            made = self._made.get(key)
        if made is not None:
            age = monotonic() - made.at
            if made.mark == mark and age < KEPT:
                return made.value  # type: ignore[no-any-return]
            if made.cost > CHEAP and age < oldest:
                if age > FACTOR * made.cost and making.acquire(blocking=False):
                    threading.Thread(target=self._anew, args=(key, mark, make, making), daemon=True).start()
                return made.value  # type: ignore[no-any-return]
        with making:
            made = self._made.get(key)
            if made is None or made.mark != mark or monotonic() - made.at >= KEPT:
                made = self._make(key, mark, make)
            return made.value  # type: ignore[no-any-return]

    def _make(self, key: Hashable, mark: str, make: Callable[[], Any]) -> _Made:
        begun = monotonic()
        value = make()
        made = _Made(mark, monotonic(), monotonic() - begun, value)
        with self._lock:
            if len(self._made) >= MOST:
                self._made, self._making = {}, {}
            self._made[key] = made
        return made

    def _anew(self, key: Hashable, mark: str, make: Callable[[], Any], making: threading.Lock) -> None:
        try:
            self._make(key, mark, make)
        except Exception as fault:  # noqa: BLE001  (whoever asks next, once the old one is too old, is told of it)
            log.warning("counts could not be made anew", because=f"{type(fault).__name__}: {fault}")
        finally:
            making.release()
