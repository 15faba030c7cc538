"""Invented companies for detectors whose cases are too large to write by hand; a seed gives the same bytes.

    python -m evals.detector_worlds evals/cases/detectors

writes, for each of WORLDS, NAME.parquet and NAME.jsonl (as `evals.detectors` reads them). What is odd was put in; the
rest was drawn. `trouble` is when the company itself would have seen it: for a drift the end of the quarter after it
began, for a customer the day on which it leaves.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from watchtower.contract import format_time

AT = datetime(2026, 3, 2, tzinfo=UTC)
PERIOD = datetime(2025, 10, 27, tzinfo=UTC)
"""The Monday on which the half-year begins that contains AT."""
TIME = pa.timestamp("us", "UTC")
QUARTER = timedelta(days=91)
Rows = dict[str, list[Any]]


class World(NamedTuple):
    """One case: its rows by column (valid_to: None where still so), and what is odd in them."""

    rows: Rows
    provenance: str
    request: dict[str, Any]
    odd: tuple[str, ...]
    judged: tuple[str, ...] = ()
    trouble: Mapping[str, datetime] = {}
    looks: int = 1
    whole: bool = False


def _rows(*names: str) -> Rows:
    return {name: [] for name in ("record", "valid_from", "valid_to", *names)}


def _add(rows: Rows, *values: Any) -> None:
    for column, value in zip(rows.values(), values, strict=True):
        column.append(value)


def _hour(random: np.random.Generator, week: datetime) -> datetime:
    return week + timedelta(hours=int(random.integers(0, 168)))


def segment_rates() -> Iterator[World]:
    """Ten teams decide eight deals a week each; one in eight is lost, and of two teams one in four from week 6 on."""
    for seed in range(5):
        random, rows = np.random.default_rng(seed), _rows("stage", "team")
        for week in range(-26, 18):
            for team in range(10):
                rate = 0.24 if team in (3, 7) and week >= 6 else 0.12
                for number in range(8):
                    at = _hour(random, PERIOD + timedelta(weeks=week))
                    lost = "lost" if random.random() < rate else "won"
                    _add(rows, f"D{week + 26}.{team}.{number}", at, None, lost, f"T-{team}")
        request = {"detector": "segment_rate", "object": "team", "field": "stage", "parameters": {
            "of": "deal", "by": "team", "outcome": "value", "wrong": "lost", "right": "won"}}  # fmt: skip
        seen = PERIOD + timedelta(weeks=6) + QUARTER
        yield World(
            rows, segment_rates.__doc__ or "", request, ("T-3", "T-7"), tuple(f"T-{n}" for n in range(10)),
            {"T-3": seen, "T-7": seen}, looks=18,
        )  # fmt: skip


def mixes() -> Iterator[World]:
    """Five regions get twelve leads a week each from four sources; in two of them one source doubles from week 6 on."""
    usual, moved = (0.4, 0.3, 0.2, 0.1), (0.25, 0.2, 0.45, 0.1)
    for seed in range(3):
        random, rows = np.random.default_rng(seed), _rows("source", "region")
        for week in range(-26, 18):
            for region in range(5):
                shares = moved if region in (2, 4) and week >= 6 else usual
                for number in range(12):
                    source = str(random.choice(("web", "event", "partner", "outbound"), p=shares))
                    at = _hour(random, PERIOD + timedelta(weeks=week))
                    _add(rows, f"L{week + 26}.{region}.{number}", at, None, source, f"R-{region}")
        request = {"detector": "mix_drift", "object": "region", "field": "source", "parameters": {
            "of": "lead", "by": "region"}}  # fmt: skip
        seen = PERIOD + timedelta(weeks=6) + QUARTER
        yield World(
            rows, mixes.__doc__ or "", request, ("R-2", "R-4"), tuple(f"R-{n}" for n in range(5)),
            {"R-2": seen, "R-4": seen}, looks=18,
        )  # fmt: skip


def ways() -> Iterator[World]:
    """Forty histories of 220 deals; in every second one a third leave out the demo in the last twelve weeks."""
    for seed in range(40):
        random, rows = np.random.default_rng(seed), _rows("stage")
        drifts = seed % 2 == 0
        for number in range(220):
            begun = AT - timedelta(hours=int(24 * (300 - number * 1.36) + random.integers(0, 24)))
            skips = drifts and AT - begun < timedelta(days=84) and random.random() < 0.35
            middle = [] if skips else ["demo"]
            if random.random() < 0.4:
                middle = [*middle, "trial"]
            steps = ["lead", *middle, "offer", "won" if random.random() < 0.4 else "lost"]
            times = [begun + timedelta(hours=6 * n) for n in range(len(steps))]
            for step, since, until in zip(steps, times, [*times[1:], None], strict=True):
                _add(rows, f"D{number}", since, until, step)
        request = {"detector": "process_drift", "object": "deal", "field": "stage", "parameters": {
            "terminal": "won,lost"}}  # fmt: skip
        yield World(rows, ways.__doc__ or "", request, ("snapshot",) if drifts else (), whole=True)


def pushes() -> Iterator[World]:
    """Four hundred deals whose date is moved now and then; of the open ones eight are put off every week."""
    for seed in range(2):
        random, rows = np.random.default_rng(seed), _rows("stage", "close_date")
        odd: list[str] = []
        judged: list[str] = []
        for number in range(400):
            record, begun = f"D{number}", AT - timedelta(days=int(random.integers(0, 330)))
            length = int(random.gamma(4.0, 15.0)) + 7
            open_ = begun + timedelta(days=length) >= AT
            chronic = open_ and timedelta(days=35) <= AT - begun and len(odd) < 8
            date, since, ended = begun + timedelta(days=60), begun, min(begun + timedelta(days=length), AT)
            week = begun + timedelta(days=7)
            while week < ended:
                if chronic or random.random() < 0.06:
                    _add(rows, record, since, week, "open", date.date())
                    since, date = week, date + timedelta(days=7 if chronic else 21)
                week += timedelta(days=7)
            _add(rows, record, since, None if open_ else ended, "open", date.date())
            if open_:
                judged.append(record)
            else:
                _add(rows, record, ended, None, "won" if random.random() < 0.4 else "lost", date.date())
            if chronic:
                odd.append(record)
        request = {"detector": "close_push", "object": "deal", "field": "stage", "budget": 0.05, "parameters": {
            "date": "close_date", "closed": "won,lost"}}  # fmt: skip
        yield World(rows, pushes.__doc__ or "", request, tuple(odd), tuple(judged))


def shifts(detector: str) -> Callable[[], Iterator[World]]:
    """By week and account: tickets that rise, or a mood that falls, in the last four weeks of ten of them."""

    def made() -> Iterator[World]:
        for seed in range(2):
            random, rows, odd = np.random.default_rng(seed), _rows("said"), []
            for number in range(150):
                record, rate, total, last = f"A{number}", random.gamma(2.0, 0.25), 0, None
                strange = number % 15 == 4
                if strange:
                    odd.append(record)
                for week in range(44):
                    late = strange and week >= 40
                    if detector == "ticket_shift":
                        total += int(random.poisson(rate + 1.5 if late else rate))
                        value = float(total)
                    else:
                        value = round(float(random.normal(5.0 if late else 7.0, 0.8)), 1)
                    if value != last:
                        since = AT - timedelta(weeks=44 - week) + timedelta(hours=9)
                        if last is not None:
                            rows["valid_to"][-1] = since
                        _add(rows, record, since, None, value)
                        last = value
            request = {"detector": detector, "object": "account", "field": "said"}
            yield World(rows, shifts.__doc__ or "", request, tuple(odd))

    return made


def risks(detector: str, object_name: str, label: str, value: str, days: int) -> Callable[[], Iterator[World]]:
    """Six hundred records, of which those with few seats and a monthly plan come to it most often; odd are those that
    come to it in the days after."""

    def made() -> Iterator[World]:
        random, rows = np.random.default_rng(days), _rows("plan", "seats", label)
        odd, judged, trouble = [], [], {}
        for number in range(600):
            record, begun = f"A{number}", AT - timedelta(days=int(random.integers(days + 5, 700)))
            plan, seats = str(random.choice(("monthly", "yearly"))), int(random.gamma(2.0, 20.0)) + 1
            often = 1 / (1 + np.exp(2.2 - 2.4 * (plan == "monthly") + seats / 25))
            came = [bool(random.random() < often) for _ in range(2)]
            then = AT - timedelta(days=float(random.uniform(1, days)))
            _add(rows, record, begun, then if came[0] else None, plan, seats, "no")
            if came[0]:
                _add(rows, record, then, None, plan, seats, value)
                continue
            judged.append(record)
            if came[1]:
                odd.append(record)
                trouble[record] = AT + timedelta(days=float(random.uniform(1, days)))
        request = {"detector": detector, "object": object_name, "budget": 0.1, "parameters": {
            "label": label, "is": value, "horizon_days": days, "features": "plan,seats"}}  # fmt: skip
        yield World(rows, risks.__doc__ or "", request, tuple(odd), tuple(judged), trouble)

    return made


def outliers() -> Iterator[World]:
    """Three hundred accounts, sixty of them new this week; of the new ones eight have figures that no other has."""
    for seed in range(2):
        random, rows, odd = np.random.default_rng(seed), _rows("arr", "seats", "tickets"), []
        for number in range(600):
            new = number >= 540
            begun = AT - timedelta(days=int(random.integers(1, 6)) if new else int(random.integers(20, 300)))
            size = random.normal(4, 0.7)
            seats, arr = np.exp(size), np.exp(size + random.normal(6, 0.3))
            if new and number % 7 == 0:
                arr, seats = arr * 60, seats / 20
                odd.append(f"A{number}")
            _add(rows, f"A{number}", begun, None, float(arr), float(seats), float(random.poisson(4)))
        request = {"detector": "cohort_outlier", "object": "account", "budget": 0.1, "parameters": {
            "features": "arr,seats,tickets"}}  # fmt: skip
        judged = tuple(f"A{number}" for number in range(540, 600))
        yield World(rows, outliers.__doc__ or "", request, tuple(odd), judged)


def facts(detector: str, field: str, usual: str, now: str) -> Callable[[], Iterator[World]]:
    """Sixty records; of six the field says so now, of four it did and was made good."""

    def made() -> Iterator[World]:
        rows, odd = _rows(field), []
        for number in range(60):
            record, begun = f"R{number}", AT - timedelta(days=200)
            changed, good = AT - timedelta(days=3 + number), AT - timedelta(days=2)
            if number % 10 == 3:
                odd.append(record)
                _add(rows, record, begun, changed, usual)
                _add(rows, record, changed, None, now)
            elif number % 15 == 7:
                _add(rows, record, begun, changed, usual)
                _add(rows, record, changed, good, now)
                _add(rows, record, good, None, usual)
            else:
                _add(rows, record, begun, None, usual)
        yield World(rows, facts.__doc__ or "", {"detector": detector, "object": "record", "field": field}, tuple(odd))

    return made


WORLDS: Mapping[str, Callable[[], Iterator[World]]] = {
    "segment_rate": segment_rates,
    "mix_drift": mixes,
    "process_drift": ways,
    "close_push": pushes,
    "ticket_shift": shifts("ticket_shift"),
    "sentiment_shift": shifts("sentiment_shift"),
    "churn_risk": risks("churn_risk", "account", "status", "former", 90),
    "lead_score": risks("lead_score", "lead", "stage", "sql", 30),
    "cohort_outlier": outliers,
    "payment_failed": facts("payment_failed", "payment_status", "ok", "failed"),
    "champion_left": facts("champion_left", "status", "active", "left"),
}


def write(folder: Path, names: Iterable[str] = tuple(WORLDS)) -> None:
    """The files of these worlds."""
    for name in names:
        tables, lines = [], []
        for number, world in enumerate(WORLDS[name]()):
            key = f"{name}-{number}"
            tables.append(_table(world.rows).append_column("world", pa.array([key] * len(world.rows["record"]))))
            at = {"id": key, "signal": name, "budget": 0.01, "at": format_time(AT)}
            case: dict[str, Any] = {
                "id": key, "provenance": " ".join(world.provenance.split()), "request": at | world.request,
                "anomalous": list(world.odd), "snapshot": f"{name}.parquet", "world": key, "looks": world.looks,
                "fit_once": world.looks > 1,
            }  # fmt: skip
            if world.judged:
                case["judged"] = list(world.judged)
            if world.trouble:
                case["trouble"] = {record: format_time(at) for record, at in world.trouble.items()}
            if world.whole:
                case["whole"] = True
            lines.append(json.dumps(case, ensure_ascii=False) + "\n")
        pq.write_table(pa.concat_tables(tables), folder / f"{name}.parquet", compression="zstd")
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _table(rows: Rows) -> pa.Table:
    times = {"valid_from", "valid_to"}
    return pa.table({name: pa.array(values, TIME if name in times else None) for name, values in rows.items()})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
