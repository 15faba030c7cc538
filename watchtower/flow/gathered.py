"""What rollups over records are at instants, for explanations and for the values an alert has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchtower.contract import format_time
from watchtower.flow.backtest import duckdb_engine
from watchtower.flow.history import Versions
from watchtower.rules.compile import Program
from watchtower.rules.fold import Record
from watchtower.rules.gathered import Gathered
from watchtower.rules.rows import timeline, with_gathered
from watchtower.rules.spans import instant
from watchtower.rules.sql import DUCKDB, Writer, name

_EVER = -(10**17)


def gathered_values(
    program: Program, rollups: Sequence[Gathered], kids: Sequence[Mapping[str, Sequence[Record]]]
) -> list[dict[str, Any]]:
    """For each parent, by field. `kids[n]` holds, by object, the records that may refer to the n-th parent, as they
    are then; each parent's are told apart by their place in the list."""
    parents = Versions({})
    tables = {rollup.over: Versions({}) for rollup in rollups}
    for rollup in rollups:
        types = {column.name: column.type for column in rollup.columns} | {rollup.via: "ref"}
        tables[rollup.over].types |= types
    for table in tables.values():
        table.columns = {column: [] for column in table.types}
    for number, mine in enumerate(kids):
        _add(parents, str(number), {})
        for over, records in mine.items():
            for record in records:
                _add(tables[over], f"{number}.{len(tables[over].record)}", record.state)
    writer = Writer(DUCKDB, program.book.timezone)
    found: list[dict[str, Any]] = [{} for _ in kids]
    with duckdb_engine({"": parents, **tables}) as engine:
        base = f"SELECT record, vfrom, vto FROM {name('v_')}"
        fields = [rollup.field for rollup in rollups]
        picked = ", ".join(_read(writer, rollup) for rollup in rollups)
        timelines = [(rollup, f"({timeline(writer, rollup, 'v_')})") for rollup in rollups]
        sql = f"SELECT record, {picked} FROM ({with_gathered(base, [], timelines)}) AS g"
        for record, *values in engine.query(sql):
            told = [_told(rollup, value) for rollup, value in zip(rollups, values, strict=True)]
            found[int(record)] = dict(zip(fields, told, strict=True))
    return found


def _read(writer: Writer, rollup: Gathered) -> str:
    column = name(rollup.field)
    if rollup.type == "timestamp":
        return writer.dialect.micros.format(x=column)
    return f"CAST({column} AS VARCHAR)" if rollup.type == "date" else column


def _told(rollup: Gathered, value: Any) -> Any:
    """A value as a record's state holds it."""
    return format_time(instant(value)) if rollup.type == "timestamp" and value is not None else value


def refer_to(
    rollups: Sequence[Gathered], number: int, parent: str, over: str, records: Sequence[Record]
) -> list[Record]:
    """Of these records those that are there and refer to the parent; the reference becomes the parent's number."""
    vias = {rollup.via for rollup in rollups if rollup.over == over}
    kept = []
    for record in records:
        named = [via for via in vias if record.state.get(via) == parent]
        if record.alive and named:
            others = {key: value for key, value in record.state.items() if key not in vias}
            kept.append(Record(True, others | dict.fromkeys(named, str(number))))
    return kept


def _add(table: Versions, record: str, state: Mapping[str, Any]) -> None:
    table.record.append(record)
    table.vfrom.append(_EVER)
    table.vto.append(None)
    for column, values in table.columns.items():
        values.append(state.get(column))
