"""What a run took: time and calls per case, and money where prices are given."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from evals.recording import Recorded

CHARACTERS_A_TOKEN = 4.0
"""A rule of thumb for English; the endpoint's own bill is right where this is not."""


class Prices(msgspec.Struct, frozen=True):
    """Money for a million tokens that a model reads, and writes. In whatever currency the figures are."""

    read: float
    written: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run; seconds are per case and repeat. Lower is better throughout."""

    answers: int
    seconds: float
    median: float
    slow: float
    """95 of 100 answers took no longer."""
    slowest: float
    slowest_case: str
    calls: int
    tokens_read: int
    tokens_written: int
    """Both about: characters by CHARACTERS_A_TOKEN."""
    money: float | None


def money_of(one: Recorded, prices: Prices | None) -> float | None:
    """What one answer cost; None without prices."""
    if prices is None:
        return None
    return (one.read * prices.read + one.written * prices.written) / CHARACTERS_A_TOKEN / 1e6


def cost_of(recorded: Sequence[Sequence[Recorded]], prices: Prices | None = None) -> Cost:
    """The account of all answers; at least one."""
    flat = sorted((one for some in recorded for one in some), key=lambda one: (one.seconds, one.case))
    return Cost(
        answers=len(flat),
        seconds=round(sum(one.seconds for one in flat), 3),
        median=flat[len(flat) // 2].seconds,
        slow=flat[min(len(flat) - 1, int(0.95 * len(flat)))].seconds,
        slowest=flat[-1].seconds,
        slowest_case=flat[-1].case,
        calls=sum(one.calls for one in flat),
        tokens_read=round(sum(one.read for one in flat) / CHARACTERS_A_TOKEN),
        tokens_written=round(sum(one.written for one in flat) / CHARACTERS_A_TOKEN),
        money=None if prices is None else sum(money_of(one, prices) or 0.0 for one in flat),
    )


def cost_line(cost: Cost) -> str:
    """In a sentence."""
    said = f"{cost.answers} answers in {cost.seconds:.1f} s of work: {1000 * cost.median:.1f} ms in the median, "
    said += f"{1000 * cost.slow:.0f} ms or less in 95 of 100, {cost.slowest:.2f} s for {cost.slowest_case}"
    if cost.calls:
        said += (
            f"; {cost.calls} calls to a model, about {cost.tokens_read:,} tokens read, {cost.tokens_written:,} written"
        )
    if cost.money is not None and cost.calls:
        said += f", {cost.money:.4f} in all, {cost.money / cost.answers:.6f} an answer"
    return said
