"""What is missing, ranked by what it starves."""

from __future__ import annotations

from pathlib import Path

from watchtower.contract import parse_event, parse_time
from watchtower.flow.backtest import duckdb_engine, states_at
from watchtower.flow.gaps import Gap, rank
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
    fields:
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
    program = compile_rulebook(load(tmp_path / "rulebook.yaml"))
    events = [
        _event(1, "account/A", country="IT"),
        _event(2, "lead/1", account="A", stage="mql"),
        _event(3, "lead/2", account="A", stage="mql"),
        _event(4, "lead/3", account="B", stage="mql"),
        _event(5, "lead/4", account="B", stage="raw"),
    ]
    history = fold_history(program, [parse_event(event) for event in events])
    with duckdb_engine(history.versions) as engine:
        states = states_at(engine, program, parse_time("2026-03-02T00:00:00Z"))
    assert rank(states, program) == [
        Gap("account", "employees", 12, 3, ("too_small",), "enrichment"),
        Gap("account", "country", 1, 1, ("abroad",), "enrichment"),
    ]
