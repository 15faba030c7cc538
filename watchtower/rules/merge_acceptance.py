"""When a pair becomes one record. A worker says what it takes for one; the rule layer looks at the records itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from watchtower.contract import Likeness
from watchtower.rulebook.merging import Merging
from watchtower.rulebook.model import ObjectModel
from watchtower.rules.acceptance import ACCEPTED, REFUSED, REVIEW, Decision

MOST = 40.0
"""Bits beyond which a sum says nothing new."""
Compared = Mapping[str, Sequence[Any]]
"""By field: what the one record has, and what the other."""


class Known(Protocol):
    """A record as it is now."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> Mapping[str, Any]: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...
    @property
    def created_at(self) -> Any: ...


def probability(bits: float) -> float:
    """The chance that a pair is one, of the sum of its weights. In [0, 1]; larger is surer."""
    return 1 / (1 + math.pow(2.0, -max(-MOST, min(MOST, bits))))


def told_fields(model: ObjectModel, merging: Merging | None, personal: frozenset[str] = frozenset()) -> list[str]:
    """The fields that are compared: those that the rulebook names, else every text that is there. None is personal."""
    from watchtower.rulebook.merging import COMPARED

    named = merging.compare if merging is not None else []
    every = [key for key, spec in sorted(model.fields.items()) if spec.type in COMPARED and spec.rollup is None]
    return [key for key in named or every if key not in personal]


def compared(fields: Sequence[str], one: Known, other: Known) -> dict[str, list[Any]]:
    """What both have in these fields; those that neither has are left out."""
    pairs = {key: [one.state.get(key), other.state.get(key)] for key in fields}
    return {key: pair for key, pair in pairs.items() if pair != [None, None]}


def ordered(a: Known, b: Known) -> tuple[Known, Known]:
    """(the one that goes, the one that stays): who came first stays. A worker has no say in it."""
    first, second = sorted((a, b), key=lambda record: (record.created_at, record.id))
    return second, first


def decide_pair(
    said: Likeness,
    *,
    name: str,
    merging: Merging | None,
    personal: bool,
    asked: bool,
    records: tuple[Known, Known] | None,
    before: Sequence[tuple[str, Compared]],
    values: Compared,
) -> Decision:
    """Decide on a pair of `name`. `records`: both as they are now (who goes, who stays); None where one is not there,
    or they are one already. `before`: what was decided on it earlier, with what was compared then; now: `values`."""
    merging = merging or Merging()

    def refused(because: str) -> Decision:
        return Decision(REFUSED, f"merging.{name}", because)

    if not asked:
        return refused(f"nobody asked: there is no open request {said.request!r:.60}")
    if personal:
        return refused(f"{name} holds personal data, which are sealed a record at a time")
    if records is None:
        return refused("one of the two is not there, or they are one already")
    total = sum(weight.bits for weight in said.weights)
    if not math.isfinite(total) or not math.isfinite(said.bits) or abs(total - said.bits) > 0.5:
        return refused(f"its weights come to {total:.1f} bits, not to {said.bits:.1f}")
    for status, then in before:
        if status == REVIEW:
            return refused("a person is looking at this pair already")
        if status == "rejected" and dict(then) == dict(values):
            return refused("a person said that they are two, and nothing that is compared has changed since")
    chance = probability(said.bits)
    if chance < merging.review_at:
        return refused(f"probability {chance:.3f} is below {merging.review_at:.3f}")
    short = []
    for key, rule in merging.rules.items():
        flaw = _flaw(rule.same, rule.agree, records) or _lighter(said, rule.weights, rule.bits)
        if not flaw:
            shown = ", ".join(f"{field} {records[0].state[field]!r:.60}" for field in rule.same)
            return Decision(ACCEPTED, f"merging.{name}.{key}", f"both have {shown}; {said.bits:.1f} bits", None)
        short.append(f"{key}: {flaw}")
    because = "; ".join(short) or f"no rule of merging.{name} says that pairs may become one"
    return Decision(REVIEW, f"merging.{name}", f"{because:.400}; a person decides")


def _flaw(same: Sequence[str], agree: Sequence[str], records: tuple[Known, Known]) -> str:
    """What of a rule's fields is not so; empty where all is."""
    one, other = records
    for field in same:
        a, b = one.state.get(field), other.state.get(field)
        if a is None or b is None:
            return f"{field} is missing on {one.id if a is None else other.id}"
        if _plain(a) != _plain(b):
            return f"{field} differs ({a!r:.40}, {b!r:.40})"
        for record in records:
            if record.provenance.get(field, {}).get("by", "ai") == "ai":
                return f"{field} of {record.id} is a worker's word"
    for field in agree:
        a, b = one.state.get(field), other.state.get(field)
        if a is not None and b is not None and _plain(a) != _plain(b):
            return f"{field} differs ({a!r:.40}, {b!r:.40})"
    return ""


def _plain(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def _lighter(said: Likeness, weights: Mapping[str, float], bits: float | None) -> str:
    for name, least in weights.items():
        weight = sum(one.bits for one in said.weights if name in (one.comparison, one.group))
        if weight < least:
            return f"{name} weighs {weight:.1f} bits of {least:g} needed"
    if bits is not None and said.bits < bits:
        return f"{said.bits:.1f} bits of {bits:g} needed"
    return ""
