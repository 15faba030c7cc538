"""Are the dwell p-values calibrated on real cases, and how long do a million spells take?

    python -m benchmarks.dwell [--splits 40]

Measured, out of sample, on BPI Challenge 2012 (13,087 loan applications): a record is a case, once by its
application states (A_) and once by its offer states (O_); a spell is the time from one state to the next,
running at the log's end where there is none. Cases are split at random into halves; a state's curve is
fitted on the spells of one half and gives the spells of the other their p-values; then the halves change
roles. The share with p <= .05 is the mean over all splits and both roles. A running spell may yet come
to p <= .05: the share is therefore the product-limit estimate over the tested spells, not the mean over
the completed ones, which are too short. `for good` is the share that had not ended at the longest completed
spell; above the budget no p-value can be small, and the detector abstains. `no ties` leaves out the
randomisation (P(T >= t) as it stands). `in time` fits on the earlier half of the cases and tests the later
half, once: it shows the drift of this log, to which no half promises anything about the other.

Peers on the same halves, each meant to be passed by a stay in twenty: `95th pct` of the completed spells, the running
ones left out; `3 means` of them, as if stays ended at random. The share that passes is product-limit, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import arguments, figure
from detectors import ROSTER
from detectors.snapshot import read_versions
from detectors.spells import Spells, read_spells
from detectors.survival import NOT_COUNTED, Survival
from watchtower.contract import DetectionRequest

BPI2012 = Path(__file__).parents[2] / "shared/data/process/bpic2012_loan.parquet"
ALPHA = 0.05
ENOUGH = 200
"""Completed spells from which a state is reported."""
PRECISION = 10**9


def case_versions(path: Path, prefix: str) -> pa.Table:
    """A snapshot of `stage` by case: the events of one prefix (`A_`, `O_`), each a version up to the next."""
    log = pq.read_table(path, columns=["case_id", "activity", "timestamp"])
    activity = log["activity"].cast(pa.string())
    log = log.set_column(1, "activity", activity).filter(pc.starts_with(activity, prefix))
    record = log["case_id"].cast(pa.string()).combine_chunks()
    start = log["timestamp"].combine_chunks()
    same = np.array(pc.equal(record[1:], record[:-1]).to_pylist() + [False], dtype=bool)
    following = pa.concat_arrays([start[1:], start[:1]])
    return pa.table(
        {
            "record": record,
            "valid_from": start,
            "valid_to": pc.if_else(pa.array(same), following, pa.scalar(None, start.type)),
            "stage": log["activity"],
        }
    )


def spells_of(table: pa.Table) -> Spells:
    """All spells up to the log's last event."""
    at = pc.max(table["valid_from"]).as_py()
    return read_spells(read_versions(table, at), "stage")


@dataclass(frozen=True)
class Calibration:
    """One state's row."""

    state: str
    completed: int
    censored: int
    never_ended: float
    share: float
    """P(p <= .05)."""
    share_without_ties: float
    share_in_time: float
    share_past_percentile: float
    share_past_three_means: float

    @property
    def judged(self) -> bool:
        """Whether the detector speaks on this state at all at this budget."""
        return self.never_ended <= ALPHA


def calibration(spells: Spells, splits: int, seed: int = 1) -> Iterator[Calibration]:
    """P(p <= .05), out of sample, for every state with enough completed spells; see the file's docstring."""
    random = np.random.default_rng(seed)
    cases = len(spells.ids)
    began = np.full(cases, np.iinfo(np.int64).max)
    np.minimum.at(began, spells.record, spells.start)
    later = began > np.median(began)
    halves = [random.permutation(cases) < cases // 2 for _ in range(splits)]
    for code, state in enumerate(spells.stages):
        here = np.flatnonzero(spells.stage == code)
        durations, ended = spells.duration[here], spells.completed[here]
        if ended.sum() < ENOUGH:
            continue
        record = spells.record[here]

        def share(tested: np.ndarray, ties: bool = True) -> float:
            curve = Survival.fit(durations[~tested], ended[~tested])  # noqa: B023
            ages, over = durations[tested], ended[tested]  # noqa: B023
            # a running spell has no p-value yet, only a bound: the one at the least it can turn out to be
            uniform = np.where(over & ties, random.random(ages.size), 1.0)
            strangeness = 1.0 - curve.p_values(ages, np.full(ages.size, NOT_COUNTED), uniform)
            steps = np.round(strangeness * PRECISION).astype(np.int64)
            at_alpha = np.array([round((1.0 - ALPHA) * PRECISION)])
            reached = 1.0 - Survival.fit(steps, over).share_sooner(at_alpha, np.array([NOT_COUNTED]))
            return float(reached[0])

        def past(tested: np.ndarray, limit: float) -> float:
            curve = Survival.fit(durations[tested], ended[tested])  # noqa: B023
            return float(1.0 - curve.share_sooner(np.array([int(limit)]), np.array([NOT_COUNTED]))[0])

        tests = [side for half in halves for side in (half[record], ~half[record])]
        yield Calibration(
            state=state,
            completed=int(ended.sum()),
            censored=int((~ended).sum()),
            never_ended=Survival.fit(durations, ended).never_ended,
            share=float(np.mean([share(tested) for tested in tests])),
            share_without_ties=float(np.mean([share(tested, ties=False) for tested in tests])),
            share_in_time=share(later[record]),
            share_past_percentile=float(
                np.mean([past(tested, np.quantile(durations[~tested & ended], 1.0 - ALPHA)) for tested in tests])
            ),
            share_past_three_means=float(
                np.mean([past(tested, -np.log(ALPHA) * durations[~tested & ended].mean()) for tested in tests])
            ),
        )


def million_spells(at: datetime, records: int = 250_000, each: int = 4, cohorts: int = 200) -> pa.Table:
    """A made-up snapshot: records x each spells, the last of each still running at `at`.

    Lengths are gamma; a running spell has a random part of its length behind it, and one record in 200
    has stood ten times its length.
    """
    random = np.random.default_rng(7)
    hours = random.gamma(1.5, 100.0, (records, each)) + 0.01
    hours[:, -1] *= random.random(records)
    hours[: records // 200, -1] *= 10
    bounds = np.concatenate((np.zeros((records, 1)), np.cumsum(hours, axis=1)), axis=1)
    micros = ((bounds - bounds[:, -1:]) * 3.6e9).astype(np.int64) + int(at.timestamp() * 1e6)
    stage = (random.integers(0, cohorts, (records, 1)) + np.arange(each)) % cohorts
    last = np.zeros((records, each), dtype=bool)
    last[:, -1] = True
    kind = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "record": pa.array(np.char.add("D-", np.repeat(np.arange(records), each).astype(str))),
            "valid_from": pa.array(micros[:, :-1].ravel()).cast(kind),
            "valid_to": pa.array(micros[:, 1:].ravel(), mask=last.ravel()).cast(kind),
            "stage": pa.array(np.char.add("s", stage.ravel().astype(str))),
        }
    )


def main() -> None:
    """Print both tables."""
    parser = arguments(__doc__)
    parser.add_argument("--splits", type=int, default=40)
    splits = parser.parse_args().splits
    if BPI2012.exists():
        columns = ("completed", "running", "for good", "p<=.05", "no ties", "in time", "95th pct", "3 means")
        print(f"{'state':<20}" + "".join(f"{column:>10}" for column in columns))
        for prefix in ("A_", "O_"):
            for row in calibration(spells_of(case_versions(BPI2012, prefix)), splits):
                counts = f"{row.state:<20}{row.completed:>10}{row.censored:>10}{row.never_ended:>10.3f}"
                shares = f"{row.share:>10.4f}{row.share_without_ties:>10.4f}{row.share_in_time:>10.4f}"
                shares += f"{row.share_past_percentile:>10.4f}{row.share_past_three_means:>10.4f}"
                if row.judged:
                    figure(f"dwell in {row.state}: P(p <= .05)", row.share)
                print(counts + (shares if row.judged else "  abstains: too many stay for good"))
    else:
        print(f"no calibration: {BPI2012} is not here")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    table = million_spells(at)
    request = DetectionRequest(
        id="benchmark",
        signal="stuck",
        detector="stage_dwell",
        object="deal",
        field="stage",
        budget=0.01,
        at=at,
    )
    detector = ROSTER["stage_dwell"]
    begun = perf_counter()
    fitted = detector.fit(table, request)
    between = perf_counter()
    signals = detector.raise_signals(table, fitted, request)
    ended = perf_counter()
    figure(f"dwell, {table.num_rows:,} spells fitted and judged", ended - begun, "s", better="lower")
    print(
        f"{table.num_rows:,} spells of {len(fitted.curves)} cohorts: fit {between - begun:.2f} s, "
        f"raise {ended - between:.2f} s, {len(signals):,} signals"
    )


if __name__ == "__main__":
    main()
