"""The rows that rules are asked of: versions of records, split where a record they refer to, or gather, changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from watchtower.rules.gathered import Gathered
from watchtower.rules.sql import Writer, name

LIMIT = 9e12
"""Amounts beyond this are passed over by a sum: sums are exact to a millionth, and so independent of order."""


def rows_with_references(
    writer: Writer,
    refs: dict[str, tuple[str, list[str]]],
    own: list[str],
    base: str,
    lives_of: Callable[[str], str],
) -> str:
    """The versions of an object, split where a record it refers to changes.

    `base` is a SELECT of its versions with the columns `own`; `refs` maps a ref field to (target object, columns of
    the target), and `lives_of` a target to the relation of its versions. The target's columns are null before it
    exists, after it, and where there is none.
    """
    always, never = writer.dialect.always, writer.dialect.never
    carried = list(own)
    for ref, (target, wanted) in refs.items():
        listed = "".join(", " + name(column) for column in wanted)
        nulls = "".join(f", NULL AS {name(column)}" for column in wanted)
        lives = lives_of(target)
        timeline = f"""
  SELECT record, vfrom, vto{listed} FROM {lives}
  UNION ALL SELECT record, before, vfrom{nulls} FROM (
    SELECT record, vfrom, lag(vto, 1, {never}) OVER (PARTITION BY record ORDER BY vfrom) AS before
    FROM {lives}) AS gaps WHERE before < vfrom
  UNION ALL SELECT record, max(vto), {always}{nulls} FROM {lives} GROUP BY record HAVING max(vto) < {always}"""
        through = "".join(f", t.{name(c)} AS {name(f'{ref}.{c}')}" for c in wanted)
        kept = "".join(f", b.{name(c)}" for c in carried)
        base = f"""SELECT b.record, GREATEST(b.vfrom, t.vfrom) AS vfrom, LEAST(b.vto, t.vto) AS vto{kept}{through}
FROM ({base}) AS b LEFT JOIN ({timeline}) AS t
  ON t.record = b.{name(ref)} AND t.vfrom < b.vto AND b.vfrom < t.vto"""
        carried += [f"{ref}.{c}" for c in wanted]
    return base


def with_gathered(base: str, own: Iterable[str], gathered: Iterable[tuple[Gathered, str]]) -> str:
    """A relation (record, vfrom, vto, own columns) with a column for each rollup, split where one changes.

    `gathered` gives each rollup with the relation of its `timeline`.
    """
    carried = list(own)
    for rollup, changes in gathered:
        value = f"COALESCE(t.x, 0) AS {name(rollup.field)}" if rollup.op == "count" else f"t.x AS {name(rollup.field)}"
        kept = "".join(f", b.{name(column)}" for column in carried)
        base = f"""SELECT b.record, GREATEST(b.vfrom, COALESCE(t.vfrom, b.vfrom)) AS vfrom,
  LEAST(b.vto, COALESCE(t.vto, b.vto)) AS vto{kept}, {value}
FROM ({base}) AS b LEFT JOIN {changes} AS t ON t.record = b.record AND t.vfrom < b.vto AND b.vfrom < t.vto"""
        carried.append(rollup.field)
    return base


def timeline(writer: Writer, rollup: Gathered, prefix: str) -> str:
    """A SELECT of (record, vfrom, vto, x): what the rollup of each parent is, when; without a gap over all of time.

    The gathered records' versions are looked up in `<prefix><object>`.
    """
    always, never = writer.dialect.always, writer.dialect.never
    kids = name(prefix + rollup.over)
    tests = [f"{name(rollup.via)} IS NOT NULL"]
    if rollup.where is not None:
        tests.append(writer.scalar(rollup.where))
    value = ""
    if rollup.what is not None:
        value = name(rollup.what.name)
        tests.append(f"{value} IS NOT NULL")
        if rollup.op == "sum":
            tests.append(f"ABS(CAST({value} AS {writer.double})) <= {LIMIT!r}")
    chosen = f"FROM {kids} WHERE {' AND '.join(tests)}"
    if rollup.op in ("count", "sum"):
        steps = _sums(writer, rollup, value, chosen)
    else:
        steps = f"""SELECT e.record, e.t, {rollup.op.upper()}(k.x) AS x FROM (
    SELECT {name(rollup.via)} AS record, vfrom AS t {chosen}
    UNION SELECT {name(rollup.via)}, vto {chosen} AND vto < {always}) AS e
  LEFT JOIN (SELECT {name(rollup.via)} AS record, vfrom, vto, {value} AS x {chosen}) AS k
    ON k.record = e.record AND k.vfrom <= e.t AND e.t < k.vto
  GROUP BY e.record, e.t"""
    return f"""
  SELECT record, t AS vfrom, LEAD(t, 1, {always}) OVER (PARTITION BY record ORDER BY t) AS vto, x
  FROM ({steps}) AS steps
  UNION ALL SELECT record, {never} AS vfrom, MIN(t) AS vto, NULL AS x FROM ({steps}) AS steps GROUP BY record"""


def _sums(writer: Writer, rollup: Gathered, value: str, chosen: str) -> str:
    """Counts and sums as running totals of what comes and goes: integers, so that they come back to where they were."""
    amount = "1"
    if rollup.op == "sum":
        amount = f"CAST(FLOOR(CAST({value} AS {writer.double}) * 1000000 + 0.5) AS BIGINT)"
    big = "DECIMAL(38, 0)"
    kind = writer.dialect.types[rollup.type]
    total = (
        f"CAST(n AS {kind})"
        if rollup.op == "count"
        else f"CASE WHEN n > 0 THEN CAST(CAST(s AS {writer.double}) / 1000000 AS {kind}) END"
    )
    return f"""SELECT record, t, {total} AS x FROM (
    SELECT record, t, SUM(n) OVER w AS n, SUM(s) OVER w AS s FROM (
      SELECT record, t, SUM(n) AS n, SUM(s) AS s FROM (
        SELECT {name(rollup.via)} AS record, vfrom AS t, 1 AS n, CAST({amount} AS {big}) AS s {chosen}
        UNION ALL SELECT {name(rollup.via)}, vto, -1, -CAST({amount} AS {big}) {chosen}) AS edges
      GROUP BY record, t) AS netted
    WINDOW w AS (PARTITION BY record ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) AS running
  WHERE t < {writer.dialect.always}"""


def stays(relation: str, field: str) -> str:
    """A SELECT of (record, state, since, until, next): each stay of a record in a value of a field, and what came after
    (null where the stay goes on, or the record ended)."""
    state = name(field)
    return f"""
  SELECT record, state, since, until, LEAD(state) OVER (PARTITION BY record ORDER BY since) AS next FROM (
    SELECT record, state, MIN(vfrom) AS since, MAX(vto) AS until FROM (
      SELECT *, SUM(moved) OVER (PARTITION BY record ORDER BY vfrom) AS stay FROM (
        SELECT record, vfrom, vto, {state} AS state, CASE WHEN {state} IS NOT DISTINCT FROM
          LAG({state}) OVER (PARTITION BY record ORDER BY vfrom) THEN 0 ELSE 1 END AS moved
        FROM {name(relation)}) AS marked) AS numbered
    GROUP BY record, state, stay) AS joined WHERE state IS NOT NULL"""
