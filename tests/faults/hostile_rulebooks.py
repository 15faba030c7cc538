"""Rulebooks written to harm: each ends within a tenth of a second with an error, or does no harm.

`python tests/faults/hostile_rulebooks.py --count 1000 --seed 1` draws them, loads and compiles each, and asks those
that load of DuckDB. Only refusals are held to the tenth of a second: what is harmless may be long.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

LIMIT = 0.1
HEAD = "name: hostile\nobjects:\n  deal:\n    fields:\n      stage: {type: enum, values: [open, won]}\n"
FIELDS = "      n: {type: integer}\n      t: {type: text}\n      at: {type: timestamp}\n      l: {type: list}\n"
EVIL = (
    "'; drop table v_deal; --", "' or 1=1 --", '"; delete from v_deal; --', "$$ drop table v_deal $$", "\\'; select 1",
    "a\\", "\u202eevil\u202c", "\u200b", "x\ufeff", "%s", "{0}", "${HOME}", "`id`", "\u2028", "N'x'", "E'\\x00'", "/*",
    "*/", "--", "\u0000", "\ud7ff", "\U0001f4a3" * 50, "A" * 300,
)  # fmt: skip


def quoted(text: str) -> str:
    """A YAML text in double quotes."""
    out = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{out}"'


def book(when: str, *, head: str = HEAD, rule: str = "r", more: str = "") -> str:
    return f"{head}{FIELDS}rules:\n  - {{id: {rule}, object: deal, when: {quoted(when)}}}\n{more}"


def draw(rng: random.Random) -> bytes:
    """One rulebook file."""
    text = rng.choice(KINDS)(rng)
    raw = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.08:
        raw = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xc3\x28")) + raw
    if rng.random() < 0.05:
        at = rng.randrange(len(raw) + 1)
        raw = raw[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 20))) + raw[at:]
    return raw


def _aliases(rng: random.Random) -> str:
    levels = rng.randrange(2, 12)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + f"\n<<: *a{levels - 1}\n"


def _deep_yaml(rng: random.Random) -> str:
    depth, pair = rng.choice((39, 41, 500, 20_000, 100_000)), rng.choice(("[]", "{}"))
    return "objects: " + pair[0] * depth + pair[1] * rng.choice((depth, 0))


def _deep_sql(rng: random.Random) -> str:
    depth = rng.choice((30, 45, 500, 4000))
    form = rng.choice(("({})", "not {}", "case when {} then true end", "coalesce({}, false)", "(n > 1 and {})", "-{}"))
    inner = "n > 1"
    before, _, after = form.partition("{}")
    return book(before * depth + inner + after * depth)


def _long_lists(rng: random.Random) -> str:
    count = rng.choice((999, 1001, 30_000))
    items = ", ".join(str(rng.randrange(10**6)) for _ in range(count))
    return book(f"n in ({items})") if rng.random() < 0.5 else book(f"n = {' + '.join(['1'] * count)}")


def _alternatives(rng: random.Random) -> str:
    count = rng.choice((5, 8, 30))
    parts = [f"(at <= now() - interval '{n} hours' or at > now() + interval '{n} days')" for n in range(1, count)]
    return book(" and ".join(parts))


def _patterns(rng: random.Random) -> str:
    evil = rng.choice(("%" * 500 + "a", "(a+)+$", "_%" * 800, "\\", "\\\\\\", "[" * 400, "a%" * 1000))
    text = "a" * 50
    return book(f"t {rng.choice(('like', 'ilike', '~', 'similar to', 'not like'))} '{evil}' or t = '{text}'")


def _injected_literal(rng: random.Random) -> str:
    forms = ("t = '{}'", "t in ('{}', 'x')", "starts_with(t, '{}')", "contains(l, '{}')")
    return book(rng.choice(forms).replace("{}", rng.choice(EVIL).replace("'", "''")))


def _injected_sql(rng: random.Random) -> str:
    evil = rng.choice((
        "n > 1; drop table v_deal", "(select count(*) from v_deal) > 0", "n > 1 -- and t = 'x'", "n /* x */ > 1",
        "pg_sleep(10) is null", "read_csv('/etc/passwd') is null", "n::regclass > 1", "n > any(select 1)",
        "t collate \"C\" > 'a'", "version() = 'x'", "exists (select 1)", "n > random()", "current_user = 'x'", "n = $1",
        "now() = now()", "clock_timestamp() > at", "extract(epoch from now()) > n", "t = chr(0)", "l[1] = 'x'",
        "row(1, 2) = row(1, 2)", "n = 9223372036854775808", "n > 1e400", "n / 0 > 1", "n = 0x7f", "at < 'infinity'",
        "interval '1 day' < interval '2 days'", "at <= now() - interval '9999999999 years'", "n between 1 and",
        "at <= now() - interval '1 day ago'", "t = U&'\\0041'", "t = b'1'", "n is distinct from now()", "n > 1 limit 1",
        "n > 1 group by n", "n > 1 union select 1", "with x as (select 1) select 1", "n in (select 1)", "t ~ '(a+)+$'",
    ))  # fmt: skip
    return book(evil)


def _names(rng: random.Random) -> str:
    evil = quoted(rng.choice(EVIL) + rng.choice(("", "x")))
    states = HEAD.replace("[open, won]", f"[open, {evil}]")
    tiers = f"tiers: [{{over: 1, approvers: [{evil}]}}]"
    return rng.choice((
        HEAD + FIELDS + f"      {evil}: {{type: text}}\n",
        f"objects: {{{evil}: {{fields: {{n: {{type: integer}}}}}}}}\n",
        book("n > 1", rule=evil),
        book("n > 1", more=f"timezone: {evil}\n"),
        book("n > 1", more=f"calendars: {{office: {{days: [mon], hours: ['09:00', '18:00'], holidays: {evil}}}}}\n"),
        book(f"t = {evil}".replace('"', "'"), more=f"queues: {{{evil}: {{owner: {evil}}}}}\n"),
        states + FIELDS + "rules:\n  - {id: r, object: deal, when: stage = 'open'}\n",
        book("n > 1", more=f"lifecycles: {{{evil}: {{object: deal, states: {{open: {{}}, won: {{final: true}}}}}}}}\n"),
        book("n > 1", more=f"handoffs: {{h: {{object: deal, requires: [{evil}]}}}}\n"),
        book("n > 1", more=f"budgets: {{b: {{object: deal, field: n, approved_by: t, {tiers}}}}}\n"),
        book("n > 1", more="timezone: ../../../etc/passwd\n"),
    ))  # fmt: skip


def _odd_values(rng: random.Random) -> str:
    odd = rng.choice((
        "1:30", "0o17", "0x1f", ".inf", "-.nan", "1_000", "2026-03-01", "!!python/object:os.system x", "&a b",
        "9" * 400, "1e999", "yes", "~", "[[[", "? x", "{a: 1, a: 2}", "|\n  x", ">-\n  y",
    ))  # fmt: skip
    return rng.choice((
        f"name: {odd}\n{HEAD.partition(chr(10))[2]}", book("n > 1", more=f"currency: {odd}\n"),
        HEAD + f"      m: {{type: integer, min: {odd}}}\n", HEAD + f"      m: {{type: {odd}}}\n",
        book("n > 1", more=f"acceptance: {{deal.n: {{accept_at: {odd}}}}}\n"),
        book("n > 1", more=f"calendars: {{c: {{days: [mon], hours: [{odd}, '18:00']}}}}\n"),
    ))  # fmt: skip


def _many(rng: random.Random) -> str:
    if rng.random() < 0.5:
        rules = (f"  - {{id: r{n}, object: deal, when: n > {n}}}\n" for n in range(100))
        return HEAD + FIELDS + "rules:\n" + "".join(rules)
    return HEAD + "".join(f"      f{n}: {{type: text}}\n" for n in range(3000))


def _huge(rng: random.Random) -> str:
    text, comment = "x" * rng.choice((5_000, 300_000)), "y" * rng.choice((10, 300_000))
    return f"{HEAD}{FIELDS}description: {text}\n# {comment}"


KINDS: tuple[Callable[[random.Random], str], ...] = (
    _aliases, _deep_yaml, _deep_sql, _long_lists, _alternatives, _patterns, _injected_literal, _injected_literal,
    _injected_sql, _injected_sql, _injected_sql, _names, _names, _odd_values, _odd_values, _many, _huge,
)  # fmt: skip


def try_one(raw: bytes, folder: Path) -> tuple[str, float]:
    """What became of it (refused, harmless), and how long loading and compiling took, in seconds.

    AssertionError where it did harm: an exception that is no RulebookError, or tables that changed.
    """
    from watchtower.contract import Event, parse_time
    from watchtower.errors import RulebookError
    from watchtower.flow.backtest import duckdb_engine, held_between
    from watchtower.flow.history import fold_history
    from watchtower.rulebook import load
    from watchtower.rules.compile import compile_rulebook
    from watchtower.rules.lint import lint

    path = folder / "hostile.yaml"
    path.write_bytes(raw)
    begun = time.perf_counter()
    try:
        loaded = load(path)
        program = compile_rulebook(loaded)
    except RulebookError as error:
        took = time.perf_counter() - begun
        assert error.faults and all(fault.line >= 1 and fault.message for fault in error.faults)
        return "refused", took
    took = time.perf_counter() - begun
    lint(loaded, program)
    start, end = parse_time("2026-01-01T00:00:00Z"), parse_time("2026-02-01T00:00:00Z")
    fields = {"n": 5, "t": "'; drop table v_deal; --", "at": "2026-01-02T00:00:00Z", "stage": "open"}
    known = program.book.objects["deal"].fields if "deal" in program.book.objects else {}
    given = {key: value for key, value in fields.items() if key in known}
    events = [Event(id="1", source="s", type="record.updated", subject="deal/1", time=start, data={"fields": given})]
    with duckdb_engine(fold_history(program, events).versions) as engine:
        held_between(engine, program, start, end)
        if "deal" in program.book.objects:
            assert engine.query('SELECT count(*) FROM "v_deal"') == [(1,)]
    return "harmless", took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng, ends, times = random.Random(given.seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        try_one(book("n > 1").encode(), Path(folder))  # what is imported once is not counted
        for number in range(given.count):
            raw = draw(rng)
            try:
                end, took = try_one(raw, Path(folder))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                print(f"number {number}: {type(error).__name__}: {error!s:.200}\n    {raw[:200]!r}")
                end, took = "harmful", 0.0
            if took > LIMIT and end == "refused":
                print(f"number {number}: {took * 1000:.0f} ms\n    {raw[:160]!r}")
                ends["slow"] += 1
            ends[end] += 1
            times.append(took)
    times.sort()
    print(f"{given.count} rulebooks: {dict(ends)}; median {times[len(times) // 2] * 1000:.1f} ms, "
          f"99th {times[int(len(times) * 0.99)] * 1000:.1f} ms, slowest {times[-1] * 1000:.1f} ms")  # fmt: skip
    return 1 if ends["harmful"] or ends["slow"] else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
