"""Findings by reasoning: what can never hold, and what adds nothing to another rule; and that sound rules have none."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.rulebook import DEFAULT, Loaded, Rulebook, RuleModel, load
from watchtower.rules.compile import Program, compile_rule, compile_rulebook
from watchtower.rules.lint_logic import logic

HEAD = """
objects:
  deal:
    fields:
      stage: {type: enum, values: [open, won, lost]}
      n: {type: integer}
      m: {type: integer}
      at: {type: timestamp}
      name: {type: text}
rules:
"""


def found(folder: Path, *rules: str) -> list[str]:
    path = folder / "book.yaml"
    lines = [f"  - {{id: r{n}, object: deal, {rule}}}\n" for n, rule in enumerate(rules)]
    path.write_text(HEAD + "".join(lines), encoding="utf-8")
    loaded = load(path)
    return [fault.message for fault in logic(loaded, compile_rulebook(loaded))]


@pytest.mark.parametrize(
    "when",
    [
        "stage = 'open' and stage = 'won'", "stage in ('open', 'won') and stage = 'lost'", "n > 5 and n < 3",
        "n > 5 and n <= 5", "n is null and n = 3", "n is null and n is not null", "n = 3 and n > 4",
        "at <= now() - interval '2 days' and at >= now() - interval '1 day'", "not (n <= 5 or n > 5)",
        "(n > 5 and n < 3) or (m is null and m > 1)",
    ],
)  # fmt: skip
def test_what_can_never_hold_is_found(tmp_path: Path, when: str) -> None:
    assert found(tmp_path, f'when: "{when}"') == ["rule r0 can never hold: its conditions contradict each other"]


@pytest.mark.parametrize(
    "when",
    [
        "stage = 'open' and n > 5", "n >= 5 and n <= 5", "n > 5 or n < 3",
        "stage in ('open', 'won') and stage <> 'won'",
        "at <= now() - interval '1 day' and at >= now() - interval '2 days'", "n is null or n = 3", "n > m and n < m",
    ],
)  # fmt: skip
def test_what_can_hold_or_cannot_be_seen_through_is_let_be(tmp_path: Path, when: str) -> None:
    assert found(tmp_path, f'when: "{when}"') == []


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("n > 35", "n > 20"), ("n > 35 and stage = 'open'", "n > 20"), ("stage = 'won'", "stage in ('won', 'lost')"),
        ("at <= now() - interval '3 days'", "at <= now() - interval '2 days'"), ("n = 7", "n between 5 and 9"),
        ("name like 'a%' and n is null", "name like 'a%'"), ("n > 5 or n = 3", "n >= 3"),
    ],
)  # fmt: skip
def test_a_threshold_that_adds_nothing_to_a_lower_one_is_found(tmp_path: Path, narrow: str, wide: str) -> None:
    message = "rule r0 holds only where r1 does, which is no less grave"
    assert found(tmp_path, f'when: "{narrow}"', f'when: "{wide}"') == [message]
    assert found(tmp_path, f'when: "{narrow}", severity: high', f'when: "{wide}"') == []
    assert found(tmp_path, f'when: "{narrow}", inhibits: [r1]', f'when: "{wide}"') == []
    assert found(tmp_path, f'when: "{narrow}", owner: anna', f'when: "{wide}"') == []


def test_of_two_equal_rules_one_is_named(tmp_path: Path) -> None:
    assert found(tmp_path, "when: n > 5", "when: 5 < n") == ["rule r1 holds only where r0 does, which is no less grave"]


def test_the_default_rulebook_has_no_such_finding() -> None:
    loaded = load(DEFAULT)
    assert list(logic(loaded, compile_rulebook(loaded))) == []


ATOMS = st.sampled_from((
    "n > 2", "n >= 2", "n < 2", "n <= 3", "n = 2", "n in (1, 3)", "n is null", "n is not null", "m = 1", "m > 1",
    "m <> 2",
))  # fmt: skip


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
    return pair | inner.map("not ({})".format)


CONDITIONS = st.recursive(ATOMS, joined, max_leaves=5)
BOOK = Rulebook.model_validate({"objects": {"deal": {"fields": {"n": {"type": "integer"}, "m": {"type": "integer"}}}}})


@settings(max_examples=150, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_what_is_found_is_so(one: str, other: str) -> None:
    """Against DuckDB, over every small record: never is never, and only where is only where."""
    written = [RuleModel(id=key, object="deal", when=when) for key, when in (("a", one), ("b", other))]
    book = BOOK.model_copy(update={"written": written})
    program = Program(book, tuple(compile_rule(rule, book, {}) for rule in written))
    messages = [fault.message for fault in logic(Loaded(book, {}), program)]
    values = "(VALUES (NULL), (0), (1), (2), (3), (4))"
    rows = duckdb.sql(f"SELECT {one}, {other} FROM {values} AS x(n), {values} AS y(m)").fetchall()
    for message in messages:
        if "can never hold" in message:
            column = 0 if message.startswith("rule a") else 1
            assert not any(row[column] for row in rows)
        else:
            narrow, wide = (0, 1) if message.startswith("rule a") else (1, 0)
            assert all(row[wide] for row in rows if row[narrow])
