"""Usage from the journal to a signal: the weekly sums, and the detector that reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tower_scene import Clock, tower_under

from watchtower.contract import Event, format_time
from watchtower.store.usage import usage_weeks

BOOK = """
name: usage
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
signals:
  usage_falling:
    object: account
    detector: usage_decline
    budget: 0.01
    parameters: {events: usage.recorded, metric: logins}
rules:
  - id: falling
    object: account
    when: usage_falling.raised_at is not null
    severity: high
    queue: customer-risk
    owner: account_manager
    because: Usage has fallen.
"""
MONDAY = datetime(2025, 1, 5, 23, tzinfo=UTC)
"""Midnight in Rome."""
AT = MONDAY + timedelta(weeks=52)


def used(account: int, at: datetime, value: object, metric: str = "logins", key: str = "") -> Event:
    subject = f"account/A-{account:02d}"
    data = {"metric": metric, "value": value}
    id_ = f"{subject} {format_time(at)} {metric} {key}"
    return Event(id=id_, source="product", type="usage.recorded", subject=subject, time=at, data=data)


def test_usage_is_summed_by_the_weeks_of_the_rulebooks_time_zone(database_url: str, tmp_path: Path) -> None:
    """The week of 2025-03-24 in Rome is 167 hours long; another metric, text, and deleted records are left out."""
    sunday = datetime(2025, 3, 30, 21, 59, tzinfo=UTC)
    events = [
        used(1, datetime(2025, 3, 23, 23, tzinfo=UTC), 2),
        used(1, sunday, 3.5),
        used(1, sunday + timedelta(minutes=1), 10),
        used(1, sunday, 99, metric="seats"),
        used(1, sunday, "many", key="text"),
        used(2, sunday, 7),
        Event(id="gone", source="crm", type="record.deleted", subject="account/A-02", time=AT, data={}),
    ]
    with tower_under(BOOK, database_url, tmp_path, Clock(AT + timedelta(hours=1))) as tower:
        tower.take_events(events)
        with tower.database.read() as conn:
            rows = usage_weeks(
                conn,
                object_name="account",
                event_type="usage.recorded",
                metric="logins",
                zone="Europe/Rome",
                since=datetime(2025, 1, 1, tzinfo=UTC),
                at=AT,
            )
    assert [(row.record, row.value, row.events) for row in rows] == [("A-01", 5.5, 2), ("A-01", 10.0, 1)]
    assert (rows[0].begins, rows[0].ends) == (
        datetime(2025, 3, 23, 23, tzinfo=UTC),
        datetime(2025, 3, 30, 22, tzinfo=UTC),
    )


@pytest.fixture
def events() -> list[Event]:
    """40 accounts of about 60 logins a week; account 7 falls to a quarter in week 44."""
    random = np.random.default_rng(1)
    values = random.poisson(60 * random.gamma(8, 1 / 8, (40, 52)))
    values[7, 44:] //= 4
    return [
        used(account, MONDAY + timedelta(weeks=week, days=2), int(value))
        for account, series in enumerate(values)
        for week, value in enumerate(series)
    ]


def test_a_fall_of_usage_becomes_a_signal_that_a_rule_reads(
    events: list[Event], database_url: str, tmp_path: Path
) -> None:
    with tower_under(BOOK, database_url, tmp_path, Clock(AT + timedelta(hours=1))) as tower:
        tower.take_events(events)
        (done,) = tower.detect()
        assert (done.signal, done.abstained) == ("usage_falling", {})
        assert done.raised in (1, 2)
        with tower.database.read() as conn:
            flagged = [row[0] for row in conn.exec_driver_sql("select record from alert where rule = 'falling'")]
        assert "A-07" in flagged and len(flagged) == done.raised
    (written,) = (tmp_path / "snapshots").glob("*.usage.parquet")
    assert pq.read_table(written).num_rows == 40 * 52
