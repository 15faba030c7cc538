"""A deadline around a call that may never return, in threads that are used again.

A thread is the only bound on name look-ups and headers that drip. One whose call outlasts its deadline is left behind:
it ends with the process, or comes back when its call does. Starting a thread for each call would cost a tenth of
the call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from enrichment.errors import CallFailed

IDLE = 64
"""Threads that wait for the next call, at most."""

_Call = Callable[[], Any]
_idle: list[_Hand] = []
os.register_at_fork(after_in_child=lambda: _idle.clear())  # a child has the list without the threads


class _Hand:
    """A thread that makes one call after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[_Call, _Ended]] = SimpleQueue()
        threading.Thread(target=self._run, name="llm-call", daemon=True).start()

    def take(self, call: _Call) -> _Ended:
        ended = _Ended()
        self._calls.put((call, ended))
        return ended

    def _run(self) -> None:
        while True:
            call, ended = self._calls.get()
            try:
                ended.result = call()
            except BaseException as fault:  # noqa: BLE001 - carried over to the thread that asked
                ended.fault = fault
            del call
            # Free before the caller knows: it may well have the next call.
            stays = len(_idle) < IDLE
            if stays:
                _idle.append(self)
            ended.known.set()
            del ended
            if not stays:
                return


class _Ended:
    """How a call ends."""

    def __init__(self) -> None:
        self.known = threading.Event()
        self.result: Any = None
        self.fault: BaseException | None = None


def within(seconds: float, call: _Call) -> Any:
    """What the call returns or raises, or CallFailed after `seconds`."""
    try:
        hand = _idle.pop()
    except IndexError:
        hand = _Hand()
    ended = hand.take(call)
    if not ended.known.wait(seconds):
        raise CallFailed("deadline", f"no answer within {seconds:g} s")
    if ended.fault is not None:
        raise ended.fault
    return ended.result
