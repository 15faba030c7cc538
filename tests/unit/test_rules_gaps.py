"""What is missing, ranked by what it starves."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.contract import parse_event, parse_time
from watchtower.errors import RulebookError
from watchtower.flow.backtest import duckdb_engine
from watchtower.flow.gaps import Gap, gaps_at, valued
from watchtower.flow.history import fold_history
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook

RULEBOOK = """
objects:
  account:
    fields:
      employees: {type: integer, fill: enrichment}
      country: {type: country, fill: enrichment}
  lead:
    value: worth
    fields:
      worth: {type: money}
      note: {type: text}
      memo: {type: text}
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql]}
rules:
  - {id: too_small, object: lead, when: "stage = 'mql' and account.employees < 20", severity: high}
  - {id: abroad, object: lead, when: "stage = 'mql' and account.country <> 'IT'", severity: low}
"""


def _event(number: int, subject: str, **fields: object) -> dict[str, object]:
    return {
        "specversion": "1.0", "id": str(number), "source": "crm", "type": "record.updated", "subject": subject,
        "time": "2026-03-01T00:00:00Z", "data": {"fields": fields},
    }  # fmt: skip


def test_a_gap_weighs_what_it_starves_and_stands_on_the_object_that_has_the_field(tmp_path: Path) -> None:
    (tmp_path / "rulebook.yaml").write_text(RULEBOOK)
    program = valued(compile_rulebook(load(tmp_path / "rulebook.yaml")))
    events = [
        _event(1, "account/A", country="IT"),
        _event(2, "lead/1", account="A", stage="mql", worth=100),
        _event(3, "lead/2", account="A", stage="mql", worth=20),
        _event(4, "lead/3", account="B", stage="mql"),
        _event(5, "lead/4", account="B", stage="raw"),
        _event(6, "account/C", employees=7),
    ]
    history = fold_history(program, [parse_event(event) for event in events])
    with duckdb_engine(history.versions) as engine:
        found = gaps_at(engine, program, parse_time("2026-03-02T00:00:00Z"))
    assert found == [
        Gap("account", "employees", 12, 120.0, 3, ("too_small",), 0.5, "enrichment"),
        Gap("account", "country", 1, 0.0, 1, ("abroad",), 0.5, "enrichment"),
    ]


def test_of_two_gaps_that_weigh_the_same_the_more_valuable_comes_first(tmp_path: Path) -> None:
    more = "  - {id: no_memo, object: lead, when: memo = 'x'}\n  - {id: no_note, object: lead, when: note = 'x'}\n"
    (tmp_path / "rulebook.yaml").write_text(RULEBOOK + more)
    program = valued(compile_rulebook(load(tmp_path / "rulebook.yaml")))
    events = [_event(1, "lead/1", note="y", worth=5), _event(2, "lead/2", memo="y", worth=900)]
    with duckdb_engine(fold_history(program, [parse_event(event) for event in events]).versions) as engine:
        found = gaps_at(engine, program, parse_time("2026-03-02T00:00:00Z"))
    assert [(gap.field, gap.value) for gap in found if gap.rules[0].startswith("no_")] == [("note", 900), ("memo", 5)]


def test_a_value_that_is_no_number_of_the_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rulebook.yaml").write_text(RULEBOOK.replace("value: worth", "value: stage"))
    with pytest.raises(RulebookError, match="lead: the value 'stage' is not one of its numbers"):
        load(tmp_path / "rulebook.yaml")
