"""Drift of the mix of new deals: power at 1% false alarms in 26 weeks, beside what people use.

    python -m benchmarks.mix_drift [--series 600] [--fitted 100] [--seed 1]

Simulated series: 26 weeks of baseline, 26 watched, Poisson(12) new deals a week; from the 14th watched week on the
distribution is another. `icp 70 to 55%`: five kinds, the largest gives 15 points to the others. `new kind`: a kind
of 4% grows to 14%. `discount 12 to 15`: a gamma with a heap at 0 (a quarter of deals), the mean of the rest times 1.25.
`weeks scatter`: the first with a correlation of .03 between the deals of a week, in baseline and watched weeks.
`weeks linger`: the same, and a week has the shares of the one before with a chance of .6 (autocorrelation .6): not the
process that the detector simulates.

`own`: the detector as it stands, threshold simulated from each series' own baseline (`--fitted` series of it, each
with 1,000 draws). `1%`: the threshold that gives 1% on a null of its own.

  oracle CUSUM      knows both distributions
  this detector     sum of Bayes factors over all weeks of change (detectors.mixes)
  PSI > 0.2         last 4 weeks against the baseline (values in fifths of the baseline), each week
  weekly test       chi-square (kinds) or rank-sum (values) of the week against the baseline at 1%
  PSI, 1%           the first with the threshold that gives 1%
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, gamma, norm

from benchmarks.figures import arguments, figure
from detectors.mixes import kind_factors, null_kinds, null_scores, ridits, score_factors
from detectors.pvalues import Floats
from detectors.snapshot import Longs

BASELINE, WATCHED, CHANGE = 26, 26, 13
ALPHA = 0.01
VOLUME = 12.0
DRAWS = 1_000
FIFTHS = 5


@dataclass(frozen=True)
class Scene:
    """Shares of kinds before and after; or, for values, how much larger they become."""

    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    rho: float = 0.0
    """The correlation between the deals of a week."""
    stays: float = 0.0
    """The chance that a week has the shares of the week before: its correlation with it."""
    times: float = 0.0


SCENES = {
    "icp 70 to 55%": Scene((0.7, 0.12, 0.08, 0.06, 0.04), (0.55, 0.18, 0.12, 0.09, 0.06)),
    "new kind, 4 to 14%": Scene((0.7, 0.12, 0.08, 0.06, 0.04), (0.627, 0.107, 0.072, 0.054, 0.14)),
    "weeks scatter": Scene((0.7, 0.12, 0.08, 0.06, 0.04), (0.55, 0.18, 0.12, 0.09, 0.06), rho=0.03),
    "weeks linger": Scene((0.7, 0.12, 0.08, 0.06, 0.04), (0.55, 0.18, 0.12, 0.09, 0.06), rho=0.03, stays=0.6),
    "discount 12 to 15": Scene(times=1.25),
}


@dataclass(frozen=True)
class Series:
    """One series: weekly counts of kinds (values: of fifths), and the values themselves by week."""

    counts: Longs
    values: list[Floats]


def sample(scene: Scene, series: int, random: np.random.Generator, drift: bool) -> list[Series]:
    """Independent series."""
    found = []
    weeks = BASELINE + WATCHED
    for _ in range(series):
        cases = random.poisson(VOLUME, weeks)
        later = (np.arange(weeks) >= BASELINE + CHANGE) & drift
        if scene.before:
            shares = np.where(later[:, None], scene.after, scene.before)
            if scene.rho:
                drawn = [random.dirichlet(np.array(scene.before) * (1 / scene.rho - 1))]
                while len(drawn) < weeks:
                    fresh = random.dirichlet(np.array(scene.before) * (1 / scene.rho - 1))
                    drawn.append(drawn[-1] if random.random() < scene.stays else fresh)
                shares = shares * np.array(drawn) / scene.before
                shares /= shares.sum(axis=1, keepdims=True)
            found.append(Series(random.multinomial(cases, shares), []))
            continue
        values = [
            np.where(random.random(n) < 0.25, 0.0, np.round(random.gamma(3.0, 4.0, n) * (scene.times if up else 1.0)))
            for n, up in zip(cases, later, strict=True)
        ]
        edges = np.quantile(np.concatenate(values[:BASELINE]), np.arange(1, FIFTHS) / FIFTHS)
        bands = [np.bincount(np.searchsorted(edges, one, side="left"), minlength=FIFTHS) for one in values]
        found.append(Series(np.array(bands), values))
    return found


def _scores(one: Series) -> tuple[Floats, Longs, float]:
    pool = np.concatenate(one.values[:BASELINE])
    sums = np.array([float(ridits(values, pool).sum()) for values in one.values])
    return sums, np.array([values.size for values in one.values]), float(ridits(pool, pool).std())


def this_detector(data: list[Series], scene: Scene) -> Floats:
    if scene.before:
        return kind_factors(np.array([one.counts for one in data]), BASELINE)
    return np.array([score_factors(s[None], n[None], d, BASELINE)[0] for s, n, d in map(_scores, data)])


def oracle(data: list[Series], scene: Scene) -> Floats:
    paths = []
    for one in data:
        if scene.before:
            gains = one.counts @ np.log(np.array(scene.after) / np.array(scene.before))
        else:
            gains = np.array([float(_gain(values, scene.times).sum()) for values in one.values])
        level, path = 0.0, []
        for gain in gains[BASELINE:]:
            level = max(0.0, level + float(gain))
            path.append(level)
        paths.append(path)
    return np.array(paths)


def _gain(values: Floats, times: float) -> Floats:
    """log likelihood ratio of rounded gamma values; the heap at 0 tells next to nothing."""
    low, high = np.maximum(values - 0.5, 0.0), values + 0.5
    after = gamma.cdf(high, 3.0, scale=4.0 * times) - gamma.cdf(low, 3.0, scale=4.0 * times)
    before = gamma.cdf(high, 3.0, scale=4.0) - gamma.cdf(low, 3.0, scale=4.0)
    heap = np.where(values == 0, 0.25, 0.0)
    return np.log((heap + 0.75 * after + 1e-12) / (heap + 0.75 * before + 1e-12))


def psi(data: list[Series], scene: Scene) -> Floats:
    counts = np.array([one.counts for one in data])
    total = np.cumsum(counts, axis=1)
    before = total[:, BASELINE - 1] + 0.5
    p = (before / before.sum(axis=1, keepdims=True))[:, None]
    recent = (total[:, 4:] - total[:, :-4])[:, BASELINE - 4 :] + 0.5
    q = recent / recent.sum(axis=2, keepdims=True)
    return ((q - p) * np.log(q / p)).sum(axis=2)


def weekly(data: list[Series], scene: Scene) -> Floats:
    """1 - p of each week."""
    if scene.before:
        counts = np.array([one.counts for one in data]).astype(float)
        base = counts[:, :BASELINE].sum(axis=1)[:, None]
        now = counts[:, BASELINE:]
        n, m = now.sum(axis=2, keepdims=True), base.sum(axis=2, keepdims=True)
        both = (now + base) / (n + m)
        seen = np.maximum(both, 1e-9)
        statistic = ((now - n * both) ** 2 / np.maximum(n, 1) / seen + (base - m * both) ** 2 / m / seen).sum(axis=2)
        return chi2.cdf(statistic, counts.shape[2] - 1)
    found = []
    for sums, cases, deviation in map(_scores, data):
        n, m = np.maximum(cases[BASELINE:], 1), cases[:BASELINE].sum()
        found.append(np.abs(sums[BASELINE:] / n) / (deviation * np.sqrt(1 / n + 1 / m)))
    return 1.0 - 2.0 * norm.sf(np.array(found))


def own_thresholds(data: list[Series], scene: Scene, seed: int) -> Floats:
    """Of each series, from its baseline alone."""
    found = []
    for number, one in enumerate(data):
        cases = one.counts[:BASELINE].sum(axis=1)
        if scene.before:
            maxima = null_kinds(one.counts[:BASELINE], cases, DRAWS, seed + number)
        else:
            sums, _, deviation = _scores(one)
            maxima = null_scores(sums[:BASELINE], cases, cases, deviation, DRAWS, seed + number)
        found.append(float(np.quantile(maxima, 1 - ALPHA)))
    return np.array(found)


Method = Callable[[list[Series], Scene], Floats]
METHODS: tuple[tuple[str, Method, float | None], ...] = (
    ("oracle CUSUM", oracle, None),
    ("this detector", this_detector, None),
    ("PSI > 0.2", psi, 0.2),
    ("PSI", psi, None),
    ("weekly test", weekly, 1 - ALPHA),
)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--series", type=int, default=600)
    parser.add_argument("--fitted", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{'':<22}{'method':<18}{'threshold':>10}{'false alarms':>14}{'power':>8}")
    for title, scene in SCENES.items():
        random = np.random.default_rng(options.seed)
        tuning = sample(scene, 2 * options.series, random, False)
        quiet, drift = (sample(scene, options.series, random, which) for which in (False, True))
        for name, method, threshold in METHODS:
            null, moved = method(quiet, scene), method(drift, scene)[:, CHANGE:]
            bound = threshold
            if bound is None:
                bound = float(np.quantile(method(tuning, scene).max(axis=1), 1 - ALPHA))
            alarms, power = (null.max(axis=1) >= bound).mean(), (moved.max(axis=1) >= bound).mean()
            figure(f"{title}: power of {name}", float(power))
            print(f"{title:<22}{name:<18}{'1%' if threshold is None else 'fixed':>10}{alarms:>14.4f}{power:>8.3f}")
            if method is this_detector:
                count = options.fitted
                alarms = float((null[:count].max(axis=1) >= own_thresholds(quiet[:count], scene, 1)).mean())
                power = float((moved[:count].max(axis=1) >= own_thresholds(drift[:count], scene, 2)).mean())
                print(f"{title:<22}{name:<18}{'own':>10}{alarms:>14.4f}{power:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
