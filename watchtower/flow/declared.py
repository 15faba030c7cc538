"""What a detector is told of the rulebook: the lifecycle that a signal's parameters name, as plain text.

    signals:
      off_path:
        object: lead
        detector: conformance
        field: stage
        parameters: {lifecycle: lead}

A worker cannot read the rulebook; with `lifecycle`, the request carries the moves, the starts, the limits and the
fields to be known, as detectors.lifecycle reads them. What the parameters say themselves stands. Limits with a
calendar or a `since` of their own, in months, and criteria that are conditions are left to the rules, which follow
them exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchtower.errors import InputError
from watchtower.rulebook import Rulebook, SignalModel
from watchtower.rulebook.duties import Lifecycle

Parameters = dict[str, str | float | int | bool]

_HOURS = {"minute": 1 / 60, "hour": 1.0, "day": 24.0, "week": 168.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?) (minute|hour|day|week)s?")


def declared_parameters(book: Rulebook, name: str, signal: SignalModel) -> Parameters:
    """The parameters of a signal, its lifecycle written out. InputError names a lifecycle that does not fit."""
    parameters = dict(signal.parameters)
    if "lifecycle" not in parameters:
        return parameters
    asked = parameters.pop("lifecycle")
    cycle = book.lifecycles.get(str(asked))
    if cycle is None:
        raise InputError(
            f"signal {name}: parameters.lifecycle: {asked!r} is not a lifecycle",
            remedy=f"lifecycles: {', '.join(book.lifecycles) or 'none'}",
        )
    about = str(parameters.get("of", signal.object))
    if (cycle.object, cycle.field) != (about, signal.field):
        raise InputError(
            f"signal {name}: the lifecycle {asked} is of {cycle.object}.{cycle.field}, "
            f"and the signal looks at {about}.{signal.field or '(no field)'}",
            remedy=f"set field: {cycle.field}, and object (or parameters.of): {cycle.object}",
        )
    return {**{key: value for key, value in _written(cycle) if value}, **parameters}


def _written(cycle: Lifecycle) -> Iterator[tuple[str, str]]:
    states = cycle.states
    yield "moves", "; ".join(f"{key}>{'|'.join(state.next)}" for key, state in states.items() if state.next)
    yield "starts", ", ".join(cycle.starts)
    limits = {key: _hours(state.at_most.time) for key, state in states.items() if state.at_most and not (
        state.at_most.calendar or state.at_most.since
    )}  # fmt: skip
    yield "limits", "; ".join(f"{key}>{hours:g}" for key, hours in limits.items() if hours)
    needs = {key: [name for name in state.requires.fields if "." not in name]
             for key, state in states.items() if state.requires and state.next}  # fmt: skip
    yield "requires", "; ".join(f"{key}>{'|'.join(names)}" for key, names in needs.items() if names)


def _hours(time: str) -> float:
    """`2 days` as 48; 0 for what is no fixed number of hours."""
    found = _TIME.fullmatch(time.strip())
    return float(found[1]) * _HOURS[found[2]] if found else 0.0
