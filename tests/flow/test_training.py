"""`watchtower enrich train`: from a tower's own labelled records to proposals that bear the classifier's hash."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_line import inside
from pydantic import SecretStr

from watchtower.bootstrap import build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.store import queries

BOOK = """
name: trades
timezone: UTC
objects:
  account:
    fields:
      trade: {type: enum, values: [food, tools], fill: enrichment}
      branch: {type: text}
      name: {type: text}
rules:
  - {id: food_unserved, object: account, when: trade = 'food'}
acceptance:
  account.trade: {accept_at: 0.5, review_at: 0.1}
"""
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORDS = {"food": ("cheese", "bread", "milk", "butter"), "tools": ("drills", "saws", "hammers", "chisels")}


def said(record: str, trade: str | None, text: str) -> list[dict[str, Any]]:
    common = {"specversion": "1.0", "source": "crm", "subject": f"account/{record}", "time": format_time(START)}
    fields = {"trade": trade, "branch": text.split()[3]} if trade else {}
    return [
        common | {"id": f"r{record}", "type": "record.updated", "data": {"fields": fields}},
        common | {"id": f"d{record}", "type": "document.added", "data": {"document": "d1", "text": text}},
    ]


def labelled(count: int) -> list[dict[str, Any]]:
    events = []
    for number in range(count):
        trade = sorted(WORDS)[number % 2]
        word = WORDS[trade][number // 2 % 4]
        events += said(f"A{number}", trade, f"The company makes {word} of many kinds. It was moved twice.")
    return events


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "rules.yaml").write_text(BOOK)
    monkeypatch.setenv("DATABASE_URL", database_url)
    return Settings(data=tmp_path, database_url=SecretStr(database_url), models=tmp_path / "models")


def test_a_trained_classifier_is_what_the_worker_proposes_by(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: START) as tower:
        tower.take(labelled(40) + said("N1", None, "The company makes cheese and butter. It was moved once."))
    code, out, err = inside(capsys, "enrich", "train", "trade", "--finer", "branch", "--data", tmp_path, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["version"], told["quality"]["rows"]) == (1, 40)
    assert told["quality"]["accuracy"] > 0.9
    with build(settings, clock=lambda: START) as tower:
        with tower.worker(use_model=False) as worker:
            run = tower.enrich(worker)
        with tower.database.read() as conn:
            found = queries.record_by_id(conn, "account", "N1")
            proposals = queries.proposals(conn, limit=10)
    assert run.decided.accepted == 1
    assert found is not None and found.state["trade"] == "food"
    assert [one.model for one in proposals] == [f"committee/40-rows@{told['digest']}"]
    code, out, _ = inside(capsys, "enrich", "trained", "--data", tmp_path)
    assert code == 0 and f"trade.v1@{told['digest']}" in out


def test_too_few_labels_are_named_with_what_is_needed(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: START) as tower:
        tower.take(labelled(4))
    code, _, err = inside(capsys, "enrich", "train", "trade", "--data", tmp_path)
    assert code == 1
    assert "trade: 4 labelled texts with 2 labels" in err and "needed are 30" in err and "--cases" in err


@pytest.mark.parametrize(
    ("field", "message"),
    [("name", "is of type text"), ("colour", "has no such field"), ("lead.trade", "has no such field")],
)
def test_only_a_category_of_the_rulebook_can_be_trained(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, message: str
) -> None:
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: START):
        pass
    code, _, err = inside(capsys, "enrich", "train", field, "--data", tmp_path)
    assert code == 1 and message in err


def test_a_file_of_labelled_texts_is_read_and_its_faults_are_named_by_line(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=lambda: START):
        pass
    rows = [{"text": f"It makes {WORDS[t][i % 4]} well.", "label": t} for i in range(20) for t in WORDS]
    rows += [{"text": "It flies.", "label": "airline"}]
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.csv"
    good.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad.write_text("text,label\nIt makes cheese.,food\nIt makes saws.,\n")
    code, out, err = inside(capsys, "enrich", "train", "trade", "--cases", good, "--try", "--data", tmp_path)
    assert code == 0, err
    assert "40 labelled texts (good.jsonl)" in out and "nothing was kept" in out and "airline" in err
    code, _, err = inside(capsys, "enrich", "train", "trade", "--cases", bad, "--data", tmp_path)
    assert code == 1 and "bad.csv:3: label: '' is no text" in err
