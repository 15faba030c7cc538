"""What was recorded by week: the sums that detectors of usage read."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text


class UsageWeek(NamedTuple):
    """A record's week in which something was recorded."""

    record: str
    begins: datetime
    ends: datetime
    value: float
    """The sum."""
    events: int


_WEEKS = text(
    """
    with week as (
      select journal.record, date_trunc('week', journal.time at time zone :zone) as monday,
        sum((journal.data->>'value')::double precision) as value, count(*) as events
      from journal
      join record on record.object = journal.object and record.id = journal.record and record.deleted_at is null
      where journal.object = :object and journal.type = :type and journal.layer = 'core'
        and journal.time >= :since and journal.time < :at
        and jsonb_typeof(journal.data->'value') = 'number'
        and (cast(:metric as text) is null or journal.data->>'metric' = :metric)
      group by 1, 2)
    select record, monday at time zone :zone as begins, (monday + interval '7 days') at time zone :zone as ends,
      value, events
    from week order by record, monday
    """
)


def usage_weeks(
    conn: Connection, *, object_name: str, event_type: str, metric: str | None, zone: str, since: datetime, at: datetime
) -> list[UsageWeek]:
    """By record and week, what events of a type say in `data.value`, of living records; weeks begin on Monday.

    Core events alone count. `since` is inclusive, `at` exclusive; the first and the last week may be cut by them.
    """
    given = {"object": object_name, "type": event_type, "metric": metric, "zone": zone, "since": since, "at": at}
    return [UsageWeek(*row) for row in conn.execute(_WEEKS, given)]
