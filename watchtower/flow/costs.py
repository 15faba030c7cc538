"""What language models cost: by day and model, for each field that was accepted of what they proposed, and today
against the rulebook's budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from watchtower.flow.plan import Cost
from watchtower.store.ledger import DaysCalls

BATCH = "@batch"
"""The end of a model's name on the price list where its provider answers in batches, for less."""


@dataclass(frozen=True)
class ModelCost:
    """One model over the whole time. `money`: None where nobody gave its price. `accepted`: fields that became a value
    of what it proposed."""

    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    unknown: int
    money: float | None
    accepted: int

    @property
    def each(self) -> float | None:
        """Money for one accepted field; None where there is no price, or no field."""
        return self.money / self.accepted if self.money is not None and self.accepted else None


@dataclass(frozen=True)
class Costs:
    """Calls since an instant, by day (UTC) and model, and what has been spent today."""

    since: datetime
    days: Sequence[DaysCalls]
    models: Sequence[ModelCost]
    today: Cost

    def by_day(self) -> list[tuple[date, int, float]]:
        """(day, calls, money), the first day first; days without a call are left out."""
        calls: dict[date, int] = defaultdict(int)
        money: dict[date, float] = defaultdict(float)
        for row in self.days:
            calls[row.day] += row.calls
            money[row.day] += row.money
        return [(day, calls[day], money[day]) for day in sorted(calls)]


def costs(
    days: Sequence[DaysCalls], accepted: Mapping[str, int], priced: frozenset[str], today: Cost, since: datetime
) -> Costs:
    """Put together. `accepted`: by model, how many proposals became values; `priced`: the models with a price."""
    found: dict[str, list[DaysCalls]] = defaultdict(list)
    for row in days:
        found[row.model.removesuffix(BATCH)].append(row)
    models = [
        ModelCost(
            model=name,
            calls=sum(row.calls for row in rows),
            tokens_in=sum(row.tokens_in for row in rows),
            tokens_out=sum(row.tokens_out for row in rows),
            unknown=sum(row.unknown for row in rows),
            money=sum(row.money for row in rows) if name in priced else None,
            accepted=accepted.get(name, 0),
        )
        for name, rows in sorted(found.items())
    ]
    return Costs(since, list(days), models, today)
