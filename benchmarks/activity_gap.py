"""Are the p-values of gaps calibrated, and how long do a million gaps take?

    python -m benchmarks.activity_gap

A record's next gap is judged by its earlier ones, of which it has five or more. Simulated: gamma gaps of three kinds
(shape 0.8, 2 and 6), scales log-normal. CDNOW: the purchases of 23,570 real customers, half of
whom tell the rhythm and what past gaps came to; the other half is judged: the gap after the fifth, and each later one.
`gaps that ended` are those that began early enough to come to p <= .005 by the log's end, and ended: each raised is a
false alarm. Of all ended ones the long are missing, and of the customers silent at the end many have left for good:
these are what the detector is for. An oracle of the threshold knows the p-value that 1% of the judged gaps reach.

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
from detectors.gap_tail import FROM, Tail, past_gaps
from detectors.rhythm import Gaps, Rhythm

LEVELS = (0.01, 0.05, 0.1)
LEVEL = 0.01


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
    rhythm, tail = _learnt([history for history, mine in zip(long, half, strict=True) if mine], last)
    owner, lengths, sums, running = _gaps([history for history, mine in zip(long, half, strict=True) if not mine], last)
    past = past_gaps(rhythm, owner, lengths, running, EARLIER)
    # no gap is followed to the log's end whose past is too slow for it to tell by then
    now = rhythm.p_values(sums, running)
    print(
        f"CDNOW, {past.p_values.size:,} gaps followed that ended, {now.size:,} customers silent at the end; the other "
        f"half's past says P(p <= x) = {tail.share:.3f} (x / {FROM})^{tail.power:.2f}"
    )
    for name, of_p in (("the rhythm alone", lambda p: p), ("this detector", tail.p_values)):
        ended, silent = of_p(past.p_values), of_p(now)
        report(f"CDNOW, {name}: gaps that ended", [(ended <= level).mean() for level in LEVELS])
        report(f"  {name}: customers silent at the end", [(silent <= level).mean() for level in LEVELS])
    first = np.searchsorted(owner, owner)
    pasts = [lengths[first[one] : one] for one in past.place]
    whole = np.split(lengths, np.searchsorted(owner, np.arange(1, sums.count.size)))
    # an oracle of the threshold: the rhythm's p-value at the bound that raises 1% of these very gaps
    bound = float(np.quantile(past.p_values, LEVEL))
    print(f"  {'p below what 1% have':<30} gaps that ended {LEVEL:.4f}, silent at the end {(now < bound).mean():.3f}")
    for name, limit in (
        ("3 x median", lambda past: 3.0 * float(np.median(past))),
        ("mean + 3 sd", lambda past: float(past.mean() + 3.0 * past.std(ddof=1))),
        ("90 days", lambda past: 90.0),
    ):
        false = np.mean([lengths[one] > limit(past) for one, past in zip(past.place, pasts, strict=True)])
        found = np.mean([gap > limit(past) for gap, past in zip(running, whole, strict=True)])
        print(f"  {name:<30} gaps that ended {false:.4f}, silent at the end {found:.3f}")


def _gaps(histories: list[Array], last: float) -> tuple[Array, Array, Gaps, Array]:
    """Owner and length of each gap, their sums by customer, and the running gap of each."""
    owner = np.repeat(np.arange(len(histories)), [history.size - 1 for history in histories])
    lengths = np.concatenate([np.diff(history) for history in histories])
    running = np.array([last - history[-1] + 0.5 for history in histories])
    return owner, lengths, Gaps.of(owner, lengths, len(histories)), running


def _learnt(histories: list[Array], last: float) -> tuple[Rhythm, Tail]:
    owner, lengths, sums, running = _gaps(histories, last)
    rhythm = Rhythm.fit(sums)
    return rhythm, Tail.fit(past_gaps(rhythm, owner, lengths, running, EARLIER).p_values)


def report(name: str, shares: list[float]) -> None:
    """Print a line."""
    for level, share in zip(LEVELS, shares, strict=True):
        if level == 0.01:
            figure(f"gaps against one's own rhythm, {name.strip()}: P(p <= .01)", share)
    print(f"{name:<62}" + "".join(f"  P(p<={a:g}) {share:.4f}" for a, share in zip(LEVELS, shares, strict=True)))


def main() -> None:
    """Print both."""
    parser = arguments(__doc__)
    parser.add_argument("--only", default="simulated,purchases")
    parser.add_argument("--records", type=int, default=100_000)
    simulated(parser.parse_args().records)
    purchases()


if __name__ == "__main__":
    main()
