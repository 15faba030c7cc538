"""From a note to an alert: what it tells is proposed, accepted by the rulebook's own rule, and read as AI-derived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tower_scene import Clock, tower_under

from watchtower.contract import format_time
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.lint import lint
from watchtower.store import queries
from watchtower.store.rows import AlertFilter

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOTE = (
    "Call with Ann. They will not renew the contract, and they are also evaluating Clari. "
    "Our champion Paolo has left.\n"
    "Budget: 50,000 euros. Next step: send Ann the figures of last year."
)


def test_a_note_becomes_facts_with_quotes_that_rules_read_as_ai_derived(
    database_url: str, tmp_path: Path, project: Path
) -> None:
    book, clock = (project / "examples/observations/rulebook.yaml").read_text(), Clock(START)
    with tower_under(book, database_url, tmp_path, clock) as tower:
        common = {"specversion": "1.0", "source": "crm", "subject": "account/A1", "time": format_time(START)}
        tower.take([
            common | {"id": "r1", "type": "record.updated", "data": {"fields": {"name": "Alba Foods"}}},
            common | {"id": "d1", "type": "document.added", "data": {"document": "d1", "kind": "note", "text": NOTE}},
        ])  # fmt: skip
        clock.now = START + timedelta(minutes=1)
        with tower.worker(use_model=False) as worker:
            run = tower.enrich(worker)
        clock.now = START + timedelta(minutes=2)
        tower.tick()
        with tower.database.read() as conn:
            record = queries.record_by_id(conn, "account", "A1")
            said = {one.field: one for one in queries.proposals(conn, limit=20)}
            alerts = queries.alerts(conn, AlertFilter(), after=None, limit=10)
    assert record is not None
    assert {f: record.state.get(f) for f in ("risk", "champion_left", "competitor")} == {
        "risk": "churn", "champion_left": True, "competitor": "Clari",
    }  # fmt: skip
    assert record.provenance["risk"]["by"] == "ai"
    assert (run.decided.accepted, run.decided.review) == (3, 2)
    assert (said["budget"].value, said["budget"].status) == (50000, "review")
    assert said["next_step"].value == "send Ann the figures of last year"
    for one in said.values():
        assert all(NOTE[e["start"] : e["end"]] == e["quote"] for e in one.evidence)
    assert [(alert.rule, alert.ai_informed) for alert in alerts] == [("churn_told", True)]


def test_the_example_rulebook_has_no_lint(project: Path) -> None:
    loaded = load(project / "examples/observations/rulebook.yaml")
    assert [str(fault) for fault in lint(loaded, compile_rulebook(loaded))] == []
