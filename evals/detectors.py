"""Detectors against snapshots whose odd records are known: what they find, and what they cry wolf about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich import box
from rich.table import Table

from evals import statistics
from evals.cases import content_hash
from evals.jsonl import read_lines
from evals.recording import write_whole
from evals.report import pretty
from evals.statistics import Interval
from watchtower.contract import DetectionRequest, Detector, format_time, parse_time
from watchtower.errors import InputError


class DetectorCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One snapshot, one request, and the records that are odd in it."""

    id: str
    provenance: str
    request: DetectionRequest
    anomalous: tuple[str, ...]
    """Ids of the records that a signal should name."""
    judged: tuple[str, ...] = ()
    """Ids of the records on which the detector is held to its word; all of the snapshot unless given."""
    trouble: dict[str, str] = {}
    """For odd records, the time at which anybody could see it: the deal was lost, the customer left."""
    snapshot: str = ""
    """A Parquet file beside the cases, or else `columns`."""
    world: str = ""
    """Where cases share a file: the value in its column `world` that is this case's."""
    looks: int = 1
    """How often the detector looks, once a week, the last time at the request's time. A record counts as signalled
    where any look does it: promises are about a stretch of time, and lead is counted from the first such look."""
    fit_once: bool = False
    """Fitted at the first look alone: for a detector that learns from a baseline which stays the same."""
    whole: bool = False
    """What is judged is the snapshot as a whole: any signal is one on SNAPSHOT."""
    columns: dict[str, list[Any]] = {}
    """The snapshot itself, a list a column; `valid_from` and `valid_to` are times with an offset."""


SNAPSHOT = "snapshot"
"""The one record of a case that is judged as a whole."""


class DetectorScore(msgspec.Struct, frozen=True, kw_only=True):
    """One detector over its cases. Shares are in [0, 1], with 95% intervals."""

    detector: str
    version: str
    cases: int
    found: int
    missed: int
    false_alarms: int
    normal: int
    precision: float | None
    """Of the records signalled, those that are odd; higher is better."""
    precision_interval: Interval
    recall: float | None
    """Of the odd records, those signalled; higher is better."""
    recall_interval: Interval
    precision_at_k: float | None
    """Of each case's first K signals, the strangest first, those about odd records; higher is better."""
    precision_at_k_interval: Interval
    lead_days: float | None
    """Median days from the signal to the trouble, over found records whose trouble has a time; higher is better."""
    lead_interval: Interval | None
    """95%, percentile bootstrap over records; None below five of them."""
    lead_of: int
    false_alarm_rate: float | None
    """Of the normal records, those signalled; lower is better."""
    false_alarm_interval: Interval
    """Clopper-Pearson: a promise is held against an exact interval."""
    budget: float
    promise: Literal["kept", "broken"]
    """Broken where even the interval's lower end lies above the promised rate."""


K = 10
"""How many signals a person looks at in a sitting."""


class DetectorScores(msgspec.Struct, frozen=True, kw_only=True):
    """All detectors of one run."""

    suite_hash: str
    detectors: tuple[DetectorScore, ...]
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """1 where a promise is broken."""
        return 1 if any(one.promise == "broken" for one in self.detectors) else 0


def read_detector_cases(path: Path) -> list[DetectorCase]:
    """The cases of a JSONL file or folder. InputError names what is wrong, and where."""
    cases: dict[str, DetectorCase] = {}
    for place, case in read_lines(path, DetectorCase):
        if case.id in cases:
            raise InputError(f"{place}: id: {case.id!r} stands there already")
        if bool(case.snapshot) == bool(case.columns):
            raise InputError(f"{place}: case {case.id} needs either snapshot or columns")
        cases[case.id] = case
    if not cases:
        raise InputError(f"{path}: holds no cases", remedy="Give a JSONL file with a case a line.")
    return list(cases.values())


def snapshot_of(case: DetectorCase, folder: Path) -> pa.Table:
    """The case's snapshot as a table; times become timestamps in UTC."""
    if case.snapshot:
        table = pq.read_table(folder / case.snapshot)
        if not case.world:
            return table
        found = table.filter(pc.equal(table.column("world"), case.world)).drop_columns(["world"])
        if not found.num_rows:
            raise InputError(f"case {case.id}: world: {case.snapshot} has no rows of {case.world!r}")
        return found
    instant = pa.timestamp("us", tz="UTC")
    arrays = {}
    for name, values in case.columns.items():
        if name in ("valid_from", "valid_to"):
            times = [None if value is None else parse_time(value) for value in values]
            arrays[name] = pa.array(times, type=instant)
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)


class _Count(msgspec.Struct):
    found: int = 0
    missed: int = 0
    false_alarms: int = 0
    normal: int = 0
    cases: int = 0
    budget: float = 0.0
    first: int = 0
    first_found: int = 0
    leads: list[float] = []


def _signalled(case: DetectorCase, table: pa.Table, detector: Detector) -> dict[str, datetime]:
    """The records named in any look, the strangest first, each with the first look that named it."""
    first: dict[str, datetime] = {}
    said: list[tuple[float, float, str]] = []
    fitted: Any = None
    for ago in reversed(range(case.looks)):
        request = msgspec.structs.replace(case.request, at=case.request.at - timedelta(weeks=ago))
        if fitted is None or not case.fit_once:
            fitted = detector.fit(table, request)
        for one in detector.raise_signals(table, fitted, request):
            record = SNAPSHOT if case.whole else one.subject.partition("/")[2]
            first.setdefault(record, request.at)
            said.append((one.p_value, -one.strength, record))
    return {record: first[record] for _, _, record in sorted(said)}


def _lead_days(case: DetectorCase, named: Mapping[str, datetime]) -> list[float]:
    return [
        (parse_time(case.trouble[one]) - at).total_seconds() / 86_400
        for one, at in sorted(named.items())
        if one in case.trouble
    ]


def _median_interval(leads: Sequence[float]) -> Interval | None:
    if len(leads) < 5:
        return None
    drawn = np.random.default_rng(0).choice(np.asarray(leads), size=(statistics.RESAMPLES, len(leads)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Interval(float(low), float(high))


def score_detectors(cases: Sequence[DetectorCase], folder: Path, detectors: Mapping[str, Detector]) -> DetectorScores:
    """Runs each case's detector on its snapshot and counts records. InputError for an unknown detector."""
    counts: dict[str, _Count] = {}
    for case in cases:
        name = case.request.detector
        if name not in detectors:
            raise InputError(
                f"case {case.id}: request.detector: {name!r} is not known",
                remedy=f"Accepted: {', '.join(sorted(detectors))}.",
            )
        table = snapshot_of(case, folder)
        judged = {SNAPSHOT} if case.whole else set(case.judged) or set(table.column("record").to_pylist())
        odd = set(case.anomalous)
        if stray := sorted(set(case.trouble) - odd):
            raise InputError(f"case {case.id}: trouble: {stray[0]!r} is not among the odd records")
        if stray := sorted(odd - judged):
            raise InputError(f"case {case.id}: anomalous: {stray[0]!r} is no judged record of the snapshot")
        looked = {record: at for record, at in _signalled(case, table, detectors[name]).items() if record in judged}
        ranked, named = list(looked), set(looked)
        count = counts.setdefault(name, _Count())
        count.cases += 1
        count.found += len(named & odd)
        count.missed += len(odd - named)
        count.false_alarms += len(named - odd)
        count.normal += len(judged - odd)
        count.budget = max(count.budget, case.request.budget)
        count.first += len(ranked[:K])
        count.first_found += len(odd & set(ranked[:K]))
        count.leads += _lead_days(case, {record: looked[record] for record in named & odd})
    return DetectorScores(
        suite_hash=content_hash([content_hash(case) for case in cases]),
        detectors=tuple(_scored(name, detectors[name].version, counts[name]) for name in sorted(counts)),
    )


def _scored(name: str, version: str, count: _Count) -> DetectorScore:
    named, odd = count.found + count.false_alarms, count.found + count.missed
    alarms = statistics.clopper_pearson(count.false_alarms, count.normal)
    return DetectorScore(
        detector=name,
        version=version,
        cases=count.cases,
        found=count.found,
        missed=count.missed,
        false_alarms=count.false_alarms,
        normal=count.normal,
        precision=count.found / named if named else None,
        precision_interval=statistics.wilson(count.found, named),
        recall=count.found / odd if odd else None,
        recall_interval=statistics.wilson(count.found, odd),
        precision_at_k=count.first_found / count.first if count.first else None,
        precision_at_k_interval=statistics.wilson(count.first_found, count.first),
        lead_days=float(np.median(count.leads)) if count.leads else None,
        lead_interval=_median_interval(count.leads),
        lead_of=len(count.leads),
        false_alarm_rate=count.false_alarms / count.normal if count.normal else None,
        false_alarm_interval=alarms,
        budget=count.budget,
        promise="broken" if alarms.low > count.budget else "kept",
    )


def run_detectors(cases_path: Path, out: Path, *, detectors: Mapping[str, Detector], now: datetime) -> DetectorScores:
    """Scores the cases; writes scores.json and manifest.json to `out`. `now` goes into the manifest only."""
    folder = cases_path if cases_path.is_dir() else cases_path.parent
    scores = score_detectors(read_detector_cases(cases_path), folder, detectors)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "scores.json", pretty(scores))
    manifest = {"at": format_time(now), "cases_file": cases_path.name, "suite_hash": scores.suite_hash}
    write_whole(out / "manifest.json", pretty(manifest))
    return scores


def _figure(value: float | None, interval: Interval) -> str:
    return "-" if value is None else f"{value:.3f} [{interval.low:.3f} {interval.high:.3f}]"


def render_detectors(scores: DetectorScores) -> Table:
    """The figures for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (
        "detector",
        "cases",
        "precision ↑",
        f"first {K} ↑",
        "power ↑",
        "lead days ↑",
        "false alarms ↓",
        "budget",
        "promise",
    ):
        table.add_column(name, justify="left" if name in ("detector", "promise") else "right")
    for one in scores.detectors:
        table.add_row(
            f"{one.detector} {one.version}",
            str(one.cases),
            _figure(one.precision, one.precision_interval),
            _figure(one.precision_at_k, one.precision_at_k_interval),
            _figure(one.recall, one.recall_interval),
            "-" if one.lead_days is None else f"{one.lead_days:.1f} of {one.lead_of}",
            _figure(one.false_alarm_rate, one.false_alarm_interval),
            f"{one.budget:g}",
            one.promise,
            style="red" if one.promise == "broken" else "",
        )
    return table
