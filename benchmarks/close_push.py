"""Deals put off again and again, and a forecast that no longer holds: power at 1% false alarms, beside what people use.

    python -m benchmarks.close_push [--companies 40] [--deals 1000] [--stuck 0.005] [--seed 1]

`deal`: a company's open deals on one day. Deals open evenly over the past 60 weeks; each has a length, log-normal
with a median of 12 weeks, and is put off at its own rate, gamma about 1 in 7 weeks with shape 4 (some are put off
more than others in any company). Of those that open in the last 30 weeks a share `--stuck` is stuck: from its fourth
week on it is put off 2, 3 or 5 times as often, and it does not close. Stuck deals stand beside each other in the
cohort: where more than the budget's share of the open ones is stuck, their ranks cannot all be below it. Judged are
open deals of 6 weeks or more. `false`: of the healthy ones, `power`: of the stuck ones, raised in that one run.

  oracle                    knows all parameters, and when each push was: likelihood ratio, threshold at 1%
  this detector             the detector as it stands, p <= .01 (detectors.close_push)
  pushes >= 3               the rule that CRMs ship, and its threshold at 1%
  pushes a week             own pushes over own age, threshold at 1%
  older than 2 x median     age against won and lost deals

`month`: the whole company's share of open deals that are put off in a month: 26 weeks of baseline, in the 27th to 52nd
it goes from 15% to 22% at the 40th. About 30 deals a week are due; weeks scatter with a correlation of .005.

  oracle CUSUM              knows both rates
  this detector             segment_rate's statistic with one company among 12 quiet teams (detectors.rates)
  share > 30%               of deals due in four weeks: fixed
  z-test of the month       four weeks against the 26 before at 1%, each week

Thresholds marked 1% are set on companies of another seed; the judged ones set none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from scipy.special import betaln, gammaln
from scipy.stats import norm

from benchmarks.figures import arguments, figure
from benchmarks.usage_worlds import Array
from detectors import ROSTER
from detectors.rates import Prior, fit_prior, null_maxima, statistics
from watchtower.contract import DetectionRequest

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")
BUDGET = 0.01
MEDIAN, SPREAD = 12.0, 0.6
RATE, SHAPE = 1 / 7, 4.0
SINCE, OLD, YOUNG = 4.0, 6.0, 30.0
WEEKS, CHANGE, TEAMS, DUE, WITHIN = 26, 13, 12, 30.0, 0.005
BEFORE, AFTER = 0.15, 0.22


@dataclass(frozen=True)
class Company:
    """Deals by row, weeks as the unit of time, today at 0."""

    age: Array
    """Since the deal opened."""
    length: Array
    """Until it is decided; infinite where it is stuck."""
    stuck: Array
    pushes: list[Array]
    """Ages at which it was put off."""

    @property
    def judged(self) -> Array:
        """Rows of open deals that are old enough."""
        return np.flatnonzero((self.length > self.age) & (self.age >= OLD))

    def count(self, rows: Array) -> Array:
        return np.array([self.pushes[row].size for row in rows])


def company(random: np.random.Generator, deals: int, times: float, share: float) -> Company:
    age = random.uniform(0.0, 60.0, deals)
    length = random.lognormal(np.log(MEDIAN), SPREAD, deals)
    stuck = (random.random(deals) < share) & (age < YOUNG)
    length[stuck] = np.inf
    rate = random.gamma(SHAPE, RATE / SHAPE, deals)
    pushes = []
    for row in range(deals):
        until = min(float(age[row]), float(length[row]))
        times_of = random.uniform(0.0, until, random.poisson(rate[row] * until))
        if stuck[row] and until > SINCE:
            more = random.uniform(SINCE, until, random.poisson((times - 1.0) * rate[row] * (until - SINCE)))
            times_of = np.concatenate((times_of, more))
        pushes.append(np.sort(times_of))
    return Company(age, length, stuck, pushes)


def snapshot(one: Company) -> pa.Table:
    """As the tower has it: a version for the opening, one for each push, and one for the decision."""
    rows: list[tuple[str, datetime, datetime | None, str, datetime]] = []
    for number in range(one.age.size):
        begun = AT - timedelta(weeks=float(one.age[number]))
        ages = [0.0, *one.pushes[number].tolist()]
        closed = one.length[number] <= one.age[number]
        ends = [*ages[1:], float(one.length[number]) if closed else None]
        for place, (age, end) in enumerate(zip(ages, ends, strict=True)):
            due = begun + timedelta(weeks=12 + 4 * place)
            until = None if end is None else begun + timedelta(weeks=end)
            rows.append((f"D-{number:05d}", begun + timedelta(weeks=age), until, "open", due))
        if closed:
            decided = begun + timedelta(weeks=float(one.length[number]))
            rows.append((f"D-{number:05d}", decided, None, "won", begun + timedelta(weeks=12)))
    names, kinds = ("record", "valid_from", "valid_to", "stage", "due"), (pa.string(), KIND, KIND, pa.string(), KIND)
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip(names, columns, kinds, strict=True)})


def own_raised(one: Company) -> Array:
    """Whether the detector raises each judged deal."""
    request = DetectionRequest(
        id="benchmark", signal="pushed", detector="close_push", object="deal", field="stage", budget=BUDGET, at=AT,
        parameters={"date": "due", "closed": "won"},
    )  # fmt: skip
    table, detector = snapshot(one), ROSTER["close_push"]
    signals = detector.raise_signals(table, detector.fit(table, request), request)
    named = {signal.subject for signal in signals}
    return np.array([f"deal/D-{row:05d}" in named for row in one.judged])


def oracle(one: Company, times: float) -> Array:
    """It also knows each push's age: before SINCE a stuck deal is like any other."""
    rows, scale = one.judged, SHAPE / RATE
    age, count = one.age[rows], one.count(rows)
    late = np.array([(one.pushes[row] > SINCE).sum() for row in rows])
    usual = gammaln(count + SHAPE) - (count + SHAPE) * np.log(scale + age)
    stuck = gammaln(count + SHAPE) - (count + SHAPE) * np.log(scale + SINCE + times * (age - SINCE))
    # a healthy deal of this age is open only if it is a long one, and an old one is not stuck
    prior = -norm.logsf((np.log(age) - np.log(MEDIAN)) / SPREAD) + np.where(age < YOUNG, 0.0, -50.0)
    ratio: Array = stuck + late * np.log(times) - usual + prior
    return ratio


def deal_level(companies: int, deals: int, times: float, share: float, seed: int) -> None:
    """Print the table of single deals."""
    tuning, judging = (
        [company(np.random.default_rng([seed, part, number]), deals, times, share) for number in range(companies)]
        for part in (1, 2)
    )
    scores: dict[str, tuple[Callable[[Company], Array], float | None]] = {
        "oracle": (lambda one: oracle(one, times), None),
        "pushes >= 3": (lambda one: one.count(one.judged).astype(float), 3.0),
        "pushes, 1%": (lambda one: one.count(one.judged).astype(float), None),
        "pushes a week, 1%": (lambda one: one.count(one.judged) / one.age[one.judged], None),
        "older than 2 x median": (lambda one: one.age[one.judged], 2 * MEDIAN),
    }
    healthy = np.concatenate([~one.stuck[one.judged] for one in judging])
    print(
        f"deal: {share:.1%} put off {times:g} times as often, "
        f"{healthy.sum():,} healthy and {(~healthy).sum()} stuck deals"
    )
    told = np.concatenate([own_raised(one) for one in judging])
    results = {"this detector": (told[healthy].mean(), told[~healthy].mean())}
    for name, (score, fixed) in scores.items():
        quiet = np.concatenate([score(one)[~one.stuck[one.judged]] for one in tuning])
        # the least threshold that at most 1% of them reach: pushes are whole numbers
        steps = np.unique(quiet)
        bound = fixed
        if bound is None:
            bound = next((step for step in steps if (quiet >= step).mean() <= BUDGET), np.inf)
        found = np.concatenate([score(one) for one in judging]) >= bound
        results[name] = (found[healthy].mean(), found[~healthy].mean())
    for name, (false, power) in results.items():
        print(f"  {name:<26} false {false:.4f}  power {power:.3f}")
        figure(f"close push, {share:.1%} put off {times:g} times as often: power of {name}", float(power))
    of = float(results["this detector"][1] / results["oracle"][1])
    what = f"close push, {share:.1%} put off {times:g} times as often: of the oracle's power"
    figure(what, of, peer="an oracle", of_peer=of, bound=True)


def month_level(companies: int, seed: int) -> None:
    """Print the table of a company's share."""

    def draw(random: np.random.Generator, count: int, drift: bool) -> tuple[Array, Array]:
        cases = random.poisson(DUE, (count, 2 * WEEKS))
        rate = np.where((np.arange(2 * WEEKS) >= WEEKS + CHANGE) & drift, AFTER, BEFORE)
        size = 1 / WITHIN - 1
        return random.binomial(cases, random.beta(rate * size, (1 - rate) * size, cases.shape)), cases

    def teams(random: np.random.Generator) -> tuple[Prior, Array]:
        counts, cases = draw(random, TEAMS, False)
        prior = fit_prior(counts[:, :WEEKS], cases[:, :WEEKS])
        volumes = np.concatenate((cases[:, :WEEKS],) * 2, axis=1)
        return prior, null_maxima(volumes, WEEKS, prior, AFTER / BEFORE, 4_000, seed)

    def cusum(counts: Array, cases: Array) -> Array:
        size = 1 / WITHIN - 1
        gain = _beta_binomial(counts, cases, AFTER, size) - _beta_binomial(counts, cases, BEFORE, size)
        level, path = np.zeros(len(counts)), []
        for week in range(WEEKS, 2 * WEEKS):
            level = np.maximum(level + gain[:, week], 0.0)
            path.append(level)
        return np.array(path).T

    def share(counts: Array, cases: Array) -> Array:
        found: Array = _four(counts) / np.maximum(_four(cases), 1)
        return found

    def z_test(counts: Array, cases: Array) -> Array:
        x, n = counts[:, :WEEKS].sum(axis=1)[:, None], cases[:, :WEEKS].sum(axis=1)[:, None]
        m = _four(cases)
        both = (x + _four(counts)) / (n + m)
        return (_four(counts) / m - x / n) / np.sqrt(both * (1 - both) * (1 / m + 1 / n))

    prior, maxima = teams(np.random.default_rng([seed, 3]))
    tuning = draw(np.random.default_rng([seed, 4]), 8 * companies, False)
    quiet, moved = (draw(np.random.default_rng([seed, 5 + drift]), 8 * companies, bool(drift)) for drift in (0, 1))
    ways: dict[str, tuple[Callable[[Array, Array], Array], float | None]] = {
        "oracle CUSUM, 1%": (cusum, None),
        "this detector": (
            lambda counts, cases: statistics(counts, cases, WEEKS, prior, AFTER / BEFORE),
            float(np.quantile(maxima, 1 - BUDGET)),
        ),
        "share > 30%": (share, 0.3),
        "share, 1%": (share, None),
        "z-test of the month": (z_test, float(norm.isf(BUDGET))),
        "z-test, 1%": (z_test, None),
    }
    print(f"month: {8 * companies} companies each, {BEFORE:.0%} to {AFTER:.0%}, false alarms in {WEEKS} weeks")
    for name, (way, fixed) in ways.items():
        bound = fixed if fixed is not None else float(np.quantile(way(*tuning).max(axis=1), 1 - BUDGET))
        false = float((way(*quiet).max(axis=1) >= bound).mean())
        power = float((way(*moved)[:, CHANGE:].max(axis=1) >= bound).mean())
        print(f"  {name:<26} false {false:.4f}  power {power:.3f}")
        figure(f"share of deals put off: power of {name}", power)


def _four(values: Array) -> Array:
    """Sums of the last four weeks at each watched week."""
    total = np.concatenate((np.zeros((len(values), 1)), np.cumsum(values, axis=1)), axis=1)
    sums: Array = (total[:, 4:] - total[:, :-4])[:, WEEKS - 3 :]
    return sums


def _beta_binomial(counts: Array, cases: Array, rate: float, size: float) -> Array:
    up, down = rate * size, (1 - rate) * size
    found: Array = betaln(counts + up, cases - counts + down) - betaln(up, down)
    return found


def main() -> None:
    """Print both."""
    parser = arguments(__doc__)
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--stuck", type=float, default=0.005, help="share of the deals of the last 30 weeks")
    parser.add_argument("--deals", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for times in (2.0, 3.0, 5.0):
        deal_level(options.companies, options.deals, times, options.stuck, options.seed)
    month_level(25 * options.companies, options.seed)


if __name__ == "__main__":
    main()
