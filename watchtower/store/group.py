"""Group commit: callers that come while a transaction is under way share the next one.

A single event in a transaction of its own pays for a whole batch: each query once, each lock once, one flush to disk.
Whoever comes first writes at once, alone; those who come meanwhile wait, and go in together. Nobody waits for company.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from watchtower.errors import StoreError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

LARGEST = 2000
"""Items of a shared transaction, about: a caller's own are never divided."""


@dataclass
class _Caller(Generic[Item, Answer]):
    items: Sequence[Item]
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answers: Sequence[Answer] = ()
    error: BaseException | None = None


class Group(Generic[Item, Answer]):
    """Calls `write` with the items of one or of many callers; it gives an answer for each item, in order.

    Where a shared write fails, each caller's items are written by themselves: a fault is its caller's alone.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Answer]]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_Caller[Item, Answer]] = []
        self._busy = False

    def put(self, items: Sequence[Item]) -> Sequence[Answer]:
        """The answers to one caller's items, once they are committed. Raises what `write` raises on them."""
        me: _Caller[Item, Answer] = _Caller(items)
        with self._lock:
            self._waiting.append(me)
            if not self._busy:
                self._busy = me.leads = True
        if not me.leads:
            me.woken.wait()
        if me.leads:
            self._lead()
        if me.error is not None:
            raise me.error
        return me.answers

    def _lead(self) -> None:
        """Write what waits, the leader's own first of all, then let the next in line lead."""
        with self._lock:
            shared = self._next()
        try:
            self._serve(shared)
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].woken.set()
                else:
                    self._busy = False
            for caller in shared[1:]:
                caller.woken.set()

    def _next(self) -> list[_Caller[Item, Answer]]:
        taken, size = 1, len(self._waiting[0].items)
        while taken < len(self._waiting) and size + len(self._waiting[taken].items) <= LARGEST:
            size += len(self._waiting[taken].items)
            taken += 1
        shared, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return shared

    def _serve(self, shared: Sequence[_Caller[Item, Answer]]) -> None:
        try:
            answers = self._write([item for caller in shared for item in caller.items])
        except BaseException as error:  # noqa: BLE001  (kept for the caller it belongs to)
            # Where the database is away or locked, each caller alone would wait for it anew, one after the other.
            if len(shared) == 1 or isinstance(error, StoreError) or not isinstance(error, Exception):
                for caller in shared:
                    caller.error = error
                return
            for caller in shared:
                self._serve([caller])
            return
        at = 0
        for caller in shared:
            caller.answers = answers[at : at + len(caller.items)]
            at += len(caller.items)
