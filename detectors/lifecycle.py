"""A declared lifecycle as a detector needs it: sorted look-ups of moves, limits and exit criteria by stage.

It comes as text in a request's parameters, since a worker cannot read the rulebook:

    moves: raw>mql|disqualified; mql>sal; sal>sql       limits: mql>48; sal>120         (hours)
    starts: raw, mql                                    requires: proposal>amount|scope
    visits: 3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.snapshot import OPEN, Longs, names_in
from detectors.wording import HOUR

PARAMETERS = ("moves", "starts", "limits", "requires", "visits")
"""Those that describe a lifecycle."""
VISITS = 3
"""How often a record may come into one stage unless the request says otherwise: there, back, and once more."""


@dataclass(frozen=True)
class Lifecycle:
    """Stages by name. A stage that is in no move, as source or target, is not declared."""

    moves: Mapping[str, tuple[str, ...]]
    starts: tuple[str, ...] = ()
    """Where a record may begin; empty: anywhere."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """The longest stay that is still in time, in microseconds, exclusive: at the limit it is late."""
    requires: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The fields that must be known when a record leaves the stage."""
    visits: int = VISITS

    @classmethod
    def read(cls, parameters: Mapping[str, str | float | int | bool]) -> Lifecycle:
        """From a request's parameters. ValueError names the part that cannot be read."""
        moves = _lists("moves", parameters.get("moves", ""))
        if not moves:
            raise ValueError("parameters.moves: missing; such as 'raw>mql|disqualified; mql>sal'")
        limits = {}
        for stage, values in _lists("limits", parameters.get("limits", "")).items():
            try:
                (hours,) = map(float, values)
            except ValueError:
                hours = -1.0
            if not 0 < hours < 1e6:
                raise ValueError(f"parameters.limits: {stage}>{'|'.join(values)}: accepted is one number of hours")
            limits[stage] = round(hours * HOUR)
        visits = parameters.get("visits", VISITS)
        if isinstance(visits, bool) or not isinstance(visits, int) or visits < 1:
            raise ValueError(f"parameters.visits: {visits!r} is not a whole number from 1 on")
        cycle = cls(
            moves=moves,
            starts=names_in(parameters.get("starts", "")),
            limits=limits,
            requires=_lists("requires", parameters.get("requires", "")),
            visits=visits,
        )
        declared = cycle.declared
        for name, stages in (("starts", cycle.starts), ("limits", cycle.limits), ("requires", cycle.requires)):
            if stray := [stage for stage in stages if stage not in declared]:
                raise ValueError(f"parameters.{name}: {stray[0]!r} is in none of the moves")
        return cycle

    @property
    def declared(self) -> frozenset[str]:
        """All its stages."""
        return frozenset(self.moves).union(*self.moves.values())

    def path(self, source: str, target: str) -> tuple[str, ...]:
        """The stages strictly between, on a shortest way by allowed moves; empty where there is no way."""
        came_from: dict[str, str] = {}
        front = [source]
        while front:
            reached = [(stage, after) for stage in front for after in self.moves.get(stage, ())]
            front = []
            for stage, after in reached:
                if after not in came_from:
                    came_from[after] = stage
                    front.append(after)
            if target in came_from:
                break
        way: list[str] = []
        stage = came_from.get(target, source)
        while stage != source:
            way.append(stage)
            stage = came_from[stage]
        return tuple(reversed(way))

    def compiled(self, names: Sequence[str]) -> Compiled:
        """For traces whose stages are codes into `names`."""
        code = {name: number for number, name in enumerate(names)}
        size = len(names)
        moves = sorted(
            code[source] * size + code[target]
            for source, targets in self.moves.items()
            for target in targets
            if source in code and target in code
        )
        allowed = set(moves)
        declared = sorted(self.declared & code.keys())
        skips = sorted(
            key
            for source in declared
            for target in declared
            if (key := code[source] * size + code[target]) not in allowed
            and source != target
            and self.path(source, target)
        )
        limits = np.full(size, OPEN, dtype=np.int64)
        for stage, limit in self.limits.items():
            if stage in code:
                limits[code[stage]] = limit
        return Compiled(
            names=tuple(names),
            moves=np.array(moves, dtype=np.int64),
            skips=np.array(skips, dtype=np.int64),
            declared=np.array([name in self.declared for name in names], dtype=np.bool_),
            starts=np.array([not self.starts or name in self.starts for name in names], dtype=np.bool_),
            limits=limits,
            visits=self.visits,
        )


@dataclass(frozen=True)
class Compiled:
    """Look-ups for one vocabulary of v stages. A move is source * v + target; `moves` and `skips` are ascending."""

    names: tuple[str, ...]
    moves: Longs
    skips: Longs
    """What is not allowed, but where the target can be reached by allowed moves."""
    declared: NDArray[np.bool_]
    starts: NDArray[np.bool_]
    limits: Longs
    visits: int


def among(ordered: Longs, keys: Longs) -> NDArray[np.bool_]:
    """Which of the keys are in an ascending array."""
    if ordered.size == 0:
        return np.zeros(keys.size, dtype=np.bool_)
    place = np.minimum(np.searchsorted(ordered, keys), ordered.size - 1)
    found: NDArray[np.bool_] = ordered[place] == keys
    return found


def _lists(name: str, text: object) -> dict[str, tuple[str, ...]]:
    """`a>b|c; d>e` as {a: (b, c), d: (e,)}."""
    found: dict[str, tuple[str, ...]] = {}
    for part in str(text).split(";"):
        if not part.strip():
            continue
        source, arrow, rest = part.partition(">")
        targets = tuple(one.strip() for one in rest.split("|") if one.strip())
        if not arrow or not source.strip() or not targets:
            raise ValueError(f"parameters.{name}: {part.strip()!r} cannot be read; such as 'raw>mql|disqualified'")
        found[source.strip()] = found.get(source.strip(), ()) + targets
    return found
