"""When a model is asked again, when it is left alone, who is asked next, and how fast."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.calls import TRIES, Caller, Lane
from enrichment.errors import CallFailed, ModelError
from enrichment.model import Completion, turned_away
from enrichment.pace import BURST, COOLDOWN, STRIKES, Breaker, Limits, Pace
from prompts import load

SCHEMA = {"properties": {"x": {"type": "string"}}, "required": ["x"]}
GOOD = Completion('{"x": "y"}', 10, 5)


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


class Scripted:
    """A model that says what it is told to, each time a second later."""

    def __init__(self, time: Time, *said: Completion | Exception, name: str = "first", takes: float = 1.0) -> None:
        self.name, self.said, self.time, self.takes = name, list(said), time, takes
        self.left: list[float] = []

    def answer(self, instructions: str, question: str, document: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError("complete is asked")

    def complete(self, *_: Any, seconds: float) -> Completion:
        self.left.append(seconds)
        self.time.now += min(self.takes, seconds)
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def caller(time: Time, *models: Scripted, seconds: float = 60) -> Caller:
    lanes = [
        Lane(model, pace=Pace(Limits(), clock=time, sleep=time.sleep), breaker=Breaker(clock=time)) for model in models
    ]
    return Caller(lanes, seconds=seconds, clock=time, sleep=time.sleep, dice=random.Random(1))


def ask(asked: Caller) -> str:
    called = asked.ask(load("extract.v1"), "- x: y", "text", SCHEMA)
    assert called.said == {"x": "y"}
    return called.model


def test_a_provider_that_says_when_is_asked_again_then_and_not_before() -> None:
    time = Time()
    model = Scripted(time, turned_away(429, "7"), GOOD)
    assert ask(caller(time, model)) == "first"
    assert 1 + 7 + 1 <= time.now <= 1 + 7 * 1.1 + 0.1 + 1


@pytest.mark.parametrize("fault", ["server_error", "network", "deadline", "not_json", "wrong_schema", "oversized"])
def test_what_may_have_been_paid_is_not_asked_again(fault: str) -> None:
    time = Time()
    model = Scripted(time, CallFailed(fault), GOOD)
    with pytest.raises(CallFailed, match=fault):
        ask(caller(time, model))
    assert len(model.left) == 1


def test_what_cost_nothing_is_asked_three_times_at_most() -> None:
    time = Time()
    model = Scripted(time, *[turned_away(429)] * TRIES)
    with pytest.raises(CallFailed, match="rate_limited"):
        ask(caller(time, model))
    assert len(model.left) == TRIES == 3


def test_all_tries_together_have_one_deadline() -> None:
    time = Time()
    model = Scripted(time, turned_away(429, "2"), turned_away(429, "2"), GOOD, takes=5)
    with pytest.raises(CallFailed):
        ask(caller(time, model, seconds=10))
    assert time.now <= 10
    assert model.left[0] == 10 and model.left[-1] < 5


def test_a_provider_that_says_to_come_back_late_is_left_alone_until_then() -> None:
    time = Time()
    model = Scripted(time, turned_away(429, "300"), GOOD)
    asked = caller(time, model)
    with pytest.raises(CallFailed, match="rate_limited"):
        ask(asked)
    with pytest.raises(CallFailed, match="tripped"):
        ask(asked)
    time.now += 300
    assert ask(asked) == "first"


def test_where_a_model_cannot_be_had_the_next_one_is_asked_and_named() -> None:
    for fault in (ModelError("gone"), CallFailed("server_error"), turned_away(401)):
        time = Time()
        second = Scripted(time, GOOD, name="second")
        assert ask(caller(time, Scripted(time, fault), second)) == "second"


def test_a_bad_answer_is_not_taken_to_another_model() -> None:
    time = Time()
    second = Scripted(time, GOOD, name="second")
    with pytest.raises(CallFailed, match="not_json"):
        ask(caller(time, Scripted(time, Completion("no", 1, 1)), second))
    assert second.left == []


def test_an_endpoint_that_fails_is_left_alone_longer_each_time_and_tried_by_one_call() -> None:
    time = Time()
    breaker = Breaker(clock=time)
    for _ in range(STRIKES):
        breaker.admit()
        breaker.failed()
    for rest in (COOLDOWN, 2 * COOLDOWN, 4 * COOLDOWN):
        time.now += rest - 0.1
        with pytest.raises(CallFailed, match="tripped"):
            breaker.admit()
        time.now += 0.2
        breaker.admit()
        with pytest.raises(CallFailed, match="tripped"):
            breaker.admit()
        breaker.failed()
    time.now += 8 * COOLDOWN
    breaker.admit()
    breaker.answered()
    breaker.admit()


@given(
    per_minute=st.integers(1, 600),
    calls=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 400)), min_size=1, max_size=60),
)
def test_no_minute_holds_more_than_the_limit_and_a_burst(per_minute: int, calls: list[tuple[float, int]]) -> None:
    """The oracle counts the calls in every window of a minute that begins at a call."""
    time = Time()
    pace = Pace(Limits(requests_per_minute=per_minute), clock=time, sleep=time.sleep)
    made = []
    for rest, tokens in calls:
        time.now += rest
        try:
            pace.wait(tokens)
        except CallFailed:
            continue
        made.append(time.now)
    for begin in made:
        within = sum(begin <= at < begin + 60 for at in made)
        assert within <= per_minute + per_minute * BURST / 60 + 1


def test_tokens_are_limited_as_calls_are_and_what_was_not_used_is_given_back() -> None:
    time = Time()
    pace = Pace(Limits(tokens_per_minute=600), clock=time, sleep=time.sleep)
    for _ in range(20):
        pace.wait(100)
        pace.spare(100)
    assert time.now == 0
    for _ in range(4):
        pace.wait(100)
    assert time.now == pytest.approx(25, abs=1e-6)


def test_a_turn_that_is_too_far_off_is_not_waited_for() -> None:
    time = Time()
    pace = Pace(Limits(tokens_per_minute=60), clock=time, sleep=time.sleep)
    pace.wait(1000)
    with pytest.raises(CallFailed, match="rate_limited") as caught:
        pace.wait(10)
    assert caught.value.free and time.now == 0


@pytest.mark.parametrize(
    ("status", "after", "reason", "free"),
    [
        (429, None, "rate_limited", True), (429, "3", "rate_limited", True), (503, "3", "unavailable", True),
        (503, None, "server_error", False), (503, "soon", "server_error", False), (500, "3", "server_error", False),
        (401, None, "rejected", True), (400, None, "wrong_schema", False),
    ],
)  # fmt: skip
def test_what_an_http_status_says_about_the_bill(status: int, after: str | None, reason: str, free: bool) -> None:
    fault = turned_away(status, after)
    assert (fault.reason, fault.free) == (reason, free)
    assert fault.after == (3.0 if free and after == "3" else None)
