"""Are the p-values of gaps calibrated, and how long do a million gaps take?

    python -m benchmarks.activity_gap

A record's next gap is judged by its earlier ones, of which it has five or more. Simulated: gamma gaps of three kinds
(shape 0.8, 2 and 6), scales log-normal. CDNOW: the purchases of 23,570 real customers; the gap after the fifth,
and each later one, completed or running at the log's end. A running gap may yet come to a small p-value, so the share
is the product-limit estimate. Many of these customers leave for good: a gap that
does not end is what the detector is for, and no false alarm.

Peers on the simulated records, in the same run: `oracle` knows each record's shape and scale; `random arrivals`
takes every rhythm for a Poisson process of an unknown rate; `3 x median` and `mean + 3 sd` of the record's own gaps;
`60 units` for all. `false`: the share of ordinary next gaps that is raised, where 1% is allowed. `found`: of records
silent for five times their mean gap, those that are.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import gamma

from benchmarks.figures import arguments, figure
from benchmarks.usage_worlds import CDNOW, Array
from detectors.activity_gap import EARLIER
from detectors.rhythm import Gaps, Rhythm
from detectors.survival import NOT_COUNTED, Survival

LEVELS = (0.01, 0.05, 0.1)
LEVEL = 0.01
STEPS = 10**9


def simulated(records: int) -> None:
    """Print the shares of next gaps with p-values at or below each level."""
    random = np.random.default_rng(1)
    count = random.integers(EARLIER, 21, records)
    shape, scale = random.choice([0.8, 2.0, 6.0], records), random.lognormal(2.0, 1.0, records)
    owner = np.repeat(np.arange(records), count)
    begun = perf_counter()
    lengths = random.gamma(shape[owner], scale[owner]) + 1e-9
    gaps = Gaps.of(owner, lengths, records)
    rhythm = Rhythm.fit(gaps)
    following = random.gamma(shape, scale)
    p_values = rhythm.p_values(gaps, following)
    seconds = perf_counter() - begun
    report(
        f"simulated, {records:,} records, {owner.size:,} gaps, {seconds:.1f} s",
        [(p_values <= a).mean() for a in LEVELS],
    )
    for kind in (0.8, 2.0, 6.0):
        report(f"  of shape {kind:g}", [(p_values[shape == kind] <= a).mean() for a in LEVELS])
    mean = gaps.total / gaps.count
    spread = np.sqrt(np.bincount(owner, (lengths - mean[owner]) ** 2) / (gaps.count - 1))
    middle = np.array([np.median(one) for one in np.split(lengths, np.cumsum(count)[:-1])])
    rules: dict[str, Callable[[Array], Array]] = {
        "oracle": lambda gap: gamma.sf(gap, shape, scale=scale) <= LEVEL,
        "this detector": lambda gap: rhythm.p_values(gaps, gap) <= LEVEL,
        "random arrivals": lambda gap: (1.0 + gap / gaps.total) ** -gaps.count.astype(float) <= LEVEL,
        "3 x median": lambda gap: gap > 3.0 * middle,
        "mean + 3 sd": lambda gap: gap > mean + 3.0 * spread,
        "60 units": lambda gap: gap > 60.0,
    }
    for name, rule in rules.items():
        false, found = float(rule(following).mean()), float(rule(5.0 * shape * scale).mean())
        print(f"  {name:<18} false {false:.4f}  found {found:.3f}")
        figure(f"gaps: {name}, false alarms at 1%", false)
        figure(f"gaps: {name}, found at five times the mean gap", found)


def purchases() -> None:
    """Print the same of real purchases: half of the customers tell the rhythm, the other half is judged."""
    if not CDNOW.exists():
        print(f"no CDNOW: {CDNOW} is not here")
        return
    table = pq.read_table(CDNOW, columns=["customer_id", "date"])
    day = table["date"].cast("timestamp[s]").cast("int64").to_numpy() // 86_400
    visits = np.unique(np.column_stack([table["customer_id"].to_numpy(), day]), axis=0)
    customers = np.unique(visits[:, 0], return_inverse=True)[1]
    times, last = visits[:, 1].astype(float), float(day.max())
    begins = np.flatnonzero(np.diff(customers, prepend=-1))
    histories = np.split(times, begins[1:])
    long = [history for history in histories if history.size > EARLIER]
    half = np.random.default_rng(2).permutation(len(long)) < len(long) // 2
    learnt = [np.diff(history) for history, mine in zip(long, half, strict=True) if mine]
    owner = np.repeat(np.arange(len(learnt)), [gaps.size for gaps in learnt])
    rhythm = Rhythm.fit(Gaps.of(owner, np.concatenate(learnt), len(learnt)))
    judged: list[tuple[Array, float, bool]] = []
    for history, mine in zip(long, half, strict=True):
        if not mine:
            gaps = np.diff(history)
            judged += [(gaps[:place], float(gaps[place]), True) for place in range(EARLIER, gaps.size)]
            judged.append((gaps, last - history[-1] + 0.5, False))
    earlier = [gaps for gaps, _, _ in judged]
    owner = np.repeat(np.arange(len(judged)), [gaps.size for gaps in earlier])
    over = np.array([ended for _, _, ended in judged])
    p_values = rhythm.p_values(
        Gaps.of(owner, np.concatenate(earlier), len(judged)), np.array([length for _, length, _ in judged])
    )
    strange = np.round((1.0 - p_values) * STEPS).astype(np.int64)
    curve = Survival.fit(strange, over)
    at = np.array([round((1.0 - level) * STEPS) for level in LEVELS])
    reached = 1.0 - curve.share_sooner(at, np.full(at.size, NOT_COUNTED))
    name = f"CDNOW, {over.sum():,} gaps ended and {(~over).sum():,} running"
    report(name, reached.tolist())
    report("  the ended ones alone", [(p_values[over] <= level).mean() for level in LEVELS])


def report(name: str, shares: list[float]) -> None:
    """Print a line."""
    for level, share in zip(LEVELS, shares, strict=True):
        if level == 0.01:
            figure(f"gaps against one's own rhythm, {name.strip()}: P(p <= .01)", share)
    print(f"{name:<62}" + "".join(f"  P(p<={a:g}) {share:.4f}" for a, share in zip(LEVELS, shares, strict=True)))


def main() -> None:
    """Print both."""
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    simulated(parser.parse_args().records)
    purchases()


if __name__ == "__main__":
    main()
