"""Process logs of ../shared/data as columns, for benchmarks and for tests that skip where they are absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

PROCESS = Path(__file__).parents[2] / "shared/data/process"
BPI2012 = PROCESS / "bpic2012_loan.parquet"
FOUR_LOGS = PROCESS / "process_anomalies_4logs.parquet"
PUBLISHED = PROCESS / "published_binet_2019_f1.csv"
HOUR = 3_600_000_000

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Events in the order of the log, a case's in one block. `duration`: to the case's next event, 0 at its last."""

    name: str
    case: Longs
    """Ascending codes from 0."""
    activity: Longs
    names: tuple[str, ...]
    duration: Longs
    """Microseconds."""
    user: Longs
    """-1 where unknown."""
    users: tuple[str, ...]
    anomalous: NDArray[np.bool_]
    """By case; all false where the log has no labels."""
    kind: tuple[str, ...]
    """By case: the label's kind of anomaly, `-` where there is none."""

    @property
    def cases(self) -> int:
        return int(self.case[-1]) + 1


def bpi2012(prefix: str = "A_") -> Log:
    """The events of BPI Challenge 2012 whose activity begins with the prefix."""
    table = pq.read_table(BPI2012, columns=["case_id", "activity", "timestamp", "resource"])
    table = table.set_column(1, "activity", table["activity"].cast(pa.string()))
    table = table.filter(pc.starts_with(table["activity"], prefix))
    case = _blocks(table["case_id"])
    time = table["timestamp"].cast(pa.int64()).to_numpy()
    activity, names = _codes(table["activity"])
    user, users = _codes(table["resource"])
    duration = np.append(np.where(case[1:] == case[:-1], np.diff(time), 0), 0)
    normal = np.zeros(int(case[-1]) + 1, dtype=np.bool_)
    return Log(f"bpi2012 {prefix}", case, activity, names, duration, user, users, normal, ("-",) * normal.size)


def four_logs() -> list[Log]:
    """The labelled logs, by name. Their times are not used: inserted events have none."""
    table = pq.read_table(FOUR_LOGS)
    found = []
    for name in sorted(pc.unique(table["log"].cast(pa.string())).to_pylist()):
        rows = table.filter(pc.equal(table["log"].cast(pa.string()), name))
        case = _blocks(rows["case_id"])
        activity, names = _codes(rows["activity"])
        user, users = _codes(rows["user"])
        firsts = np.flatnonzero(np.diff(case, prepend=-1))
        label = rows["label"].cast(pa.string()).take(pa.array(firsts)).to_pylist()
        kind = rows["anomaly_type"].cast(pa.string()).take(pa.array(firsts)).to_pylist()
        anomalous = np.array([one != "normal" for one in label])
        none = np.zeros(case.size, dtype=np.int64)
        found.append(Log(name, case, activity, names, none, user, users, anomalous, tuple(kind)))
    return found


def _codes(column: pa.ChunkedArray) -> tuple[Longs, tuple[str, ...]]:
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, tuple(encoded.dictionary.to_pylist())


def _blocks(column: pa.ChunkedArray) -> Longs:
    """The number of each row's case, counted as they begin."""
    codes, _ = _codes(column)
    blocks: Longs = np.cumsum(np.diff(codes, prepend=codes[:1]) != 0)
    return blocks
