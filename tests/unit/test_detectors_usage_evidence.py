"""The parts of usage decline: the Bayes factor against a slow oracle, and fits against what was simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nbinom, norm

from detectors.usage_evidence import DROPS, HEEDED, Shape, Weeks, evidence, gate
from detectors.usage_fit import season_of, strata_of
from detectors.usage_null import fit_null, intensities

R, LEVEL, LEVEL_SD = 4.0, 3.0, 0.8
SHAPE = Shape(np.array([R]), np.ones(1), LEVEL, LEVEL_SD)
SEASON = np.array([1.0, 1.2, 0.8, 1.0, 1.1, 0.9, 0.6, 1.0, 1.0, 1.2])


def weeks(values: Any, first: int, season: Any = None, known: Any = None) -> Weeks:
    values = np.asarray(values, dtype=np.float64)
    known = np.ones(values.shape, dtype=np.bool_) if known is None else known
    season = np.ones(values.shape[1]) if season is None else season
    return Weeks(values, known, np.full(len(values), first), season, values.shape[1] - first)


def likelihoods(y: Any, log_m: float, change: int, drop: float) -> Any:
    """Of each week, where usage falls by `drop` at week `change`, by scipy's own distribution."""
    mean = np.exp(log_m) * SEASON[: len(y)] * np.where(np.arange(len(y)) >= change, 1 - drop, 1.0)
    return nbinom.pmf(y, R, R / (R + mean))


def slow_bayes_factor(y: Any, first: int, last: int, span: int) -> float:
    """By numerical integration over the level, each change and drop by itself."""

    def integral(change: int, drop: float) -> float:
        def inside(x: float) -> float:
            null, fallen = likelihoods(y[: last + 1], x, 999, 0.0), likelihoods(y[: last + 1], x, change, drop)
            heeded = np.prod(null[:first]) * np.prod(null[first:] ** HEEDED)
            return float(heeded * np.prod(fallen / null) * norm.pdf(x, LEVEL, LEVEL_SD))

        return float(quad(inside, 0.0, 6.0, points=[2.5, 3.0, 3.5], epsabs=0, epsrel=1e-9, limit=400)[0])

    null = integral(999, 0.0)
    changes = [integral(change, drop) / null for change in range(first, last + 1) for drop in DROPS]
    return sum(changes) / len(DROPS) / span


@pytest.mark.parametrize("seed", range(4))
def test_the_bayes_factor_is_that_of_numerical_integration(seed: int) -> None:
    random = np.random.default_rng(seed)
    y = random.poisson(20 * SEASON * random.gamma(R, 1 / R, 10))
    if seed % 2:
        y[7:] //= 3
    found = evidence(weeks([y], 6, SEASON), SHAPE)[0]
    for last in (6, 8, 9):
        assert found[last] == pytest.approx(slow_bayes_factor(y, 6, last, 4), rel=0.02)
    assert not found[:6].any()


def test_evidence_grows_with_the_fall_and_healthy_accounts_have_little() -> None:
    random = np.random.default_rng(5)
    level = np.exp(random.normal(LEVEL, LEVEL_SD, (4_000, 1)))
    intensity = random.gamma(R, 1 / R, (4_000, 40))
    found = []
    for drop in (0.0, 0.3, 0.6):
        share = np.where(np.arange(40) < 30, 1.0, 1.0 - drop)
        y = np.random.default_rng(6).poisson(level * share * intensity)
        found.append(np.median(evidence(weeks(y, 26), SHAPE)[:, -1]))
    assert found[0] < 0.5 < 2 * found[0] < found[1] < 100 < found[2]


def test_an_unknown_week_says_nothing() -> None:
    random = np.random.default_rng(1)
    y = random.poisson(20, (3, 10)).astype(np.float64)
    known = np.ones(y.shape, dtype=np.bool_)
    known[:, 8] = False
    other = y.copy()
    other[:, 8] = 0
    one, two = (evidence(weeks(values, 6, known=known), SHAPE) for values in (y, other))
    assert (one == two).all()
    assert gate(weeks(y, 6, known=known), SHAPE) == pytest.approx(gate(weeks(other, 6, known=known), SHAPE))


def test_enormous_counts_do_not_overflow() -> None:
    y = np.full((2, 52), 3e9)
    y[1, 30:] = 0
    found = evidence(weeks(y, 26), Shape(np.array([2.0, 50.0]), np.array([0.5, 0.5]), np.log(3e9), 1.0))
    assert np.isfinite(found).all()
    assert found[0].max() < 1 < 1e6 < found[1].max()


def cohort(rho: float, r: float, level: float, count: int = 3_000, seed: int = 2) -> Weeks:
    """Counts of a beta-gamma process: another one of the same marginal and autocorrelation than is simulated."""
    random = np.random.default_rng(seed)
    intensity = np.empty((count, 52))
    intensity[:, 0] = random.gamma(r, 1 / r, count)
    for week in range(1, 52):
        kept = random.beta(r * rho, r * (1 - rho), count) if rho else 0.0
        intensity[:, week] = kept * intensity[:, week - 1] + random.gamma(r * (1 - rho), 1 / r, count)
    own = random.lognormal(np.log(level), 0.3, (count, 1))
    return weeks(random.poisson(own * intensity), 26)


@pytest.mark.parametrize(("rho", "r", "level"), [(0.0, 3.0, 4.5), (0.3, 3.0, 60.0), (0.5, 8.0, 60.0)])
def test_dispersion_and_autocorrelation_are_those_of_the_simulation(rho: float, r: float, level: float) -> None:
    largest = max(strata_of(cohort(rho, r, level)), key=lambda stratum: stratum.rows.size)
    assert largest.rho == pytest.approx(rho, abs=0.06)
    assert largest.typical == pytest.approx(r, rel=0.15)


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_simulated_intensities_have_the_moments_of_the_fit(rho: float) -> None:
    drawn = intensities(np.random.default_rng(3), np.full(20_000, 3.0), 12, rho, 3.0)
    assert drawn.mean() == pytest.approx(1.0, abs=0.01)
    assert drawn.var() == pytest.approx(1 / 3, rel=0.04)
    lagged = np.mean((drawn[:, 1:] - 1) * (drawn[:, :-1] - 1)) / drawn.var()
    assert lagged == pytest.approx(rho, abs=0.02)


def test_a_season_is_found_and_chance_is_not_taken_for_one() -> None:
    random = np.random.default_rng(4)
    season = np.ones(52)
    season[[10, 40, 41]] = [1.4, 0.6, 0.5]
    own = random.lognormal(2.0, 1.0, (4_000, 1))
    values = random.poisson(own * season * random.gamma(3.0, 1 / 3, (4_000, 52))).astype(np.float64)
    known = np.ones(values.shape, dtype=np.bool_)
    assert season_of(values, known) == pytest.approx(season / season.mean(), abs=0.03)
    flat = random.poisson(np.full((40, 52), 5.0)).astype(np.float64)
    assert season_of(flat, known[:40]) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_p_values_of_healthy_accounts_are_at_most_uniform(rho: float) -> None:
    """6,000 accounts, 26 looks each: the share that ever has p <= a is a, autocorrelated weeks included."""
    found = cohort(rho, 4.0, 60.0, 6_000, seed=9)
    stratum = max(strata_of(found), key=lambda one: one.rows.size)
    null = fit_null(stratum, found, 1, sliding=False)
    mine = found.take(stratum.rows)
    passed = np.flatnonzero(gate(mine, stratum.shape, highest=True) >= null.gate)
    p_values = np.ones(stratum.rows.size)
    p_values[passed] = null.p_values(evidence(mine.take(passed), stratum.shape).max(axis=1))
    assert 0.03 < (p_values <= 0.05).mean() < 0.065
    assert 0.005 < (p_values <= 0.01).mean() < 0.015
