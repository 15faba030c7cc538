"""Explanations over the stored records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.apply import Engine
from watchtower.flow.explain import about, explain
from watchtower.flow.moments import moments
from watchtower.flow.settle import alert_id
from watchtower.rules.compile import CompiledRule
from watchtower.rules.fold import Record
from watchtower.rules.spans_kept import Span
from watchtower.store import queries
from watchtower.store.database import Connection


def explain_stored(conn: Connection, engine: Engine, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
    """The explanation over the stored records, with `told`, whether anybody was told of it and why not, and the
    alert's id. Missing where there is no such rule, or it is not on such records."""
    compiled, name, record = about(engine.program, rule_id, subject)
    own = moments(conn, engine, [(name, record, at)])[name, record, at]
    related: dict[str, Record] = {}
    for ref in {column.ref for column in compiled.columns if column.ref}:
        target = own.state.get(ref)
        if target is not None:
            kind = engine.program.book.objects[name].fields[ref].to
            related[ref] = moments(conn, engine, [(kind, target, at)])[kind, target, at]
    said = explain(engine.program, compiled, subject, own, related, at)
    told, alert = _told(conn, engine, compiled, name, record, at)
    return {**said, "told": told, "alert": alert}


def _told(
    conn: Connection, engine: Engine, compiled: CompiledRule, name: str, record: str, at: datetime
) -> tuple[str, str | None]:
    """Whether anybody was told, and why not: one sentence, and the alert's id where there is one."""
    mine = [s for s in queries.spans(conn, name, record, now=at) if s.rule == compiled.rule.id and s.state == "holds"]
    here = next((s for s in mine if s.since <= at), None)
    if here is None:
        if mine:
            return f"Nobody is told yet; if nothing else happens it holds from {format_time(mine[0].since)} on.", None
        return "Nobody is told: it does not hold.", None
    if compiled.rule.mode == "shadow":
        return "Nobody is told: the rule runs in shadow.", None
    if here.opens_at > at:
        opens = format_time(here.opens_at)
        return f"Nobody is told before {opens}: it must hold for {compiled.rule.for_} without a break.", None
    span = Span(
        rule=compiled.rule.id, object=name, record=record, state="holds", since=here.since, until=here.until,
        opens_at=here.opens_at,
    )  # fmt: skip
    row = queries.alert_by_id(conn, alert_id(span))
    if row is None:
        return "Nobody was told: it held before the rule came into force, or the clock has not come by since.", None
    if row.status == "resolved":
        ended = format_time(row.resolved_at) if row.resolved_at else "then"
        return f"An alert opened at {format_time(row.opened_at)} and was closed at {ended}: {row.resolution}.", row.id
    if row.inhibited_by is not None:
        return f"An alert opened at {format_time(row.opened_at)}; it waits while {row.inhibited_by} stands.", row.id
    until = f" until {format_time(row.snoozed_until)}" if row.status == "snoozed" and row.snoozed_until else ""
    where = f"in {row.queue}, for {row.assignee or row.owner or 'nobody'}"
    return f"An alert opened at {format_time(row.opened_at)} and is {row.status}{until} {where}.", row.id
