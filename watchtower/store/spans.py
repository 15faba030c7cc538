"""The intervals in which rules hold: evaluated by PostgreSQL over stored versions, kept, and found when due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from watchtower.rules.compile import Program
from watchtower.rules.queries import spans_ctes
from watchtower.rules.schema import Column
from watchtower.rules.spans import LAST, instant
from watchtower.rules.spans_kept import RawSpan, Span
from watchtower.rules.sql import POSTGRES, TYPES, Writer, name, quote
from watchtower.store.direct import ask, piped

Touched = Mapping[str, Mapping[str, datetime]]
"""object -> record -> from when on it is to be evaluated anew."""


class Query(NamedTuple):
    """The SQL of some rules, and their ids by the numbers that it answers with."""

    sql: str
    rules: tuple[str, ...]


def evaluate(
    conn: Connection, query: Query | None, ruled: Touched, touched: Touched
) -> tuple[list[RawSpan], list[Span]]:
    """The spans of the touched records from the given instants on, as the rules have them now; and as they are kept,
    those that reach to these instants, or beyond.

    `ruled`: those of `touched` whose objects have rules; `query`: that of these objects, None where there are none.
    """
    with piped(conn) as send:
        answer = send(query.sql, {"touched": _touched_json(ruled)}) if query is not None else None
        kept = send(_OF, {"rows": _touched_json(touched)})
    fresh: list[RawSpan] = []
    if query is not None and answer is not None:
        # CRMs write 9999-12-31 for "never": what begins after it never begins, what ends after it has no end.
        fresh = [
            RawSpan(query.rules[rule], record, certain, instant(since), _until(until))
            for rule, record, certain, since, until in answer.fetchall()
            if since < LAST
        ]
    return fresh, [_span(row) for row in kept.fetchall()]


def _until(value: int | None) -> datetime | None:
    return None if value is None or value >= LAST else instant(value)


def _touched_json(touched: Touched) -> str:
    rows = [
        {"object": object_name, "id": record, "t0": start.isoformat()}
        for object_name, records in touched.items()
        for record, start in records.items()
    ]
    return msgspec.json.encode(rows).decode()


def query(program: Program, objects: Sequence[str]) -> Query:
    """The compiled rules of these objects over the stored versions. `touched` is the one parameter."""
    writer = Writer(POSTGRES, program.book.timezone)
    part = Program(program.book, tuple(c for c in program.rules if c.rule.object in objects), program.gathered)
    # `v0`: where the version begins that is in force at t0. Those before it need not be looked at, however many.
    ctes = [
        "touched AS MATERIALIZED (SELECT g.object, g.id, g.t0, coalesce((SELECT max(w.valid_from) FROM version w "
        "WHERE w.object = g.object AND w.id = g.id AND w.valid_from <= g.t0), g.t0) AS v0 "
        "FROM json_to_recordset(CAST($touched AS json)) AS g(object text, id text, t0 timestamptz))"
    ]
    needed = part.columns_of
    targets = {
        program.book.objects[c.rule.object].fields[column.ref].to
        for c in part.rules
        for column in c.columns
        if column.ref
    }
    for object_name in objects:
        own = (
            f"SELECT v.id, GREATEST(v.valid_from, t.t0) AS vfrom, v.valid_to, v.state FROM touched t "
            f"JOIN version v ON v.object = t.object AND v.id = t.id AND v.valid_from >= t.v0 "
            f"AND (v.valid_to IS NULL OR v.valid_to > t.t0) "
            f"WHERE t.object = {quote(object_name)}"
        )
        ctes.append(_relation(name(f"v_{object_name}"), own, _extracted(needed[object_name].values())))
    for target in sorted(targets):
        referred = _referred(program, part, target, objects)
        ctes.append(_relation(name(f"t_{target}"), referred, _extracted(needed[target].values())))
    for over in sorted({rollup.over for name_ in {*objects, *targets} for rollup in part.gathered_on(name_)}):
        kids = _gathered_versions(part, over, objects, targets)
        ctes.append(_relation(name(f"k_{over}"), kids, _extracted(needed[over].values())))
    body = spans_ctes(part, writer, targets="t_", kids="k_").removeprefix("WITH ")
    as_micros = writer.dialect.micros
    sql = (
        f"WITH {', '.join(ctes)}, {body} SELECT rule, record, certain, {as_micros.format(x='since')}, "
        f"{as_micros.format(x='until')} FROM raw"
    )
    sql = sql.replace("%", "%%").replace("$touched", "%(touched)s", 1)
    return Query(sql, tuple(compiled.rule.id for compiled in part.rules))


def _referred(program: Program, part: Program, target: str, objects: Sequence[str]) -> str:
    """The versions of the records that the touched ones refer to, as far back as the touched ones go."""
    ids = []
    for object_name in objects:
        refs = {
            column.ref
            for compiled in part.of_object(object_name)
            for column in compiled.columns
            if column.ref and program.book.objects[object_name].fields[column.ref].to == target
        }
        ids += [f"SELECT {name(ref)} FROM {name('v_' + object_name)}" for ref in sorted(refs)]
    return (
        f"SELECT v.id, v.valid_from AS vfrom, v.valid_to, v.state FROM version v WHERE v.object = {quote(target)} "
        f"AND v.id IN ({' UNION '.join(ids)}) "
        "AND (v.valid_to IS NULL OR v.valid_to > (SELECT min(t0) FROM touched))"
    )


def _gathered_versions(part: Program, over: str, objects: Sequence[str], targets: Iterable[str]) -> str:
    """The versions of the records that ever referred to the ones whose rollups gather them."""
    known = [f"v_{name_}" for name_ in objects] + [f"t_{name_}" for name_ in targets]
    parents = [
        f"SELECT l.record FROM {name(relation)} p JOIN link l ON l.target_object = {quote(rollup.object)} "
        f"AND l.target = p.record AND l.object = {quote(over)} AND l.ref = {quote(rollup.via)}"
        for relation in known
        for rollup in part.gathered_on(relation.partition("_")[2])
        if rollup.over == over
    ]
    return (
        f"SELECT v.id, v.valid_from AS vfrom, v.valid_to, v.state FROM version v WHERE v.object = {quote(over)} "
        f"AND v.id IN ({' UNION '.join(parents)}) "
        "AND (v.valid_to IS NULL OR v.valid_to > (SELECT min(t0) FROM touched))"
    )


def _relation(relation: str, source: str, columns: str) -> str:
    return (
        f"{relation} AS MATERIALIZED (SELECT id AS record, vfrom, "
        f"coalesce(valid_to, 'infinity'::TIMESTAMPTZ) AS vto{columns} FROM ({source}) AS s)"
    )


def _extracted(columns: Iterable[Column]) -> str:
    parts = []
    for column in columns:
        key = quote(column.name)
        if column.type == "list":
            value = (
                f"CASE WHEN jsonb_typeof(state -> {key}) = 'array' "
                f"THEN ARRAY(SELECT jsonb_array_elements_text(state -> {key})) END"
            )
        else:
            value = f"CAST(state ->> {key} AS {TYPES.get(column.type, 'TEXT')})"
        parts.append(f", {value} AS {name(column.name)}")
    return "".join(parts)


_OF = text(
    """
    select s.rule, s.object, s.record, s.state, s.since, s.until, s.opens_at, s.opened, s.closed
    from json_to_recordset(cast(:rows as json)) as g(object text, id text, t0 timestamptz)
    join span s on s.object = g.object and s.record = g.id and (s.until is null or s.until >= g.t0)
    """
)
_COLUMNS = "rule text, object text, record text, state text, since timestamptz"
_DELETE_SQL = f"""delete from span s using json_to_recordset(cast(:gone as json)) as g({_COLUMNS})
    where s.rule = g.rule and s.object = g.object and s.record = g.record and s.state = g.state
      and s.since = g.since"""
_INSERT_SQL = f"""insert into span (rule, object, record, state, since, until, opens_at, opened, closed)
    select rule, object, record, state, since, until, opens_at, opened, closed
    from json_to_recordset(cast(:made as json)) as g({_COLUMNS}, until timestamptz, opens_at timestamptz,
      opened boolean, closed boolean)
    on conflict (rule, object, record, state, since) do update set until = excluded.until,
      opens_at = excluded.opens_at, opened = excluded.opened, closed = excluded.closed"""
_DELETE, _INSERT = text(_DELETE_SQL), text(_INSERT_SQL)
_REPLACE = text(f"with deleted as ({_DELETE_SQL}) {_INSERT_SQL}")
_TELL = text(
    f"""
    update span s set opened = false, closed = false
    from json_to_recordset(cast(:rows as json)) as g({_COLUMNS})
    where s.rule = g.rule and s.object = g.object and s.record = g.record and s.state = g.state
      and s.since = g.since
    """
)
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_SPAN = "select rule, object, record, state, since, until, opens_at, opened, closed from span "
WAITING = "state = 'holds' and not opened and (until is null or until > opens_at)"
ENDING = "state = 'holds' and opened and not closed and until is not null"
# The order of decisions is part of what a replay gives again: no tie is left, and no collation has a say in it.
_TIES = 'rule collate "C", object collate "C", record collate "C", since'
AMONG = "and (cast(:rules as text[]) is null or rule = any(cast(:rules as text[])))"
_DUE = text(
    _SPAN + f"where {WAITING} and opens_at between :after and :now {AMONG} order by opens_at, {_TIES} limit :limit"
)
_ENDED = text(_SPAN + f"where {ENDING} and until between :after and :now {AMONG} order by until, {_TIES} limit :limit")
_NEXT = text(
    f"select least((select min(opens_at) from span where {WAITING}), (select min(until) from span where {ENDING}))"
)
_HOLDING = text(
    "select rule, object, record from span "
    "where state = 'holds' and rule = any(cast(:rules as text[])) and since <= :now "
    "and (until is null or until > :now) order by rule, object, record"
)
_UNKNOWN = text(
    "select rule, object, record from span where state = 'unknown' and since <= :now "
    "and (until is null or until > :now) order by rule, object, record"
)


def _json(spans: Iterable[Span]) -> str:
    return msgspec.json.encode(list(spans)).decode()


def _span(row: Iterable[Any]) -> Span:
    rule, object_name, record, state, since, until, opens_at, opened, closed = tuple(row)
    return Span(
        rule=rule, object=object_name, record=record, state=state, since=since, until=until, opens_at=opens_at,
        opened=opened, closed=closed,
    )  # fmt: skip


def replace(conn: Connection, gone: Sequence[Span], made: Sequence[Span]) -> None:
    """Delete some spans, write others; none is among both."""
    if gone and made:
        ask(conn, _REPLACE, {"gone": _json(gone), "made": _json(made)})
    elif gone:
        ask(conn, _DELETE, {"gone": _json(gone)})
    elif made:
        ask(conn, _INSERT, {"made": _json(made)})


def tell(conn: Connection, spans: Sequence[Span]) -> None:
    """These are to be told after all."""
    if spans:
        conn.execute(_TELL, {"rows": _json(spans)})


def due(
    conn: Connection, now: datetime, limit: int, *, rules: Sequence[str] | None = None, after: datetime = EARLIEST
) -> list[Span]:
    """Spans on which an alert is to open by now, in that order: an index scan of what is due. `rules`: of these alone.

    `after`: none opens before it. Within a transaction, what was opened stays in the way of the next scan.
    """
    given = {"now": now, "limit": limit, "rules": rules, "after": after}
    return [_span(row) for row in conn.execute(_DUE, given)]


def ended(
    conn: Connection, now: datetime, limit: int, *, rules: Sequence[str] | None = None, after: datetime = EARLIEST
) -> list[Span]:
    """Opened spans that have ended by now, in that order. `rules`: of these alone; `after`: none ended before it."""
    given = {"now": now, "limit": limit, "rules": rules, "after": after}
    return [_span(row) for row in conn.execute(_ENDED, given)]


def next_instant(conn: Connection) -> datetime | None:
    """When the next alert opens or ends by the clock alone; None where none will."""
    found: datetime | None = conn.execute(_NEXT).scalar_one()
    return found


def holding_now(conn: Connection, rules: Sequence[str], now: datetime) -> list[tuple[str, str, str]]:
    """(rule, object, record) where one of these rules holds."""
    return [tuple(row) for row in conn.execute(_HOLDING, {"rules": list(rules), "now": now})] if rules else []


def unknown_now(conn: Connection, now: datetime) -> list[tuple[str, str, str]]:
    """(rule, object, record) where a rule is unknown."""
    return [tuple(row) for row in conn.execute(_UNKNOWN, {"now": now})]
