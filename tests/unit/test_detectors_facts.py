"""A payment failed, a champion left: told from fields, without statistics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors import ROSTER
from detectors.facts import FACT
from watchtower.contract import DetectionRequest, Signal

AT = datetime(2026, 6, 1, tzinfo=UTC)
KIND = pa.timestamp("us", tz="UTC")


def ago(days: float) -> datetime:
    return AT - timedelta(days=days)


def table(rows: list[tuple[Any, ...]], *fields: str) -> pa.Table:
    """Rows of record, from, to and fields; times as days ago."""
    columns: dict[str, Any] = {
        "record": pa.array([row[0] for row in rows], pa.string()),
        "valid_from": pa.array([ago(row[1]) for row in rows], KIND),
        "valid_to": pa.array([None if row[2] is None else ago(row[2]) for row in rows], KIND),
    }
    for n, field in enumerate(fields):
        columns[field] = pa.array([row[3 + n] for row in rows])
    return pa.table(columns)


def raised(found: pa.Table, detector: str, field: str, **parameters: Any) -> list[Signal]:
    request = DetectionRequest(
        id="r", signal="s", detector=detector, object="thing", field=field, at=AT, parameters=parameters
    )
    return list(ROSTER[detector].raise_signals(found, ROSTER[detector].fit(found, request), request))


PAYMENTS = table(
    [
        ("S-1", 30, 3.5, "ok"), ("S-1", 3.5, 1, "failed"), ("S-1", 1, None, "failed"),
        ("S-2", 30, 9, "failed"), ("S-2", 9, None, "ok"),
        ("S-3", 200, None, "failed"),
        ("S-4", 20, None, "failed"),
    ],
    "payment_status",
)  # fmt: skip


def test_a_payment_that_failed_and_was_not_made_good_is_told_since_when_it_failed() -> None:
    signals = raised(PAYMENTS, "payment_failed", "payment_status")
    assert [(signal.subject, signal.began_at) for signal in signals] == [
        ("thing/S-1", ago(3.5)),
        ("thing/S-4", ago(20)),
    ]
    assert signals[0].explanation == "The payment failed 3 days ago: payment_status went from 'ok' to 'failed'."
    assert signals[1].explanation == "The payment failed 20 days ago: payment_status is 'failed'."
    assert (signals[0].p_value, signals[0].strength, signals[0].unit) == (FACT, 3.5, "days")


def test_what_is_older_than_asked_is_no_news() -> None:
    found = raised(PAYMENTS, "payment_failed", "payment_status", recent_days=365)
    assert "thing/S-3" in {signal.subject for signal in found}
    assert [s.subject for s in raised(PAYMENTS, "payment_failed", "payment_status", recent_days=4)] == ["thing/S-1"]


def test_an_event_of_failure_counts_until_a_later_one_of_payment() -> None:
    rows = [
        ("S-1", 30, None, ago(5), ago(20)), ("S-2", 30, None, ago(5), ago(4)), ("S-3", 30, None, ago(2), None),
        ("S-4", 30, None, None, ago(4)),
    ]  # fmt: skip
    found = table(rows, "failed_at", "paid_at")
    signals = raised(found, "payment_failed", "failed_at", cleared_by="paid_at")
    assert [signal.subject for signal in signals] == ["thing/S-3", "thing/S-1"]
    assert signals[0].explanation == "The payment failed 2 days ago: failed_at is 2026-05-30 00:00 UTC."


def test_a_champion_that_left_is_told_and_others_that_left_are_not() -> None:
    rows = [
        ("C-1", 90, 6, "active", "champion"), ("C-1", 6, None, "left", "champion"),
        ("C-2", 90, 6, "active", "user"), ("C-2", 6, None, "left", "user"),
        ("C-3", 90, None, "active", "champion"),
    ]  # fmt: skip
    found = table(rows, "status", "role")
    (signal,) = raised(found, "champion_left", "status", only="role", only_is="champion,economic_buyer")
    assert signal.subject == "thing/C-1"
    assert signal.explanation == "The champion left 6 days ago: status went from 'active' to 'left'."


def test_a_champion_that_moved_to_another_account_has_left() -> None:
    rows = [("C-1", 90, 6, "A-1"), ("C-1", 6, None, "A-2"), ("C-2", 90, 6, "A-1"), ("C-2", 6, None, None),
            ("C-3", 90, 6, None), ("C-3", 6, None, "A-1"), ("C-4", 90, None, "A-1")]  # fmt: skip
    signals = raised(table(rows, "account"), "champion_left", "account", moved=True)
    assert [signal.subject for signal in signals] == ["thing/C-1", "thing/C-2"]
    assert signals[1].explanation.endswith("account went from 'A-1' to nothing.")


def test_what_comes_after_the_request_changes_nothing_and_order_neither() -> None:
    later = table([("S-2", -1, None, "failed")], "payment_status")
    whole = pa.concat_tables([later, PAYMENTS])
    shuffled = whole.take(pa.array(np.random.default_rng(1).permutation(whole.num_rows)))
    expected = raised(PAYMENTS, "payment_failed", "payment_status")
    assert raised(shuffled, "payment_failed", "payment_status") == expected
    assert raised(PAYMENTS[:0], "payment_failed", "payment_status") == []


@pytest.mark.parametrize(
    ("field", "parameters", "message"),
    [
        ("", {}, "field: signal 's' names none"),
        ("paid", {}, "'paid' is not in the snapshot; its fields are payment_status"),
        ("payment_status", {"only_is": "x"}, "`only` names no field"),
        ("payment_status", {"is": ""}, "names no value"),
        ("payment_status", {"recent_days": 0}, "recent_days: 0 is not a whole number"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_name(field: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(PAYMENTS, "payment_failed", field, **parameters)
