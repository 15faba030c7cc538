"""What usage decline is measured against: a score for each account, larger is stranger, over 26 weekly looks.

Each peer's threshold is set on healthy accounts of the same world, so that its false alarms are 1% by construction:
more than it has in practice. The oracle and the plug-in CUSUM get a threshold for each dispersion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.usage_worlds import BASELINE, LENGTH, Array, Fall, World, season

Score = Callable[[World], Array]


@dataclass(frozen=True)
class Peer:
    """`by_kind`: the threshold is set for each dispersion by itself. `most`: accounts measured, where it is slow."""

    name: str
    score: Score
    by_kind: bool = False
    most: int = 10**9


def _ratio(counts: Array, mu: Array, r: Array | float, drop: float) -> Array:
    """The log-likelihood ratio of a drop against none, negative binomial."""
    return counts * np.log1p(-drop) - (r + counts) * (np.log(r + mu * (1.0 - drop)) - np.log(r + mu))


def oracle(fall: Fall) -> Peer:
    """It knows level, dispersion, season, and the fall; not its week (Shiryaev-Roberts)."""

    def score(world: World) -> Array:
        mu, r = world.means[:, None] * season(), world.dispersions[:, None]
        most, counts = np.zeros(len(mu)), world.counts
        ratios = [_ratio(counts, mu, r, fall.drop * (step + 1) / fall.ramp) for step in range(fall.ramp)]
        for end in range(BASELINE, LENGTH):
            total = np.zeros(len(mu))
            for begin in range(BASELINE, end + 1):
                steps = [ratios[min(week - begin, fall.ramp - 1)][:, week] for week in range(begin, end + 1)]
                total += np.exp(np.minimum(np.sum(steps, axis=0), 600.0))
            np.maximum(most, total, out=most)
        return np.log(most)

    return Peer("oracle, all known but the week", score, by_kind=True, most=20_000)


def plug_in_cusum(world: World) -> Array:
    """Season and dispersion known, the level the baseline's mean; a drop by 40%."""
    mu = (world.counts[:, :BASELINE].sum(axis=1) + 0.5)[:, None] / season()[:BASELINE].sum() * season()
    ratio = _ratio(world.counts, mu, world.dispersions[:, None], 0.4)
    now, most = np.zeros(len(mu)), np.zeros(len(mu))
    for week in range(BASELINE, LENGTH):
        now = np.maximum(now + ratio[:, week], 0.0)
        most = np.maximum(most, now)
    return most


def poisson_ratio(world: World) -> Array:
    """The generalised Poisson likelihood ratio of the weeks since any week against the baseline, downwards."""
    index, counts = season(), world.counts
    level = (counts[:, :BASELINE].sum(axis=1) + 0.5) / index[:BASELINE].sum()
    most = np.zeros(len(counts))
    for end in range(BASELINE + 1, LENGTH + 1):
        for begin in range(BASELINE, end):
            expected, seen = level * index[begin:end].sum(), counts[:, begin:end].sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                gain = np.where(seen > 0, seen * np.log(seen / expected), 0.0) - (seen - expected)
            most = np.maximum(most, np.where(seen < expected, gain, 0.0))
    return most


def ratio_4_13(world: World) -> Array:
    """The mean of 4 weeks over that of the 13 before."""
    counts, least = world.counts, np.full(len(world.counts), np.inf)
    for end in range(BASELINE + 1, LENGTH + 1):
        before = counts[:, end - 17 : end - 4].mean(axis=1)
        least = np.minimum(least, counts[:, end - 4 : end].mean(axis=1) / np.maximum(before, 0.5))
    return -least


def _standard(world: World) -> Array:
    """Weeks in robust deviations of the account's baseline, the season taken out."""
    flat = world.counts / season()
    base = flat[:, :BASELINE]
    return (flat - np.median(base, axis=1, keepdims=True)) / np.maximum(base.std(axis=1, keepdims=True), 0.5)


def _features(world: World) -> Array:
    flat = world.counts / season()
    base = flat[:, :BASELINE].mean(axis=1) + 0.5
    means = [flat[:, -last:].mean(axis=1) / base for last in (4, 8, 13, 26)]
    return np.column_stack([*np.log(np.array(means) + 0.02), np.log(base), _standard(world)[:, -8:].min(axis=1)])


def optional() -> list[Peer]:
    """ruptures, river and pyod, those that are installed; `pip install ruptures river` brings the first two."""
    found = []
    try:
        import ruptures

        def binary_segmentation(world: World) -> Array:
            scores = []
            for series in _standard(world):
                (split, _) = ruptures.Binseg(model="l2", min_size=3, jump=1).fit(series).predict(n_bkps=1)
                fall = series[:split].mean() - series[split:].mean()
                scores.append(np.sign(fall) * fall**2 * split * (LENGTH - split) / LENGTH)
            return np.array(scores)

        found.append(Peer(f"ruptures {ruptures.__version__} BinSeg, last look", binary_segmentation, most=4_000))
    except ImportError:
        print("ruptures is not installed: left out")
    try:
        import river
        from river import drift

        def page_hinkley(world: World) -> Array:
            # its statistic grows with the evidence: the highest threshold that it passes, in steps of 5%
            levels = np.geomspace(1.0, 200.0, 109)
            scores = []
            for series in -_standard(world):
                low, high = 0, levels.size
                while low < high:
                    middle = (low + high) // 2
                    detector = drift.PageHinkley(
                        min_instances=BASELINE, delta=0.25, threshold=levels[middle], mode="up"
                    )
                    hit = False
                    for week, value in enumerate(series.tolist()):
                        detector.update(value)
                        if detector.drift_detected:
                            hit = week >= BASELINE
                            break
                    low, high = (middle + 1, high) if hit else (low, middle)
                scores.append(low)
            return np.array(scores) + np.random.default_rng(1).random(len(scores))

        found.append(Peer(f"river {river.__version__} Page-Hinkley", page_hinkley, most=4_000))
    except ImportError:
        print("river is not installed: left out")
    try:
        import pyod
        from pyod.models.knn import KNN

        def neighbours(world: World) -> Array:
            return np.asarray(model.decision_function(_features(world)))

        from benchmarks.usage_worlds import simulate

        model = KNN()
        model.fit(_features(simulate(np.random.default_rng(99), 4_000)))
        found.append(Peer(f"pyod {pyod.__version__} KNN on features, last look", neighbours, most=10_000))
    except ImportError:
        print("pyod is not installed: left out")
    return found


PEERS = (
    Peer("NB CUSUM, plug-in", plug_in_cusum, by_kind=True),
    Peer("Poisson likelihood ratio", poisson_ratio, most=20_000),
    Peer("4 weeks over 13 weeks", ratio_4_13),
)
