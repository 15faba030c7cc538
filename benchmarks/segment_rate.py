"""Drift of a rate by segment: power at 1% false alarms in 26 weeks, beside what people use.

    python -m benchmarks.segment_rate [--segments 20000] [--fitted-on 300] [--seed 1]

Simulated segments: 26 weeks of baseline, 26 watched; Poisson(8) cases a week; rates from a beta with mean 12% and
standard deviation 3%; where there is a drift, the rate doubles in the 14th watched week (13 weeks remain) and
stays there. `false alarms`: segments without a drift that alarm within the 26 weeks. `power`: segments with a
drift that alarm in it. Methods whose rows say `1%` have the threshold that gives 1% on the very null the benchmark
tests on, drawn anew; `own` has what the detector gives itself: prior and threshold fitted on the baselines of
`--fitted-on` segments (a company has hundreds, not 20,000), which the tested segments do not belong to.

  oracle CUSUM            knows each segment's rate and the ratio: the most that a CUSUM can do
  this detector           mixture Shiryaev-Roberts on beta-binomial counts (detectors.rates)
  plug-in CUSUM           empirical-Bayes rate of the baseline, as if it were true
  Bayes factor            beta-binomial, of the last 2, 4, 8, 13, 20 weeks against what came before; the largest
  Bayes factor, Ville     the same, alarmed at 1/.01
  PSI > 0.2               of the last 4 weeks against the baseline, each week
  weekly z-test           of the week against the baseline, beyond 1.96 upward, pooled variance

Further rows change one thing: the scatter of weeks (rho .02), the spread of rates, the volume, the ratio, the week.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time

import numpy as np
from scipy.special import betaln

from benchmarks.figures import arguments, figure
from detectors.pvalues import Floats
from detectors.rates import Prior, fit_prior, null_maxima, raised, statistics
from detectors.snapshot import Longs

BASELINE, WATCHED = 26, 26
ALPHA = 0.01
DRAWS = 20_000
WINDOWS = (2, 4, 8, 13, 20)


@dataclass(frozen=True)
class Scene:
    """What is simulated."""

    mean: float = 0.12
    deviation: float = 0.03
    volume: float = 8.0
    rho: float = 0.0
    ratio: float = 2.0
    change: int = 13
    """Of the watched weeks, from 0."""

    @property
    def prior(self) -> Prior:
        size = self.mean * (1 - self.mean) / self.deviation**2 - 1
        return Prior(self.mean * size, (1 - self.mean) * size, self.rho)


@dataclass(frozen=True)
class Sample:
    """Segments with their true rates, which only the oracle reads."""

    counts: Longs
    cases: Longs
    rates: Floats


def sample(scene: Scene, segments: int, random: np.random.Generator, drift: bool) -> Sample:
    """Drawn without the detector's own simulation, so that a fault there cannot hide."""
    weeks = BASELINE + WATCHED
    cases = random.poisson(scene.volume, (segments, weeks)).astype(np.int64)
    rates = random.beta(scene.prior.a, scene.prior.b, segments)
    later = np.arange(weeks) >= BASELINE + scene.change
    up = np.minimum(scene.ratio * rates, (1 + rates) / 2)
    chance = np.where(later & drift, up[:, None], rates[:, None])
    if scene.rho:
        scale = 1 / scene.rho - 1
        chance = random.beta(chance * scale, (1 - chance) * scale)
    return Sample(random.binomial(cases, chance).astype(np.int64), cases, rates)


def _cusum(data: Sample, rates: Floats, ratio: float) -> Floats:
    up = raised(rates, ratio)
    wrong, right = np.log(up / rates), np.log((1 - up) / (1 - rates))
    level, path = np.zeros(len(rates)), []
    for week in range(BASELINE, BASELINE + WATCHED):
        count, cases = data.counts[:, week], data.cases[:, week]
        level = np.maximum(0.0, level + count * wrong + (cases - count) * right)
        path.append(level)
    return np.array(path).T


def oracle(data: Sample, scene: Scene, prior: Prior) -> Floats:
    return _cusum(data, data.rates, scene.ratio)


def plug_in(data: Sample, scene: Scene, prior: Prior) -> Floats:
    count, cases = data.counts[:, :BASELINE].sum(axis=1), data.cases[:, :BASELINE].sum(axis=1)
    return _cusum(data, (prior.a + count) / (prior.a + prior.b + cases), scene.ratio)


def this_detector(data: Sample, scene: Scene, prior: Prior) -> Floats:
    return statistics(data.counts, data.cases, BASELINE, prior, 2.0)


def bayes_factor(data: Sample, scene: Scene, prior: Prior) -> Floats:
    """log, the largest over windows: the window has a rate of its own, about twice the pooled one, or the old one."""
    bad, good = np.cumsum(data.counts, axis=1), np.cumsum(data.cases - data.counts, axis=1)
    found = np.full((len(bad), WATCHED), -np.inf)
    own_a, own_b = 40 * prior.mean, 20 - 40 * prior.mean
    for length in WINDOWS:
        for week in range(max(0, length - 1), WATCHED):
            now, then = BASELINE + week, BASELINE + week - length
            x, y = bad[:, now] - bad[:, then], good[:, now] - good[:, then]
            a, b = prior.a + bad[:, then], prior.b + good[:, then]
            apart = betaln(own_a + x, own_b + y) - betaln(own_a, own_b)
            together = betaln(a + x, b + y) - betaln(a, b)
            found[:, week] = np.maximum(found[:, week], apart - together)
    return found


def psi(data: Sample, scene: Scene, prior: Prior) -> Floats:
    before = (data.counts[:, :BASELINE].sum(axis=1, keepdims=True) + 0.5) / (
        data.cases[:, :BASELINE].sum(axis=1, keepdims=True) + 1
    )
    count, cases = _last_four(data.counts), _last_four(data.cases)
    now = (count + 0.5) / (cases + 1)
    return (now - before) * np.log(now / before) + (before - now) * np.log((1 - now) / (1 - before))


def _last_four(values: Longs) -> Longs:
    total = np.cumsum(values, axis=1)
    return (total[:, 4:] - total[:, :-4])[:, BASELINE - 4 :]


def z_test(data: Sample, scene: Scene, prior: Prior) -> Floats:
    count, cases = data.counts[:, BASELINE:], np.maximum(data.cases[:, BASELINE:], 1)
    before, of = (
        data.counts[:, :BASELINE].sum(axis=1, keepdims=True),
        data.cases[:, :BASELINE].sum(axis=1, keepdims=True),
    )
    pooled = (count + before) / (cases + of)
    return (count / cases - before / of) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / cases + 1 / of))


Method = Callable[[Sample, Scene, Prior], Floats]
METHODS: dict[str, tuple[Method, float | None]] = {
    "oracle CUSUM": (oracle, None),
    "this detector": (this_detector, None),
    "plug-in CUSUM": (plug_in, None),
    "Bayes factor": (bayes_factor, None),
    "Bayes factor, Ville": (bayes_factor, float(np.log(1 / ALPHA))),
    "PSI > 0.2": (psi, 0.2),
    "weekly z-test": (z_test, 1.96),
}
"""Each with its fixed threshold; None: the one that gives 1%."""


@dataclass(frozen=True)
class Figure:
    """One row."""

    name: str
    threshold: str
    false_alarms: float
    power: float
    seconds: float


def measured(scene: Scene, segments: int, fitted_on: int, seed: int, names: tuple[str, ...]) -> list[Figure]:
    """A row for each method, and `own` for the detector as it stands."""
    random = np.random.default_rng(seed)
    company = sample(scene, fitted_on, random, drift=False)
    prior = fit_prior(company.counts[:, :BASELINE], company.cases[:, :BASELINE])
    tuning = sample(scene, 3 * segments, random, drift=False)
    null, drift = (sample(scene, segments, random, drift=which) for which in (False, True))
    figures = []

    def row(name: str, method: Method, threshold: float, kind: str) -> Figure:
        begun = process_time()
        quiet = method(null, scene, prior)
        seconds = process_time() - begun
        alarmed = method(drift, scene, prior)[:, scene.change :] >= threshold
        return Figure(
            name, kind, float((quiet.max(axis=1) >= threshold).mean()), float(alarmed.any(axis=1).mean()), seconds
        )

    for name in names:
        method, threshold = METHODS[name]
        kind = "fixed"
        if threshold is None:
            threshold, kind = float(np.quantile(method(tuning, scene, prior).max(axis=1), 1 - ALPHA)), "1%"
        figures.append(row(name, method, threshold, kind))
        if method is this_detector:
            maxima = null_maxima(company.cases, BASELINE, prior, 2.0, DRAWS, seed)
            figures.append(row(name, method, float(np.quantile(maxima, 1 - ALPHA)), "own"))
    return figures


VARIANTS = (
    ("weeks scatter, rho .02", {"rho": 0.02}),
    ("rates alike, sd 1%", {"deviation": 0.01}),
    ("rates apart, sd 5%", {"deviation": 0.05}),
    ("3 cases a week", {"volume": 3.0}),
    ("30 cases a week", {"volume": 30.0}),
    ("ratio 1.5", {"ratio": 1.5}),
    ("ratio 3", {"ratio": 3.0}),
    ("from the first week", {"change": 0}),
)


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--segments", type=int, default=20_000)
    parser.add_argument("--fitted-on", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{'':<26}{'method':<22}{'threshold':>10}{'false alarms':>14}{'power':>8}{'s/100k':>8}")
    scenes = [("12% to 24%", Scene(), tuple(METHODS))]
    short = ("oracle CUSUM", "this detector", "plug-in CUSUM")
    scenes += [(name, replace(Scene(), **change), short) for name, change in VARIANTS]  # type: ignore[arg-type]
    for title, scene, names in scenes:
        for one in measured(scene, options.segments, options.fitted_on, options.seed, names):
            speed = one.seconds * 1e5 / options.segments
            ours = title == "12% to 24%" and one.name == "this detector"
            figure(f"segment rate {title}: power of {one.name}", one.power, aim=0.52 if ours else None)
            figures = f"{one.threshold:>10}{one.false_alarms:>14.4f}{one.power:>8.3f}{speed:>8.2f}"
            print(f"{title:<26}{one.name:<22}{figures}", flush=True)


if __name__ == "__main__":
    main()
