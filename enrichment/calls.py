"""Calls to language models: one door that keeps the ledger, the limits, the order of models, and what is known.

A call is named by what is asked. Its intent is committed before it is made and its end after it; what was answered
before is not paid for again. It is tried again only where nothing was paid (the endpoint was not reached, or turned us
away) or the provider says when; all tries together have one deadline. Where a model cannot be had, the next one is
asked.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import structlog

from enrichment.errors import CallFailed, ModelError
from enrichment.ledger import CallLedger, call_key
from enrichment.model import OUTAGES, Completion, ExtractionModel, fenced, parsed
from enrichment.observed import observed
from enrichment.pace import Breaker, Limits, Pace
from prompts import Prompt

log = structlog.get_logger(__name__)

TRIES = 3
FIRST_WAIT = 0.5
"""Seconds before the second try, at most: the wait is drawn anew from nothing to twice as much each time."""
AGAIN = frozenset({"rate_limited", "refused", "unavailable"})
"""What is tried again."""
CHARACTERS = 2.5
"""Characters to a token, at least: what a call takes is estimated from above."""
MOST_OUT = 400
"""Tokens of an answer, at most, where the model does not say."""


@dataclass
class Lane:
    """A model, and how it may be asked."""

    model: ExtractionModel
    provider: str = "local"
    region: str = ""
    """Who reads what it is told, and where; local: nobody else."""
    pace: Pace = field(default_factory=lambda: Pace(Limits()))
    breaker: Breaker = field(default_factory=Breaker)


@dataclass(frozen=True)
class Called:
    """What a model said: the object, the name of the model, and whether it was known already."""

    said: dict[str, Any]
    model: str
    known: bool = False


class Caller:
    """Asks the first model that can be had. Safe in threads."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        ledger: CallLedger | None = None,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        dice: random.Random | None = None,
        content: bool = False,
    ) -> None:
        """`content`: whether spans bear what was asked and said."""
        self.lanes, self._ledger, self._seconds = tuple(lanes), ledger, seconds
        self._clock, self._sleep, self._dice = clock, sleep, dice or random.Random()
        self._content = content
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._wanted: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The first model's."""
        return self.lanes[0].model.name

    def ask(
        self,
        prompt: Prompt,
        question: str,
        document: str,
        schema: Mapping[str, Any],
        *,
        allowed: Callable[[Lane], bool] = lambda lane: True,
    ) -> Called:
        """The answer of the first model that gives one. CallFailed: this document only; ModelError: no model.

        `allowed`: which of them may be told this.
        """
        lanes = [lane for lane in self.lanes if allowed(lane)]
        if not lanes:
            raise CallFailed("withheld", "the rulebook lets no model at hand read this document")
        last = len(lanes) - 1
        for number, lane in enumerate(lanes):
            try:
                return self._through(lane, prompt, question, document, schema)
            except (CallFailed, ModelError) as fault:
                left = isinstance(fault, ModelError) or fault.free or fault.reason in OUTAGES
                if number == last or not left:
                    raise
                log.info("falling back", model=lane.model.name, to=lanes[number + 1].model.name, because=str(fault))
        raise ModelError("no model is named")

    def _through(self, lane: Lane, prompt: Prompt, question: str, document: str, schema: Mapping[str, Any]) -> Called:
        messages = [("system", prompt.text), ("user", fenced(question, document))]
        key = call_key(lane.model.name, prompt.sha256, messages, schema)
        most_in = int(sum(len(text) for _, text in messages) / CHARACTERS + len(json.dumps(schema)) / CHARACTERS)
        most_out = getattr(lane.model, "most_out", MOST_OUT)
        completion: Completion | None = None
        said: dict[str, Any] = {}
        ended: CallFailed | ModelError | None = None
        with self._alone(key):
            # A slot is taken from the intent to the answer: the answer's row is written while the next call leaves.
            with lane.pace.room or nullcontext():
                lane.breaker.admit(claim=False)
                lane.pace.wait(most_in + most_out)
                if self._ledger is not None:
                    intent = self._ledger.intend(key, lane.model.name, most_in, most_out)
                    if intent.status != "go":
                        lane.pace.spare(most_in + most_out)
                        return remembered(intent.status, intent.said, lane.model, schema)
                try:
                    lane.breaker.admit()
                    with observed(lane.model.name, lane.provider, prompt.name, content=self._content) as call:
                        call.asked(messages)
                        completion = self._tried(lane, prompt.text, question, document, schema)
                        call.heard(completion.content, completion.tokens_in, completion.tokens_out)
                        said = read(lane.model, completion.content, schema)
                except (CallFailed, ModelError) as fault:
                    ended = fault
            if ended is not None:
                reason, free = ("no_model", True) if isinstance(ended, ModelError) else (ended.reason, ended.free)
                self._settle(key, reason, free=free, completion=completion)
                raise ended
            assert completion is not None
            self._settle(key, "answered", said=completion.content, completion=completion)
            return Called(said, lane.model.name)

    def _settle(
        self, key: str, outcome: str, *, free: bool = False, said: str | None = None, completion: Completion | None
    ) -> None:
        if self._ledger is not None:
            took = (completion.tokens_in, completion.tokens_out) if completion else (0, 0)
            self._ledger.settle(key, outcome, free=free, said=said, tokens_in=took[0], tokens_out=took[1])

    def _tried(
        self, lane: Lane, instructions: str, question: str, document: str, schema: Mapping[str, Any]
    ) -> Completion:
        """The completion, within one deadline over all tries."""
        deadline = self._clock() + self._seconds
        for tried in range(TRIES):
            try:
                left = deadline - self._clock()
                completion = _completion(lane.model, instructions, question, document, schema, left)
            except ModelError:
                lane.breaker.trip()
                raise
            except CallFailed as fault:
                left = deadline - self._clock()
                wait = self._wait(fault, tried)
                late = fault.after is not None and fault.after > left
                if fault.reason in OUTAGES | {"rejected"}:
                    lane.breaker.failed(hold=fault.after if late else None)
                else:
                    lane.breaker.answered()
                if not fault.free or fault.reason not in AGAIN or wait >= left or tried == TRIES - 1:
                    raise
                self._sleep(wait)
                continue
            lane.breaker.answered()
            return completion
        raise AssertionError("the last try returns or raises")

    def _wait(self, fault: CallFailed, tried: int) -> float:
        """What the provider says, and a little more; else drawn from a span that doubles with each try."""
        with self._lock:
            if fault.after is not None:
                return fault.after + self._dice.uniform(0, 0.1 + 0.1 * fault.after)
            return self._dice.uniform(0, FIRST_WAIT * 2**tried)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """The same call is made by one thread at a time: the others find its answer in the ledger."""
        if self._ledger is None:
            yield
            return
        with self._lock:
            lock = self._busy.setdefault(key, threading.Lock())
            self._wanted[key] += 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._wanted[key] -= 1
                if not self._wanted[key]:
                    del self._wanted[key], self._busy[key]


def _completion(
    model: ExtractionModel, instructions: str, question: str, document: str, schema: Mapping[str, Any], seconds: float
) -> Completion:
    complete = getattr(model, "complete", None)
    if complete is not None:
        found: Completion = complete(instructions, question, document, schema, seconds=seconds)
        return found
    return Completion(json.dumps(model.answer(instructions, question, document, schema)), 0, 0)


def read(model: ExtractionModel, content: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The object that was said. A model that completes nothing answers with the object itself: it stands as it is."""
    if hasattr(model, "complete"):
        return parsed(content, schema)
    found: dict[str, Any] = json.loads(content)
    return found


def remembered(status: str, said: str, model: ExtractionModel, schema: Mapping[str, Any]) -> Called:
    """What the ledger knows of a call that is not made."""
    if status == "known":
        return Called(read(model, said, schema), model.name, known=True)
    if status == "failed":
        raise CallFailed(said, "it was paid for before, and gave no answer")
    if status == "deferred":
        raise CallFailed("deferred", "the provider has it in a batch", free=True)
    raise CallFailed("spent", "the call was intended before; its answer is unknown")
