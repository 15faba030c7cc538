"""Conformance to a declared lifecycle: is every violation found, is nothing else, and how long does it take?

    python -m benchmarks.conformance [--seed 1] [--rounds 20]

Logs: application and offer states of BPI Challenge 2012 and the four labelled logs of ../shared/data/process. The
lifecycle declared for a log: the moves that at least 1% of its cases make, their commonest starts, as limit
for a stage the 95% quantile of its stays (where the log has times), at most two visits. Into a third of the cases a
violation is injected: a stage left out, two stages swapped, an unknown stage, the first stage cut off, three
stages run through thrice, a stay ten times as long, a field empty that must be known. What must be found is said by
an oracle in plain Python (tests/oracles/conformance.py), stay by stay and kind by kind; it shares no code with
the product. `found` counts the injected cases that break something by the oracle (leaving out an optional stage
breaks nothing).

Time, in CPU: the check of arrays (median of the rounds) against the oracle's, in ms per 1,000 cases; and of the whole
detector, snapshot to signals, with the time it takes to write the sentences.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa

from benchmarks.figures import arguments, figure
from benchmarks.process_logs import FOUR_LOGS, HOUR, Log, Longs, bpi2012, four_logs
from detectors import ROSTER
from detectors.conformance import KINDS, check_traces
from detectors.lifecycle import Lifecycle
from watchtower.contract import DetectionRequest

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from oracles.conformance import broken

STRANGE = "a stage that nobody declared"


@dataclass(frozen=True)
class Trial:
    """A log with violations in it."""

    record: Longs
    stage: Longs
    names: tuple[str, ...]
    duration: Longs
    lacking: np.ndarray
    injected: frozenset[int]


def declared(log: Log) -> Lifecycle:
    """What the log's own habits would be as a lifecycle."""
    same = (np.diff(log.case) == 0) & (np.diff(log.activity) != 0)
    moves = Counter(zip(log.activity[:-1][same].tolist(), log.activity[1:][same].tolist(), strict=True))
    firsts = Counter(log.activity[np.diff(log.case, prepend=-1) != 0].tolist())
    enough = 0.01 * log.cases
    targets: dict[str, tuple[str, ...]] = {}
    for (source, target), count in sorted(moves.items()):
        if count >= enough:
            targets[log.names[source]] = (*targets.get(log.names[source], ()), log.names[target])
    known = set(targets).union(*targets.values())
    limits = {}
    for code, name in enumerate(log.names):
        stays = log.duration[(log.activity == code) & (log.duration > 0)]
        if name in known and stays.size >= 100:
            limits[name] = int(np.quantile(stays, 0.95))
    starts = tuple(log.names[code] for code, count in firsts.items() if count >= enough and log.names[code] in known)
    return Lifecycle(targets, starts=starts, limits=limits, visits=2)


def injected(log: Log, seed: int) -> Trial:
    """A third of the cases broken, each in one way."""
    random = np.random.default_rng(seed)
    bounds = np.flatnonzero(np.diff(log.case, prepend=-1, append=-1))
    record: list[int] = []
    stage: list[int] = []
    duration: list[int] = []
    lacking: list[bool] = []
    touched = set()
    for case in range(log.cases):
        stages = log.activity[bounds[case] : bounds[case + 1]].tolist()
        stays = log.duration[bounds[case] : bounds[case + 1]].tolist()
        lacks = [False] * len(stages)
        if random.random() < 1 / 3 and len(stages) > 2:
            touched.add(case)
            place = int(random.integers(1, len(stages) - 1)) if len(stages) > 2 else 0
            way = random.integers(7)
            if way == 0:
                del stages[place], stays[place], lacks[place]
            elif way == 1:
                stages[place], stages[place + 1] = stages[place + 1], stages[place]
            elif way == 2:
                stages[place] = len(log.names)
            elif way == 3:
                del stages[0], stays[0], lacks[0]
            elif way == 4:
                part = slice(place - 1, place + 2)
                stages[part], stays[part], lacks[part] = stages[part] * 3, stays[part] * 3, lacks[part] * 3
            elif way == 5:
                stays[place] = max(stays[place] * 10, HOUR)
            else:
                lacks[place] = True
        record += [case] * len(stages)
        stage += stages
        duration += stays
        lacking += lacks
    return Trial(
        np.array(record),
        np.array(stage),
        (*log.names, STRANGE),
        np.array(duration),
        np.array(lacking),
        frozenset(touched),
    )


def expected(trial: Trial, cycle: Lifecycle) -> set[tuple[int, str]]:
    """(row, kind) of every violation, by the oracle."""
    bounds = np.flatnonzero(np.diff(trial.record, prepend=-1, append=-1)).tolist()
    found = set()
    rows = zip(trial.stage.tolist(), trial.duration.tolist(), trial.lacking.tolist(), strict=True)
    stays = [(trial.names[stage], duration, lacks) for stage, duration, lacks in rows]
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        told = broken(stays[begin:end], cycle.moves, cycle.starts, cycle.limits, cycle.visits)
        found |= {(begin + position, kind) for position, kind in told}
    return found


def told(masks: np.ndarray) -> set[tuple[int, str]]:
    """(row, kind) of every violation, by the product."""
    return {(int(row), kind) for bit, kind in enumerate(KINDS) for row in np.flatnonzero(masks & (1 << bit))}


def snapshot_of(trial: Trial, at: datetime) -> pa.Table:
    """The trial as versions of `stage`; the last of each is in force, and a stay takes a microsecond at least."""
    stays = np.maximum(trial.duration, 1)
    ends = np.cumsum(stays)
    kind = pa.timestamp("us", tz="UTC")
    start = int(at.timestamp() * 1e6) - int(ends[-1])
    last = np.diff(trial.record, append=-1) != 0
    return pa.table(
        {
            "record": pa.array(trial.record).cast(pa.string()),
            "valid_from": pa.array(start + ends - stays).cast(kind),
            "valid_to": pa.array(start + ends, mask=last).cast(kind),
            "stage": pa.array(list(trial.names)).take(pa.array(trial.stage)),
        }
    )


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    if not FOUR_LOGS.exists():
        print(f"nothing measured: {FOUR_LOGS} is not here")
        return
    columns = ("cases", "stays", "broken", "precision", "recall", "found", "ms/1000", "oracle", "ratio", "detector")
    print(f"{'log':<14}" + "".join(f"{column:>10}" for column in columns))
    for log in (bpi2012("A_"), bpi2012("O_"), *four_logs()):
        trial, cycle = injected(log, options.seed), declared(log)
        begun = process_time()
        truth = expected(trial, cycle)
        slow = process_time() - begun
        compiled = cycle.compiled(trial.names)
        times = []
        for _ in range(options.rounds):
            begun = process_time()
            masks = check_traces(trial.record, trial.stage, trial.duration, compiled, trial.lacking)
            times.append(process_time() - begun)
        said = told(masks)
        right = len(said & truth)
        broken_cases = {int(trial.record[row]) for row, _ in truth} & trial.injected
        told_cases = {int(trial.record[row]) for row, _ in said}
        each = 1e6 / log.cases
        at = datetime(2026, 1, 1, tzinfo=UTC)
        request = DetectionRequest(
            id="benchmark", signal="moves", detector="conformance", object="case", field="stage", at=at,
            parameters={"moves": "never>used"},
        )  # fmt: skip
        table, detector = snapshot_of(trial, at), ROSTER["conformance"]
        begun = process_time()
        fitted = detector.fit(table, request)
        fitted = type(fitted)(cycle, {})
        signals = detector.raise_signals(table, fitted, request)
        whole = process_time() - begun
        fast = float(np.median(times))
        figure(f"conformance of {log.name}: precision", right / max(len(said), 1), aim=1.0)
        figure(f"conformance of {log.name}: recall", right / len(truth), aim=1.0)
        figure(
            f"conformance of {log.name}: 1,000 cases", fast * each, "ms", better="lower", aim=1.0,
            peer="the oracle", of_peer=fast / slow,
        )  # fmt: skip
        print(
            f"{log.name:<14}{log.cases:>10}{trial.stage.size:>10}{len(truth):>10}"
            f"{right / max(len(said), 1):>10.4f}{right / len(truth):>10.4f}"
            f"{len(broken_cases & told_cases) / len(broken_cases):>10.4f}"
            f"{fast * each:>10.3f}{slow * each:>10.1f}{slow / fast:>9.0f}x{whole * each:>10.1f}"
            f"   {len(signals)} signals"
        )


if __name__ == "__main__":
    main()
