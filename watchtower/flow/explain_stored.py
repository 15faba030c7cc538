"""Explanations over the stored records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from watchtower.flow.apply import Engine, moments
from watchtower.flow.explain import about, explain
from watchtower.rules.fold import Record
from watchtower.store.database import Connection


def explain_stored(conn: Connection, engine: Engine, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
    """The explanation over the stored records. Missing where there is no such rule, or it is not on such records."""
    compiled, name, record = about(engine.program, rule_id, subject)
    own = moments(conn, engine, [(name, record, at)])[name, record, at]
    related: dict[str, Record] = {}
    for ref in {column.ref for column in compiled.columns if column.ref}:
        target = own.state.get(ref)
        if target is not None:
            kind = engine.program.book.objects[name].fields[ref].to
            related[ref] = moments(conn, engine, [(kind, target, at)])[kind, target, at]
    return explain(engine.program, compiled, subject, own, related, at)
