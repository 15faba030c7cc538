"""How often is a fall of usage found, how often is one invented, and how long do a million accounts take?

    python -m benchmarks.usage_decline [--accounts 40000] [--only power,alarms,scale,cdnow]

`power`: the share of falling accounts that are found within the 26 monitored weeks, at 1% false alarms in these.
Ours has its own threshold, fitted on the healthy accounts of another draw of the same world (2% falling by half
among them), and `false` is what that threshold came to on a third draw; the peers' thresholds are set at 1% by
construction. Seconds are CPU seconds for 100,000 accounts, all looks.
`alarms`: the share of healthy accounts that are ever raised at a budget of 1%, by stratum, with 95% intervals; fitted
on one company, judged by fresh accounts of another seed, 20,000 for each stratum however few it has; with independent
and with autocorrelated weeks, of two processes neither of which is the one that our null simulates.
`scale`: 1,000,000 accounts x 52 weeks as a snapshot, one run of fit and raise.
`cdnow`: purchases of 23,570 real customers, pooled at random into accounts; a fall is made by thinning.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
from scipy.stats import beta

from benchmarks.figures import arguments, figure
from benchmarks.usage_peers import PEERS, Peer, optional, oracle
from benchmarks.usage_worlds import BASELINE, CDNOW, FALLS, LENGTH, Array, World, pooled, purchases, simulate, thinned
from detectors import ROSTER
from detectors.usage_evidence import Weeks
from detectors.usage_fit import Stratum, season_of, strata_of
from detectors.usage_null import Null, ever, fit_null, looks
from watchtower.contract import DetectionRequest

BUDGET = 0.01
JUDGED = 20_000
"""Accounts that a stratum is judged by, at least: false alarms are then known to a fifteenth of what is promised."""


def interval(hits: int, count: int) -> tuple[float, float]:
    """Clopper-Pearson, 95%."""
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0


class Ours:
    """The detector's own parts on counts as they stand: fit, then the least p-value over 26 weekly looks."""

    def __init__(self, counts: Array, seed: int = 1) -> None:
        known = np.ones(counts.shape, dtype=np.bool_)
        self.season = season_of(counts, known)
        self.weeks = self._weeks(counts)
        self.fitted: list[tuple[Stratum, Null]] = [
            (stratum, fit_null(stratum, self.weeks, seed, sliding=False)) for stratum in strata_of(self.weeks)
        ]

    def _weeks(self, counts: Array) -> Weeks:
        count = len(counts)
        return Weeks(counts, np.ones(counts.shape, dtype=np.bool_), np.full(count, BASELINE), self.season, 26)

    def placed(self, counts: Array) -> list[tuple[Stratum, Null, Array]]:
        """Each stratum and the accounts whose baseline puts them there."""
        mean = counts[:, :BASELINE].sum(axis=1) / self.season[:BASELINE].sum()
        return [
            (stratum, null, np.flatnonzero((mean >= stratum.low) & (mean < stratum.high)))
            for stratum, null in self.fitted
        ]

    def p_values(self, counts: Array) -> Array:
        """(n,); 1 for accounts that are not judged."""
        found = np.ones(len(counts))
        for stratum, null, rows in self.placed(counts):
            found[rows] = ever(looks(counts[rows], self.season), stratum, null)
        return found


def power(accounts: int) -> None:
    """Print the table of all methods."""
    random = np.random.default_rng(11)
    learnt = simulate(random, accounts).counts
    learnt[::50] = simulate(random, len(learnt[::50]), FALLS[1]).counts
    healthy = simulate(random, accounts)
    falling = [simulate(random, accounts, fall) for fall in FALLS]
    print(
        f"{'power at 1% false alarms':<44}"
        + "".join(f"{fall.name:>14}" for fall in FALLS)
        + f"{'false':>8}{'s/100k':>9}"
    )
    begun = process_time()
    ours = Ours(learnt)
    fit = process_time() - begun
    begun = process_time()
    false = float((ours.p_values(healthy.counts) <= BUDGET).mean())
    seconds = (process_time() - begun) * 100_000 / accounts
    row("usage_decline", [float((ours.p_values(world.counts) <= BUDGET).mean()) for world in falling], false, seconds)
    for fall, world, aim in zip(FALLS, falling, (0.33, 0.83, 0.52), strict=False):
        found, best = float((ours.p_values(world.counts) <= BUDGET).mean()), measured(oracle(fall), healthy, world)[0]
        figure(
            f"usage decline, power at {fall.name}", found, aim=aim, peer="an oracle", of_peer=found / best, bound=True
        )
    print(f"  its fit takes {fit:.1f} CPU s more, whatever the number of accounts")
    oracles = [measured(oracle(fall), healthy, world)[0] for fall, world in zip(FALLS, falling, strict=True)]
    row(oracle(FALLS[0]).name, oracles, BUDGET, None)
    for peer in [*PEERS, *optional()]:
        results = [measured(peer, healthy, world) for world in falling]
        row(peer.name, [found for found, _ in results], BUDGET, results[0][1])


def row(name: str, found: list[float], false: float, seconds: float | None) -> None:
    """Print a line of the table."""
    cost = f"{seconds:>9.2f}" if seconds is not None else f"{'':>9}"
    print(f"{name:<44}" + "".join(f"{share:>14.3f}" for share in found) + f"{false:>8.4f}" + cost, flush=True)


def measured(peer: Peer, healthy: World, falling: World) -> tuple[float, float]:
    """Power at a threshold that 1% of the healthy accounts pass, and CPU seconds for 100,000 accounts."""
    some = [World(w.counts[: peer.most], w.means[: peer.most], w.dispersions[: peer.most]) for w in (healthy, falling)]
    begun = process_time()
    scores = [peer.score(world) for world in some]
    seconds = (process_time() - begun) / sum(len(world.counts) for world in some) * 100_000
    kinds = [world.kind if peer.by_kind else np.zeros(len(world.counts), dtype=int) for world in some]
    hits = 0
    for kind in np.unique(kinds[0]):
        threshold = np.quantile(scores[0][kinds[0] == kind], 1.0 - BUDGET)
        hits += int((scores[1][kinds[1] == kind] > threshold).sum())
    return hits / len(scores[1]), seconds


def alarms(accounts: int) -> None:
    """Print realised false alarms by stratum."""
    for name, rho, process in (
        ("independent weeks", 0.0, "beta-gamma"),
        ("AR(1), rho .3, beta-gamma", 0.3, "beta-gamma"),
        ("AR(1), rho .3, log-normal", 0.3, "log-normal"),
        ("AR(1), rho .5, log-normal", 0.5, "log-normal"),
    ):
        ours = Ours(simulate(np.random.default_rng(61), accounts, rho=rho, process=process).counts)
        random = np.random.default_rng(62)
        print(f"false alarms at {BUDGET:.0%} in 26 weeks, {name}")
        for stratum, _ in ours.fitted:
            hits = count = 0
            while count < JUDGED:
                # an account is placed by its baseline: its mean is somewhere about the stratum's bounds
                around = (stratum.low / 3, stratum.high * 3)
                fresh = simulate(random, JUDGED, rho=rho, process=process, between=around).counts
                rows = next(rows for one, _, rows in ours.placed(fresh) if one is stratum)
                hits += int((ours.p_values(fresh[rows]) <= BUDGET).sum())
                count += rows.size
            low, high = interval(hits, count)
            figure(f"usage decline, false alarms, {name}, {stratum.name}", hits / count, better="lower", aim=0.012)
            fitted = f"r {stratum.typical:.1f}, rho {stratum.rho:.2f}"
            print(
                f"  {stratum.name:<18}{stratum.rows.size:>8,} fitted{count:>9,} judged{hits / count:>9.4f} "
                f"[{low:.4f} {high:.4f}]   {fitted}",
                flush=True,
            )


def snapshot(counts: Array, at: datetime) -> pa.Table:
    """Counts as the tower's weekly snapshot has them: a row for each week with usage."""
    account, week = np.nonzero(counts)
    start = at - timedelta(weeks=counts.shape[1])
    micros = int(start.timestamp() * 1e6) + week.astype(np.int64) * 7 * 86_400_000_000
    kind = pa.timestamp("us", tz="UTC")
    ids = pa.array(np.char.add("A-", np.arange(len(counts)).astype(str)))
    return pa.table(
        {
            "record": pa.DictionaryArray.from_arrays(pa.array(account.astype(np.int32)), ids).cast(pa.large_string()),
            "valid_from": pa.array(micros).cast(kind),
            "valid_to": pa.array(micros + 7 * 86_400_000_000).cast(kind),
            "value": pa.array(counts[account, week]),
        }
    )


def scale(accounts: int) -> None:
    """Print the time of one run."""
    random = np.random.default_rng(31)
    counts = np.concatenate(
        [simulate(random, min(100_000, accounts)).counts for _ in range(max(1, accounts // 100_000))]
    )
    at = datetime(2026, 1, 5, tzinfo=UTC)
    table = snapshot(counts, at)
    request = DetectionRequest(
        id="benchmark", signal="usage_falling", detector="usage_decline", object="account", budget=BUDGET, at=at,
        parameters={"events": "usage.recorded"},
    )  # fmt: skip
    detector = ROSTER["usage_decline"]
    begun, cpu = perf_counter(), process_time()
    fitted = detector.fit(table, request)
    between = perf_counter()
    signals = detector.raise_signals(table, fitted, request)
    ended = perf_counter()
    figure(f"usage decline, {len(counts):,} accounts x {LENGTH} weeks", ended - begun, "s", better="lower", aim=60)
    print(
        f"{len(counts):,} accounts x {LENGTH} weeks, {table.num_rows:,} rows: fit {between - begun:.1f} s, "
        f"raise {ended - between:.1f} s, {process_time() - cpu:.1f} CPU s together; {len(signals):,} signals"
    )


def cdnow(accounts: int) -> None:
    """Print power and false alarms on real purchases."""
    if not CDNOW.exists():
        print(f"no CDNOW: {CDNOW} is not here")
        return
    bought, week_count = purchases()
    print(f"CDNOW, {accounts:,} accounts of customers drawn at random; a fall by half in one of 14 weeks, by thinning")
    print(f"{'customers':>10}{'a week':>8}{'false':>9}{'power':>8}{'oracle':>8}{'no season':>11}")
    for customers in (50, 100, 200, 400, 800):
        random = np.random.default_rng(41)
        counts = pooled(random, bought, week_count, 2 * accounts, customers)[:, -LENGTH:]
        learnt, fresh = counts[:accounts], counts[accounts:]
        ours, fallen = Ours(learnt), thinned(random, fresh, FALLS[1])
        false, found = (float((ours.p_values(some) <= BUDGET).mean()) for some in (fresh, fallen))
        flat = Ours(learnt)
        flat.season = np.ones(LENGTH)
        flat.weeks = replace(flat.weeks, season=flat.season)
        flat.fitted = [(stratum, fit_null(stratum, flat.weeks, 1, sliding=False)) for stratum in strata_of(flat.weeks)]
        unseasoned = float((flat.p_values(fresh) <= BUDGET).mean())
        figure(f"usage decline on CDNOW, {counts.mean():.1f} a week: power at -50%", found)
        figure(f"usage decline on CDNOW, {counts.mean():.1f} a week: false alarms", false, better="lower", aim=0.01)
        print(
            f"{customers:>10}{counts.mean():>8.1f}{false:>9.4f}{found:>8.3f}"
            f"{poisson_oracle(fresh, fallen, ours.season):>8.3f}{unseasoned:>11.4f}",
            flush=True,
        )


def poisson_oracle(fresh: Array, fallen: Array, index: Array) -> float:
    """It knows the drop, the season, and the level from all healthy weeks of the same account, later ones included."""
    mu = fresh.mean(axis=1, keepdims=True) * index
    best = []
    for counts in (fresh, fallen):
        summed, most = np.zeros(len(counts)), np.zeros(len(counts))
        for week in range(BASELINE, LENGTH):
            step = counts[:, week] * np.log(0.5) + 0.5 * mu[:, week]
            summed = (summed + 1.0) * np.exp(step)
            most = np.maximum(most, summed)
        best.append(most)
    return float((best[1] > np.quantile(best[0], 1.0 - BUDGET)).mean())


def main() -> None:
    """Print what is asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--accounts", type=int, default=40_000, help="accounts a draw, of power and alarms")
    parser.add_argument("--scale", type=int, default=1_000_000, help="accounts of the timed run")
    parser.add_argument("--only", default="power,alarms,scale,cdnow")
    asked = parser.parse_args()
    for part in asked.only.split(","):
        match part:
            case "power":
                power(asked.accounts)
            case "alarms":
                alarms(asked.accounts)
            case "scale":
                scale(asked.scale)
            case "cdnow":
                cdnow(2_000)
            case _:
                parser.error(f"--only: {part!r} is not known; accepted are power, alarms, scale, cdnow")


if __name__ == "__main__":
    main()
