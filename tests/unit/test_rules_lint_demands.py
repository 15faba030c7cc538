"""Findings about two rules that demand opposite things: each where it is so, none where a record can please both."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.rulebook import DEFAULT, Loaded, Rulebook, RuleModel, load
from watchtower.rules.compile import Program, compile_rule, compile_rulebook
from watchtower.rules.lint_demands import demands

HEAD = """
objects:
  account: {fields: {segment: {type: enum, values: [smb, enterprise]}}}
  deal:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [open, won, lost]}
      owner: {type: text}
      n: {type: integer}
      share: {type: number, min: 0, max: 1}
      flag: {type: boolean}
      at: {type: timestamp}
      calls: {type: integer, rollup: {count: events, of: activity.logged}}
rules:
"""


def found(folder: Path, *rules: str) -> list[str]:
    path = folder / "book.yaml"
    path.write_text(HEAD + "".join(f"  - {{id: r{n}, object: deal, {rule}}}\n" for n, rule in enumerate(rules)))
    loaded = load(path)
    return [f"{fault.line}: {fault.message}" for fault in demands(loaded, compile_rulebook(loaded))]


@pytest.mark.parametrize(
    ("one", "other", "field", "where"),
    [
        ("owner is null", "owner is not null", "owner", ""),
        ("stage = 'won' and owner is null", "owner is not null", "owner", ", where stage is 'won'"),
        ("stage in ('won', 'lost') and owner is null", "stage in ('lost', 'open') and owner is not null", "owner",
         ", where stage is 'lost'"),
        ("n is null or n < 5", "n >= 5", "n", ""),
        ("n is null or n <= 4", "n >= 5", "n", ""),
        ("share is null or share < 0.5", "share >= 0.5 and n > 3", "share", ", where n is above 3"),
        ("flag is null or flag = true", "flag = false", "flag", ""),
        ("stage is null or stage = 'open'", "stage in ('won', 'lost')", "stage", ""),
        ("account.segment is null", "account.segment in ('smb', 'enterprise')", "account.segment", ""),
        ("changed_at(stage) <= now() - interval '9 days' and owner is null", "owner is not null and stage = 'open'",
         "owner", ", where stage is 'open' and changed_at(stage) is long ago"),
    ],
)  # fmt: skip
def test_two_rules_that_no_value_pleases_are_named(
    tmp_path: Path, one: str, other: str, field: str, where: str
) -> None:
    message = f"16: rules r0 and r1 demand opposite things: whatever {field} is, one of them holds{where}"
    assert found(tmp_path, f'when: "{one}"', f'when: "{other}"') == [message]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("owner is null", "owner = 'anna'"), ("n < 5", "n >= 5"), ("n is null or n < 5", "n > 5"),
        ("share is null or share <= 0.4", "share >= 0.6"), ("stage is null or stage = 'open'", "stage = 'won'"),
        ("stage = 'won' and owner is null", "stage = 'lost' and owner is not null"),
        ("n > 2 and n < 3 and owner is null", "owner is not null"),
        ("calls is null and owner is null", "owner is not null"),
        ("share > 1 and owner is null", "owner is not null"),
        ("account is null and account.segment is null", "account.segment is not null"),
        ("owner is null and owner like 'a%'", "owner is not null"),
        ("owner is null", "owner is not null and at <= now() - interval '2 days'"),
        ("owner is null and source_of(owner) = 'ai'", "owner is not null"),
        ("flag is null", "flag = false"),
    ],
)  # fmt: skip
def test_rules_that_leave_a_way_out_or_cannot_be_seen_through_are_let_be(tmp_path: Path, one: str, other: str) -> None:
    assert found(tmp_path, f'when: "{one}"', f'when: "{other}"') == []


def test_a_shadow_rule_demands_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, "when: owner is null, mode: shadow", "when: owner is not null") == []


def test_the_default_rulebook_has_no_such_finding() -> None:
    loaded = load(DEFAULT)
    assert list(demands(loaded, compile_rulebook(loaded))) == []


ATOMS = st.sampled_from((
    "n > 2", "n >= 2", "n < 2", "n <= 2", "n = 2", "n in (1, 3)", "n is null", "n is not null", "m = 1", "m > 1",
    "m <> 2", "m is null",
))  # fmt: skip


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
    return pair | inner.map("not ({})".format)


CONDITIONS = st.recursive(ATOMS, joined, max_leaves=5)
BOOK = Rulebook.model_validate({"objects": {"deal": {"fields": {"n": {"type": "integer"}, "m": {"type": "integer"}}}}})
VALUES = "(VALUES (NULL), (0), (1), (2), (3), (4))"


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_what_is_found_is_so(one: str, other: str) -> None:
    """Against DuckDB, over every small record: some value of the other field leaves no way out but for both rules."""
    written = [RuleModel(id=key, object="deal", when=when) for key, when in (("a", one), ("b", other))]
    book = BOOK.model_copy(update={"written": written})
    program = Program(book, tuple(compile_rule(rule, book, {}) for rule in written))
    for fault in demands(Loaded(book, {}), program):
        field = fault.message.split("whatever ")[1].split(" ")[0]
        free = {"n": "m", "m": "n"}[field]
        closed = f"bool_and(coalesce({one}, false) OR coalesce({other}, false))"
        alone = f"bool_and(coalesce({one}, false)) OR bool_and(coalesce({other}, false))"
        rows = duckdb.sql(
            f"SELECT {closed} AND NOT ({alone}) FROM {VALUES} AS x(n), {VALUES} AS y(m) GROUP BY {free}"
        ).fetchall()
        assert any(closed for (closed,) in rows), fault.message
