"""Does usage decline keep its word on accounts in which nothing happens? A company simulated, fitted and watched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from detectors.usage_evidence import Bools, Weeks
from detectors.usage_fit import Stratum, season_of, strata_of
from detectors.usage_null import BASELINE, MONITORED, WINDOW, ever, fit_null, healthy, looks


def realised(
    strata: Sequence[Stratum], weeks: Weeks, older: Bools, budget: float, seed: int
) -> Iterator[tuple[str, int, int]]:
    """(stratum, accounts, how many were ever raised in MONITORED weekly runs), one healthy company.

    Each stratum's accounts are drawn from its fit, as many as there are. Season, strata, dispersion, autocorrelation
    and nulls are then fitted to them from their last WINDOW weeks: what the fits err by is in the count.
    """
    if not strata:
        return
    random = np.random.default_rng(seed)
    sliding = bool(older.mean() > 0.5)
    length = WINDOW + MONITORED - 1 if sliding else WINDOW
    drawn = [healthy(stratum, weeks, random, stratum.rows.size, length) for stratum in strata]
    values = np.concatenate(drawn)
    origin = np.repeat(np.arange(len(drawn)), [len(part) for part in drawn])
    last = values[:, -WINDOW:]
    known = np.ones(last.shape, dtype=np.bool_)
    # the simulated weeks carry the season from their first week on: it is turned to the same place
    index = season_of(last, known)
    shift = (length - WINDOW) % WINDOW
    seen = Weeks(last, known, np.full(len(last), BASELINE), index, MONITORED)
    fresh = strata_of(seen)
    season = np.roll(index, shift)
    windows = looks(values, season)
    first = windows[0]
    mean = np.where(first.baseline, first.values, 0.0).sum(axis=1) / (first.baseline * first.season).sum(axis=1)
    raised = np.zeros(len(values), dtype=np.bool_)
    for stratum in fresh:
        mine = np.flatnonzero((mean >= stratum.low) & (mean < stratum.high))
        null = fit_null(stratum, seen, seed + 1, sliding=sliding)
        raised[mine] = ever([some.take(mine) for some in windows], stratum, null) <= budget
    for place, stratum in enumerate(strata):
        yield stratum.name, int((origin == place).sum()), int(raised[origin == place].sum())
