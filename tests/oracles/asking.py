"""Asking PostgreSQL, instant by instant, whether a condition is true; and what the engines must say then."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from oracles.fields import CALENDARS, COLUMNS, EPOCH, MICRO, SPANS, Json
from oracles.grammar import Condition
from oracles.histories import History, segments

Stretch = tuple[str, int, int | None, bool | None]
"""record, from, to (microseconds since 1970; None: without end), and the truth in between."""


_HOLIDAYS = {
    "IT": ["01-01", "01-06", "04-25", "05-01", "06-02", "08-15", "11-01", "12-08", "12-25", "12-26"],
}
_EASTER_MONDAYS = ("2025-04-21", "2026-04-06", "2027-03-29")


def _hours(name: str, calendar: Json) -> str:
    """A calendar's open stretches as one multirange, by PostgreSQL's own arithmetic in the session's zone."""
    off = [f"{year}-{day}" for year in range(2024, 2028) for day in _HOLIDAYS.get(calendar.get("holidays", ""), ())]
    off += [*(_EASTER_MONDAYS if "holidays" in calendar else ()), *calendar.get("closed", ())]
    days = ", ".join(f"'{day}'" for day in calendar["days"])
    listed = ", ".join(f"date '{day}'" for day in off)
    closed = f"and not d = any(array[{listed}])" if off else ""
    pairs = zip(calendar["hours"][::2], calendar["hours"][1::2], strict=True)
    hours = ", ".join(f"(time '{a}', time '{b}')" for a, b in pairs)
    return f"""
        insert into hours select '{name}', range_agg(tstzrange(o, c)) from (
          select (d + a)::timestamptz as o, (d + b)::timestamptz as c
          from (select g::date as d from generate_series(timestamp '2024-12-01', '2027-12-31', '1 day') g) days,
            (values {hours}) as h(a, b)
          where to_char(d, 'dy') in ({days}) {closed}) x where o < c
    """


_BUSINESS = """
    create function pg_temp.worked(cal text, since timestamptz, p tstzmultirange, t timestamptz) returns interval
    language sql as $$
      select case when since is null then null when t <= since then interval '0' else (
        select coalesce(sum(upper(r) - lower(r)), interval '0')
        from unnest((select open from hours where calendar = cal) * tstzmultirange(tstzrange(since, t)) - p) r) end
    $$;
    create function pg_temp.reached(cal text, since timestamptz, p tstzmultirange, length interval, last bool)
    returns timestamptz language sql as $$
      select case when last then max(a + (length - before)) else min(a + (length - before)) end from (
        select lower(r) as a, upper(r) as b, coalesce(sum(upper(r) - lower(r)) over (
          order by lower(r) rows between unbounded preceding and 1 preceding), interval '0') as before
        from unnest((select open from hours where calendar = cal)
          * tstzmultirange(tstzrange(since, null)) - p) r) s
      where since is not null and before <= length and length - before <= b - a
    $$;
"""
"""How much of a calendar has been open since an instant, outside pauses; and when that much was first, or last, so."""


class Oracle:
    """PostgreSQL in the rulebook's zone, with the segments of one history."""

    def __init__(self, conn: psycopg.Connection[Any], history: History) -> None:
        self.conn, self.history = conn, history
        with conn.cursor() as cursor:
            cursor.execute(f"set timezone = '{history.zone}'")
            cursor.execute("create temp table hours (calendar text primary key, open tstzmultirange)")
            for name, calendar in CALENDARS.items():
                cursor.execute(_hours(name, calendar))
            cursor.execute(_BUSINESS)

    def load(self, events: Sequence[Json]) -> list[Json]:
        rows = segments(events)
        columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
        with self.conn.cursor() as cursor:
            cursor.execute("drop table if exists seg")
            cursor.execute(
                f"create temp table seg as select * from json_to_recordset(%s::json) "
                f"as g(rec text, vfrom timestamptz, vto timestamptz, {columns})",
                (json.dumps(rows),),
            )
        return rows

    def stretches(self, condition: Condition) -> list[Stretch]:
        """The truth of a condition over each deal's life, in maximal stretches."""
        names = sorted(
            name for leaf in condition.leaves() for name in leaf.columns if COLUMNS[name][0] == "timestamptz"
        )
        dates = sorted(name for leaf in condition.leaves() for name in leaf.columns if COLUMNS[name][0] == "date")
        spans = sorted({span for span in SPANS if f"'{span}'" in condition.text("rule")})
        bases = [f'"{name}"' for name in names] + [f'"{name}"::timestamptz' for name in dates]
        wanted = dict.fromkeys(["vfrom", *(i for leaf in condition.leaves() for i in leaf.instants)])
        for base in bases:
            wanted[base] = None
            for span in spans:
                wanted[f"{base} + interval '{span}'"] = wanted[f"{base} - interval '{span}'"] = None
        micro = "interval '1 microsecond'"
        around = ", ".join(f"{w}, {w} - {micro}, {w} + {micro}" for w in wanted)
        with self.conn.cursor() as cursor:
            cursor.execute(
                f"select rec, {_us('t')}, {_us('vto')}, {condition.text('ask')} from (select s.*, c.t from seg s "
                f"cross join lateral (select distinct t from unnest(array[{around}]) t "
                "where t >= s.vfrom and t < s.vto) c"
                f") x order by rec, t"
            )
            found = cursor.fetchall()
        joined: list[Stretch] = []
        for index, (rec, at, end, truth) in enumerate(found):
            after = found[index + 1] if index + 1 < len(found) else None
            until = after[1] if after and after[0] == rec and (end is None or after[1] < end) else end
            last = joined[-1] if joined else None
            if last and last[0] == rec and last[2] == at and last[3] is truth:
                joined[-1] = (rec, last[1], until, truth)
            else:
                joined.append((rec, at, until, truth))
        return joined

    def missing(self, condition: Condition, rows: list[Json], at: datetime) -> dict[str, list[str]]:
        """For each deal on which the condition is unknown: the absent fields under conditions that are unknown too."""
        nodes = list(condition.nodes())
        asked = ", ".join(f"({node.text('ask')}) is null" for node in nodes)
        with self.conn.cursor() as cursor:
            cursor.execute(
                f"select rec, array[{asked}] from (select *, timestamptz '{at.isoformat()}' as t from seg) x "
                "where vfrom <= t and t < vto"
            )
            unknown = dict(cursor.fetchall())
        found: dict[str, list[str]] = {}
        for row in rows:
            end = row["vto"]
            if datetime.fromisoformat(row["vfrom"]) > at or (end != "infinity" and datetime.fromisoformat(end) <= at):
                continue
            flags = dict(zip(map(id, nodes), unknown[row["rec"]], strict=True))

            def walk(node: Condition, flags: dict[int, bool] = flags, row: Json = row) -> Iterator[str]:
                if not flags[id(node)]:
                    return
                for name in node.leaf.columns:
                    if row[name] is None:
                        yield COLUMNS[name][1]
                for part in node.parts:
                    yield from walk(part)

            found[row["rec"]] = sorted(set(walk(condition)))
        return found


def _us(column: str) -> str:
    return f"case when isfinite({column}) then (extract(epoch from {column}) * 1000000)::bigint end"


def expected_intervals(stretches: list[Stretch], start: datetime, end: datetime) -> list[tuple[str, int, int]]:
    """What a backtest must say: (record, since, until), cut to [start, end)."""
    first, last = micros(start), micros(end)
    found = []
    for rec, since, until, truth in stretches:
        since, until = max(since, first), last if until is None else min(until, last)
        if truth and since < until:
            found.append((rec, since, until))
    return found


def expected_states(
    stretches: list[Stretch], at: datetime
) -> list[tuple[str, str, int | None, int | None, int | None]]:
    """What an evaluation must say: (record, state, since, until, due)."""
    now = micros(at)
    found: list[tuple[str, str, int | None, int | None, int | None]] = []
    for rec in sorted({stretch[0] for stretch in stretches}):
        mine = [stretch for stretch in stretches if stretch[0] == rec]
        due = min((since for _, since, _, truth in mine if truth and since > now), default=None)
        here = next((s for s in mine if s[1] <= now and (s[2] is None or now < s[2])), None)
        if here and here[3] is not False:
            found.append((rec, "holds" if here[3] else "unknown", here[1], here[2], due))
        elif due is not None:
            found.append((rec, "pending", None, None, due))
    return found


def micros(at: datetime) -> int:
    return (at - EPOCH) // MICRO
