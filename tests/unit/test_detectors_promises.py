"""Each detector that promises a rate shows what comes of it, and keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import ROSTER
from evals.statistics import clopper_pearson
from watchtower.contract import Calibrated, Calibration, DetectionRequest

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")


def asked(detector: str, **changes: Any) -> DetectionRequest:
    values = {"id": "r", "signal": "s", "detector": detector, "object": "deal", "budget": 0.05, "at": AT}
    return DetectionRequest(**{**values, **changes})


def calibrated(detector: str, table: Any, request: DetectionRequest, seed: int = 0) -> list[Calibration]:
    found = ROSTER[detector]
    assert isinstance(found, Calibrated)
    return list(found.calibrate(table, request, seed=seed))


def stays(count: int = 4_000) -> Any:
    """Deals that stood for some days in `demo`, then were won."""
    days = np.random.default_rng(1).gamma(1.5, 10.0, count)
    begun = [AT - timedelta(days=300)] * count
    ended = [AT - timedelta(days=300 - float(length)) for length in days]
    return pa.table(
        {
            "record": [f"D-{number // 2}" for number in range(2 * count)],
            "valid_from": pa.array([time for pair in zip(begun, ended, strict=True) for time in pair], KIND),
            "valid_to": pa.array([time for end in ended for time in (end, None)], KIND),
            "stage": ["demo", "won"] * count,
        }
    )


def usage(accounts: int = 900, weeks: int = 52) -> Any:
    random = np.random.default_rng(2)
    values = random.poisson(random.lognormal(3.8, 0.1, (accounts, 1)) * random.gamma(6, 1 / 6, (accounts, weeks)))
    account, week = np.nonzero(values)
    start = np.datetime64((AT - timedelta(weeks=weeks)).replace(tzinfo=None), "us") + week * np.timedelta64(7, "D")
    return pa.table(
        {
            "record": np.char.add("A-", account.astype(str)),
            "valid_from": pa.array(start).cast(KIND),
            "valid_to": pa.array(start + np.timedelta64(7, "D")).cast(KIND),
            "value": values[account, week].astype(float),
        }
    )


def calls(accounts: int = 3_000) -> Any:
    random = np.random.default_rng(3)
    days = np.cumsum(random.gamma(3.0, 3.0, (accounts, 8)) + 0.6, axis=1)[:, ::-1]
    times = np.datetime64(AT.replace(tzinfo=None), "us") - (days * 86_400e6).astype("timedelta64[us]")
    following = np.concatenate([times[:, 1:], np.full((accounts, 1), np.datetime64("NaT", "us"))], axis=1)
    return pa.table(
        {
            "record": np.char.add("A-", np.repeat(np.arange(accounts), 8).astype(str)),
            "valid_from": pa.array(times.ravel()).cast(KIND),
            "valid_to": pa.array(following.ravel()).cast(KIND),
            "last": pa.array(times.ravel()).cast(KIND),
        }
    )


@pytest.mark.parametrize(
    ("detector", "table", "changes", "per"),
    [
        ("stage_dwell", stays, {"field": "stage"}, "stay"),
        ("usage_decline", usage, {"parameters": {"events": "usage.recorded"}}, "26 weekly runs"),
        ("activity_gap", calls, {"field": "last"}, "gap"),
    ],
)
def test_a_promise_of_one_in_twenty_is_kept_and_not_by_silence(
    detector: str, table: Any, changes: dict[str, Any], per: str
) -> None:
    found = calibrated(detector, table(), asked(detector, **changes))
    assert {(one.promised, one.per) for one in found} == {(0.05, per)}
    raised, judged = sum(one.raised for one in found), sum(one.judged for one in found)
    assert judged >= 850
    interval = clopper_pearson(raised, judged, 0.999)
    assert interval.low <= 0.05 and raised / judged > 0.02


def test_a_calibration_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    table, request = stays(500), asked("stage_dwell", field="stage")
    one, same, other = (calibrated("stage_dwell", table, request, seed) for seed in (1, 1, 2))
    assert one == same != other


def test_a_detector_that_promises_no_such_rate_has_nothing_to_show() -> None:
    assert not isinstance(ROSTER["cohort_outlier"], Calibrated)
