"""Public sets for the cohort outliers: what belongs, and what does not.

From scikit-learn (shipped with it, nothing is fetched): iris, wine, breast_cancer, digits. From the shared data: the
four process logs with labelled anomalies, the customers of Telco (those who left), and the NAB series with labelled
windows. Each is a table of numbers and a label that nobody here gave. Where a set has classes instead of anomalies, one
class is what does not belong, as is usual for these sets.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SHARED = Path(__file__).parents[2] / "shared/data"
LOGS = "process/process_anomalies_4logs.parquet"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutlierSet:
    """`belongs` (n, d) and `strange` (m, d): the rows that belong, and those that do not."""

    name: str
    belongs: Floats
    strange: Floats

    @property
    def width(self) -> int:
        return int(self.belongs.shape[1])


def split(name: str, values: Floats, strange: NDArray[np.bool_]) -> OutlierSet:
    """A set from rows and their labels; rows with a gap are left out."""
    whole = np.isfinite(values).all(axis=1)
    return OutlierSet(name, values[whole & ~strange], values[whole & strange])


def shipped() -> Iterator[OutlierSet]:
    """The sets that scikit-learn ships."""
    from sklearn import datasets

    # the first class of iris, barolo of wine, malignant growths, the eights: one class of each
    for name, loaded, odd in (
        ("iris", datasets.load_iris(), 0),
        ("wine", datasets.load_wine(), 1),
        ("breast_cancer", datasets.load_breast_cancer(), 0),
        ("digits", datasets.load_digits(), 8),
    ):
        yield split(name, np.asarray(loaded.data, dtype=np.float64), loaded.target == odd)


def process_logs(path: Path) -> Iterator[OutlierSet]:
    """A row for each case of a log: length, kinds, repeats, people, days, and how rare its steps are in the log."""
    table = pq.read_table(path, columns=["log", "case_id", "activity", "user", "timestamp", "label"])
    for log in sorted(set(table["log"].to_pylist())):
        rows = table.filter(pa.array(np.array(table["log"].to_pylist()) == log)).to_pylist()
        cases: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            cases.setdefault(row["case_id"], []).append(row)
        steps: dict[tuple[str, str], int] = {}
        paths = {case: [row["activity"] for row in events] for case, events in cases.items()}
        for path_ in paths.values():
            for step in zip(["", *path_], [*path_, ""], strict=True):
                steps[step] = steps.get(step, 0) + 1
        values, strange = [], []
        for case, events in cases.items():
            took = [np.log(steps[step]) for step in zip(["", *paths[case]], [*paths[case], ""], strict=True)]
            stamps = [row["timestamp"][:19] for row in events if row["timestamp"]] or ["1970-01-01"]
            times = np.array(stamps, dtype="datetime64[s]").astype(np.int64)
            kinds, people = len(set(paths[case])), len({row["user"] for row in events})
            values.append([len(events), kinds, len(events) - kinds, people, np.ptp(times) / 86_400, min(took),
                           float(np.mean(took))])  # fmt: skip
            strange.append(any(row["label"] != "normal" for row in events))
        yield split(log, np.array(values, dtype=np.float64), np.array(strange))


def telco(path: Path) -> Iterator[OutlierSet]:
    """Months, charge a month and in all of customers; those who left do not belong."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("tenure", "MonthlyCharges", "TotalCharges")
    values = np.array([[float(row[name].strip() or "nan") for name in columns] for row in rows])
    yield split("telco", values, np.array([row["Churn"] == "Yes" for row in rows]))


def nab(path: Path) -> Iterator[OutlierSet]:
    """A row for each point of all series: level against the series, change, and both over six points."""
    table = pq.read_table(path).to_pydict()
    names = np.array(table["series"])
    parts, labels = [], []
    for name in sorted(set(table["series"])):
        here = names == name
        value = np.array(table["value"], dtype=np.float64)[here]
        level = (value - np.median(value)) / (np.quantile(value, 0.75) - np.quantile(value, 0.25) + 1e-9)
        change = np.diff(level, prepend=level[0])
        mean = np.convolve(level, np.ones(6) / 6, mode="same")
        parts.append(np.column_stack([level, change, mean, np.abs(change)]))
        labels.append(np.array(table["in_window"])[here] == 1)
    # every 20th point of a series: neighbours are no two records
    yield split("nab", np.vstack(parts)[::20], np.concatenate(labels)[::20])


SOURCES: tuple[tuple[str, Callable[[Path], Iterator[OutlierSet]]], ...] = (
    (LOGS, process_logs),
    ("churn/telco_churn.csv", telco),
    ("series/nab_ads_taxi_traffic.parquet", nab),
)


def outlier_sets(folder: Path = SHARED) -> tuple[list[OutlierSet], list[str]]:
    """The sets that can be had here, and the files that are absent."""
    sets, absent = list(shipped()), []
    for name, read in SOURCES:
        if (folder / name).is_file():
            sets.extend(read(folder / name))
        else:
            absent.append(name)
    return sets, absent
