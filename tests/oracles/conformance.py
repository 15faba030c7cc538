"""What a trace breaks, stay by stay, with lists and dictionaries alone. Shares no code with the product."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

Stay = tuple[str, int, bool]
"""Stage, microseconds in it, and whether it was left while a field was empty that must be known."""


def reachable(moves: Mapping[str, Sequence[str]], source: str, target: str) -> bool:
    """Whether moves lead from one stage to another."""
    queue, seen = deque([source]), set()
    while queue:
        for after in moves.get(queue.popleft(), ()):
            if after == target:
                return True
            if after not in seen:
                seen.add(after)
                queue.append(after)
    return False


def broken(
    trace: Sequence[Stay],
    moves: Mapping[str, Sequence[str]],
    starts: Sequence[str],
    limits: Mapping[str, int],
    visits: int,
) -> set[tuple[int, str]]:
    """(position, kind) of everything that one record's trace breaks."""
    known = set(moves)
    for targets in moves.values():
        known.update(targets)
    found: set[tuple[int, str]] = set()
    visited: Counter[str] = Counter()
    previous: str | None = None
    for position, (stage, duration, lacking) in enumerate(trace):
        if stage not in known:
            found.add((position, "unknown"))
        if previous is None and starts and stage not in starts:
            found.add((position, "start"))
        if stage != previous:
            visited[stage] += 1
            if visited[stage] > visits:
                found.add((position, "loop"))
            if previous in known and stage in known and stage not in moves.get(previous, ()):
                found.add((position, "skip" if reachable(moves, previous, stage) else "move"))
        if stage in limits and duration >= limits[stage]:
            found.add((position, "late"))
        if lacking:
            found.add((position, "lacking"))
        previous = stage
    return found
