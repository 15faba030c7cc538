"""Every rule on every record at one instant: ours, beside queries written by hand and other people's evaluators.

    python -m benchmarks.full_evaluation [--records 1000000] [--runs 3]
    pip install cel-python zen-engine     # the peers, where their figures are wanted

A million deals (two versions each, 100,000 accounts with versions of their own) under fifty rules. Asked for each rule
and record: does it hold, since when, until when, when will it, which missing fields leave it unknown. All on DuckDB in
one process, each answer written to a table, the best of some runs; ours and the hand-written tables are compared row
by row.

- islands: by hand, the textbook way: the spans of all versions, joined by window functions.
- pruned: by hand, as good as we know how: the version in force first, earlier ones only where a span reaches back.
- now only: by hand, a weaker question: only which rules hold now, without since, until, due and unknown.

cel-python and zen-engine answer that weaker question, record by record, compiled once, on a sample that is then
multiplied up to all records; times are given to them as seconds and calendar units as days of 24 hours, the making of
their records is not counted.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml

from benchmarks.figures import arguments, figure
from benchmarks.full_evaluation_rules import BOOK, DATA, RULES, Rule
from watchtower.rulebook import load
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.queries import missing_columns, state_query
from watchtower.rules.sql import DUCKDB, Writer
from watchtower.rules.tree import And, Atom, Bound, Call, Col, Lit, Node, Scalar

AT = datetime(2026, 7, 1, 9, tzinfo=UTC)
T = "TIMESTAMPTZ '2026-07-01 09:00:00+00'"

# The accounts' versions cut those of the deals: both hand-written ways begin with this join where a rule needs it.
JOINED = """
SELECT d.* EXCLUDE (vfrom, vto), GREATEST(d.vfrom, a.vfrom) AS vfrom, LEAST(d.vto, a.vto) AS vto,
  a.segment AS "account.segment", a.employees AS "account.employees"
FROM v_deal d JOIN v_account a ON a.record = d.account AND a.vfrom < d.vto AND d.vfrom < a.vto"""


def program() -> Program:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "deals.yaml"
        path.write_text(yaml.safe_dump(BOOK))
        return compile_rulebook(load(path))


def span(rule: Rule) -> tuple[str, str, str, str, str]:
    """By hand: since, until, that it may hold, that nothing is missing in it, and which fields are."""
    since = f"GREATEST(vfrom, {', '.join(at for at, _ in rule.starts)})" if rule.starts else "vfrom"
    until = f"LEAST(vto, {', '.join(at for at, _ in rule.ends)})" if rule.ends else "vto"
    maybe = [f'({test} OR "{column}" IS NULL)' if column else f"({test})" for test, column in rule.tests]
    columns = [column for _, column in (*rule.tests, *rule.starts, *rule.ends) if column]
    plain = list(dict.fromkeys(column.strip('"') for column in columns))
    known = " AND ".join(f'"{column}" IS NOT NULL' for column in plain) or "TRUE"
    named = " || ".join(f"CASE WHEN \"{column}\" IS NULL THEN '{column} ' ELSE '' END" for column in plain) or "''"
    return since, until, " AND ".join(maybe), known, named


PICKED = """
CASE WHEN known AND since <= {T} THEN since END AS since, CASE WHEN known AND since <= {T} THEN until END AS until,
CASE WHEN known AND since > {T} THEN since END AS due, CASE WHEN NOT known THEN since END AS unknown_since,
CASE WHEN NOT known THEN until END AS unknown_until, missing"""


def by_islands() -> str:
    """The textbook: all spans, joined, then those that matter at the instant; and what is missing there."""
    spans, gaps = [], []
    for n, rule in enumerate(RULES):
        since, until, maybe, known, named = span(rule)
        rows = "joined" if rule.of_account else "v_deal"
        spans.append(
            f"SELECT {n} AS rule, record, {known} AS known, {since} AS since, {until} AS until FROM {rows} "
            f"WHERE {maybe} AND {since} < {until}"
        )
        gaps.append(
            f"SELECT {n} AS rule, record, {named} AS missing FROM {rows} "
            f"WHERE vfrom <= {T} AND {T} < vto AND {maybe} AND NOT ({known})"
        )
    union = " UNION ALL ".join(spans)
    return f"""WITH joined AS ({JOINED}), spans AS ({union}), gaps AS ({" UNION ALL ".join(gaps)}),
marked AS (SELECT *, since > lag(until, 1, TIMESTAMPTZ '-infinity') OVER w AS fresh FROM spans
  WINDOW w AS (PARTITION BY rule, record, known ORDER BY since)),
numbered AS (SELECT *, sum(CAST(fresh AS INT)) OVER (PARTITION BY rule, record, known ORDER BY since) AS island
  FROM marked),
islands AS (SELECT rule, record, known, min(since) AS since, max(until) AS until FROM numbered
  GROUP BY rule, record, known, island)
SELECT i.rule, i.record, {PICKED.format(T=T).replace("missing", "CASE WHEN known THEN '' ELSE missing END AS missing")}
FROM islands i LEFT JOIN gaps g ON g.rule = i.rule AND g.record = i.record
WHERE until > {T} AND (known OR since <= {T})"""


def by_pruning() -> str:
    """The version in force first; earlier ones only of those rules and records whose span begins with it."""
    here, back = [], []
    for n, rule in enumerate(RULES):
        since, until, maybe, known, named = span(rule)
        current, rows = ("current_joined", "joined") if rule.of_account else ("current", "v_deal")
        tests = [maybe, *([f"{until} > {T} AND {since} < {until}"] if rule.ends else [])]
        if rule.starts and known != "TRUE":
            tests.append(f"({known} OR {since} <= {T})")
        touches = f"{since} = vfrom" if rule.starts else "TRUE"
        missing = "''" if known == "TRUE" else f"CASE WHEN {known} THEN '' ELSE {named} END"
        here.append(
            f"SELECT {n} AS rule, record, {known} AS known, {since} AS since, {until} AS until, {touches} AS touches, "
            f"{missing} AS missing FROM {current} WHERE {' AND '.join(tests)}"
        )
        tests = [maybe, f"vto <= {T}", f"{since} < vto", *(f"({end}) >= vto" for end, _ in rule.ends)]
        if rule.ends:
            tests[3:] = [" AND ".join(f"({end} IS NULL OR {end} >= vto)" for end, _ in rule.ends)]
        back.append(
            f"SELECT {n} AS rule, record, {known} AS known, {since} AS since, vto AS until FROM {rows} "
            f"WHERE {' AND '.join(tests)}"
        )
    return f"""WITH joined AS ({JOINED}),
current AS (SELECT * FROM v_deal WHERE vfrom <= {T} AND {T} < vto),
current_joined AS (SELECT * FROM joined WHERE vfrom <= {T} AND {T} < vto),
here AS ({" UNION ALL ".join(here)}),
back AS (SELECT b.* FROM ({" UNION ALL ".join(back)}) b JOIN here h USING (rule, record, known) WHERE h.touches),
marked AS (SELECT *, since > lag(until, 1, TIMESTAMPTZ '-infinity') OVER w AS fresh FROM back
  WINDOW w AS (PARTITION BY rule, record, known ORDER BY since)),
numbered AS (SELECT *, sum(CAST(fresh AS INT)) OVER (PARTITION BY rule, record, known ORDER BY since) AS island
  FROM marked),
chains AS (SELECT rule, record, known, min(since) AS since, max(until) AS until FROM numbered
  GROUP BY rule, record, known, island),
found AS (SELECT h.rule, h.record, h.known, COALESCE(c.since, h.since) AS since, h.until, h.missing
  FROM here h LEFT JOIN chains c ON c.rule = h.rule AND c.record = h.record AND c.known = h.known
    AND c.until = h.since AND h.touches)
SELECT rule, record, {PICKED.format(T=T)} FROM found"""


def now_only() -> str:
    """The weaker question: which hold now."""
    selects = []
    for n, rule in enumerate(RULES):
        tests = [f"({test})" for test, _ in rule.tests]
        tests += [f"{at} <= {T}" for at, _ in rule.starts] + [f"{at} > {T}" for at, _ in rule.ends]
        rows = "current_joined" if rule.of_account else "current"
        selects.append(f"SELECT {n} AS rule, record FROM {rows} WHERE {' AND '.join(tests)}")
    return f"""WITH current AS (SELECT * FROM v_deal WHERE vfrom <= {T} AND {T} < vto),
current_joined AS (SELECT d.*, a.segment AS "account.segment", a.employees AS "account.employees" FROM current d
  JOIN v_account a ON a.record = d.account AND a.vfrom <= {T} AND {T} < a.vto)
{" UNION ALL ".join(selects)}"""


def differences(connection: Any, book: Program, ours: str, theirs: str) -> int:
    """Rows that only one of the tables has. Ours in microseconds and flags, theirs in times and names."""
    columns = [f"({n}, {missing_columns(compiled)!r})" for n, compiled in enumerate(book.rules)]
    names = f"(VALUES {', '.join(columns)}) AS c(number, columns)"
    told = "list_sort(list_filter(columns, lambda x, i: missing[i] = '1'))"
    times = ("since", "until", "due", "unknown_since", "unknown_until")
    theirs_us = ", ".join(f"CASE WHEN isfinite({time}) THEN epoch_us({time}) END" for time in times)
    split = "list_sort(list_filter(string_split(trim(missing), ' '), lambda x: x <> ''))"
    a = f"""SELECT rule, record, held_since, held_until, due, maybe_since, maybe_until, {told}
      FROM {ours} JOIN {names} ON number = rule"""
    b = f"SELECT rule, record, {theirs_us}, {split} FROM {theirs}"
    found = connection.execute(
        f"SELECT (SELECT count(*) FROM ({a} EXCEPT ALL {b})) + (SELECT count(*) FROM ({b} EXCEPT ALL {a}))"
    ).fetchone()
    return int(found[0])


def in_words(node: Node, cel: bool) -> str:
    """A rule for a per-record evaluator: whether it holds now. In CEL fields are `r.x`, and absent ones left out."""
    if isinstance(node, Atom):
        return _words(node.test, cel)
    if isinstance(node, Bound):
        column, seconds = _offset(node.instant)
        field = _field(column, cel)
        present = f"has({field})" if cel else f"{field} != null"
        now = "r.now" if cel else "now"
        return f"({present} {'&&' if cel else 'and'} {field} + {seconds} {'<=' if node.is_start else '>'} {now})"
    glue = {(True, True): " && ", (True, False): " || ", (False, True): " and ", (False, False): " or "}
    return "(" + glue[cel, isinstance(node, And)].join(in_words(item, cel) for item in node.items) + ")"


def _field(column: Col, cel: bool) -> str:
    plain = "".join(c if c.isalnum() else "_" for c in column.name)
    return f"r.{plain}" if cel else plain


def _offset(instant: Scalar) -> tuple[Col, int]:
    seconds = 0
    while isinstance(instant, Call):
        seconds += (instant.span.months * 30 + instant.span.days) * 86_400 + instant.span.micros // 1_000_000
        instant = instant.args[0]
    assert isinstance(instant, Col)
    return instant, seconds


def _words(value: Scalar, cel: bool) -> str:
    if isinstance(value, Lit):
        return json.dumps(value.value)
    if isinstance(value, Col):
        return _field(value, cel)
    args = [_words(arg, cel) for arg in value.args]
    if value.op in ("and", "or"):
        return (
            "(" + ({"and": " && ", "or": " || "} if cel else {"and": " and ", "or": " or "})[value.op].join(args) + ")"
        )
    if value.op == "is_null":
        return f"!has({args[0]})" if cel else f"({args[0]} == null)"
    if value.op == "in":
        return f"({args[0]} in [{', '.join(args[1:])}])"
    op = {"=": "==", "<>": "!="}.get(value.op, value.op)
    if cel and value.op not in ("=", "<>"):
        args[1] += ".0" if _is_number(value.args[0]) and "." not in args[1] else ""
    present = f"has({args[0]}) && " if cel else f"{args[0]} != null and "
    return f"({present}{args[0]} {op} {args[1]})"


def _is_number(value: Scalar) -> bool:
    return isinstance(value, Col) and value.type in ("number", "money")


def sample(connection: Any, count: int) -> list[dict[str, Any]]:
    """Deals as they are at the instant: times as seconds."""
    rows = connection.execute(
        f"""WITH joined AS ({JOINED})
        SELECT * EXCLUDE (vfrom, vto) REPLACE (epoch(next_step_at)::BIGINT AS next_step_at,
        epoch(last_activity_at)::BIGINT AS last_activity_at, epoch(signed_at)::BIGINT AS signed_at,
        epoch("changed_at(stage)")::BIGINT AS "changed_at(stage)", epoch(close_on::TIMESTAMPTZ)::BIGINT AS close_on)
        FROM joined WHERE vfrom <= {T} AND {T} < vto AND hash(record) % 97 = 0 ORDER BY record LIMIT {count}"""
    )
    names = ["".join(c if c.isalnum() else "_" for c in column[0]) for column in rows.description]
    return [dict(zip(names, row, strict=True)) | {"now": int(AT.timestamp())} for row in rows.fetchall()]


def by_cel(book: Program, records: list[dict[str, Any]]) -> tuple[float, int]:
    """Seconds per record, and how many rules held."""
    import celpy

    environment = celpy.Environment()
    programs = [environment.program(environment.compile(in_words(rule.node, cel=True))) for rule in book.rules]
    made = [
        celpy.json_to_cel({"r": {k: v for k, v in record.items() if v is not None}})  # type: ignore[attr-defined]
        for record in records
    ]
    began = time.perf_counter()
    held = sum(bool(one.evaluate(record)) for record in made for one in programs)
    return (time.perf_counter() - began) / len(records), held


def by_zen(book: Program, records: list[dict[str, Any]]) -> tuple[float, int]:
    """The faster of two ways: fifty compiled expressions a record, or one decision that holds them all."""
    import zen

    texts = [in_words(rule.node, cel=False) for rule in book.rules]
    programs = [zen.compile_expression(text) for text in texts]
    began = time.perf_counter()
    held = sum(bool(one.evaluate(record)) for record in records for one in programs)
    single = time.perf_counter() - began
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "position": {"x": 0, "y": 0}},
        {"id": "rules", "name": "rules", "type": "expressionNode", "position": {"x": 1, "y": 0},
         "content": {"expressions": [{"id": f"e{n}", "key": f"r{n}", "value": text} for n, text in enumerate(texts)]}},
        {"id": "out", "name": "out", "type": "outputNode", "position": {"x": 2, "y": 0}},
    ]  # fmt: skip
    edges = [
        {"id": "a", "sourceId": "in", "targetId": "rules", "type": "edge"},
        {"id": "b", "sourceId": "rules", "targetId": "out", "type": "edge"},
    ]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    began = time.perf_counter()
    together = sum(sum(map(bool, decision.evaluate(record)["result"].values())) for record in records)
    assert together == held
    return min(single, time.perf_counter() - began) / len(records), held


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sample", type=int, default=2_000, help="records that the per-record peers are given")
    options = parser.parse_args()
    book = program()
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(DATA.format(records=options.records, accounts=options.records // 10))
    loaded = _peak()
    ours = state_query(book, Writer(DUCKDB, book.book.timezone), AT)
    queries = {"ours": ours, "islands": by_islands(), "pruned": by_pruning(), "now_only": now_only()}
    best = dict.fromkeys(queries, float("inf"))
    peak = {}
    for _ in range(options.runs):
        for name, sql in queries.items():
            began = time.perf_counter()
            connection.execute(f"CREATE OR REPLACE TABLE answer_{name} AS {sql}")
            best[name] = min(best[name], time.perf_counter() - began)
            peak.setdefault(name, _peak())
    hand = min(best["islands"], best["pruned"])
    rows = connection.execute("SELECT count(*) FROM answer_ours").fetchone()[0]  # type: ignore[index]
    odd = {name: differences(connection, book, "answer_ours", f"answer_{name}") for name in ("islands", "pruned")}
    held = connection.execute("SELECT count(*) FROM answer_now_only").fetchone()[0]  # type: ignore[index]
    print(f"{options.records:,} records x {len(RULES)} rules at {AT:%Y-%m-%dT%H:%MZ}: {rows:,} answers, {held:,} hold")
    print(f"ours                {best['ours']:7.2f} s   {best['ours'] / hand:.2f} of the faster hand-written one")
    print(f"by hand, islands    {best['islands']:7.2f} s   {odd['islands']} rows differ from ours")
    print(f"by hand, pruned     {best['pruned']:7.2f} s   {odd['pruned']} rows differ from ours")
    print(f"by hand, now only   {best['now_only']:7.2f} s   a weaker question")
    figure(
        f"{options.records:,} records x {len(RULES)} rules at one instant", best["ours"], "s", better="lower",
        peer="the faster query by hand", of_peer=best["ours"] / hand,
    )  # fmt: skip
    figure("the same, times the faster query by hand", best["ours"] / hand, better="lower", aim=1.5)
    print(f"peak memory: data loaded {loaded:,.0f} MB, after ours {peak['ours']:,.0f} MB")
    records = sample(connection, options.sample)
    peers: dict[str, Callable[[Program, list[dict[str, Any]]], tuple[float, int]]] = {
        "cel-python": by_cel, "zen-engine": by_zen,
    }  # fmt: skip
    for name, run in peers.items():
        try:
            each, held = run(book, records)
        except ImportError:
            print(f"{name}: not installed; pip install {name}")
            continue
        whole = each * options.records
        aims = {"cel-python": 100.0, "zen-engine": 20.0}
        figure(
            f"times faster than {name}", whole / best["ours"], aim=aims[name], peer=name, of_peer=whole / best["ours"]
        )
        print(
            f"{name:<19} {whole:7.0f} s   {whole / best['ours']:,.0f} times ours; extrapolated from {len(records):,} "
            f"records, {held:,} held there"
        )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
