"""Parquet snapshots of weekly usage: for signals that name the events they read.

    signals:
      usage_falling:
        object: account
        detector: usage_decline
        parameters: {events: usage.recorded, metric: active_users}

One row for each record and week in which something was recorded: record, valid_from, valid_to, value (the sum of
`data.value`) and events (how many). The versions of records do not carry it: a field keeps its last value, and a week
of five events is no version.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from watchtower.contract import DetectionRequest
from watchtower.rulebook import Rulebook
from watchtower.store.database import Connection
from watchtower.store.usage import UsageWeek, usage_weeks

HISTORY = timedelta(weeks=104)
"""How far back a snapshot reaches: a year to judge, and the one before, which tells who is new."""
_TIME = pa.timestamp("us", "UTC")


def reads_usage(request: DetectionRequest) -> bool:
    """Whether the request is about weekly sums of events."""
    return "events" in request.parameters


def write_usage(conn: Connection, book: Rulebook, request: DetectionRequest, folder: Path) -> Path:
    """The weekly sums known at the request's time, in a Parquet file; complete or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    metric = request.parameters.get("metric")
    rows = usage_weeks(
        conn,
        object_name=request.object,
        event_type=str(request.parameters["events"]),
        metric=None if metric is None else str(metric),
        zone=book.timezone,
        since=request.at - HISTORY,
        at=request.at,
    )
    path = folder / f"{request.signal}-{request.at:%Y%m%dT%H%M%SZ}.usage.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(usage_table(rows), partial)
    os.replace(partial, path)
    return path


def usage_table(rows: list[UsageWeek]) -> pa.Table:
    """The rows as Arrow."""
    return pa.table(
        {
            "record": pa.array([row.record for row in rows], pa.string()),
            "valid_from": pa.array([row.begins for row in rows], _TIME),
            "valid_to": pa.array([row.ends for row in rows], _TIME),
            "value": pa.array([row.value for row in rows], pa.float64()),
            "events": pa.array([row.events for row in rows], pa.int64()),
        }
    )
