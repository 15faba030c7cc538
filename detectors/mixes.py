"""Has a distribution changed? Weekly counts of kinds, or weekly scores of an ordered value, against their own past.

For each week k that may have been the first of a new distribution, the weeks from k to t are held against all before
k by a Bayes factor; R_t is their sum over such k (Shiryaev and Roberts; see detectors.rates).

    values   the mean ridit (the share of the baseline below a value, half of the equal ones added) has moved by
             a normal amount of `SHIFT` standard deviations of one case, against not at all: two-sample z
    kinds    for each kind in turn: a share from a beta around the old share, `STRENGTH` cases strong, against the
             old share as far as the weeks before tell it; beta-binomial, since z has heavy tails at small shares

What R reaches in a period without a change is simulated: from the baseline's shares or scores, with their own doubt,
and with the weeks' volumes. How much the cases of a week resemble one another, and a week the one before, is drawn at
random; of TRIED times as many series as are needed those are kept whose baselines scatter as the real one does, by
single weeks and by SPAN weeks together (approximate Bayesian computation): so far as the baseline tells it, and no
further. One estimate would promise too much: of series that hang together, half look as if they did less.

Sources: Bross, "How to use ridit analysis", Biometrics 14 (1958); Johnson, "Bayes factors based on test statistics",
JRSS B 67 (2005), for the factor; for R the sources of detectors.rates; Beaumont, Zhang, Balding, "Approximate Bayesian
computation in population genetics", Genetics 162 (2002).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import betaln, logsumexp

from detectors.pvalues import Floats
from detectors.snapshot import Longs

SHIFT = 0.5
STRENGTH = 10.0
LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26)
"""Weeks that the new distribution may have lasted."""
WITHIN = (0.003, 0.2)
"""Bounds of the correlation between the cases of a week, where there is one."""
SPAN = 4
"""Weeks that are looked at together."""
TRIED = 5
"""Simulated series for each that is kept."""


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


def kind_scatters(counts: Longs) -> Floats:
    """(..., 2) how many times as much the shares of (..., weeks, kinds) scatter as those of independent cases, 1: just
    so; of single weeks, and of SPAN weeks together, which is more where the weeks hang together."""
    cases = counts.sum(axis=-1, keepdims=True)
    shares = counts.sum(axis=-2, keepdims=True) / np.maximum(cases.sum(axis=-2, keepdims=True), 1)
    off = counts - cases * shares
    # a kind of which there is none does not scatter
    expected = np.maximum(cases * shares, 1e-9)
    kinds = np.maximum((shares > 0).sum(axis=(-2, -1)) - 1, 1)
    found = []
    for span in (1, SPAN):
        chi2 = (_sums(off, span, -2) ** 2 / _sums(expected, span, -2)).sum(axis=(-2, -1))
        found.append(chi2 / (kinds * _freedom(counts, -2, span)))
    return np.stack(found, axis=-1)


def score_scatters(sums: Floats, cases: Longs | Floats, deviation: float) -> Floats:
    """The same of weekly sums of scores (..., weeks)."""
    centre = sums.sum(axis=-1, keepdims=True) / cases.sum(axis=-1, keepdims=True)
    off = sums - cases * centre
    found = [
        (_sums(off, span, -1) ** 2 / np.maximum(_sums(cases, span, -1), 1e-9)).sum(axis=-1)
        / (deviation**2 * _freedom(sums, -1, span))
        for span in (1, SPAN)
    ]
    return np.stack(found, axis=-1)


def _sums(values: Floats | Longs, span: int, axis: int) -> Floats:
    """Over each `span` weeks in a row."""
    windows: Floats = sliding_window_view(values, span, axis=axis).sum(axis=-1)
    return windows


def _freedom(values: Floats | Longs, axis: int, span: int) -> float:
    """Windows, less what they lose by the mean being of the same weeks."""
    weeks = values.shape[axis]
    return float((weeks - span + 1) * max(1.0 - span / weeks, 0.1))


def _lingering(random: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """(count,) correlations within a week, and of what moves a week with the same of the week before: what is thought
    of them before a baseline is seen."""
    within = np.where(
        random.random(count) < 0.5, 0.0, np.exp(random.uniform(np.log(WITHIN[0]), np.log(WITHIN[1]), count))
    )
    along = np.where(random.random(count) < 0.6, 0.0, random.uniform(0.0, 0.95, count))
    return within, along


def _waves(random: np.random.Generator, along: Floats, shape: tuple[int, ...]) -> Floats:
    """Normal, `shape` (draws, weeks, ...), of autocorrelation `along` (draws,) from week to week."""
    found = random.standard_normal(shape)
    kept = along.reshape(-1, *(1,) * (len(shape) - 2))
    for week in range(1, shape[1]):
        found[:, week] = kept * found[:, week - 1] + np.sqrt(1.0 - kept**2) * found[:, week]
    return found


def _alike(simulated: Floats, seen: Floats, draws: int) -> Longs:
    """The `draws` simulated baselines whose scatters (n, 2) are nearest to those seen (2,)."""
    logs, mine = np.log(simulated + 0.05), np.log(seen + 0.05)
    away = (((logs - mine) / np.maximum(logs.std(axis=0), 1e-9)) ** 2).sum(axis=1)
    return np.argsort(away, kind="stable")[:draws]


def null_kinds(counts: Longs, watched: Longs, draws: int, seed: int) -> Floats:
    """Largest log R of each of `draws` series without a change, ascending.

    `counts` (weeks, kinds) of the baseline; `watched` (weeks,): the volumes of a whole period.
    """
    random = np.random.default_rng(seed)
    volumes = np.concatenate((counts.sum(axis=1), watched))
    count = draws * TRIED
    within, along = _lingering(random, count)
    shares = random.dirichlet(counts.sum(axis=0) + 0.5, count)[:, None, :]
    # log-normal weights with the coefficient of variation of the gammas of a Dirichlet distribution
    spread = np.sqrt(np.log1p(within[:, None, None] / (1.0 - within[:, None, None]) / np.maximum(shares, 1e-3)))
    weights = shares * np.exp(spread * _waves(random, along, (count, volumes.size, shares.shape[2])) - spread**2 / 2)
    by_week = weights / weights.sum(axis=2, keepdims=True)
    baseline = len(counts)
    first = random.multinomial(np.broadcast_to(volumes[:baseline], (count, baseline)), by_week[:, :baseline])
    kept = _alike(kind_scatters(first), kind_scatters(counts), draws)
    later = random.multinomial(np.broadcast_to(watched, (draws, watched.size)), by_week[kept, baseline:])
    simulated = np.concatenate((first[kept], later), axis=1)
    maxima: Floats = np.sort(kind_factors(simulated, baseline).max(axis=1))
    return maxima


def null_scores(sums: Floats, cases: Longs, watched: Longs, deviation: float, draws: int, seed: int) -> Floats:
    """The same of scores: weekly sums are near enough normal, since ridits lie within half of their mean."""
    random = np.random.default_rng(seed)
    volumes = np.concatenate((cases, watched)).astype(np.float64)
    count = draws * TRIED
    within, along = _lingering(random, count)
    of_cases = np.sqrt(volumes * (1.0 - within[:, None])) * random.standard_normal((count, volumes.size))
    of_weeks = volumes * np.sqrt(within[:, None]) * _waves(random, along, (count, volumes.size))
    simulated = deviation * (of_cases + of_weeks)
    seen = score_scatters(sums, cases, deviation)
    kept = _alike(score_scatters(simulated[:, : cases.size], volumes[: cases.size], deviation), seen, draws)
    volumes_of_all = np.broadcast_to(volumes, (draws, volumes.size))
    maxima: Floats = np.sort(score_factors(simulated[kept], volumes_of_all, deviation, cases.size).max(axis=1))
    return maxima
