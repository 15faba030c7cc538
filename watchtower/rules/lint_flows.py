"""Findings about lifecycles and handoffs: states no one can leave or reach, and handovers nobody answers for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from watchtower.errors import Fault
from watchtower.rulebook import Loaded
from watchtower.rulebook.duties import Lifecycle


def flows(loaded: Loaded) -> Iterator[Fault]:
    """Every finding about lifecycles and handoffs, with its place."""
    for name, cycle in loaded.rulebook.lifecycles.items():
        yield from _lifecycle(loaded, name, cycle)
    for name, handoff in loaded.rulebook.handoffs.items():
        place = loaded.place("handoffs", name)
        if not (handoff.from_ and handoff.to):
            yield place.fault(f"handoff {name} does not say from whom to whom", "from: a role, to: a role")
        if handoff.answer is None:
            yield place.fault(f"handoff {name}: nobody notices one that is not answered", "answer: 24 hours")
        if handoff.requires is None and handoff.criteria is None:
            yield place.fault(f"handoff {name} asks for nothing, so nothing can be missing", "requires: [FIELD, ...]")


def _lifecycle(loaded: Loaded, name: str, cycle: Lifecycle) -> Iterator[Fault]:
    moves = {key: state.next for key, state in cycle.states.items()}
    reached = _reach(cycle.starts or list(cycle.states)[:1], moves)
    final = [key for key, state in cycle.states.items() if state.final]
    back: dict[str, list[str]] = {key: [] for key in moves}
    for key, targets in moves.items():
        for target in targets:
            back[target].append(key)
    ending = _reach(final, back)
    for key, state in cycle.states.items():
        place = loaded.place("lifecycles", name, "states", key)
        if not state.final and not state.next:
            yield place.fault(f"lifecycle {name}: no one can leave {key}", "next: [STATE, ...], or final: true")
        elif key not in ending and final:
            yield place.fault(f"lifecycle {name}: from {key} no final state can be reached", "see its next")
        if key not in reached:
            yield place.fault(
                f"lifecycle {name}: {key} cannot be reached", "add it to starts, or to the next of a state"
            )
        if not (state.owner or cycle.owner):
            yield place.fault(f"lifecycle {name}: {key} has no owner", "owner: the role that answers for it")


def _reach(starts: Iterable[str], moves: Mapping[str, Iterable[str]]) -> set[str]:
    found, open_ = set[str](), list(starts)
    while open_:
        key = open_.pop()
        if key not in found:
            found.add(key)
            open_ += moves[key]
    return found
