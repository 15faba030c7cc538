"""Has a distribution changed? Weekly counts of kinds, or weekly scores of an ordered value, against their own past.

For each week k that may have been the first of a new distribution, the weeks from k to t are held against all before
k by a Bayes factor; R_t is their sum over such k (Shiryaev and Roberts; see detectors.rates).

    values   the mean ridit (the share of the baseline below a value, half of the equal ones added) has moved by
             a normal amount of `SHIFT` standard deviations of one case, against not at all: two-sample z
    kinds    for each kind in turn: a share from a beta around the old share, `STRENGTH` cases strong, against the
             old share as far as the weeks before tell it; beta-binomial, since z has heavy tails at small shares

What R reaches in a period without a change is simulated: from the baseline's shares or scores, with their own doubt,
with the weeks' volumes and with the scatter between weeks that the baseline shows, with its doubt too.

Sources: Bross, "How to use ridit analysis", Biometrics 14 (1958); Johnson, "Bayes factors based on test statistics",
JRSS B 67 (2005), for the factor; for R the sources of detectors.rates.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, logsumexp

from detectors.pvalues import Floats
from detectors.snapshot import Longs

SHIFT = 0.5
STRENGTH = 10.0
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26)
"""Weeks that the new distribution may have lasted."""


def kind_factors(counts: Longs, baseline: int) -> Floats:
    """log R after each watched week: (series, weeks - baseline) from counts (series, weeks, kinds).

    R is the mean over kinds, each against all others: a change of one kind is not drowned by the rest.
    """
    sums = np.concatenate((np.zeros((len(counts), 1, counts.shape[2])), np.cumsum(counts, axis=1)), axis=1)
    cases = sums.sum(axis=2, keepdims=True)
    shares = ((sums[:, baseline] + 0.5) / (cases[:, baseline] + 0.5 * counts.shape[2]))[:, None]
    a, b = STRENGTH * shares, STRENGTH * (1.0 - shares)
    new = betaln(a, b)
    found = np.empty((len(counts), counts.shape[1] - baseline))
    for week in range(baseline + 1, counts.shape[1] + 1):
        first = np.array([week - length for length in LENGTHS if week - length >= baseline])
        later = sums[:, [week]] - sums[:, first]
        others = cases[:, [week]] - cases[:, first] - later
        old_a, old_b = sums[:, first] + 0.5, cases[:, first] - sums[:, first] + 0.5
        factors = betaln(a + later, b + others) - new - betaln(old_a + later, old_b + others) + betaln(old_a, old_b)
        found[:, week - baseline - 1] = logsumexp(factors.reshape(len(counts), -1), axis=1) - np.log(counts.shape[2])
    return found


def score_factors(sums: Floats, cases: Longs | Floats, deviation: Floats | float, baseline: int) -> Floats:
    """The same from weekly sums of scores and numbers of cases (series, weeks); `deviation` of one score, by series."""
    variance = np.broadcast_to(np.square(deviation), (len(sums),))[:, None]
    zero = np.zeros((len(sums), 1))
    total = np.concatenate((zero, np.cumsum(sums, axis=1)), axis=1)
    number = np.concatenate((zero, np.cumsum(cases, axis=1)), axis=1)
    weeks = sums.shape[1]
    found = np.empty((len(sums), weeks - baseline))
    for week in range(baseline + 1, weeks + 1):
        first = np.array([week - length for length in LENGTHS if week - length >= baseline])
        before, later = number[:, first], number[:, [week]] - number[:, first]
        known = np.maximum(later, 1e-9)
        gap = (total[:, [week]] - total[:, first]) / known - total[:, first] / np.maximum(before, 1e-9)
        size = later * before / np.maximum(later + before, 1e-9)
        pull = SHIFT**2 * size
        z2 = gap**2 * size / variance
        found[:, week - baseline - 1] = logsumexp(0.5 * (z2 * pull / (1 + pull) - np.log1p(pull)), axis=1)
    return found


def ridits(values: Floats, reference: Floats) -> Floats:
    """(n,) the share of the reference below each value, half of the equal ones added; minus one half."""
    ordered = np.sort(reference)
    low = np.searchsorted(ordered, values, side="left")
    high = np.searchsorted(ordered, values, side="right")
    scores: Floats = (low + high) / (2.0 * ordered.size) - 0.5
    return scores


def kind_scatter(counts: Longs) -> tuple[float, int]:
    """How many times as much the shares of (weeks, kinds) scatter as those of independent cases, 1: just so; and the
    degrees of freedom in which that is known, 0 where it is not."""
    used = counts[counts.sum(axis=1) > 1]
    used = used[:, used.sum(axis=0) > 0]
    freedom = (len(used) - 1) * (used.shape[1] - 1)
    if freedom < 4:
        return 1.0, 0
    expected = used.sum(axis=1, keepdims=True) * (used.sum(axis=0) / used.sum())
    return float(((used - expected) ** 2 / expected).sum()) / freedom, freedom


def score_scatter(sums: Floats, cases: Longs, deviation: float) -> tuple[float, int]:
    """The same of weekly sums of scores."""
    used = cases > 1
    freedom = int(used.sum()) - 1
    if freedom < 4:
        return 1.0, 0
    means, sizes = sums[used] / cases[used], cases[used]
    centre = sums[used].sum() / sizes.sum()
    return float((sizes * (means - centre) ** 2).sum()) / (deviation**2 * freedom), freedom


def _rhos(scatter: float, freedom: int, mean_cases: float, draws: int, random: np.random.Generator) -> Floats:
    """(draws,) correlations within a week that go with a scatter, as far as so few weeks tell it; in [0, .5].

    One value would promise too much: of series with a correlation, half look as if they had less.
    """
    if freedom == 0 or mean_cases <= 1.0:
        return np.zeros(draws)
    drawn = scatter * freedom / random.chisquare(freedom, draws)
    rhos: Floats = np.clip((drawn - 1.0) / (mean_cases - 1.0), 0.0, 0.5)
    return rhos


def null_kinds(counts: Longs, watched: Longs, draws: int, seed: int) -> Floats:
    """Largest log R of each of `draws` series without a change, ascending.

    `counts` (weeks, kinds) of the baseline; `watched` (weeks,): the volumes of a whole period.
    """
    random = np.random.default_rng(seed)
    volumes = np.concatenate((counts.sum(axis=1), watched))
    rhos = _rhos(*kind_scatter(counts), float(counts.sum(axis=1).mean()), draws, random)[:, None, None]
    shares = random.dirichlet(counts.sum(axis=0) + 0.5, draws)[:, None, :]
    # a gamma of this shape, divided by the sum over kinds, is Dirichlet; at no correlation it hardly scatters
    drawn = random.standard_gamma(
        np.broadcast_to(shares * (1.0 / np.maximum(rhos, 1e-4) - 1.0), (draws, volumes.size, shares.shape[2]))
    )
    by_week = (drawn + 1e-12) / (drawn + 1e-12).sum(axis=2, keepdims=True)
    simulated = random.multinomial(np.broadcast_to(volumes, (draws, volumes.size)), by_week)
    maxima: Floats = np.sort(kind_factors(simulated, len(counts)).max(axis=1))
    return maxima


def null_scores(sums: Floats, cases: Longs, watched: Longs, deviation: float, draws: int, seed: int) -> Floats:
    """The same of scores: weekly sums are near enough normal, since ridits lie within half of their mean."""
    random = np.random.default_rng(seed)
    volumes = np.concatenate((cases, watched)).astype(np.float64)
    rhos = _rhos(*score_scatter(sums, cases, deviation), float(cases.mean()), draws, random)[:, None]
    spread = deviation * np.sqrt(volumes * (1.0 + np.maximum(volumes - 1.0, 0.0) * rhos))
    simulated = random.standard_normal((draws, volumes.size)) * spread
    volumes_of_all = np.broadcast_to(volumes, simulated.shape)
    maxima: Floats = np.sort(score_factors(simulated, volumes_of_all, deviation, cases.size).max(axis=1))
    return maxima
