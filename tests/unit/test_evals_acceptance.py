"""The acceptance suite: what ships is decided as it should be, and a gate that lets an invention through is seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evals.acceptance import read_gate_cases, run_acceptance, score_gate
from evals.cases import Case
from evals.decision import Decision
from evals.production import rule_layer
from watchtower.contract import Proposal
from watchtower.errors import InputError
from watchtower.rulebook import DEFAULT, load

OWN = Path(__file__).resolve().parents[2] / "evals" / "cases" / "acceptance"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_every_proposal_that_ships_meets_its_fate_under_the_default_rulebook(tmp_path: Path) -> None:
    scores = run_acceptance(OWN, tmp_path, accept=rule_layer(load(DEFAULT).rulebook), name="default", now=NOW)
    assert scores.of >= 25 and scores.exit_code == 0
    assert scores.interval.low < scores.share <= scores.interval.high
    assert [one for one in scores.results if one.must_pass and not one.right] == []
    assert json.loads((tmp_path / "scores.json").read_text())["of"] == scores.of


def test_a_gate_that_believes_everything_lets_every_invention_through() -> None:
    def believing(proposal: Proposal, case: Case) -> Decision:
        return Decision("accept", "why not")

    cases = read_gate_cases(OWN)
    scores = score_gate(cases, believing, "believing")
    assert scores.let_through == sum(case.expected != "accept" for case in cases) and scores.exit_code == 1


def test_the_spans_of_the_cases_stand_where_they_say_or_nowhere() -> None:
    for case in read_gate_cases(OWN):
        texts = {document.id: document.text for document in case.case().documents()}
        for one in case.proposal().evidence:
            real = texts.get(one.document, "")[one.start : one.end] == one.quote
            assert real or case.expected == "refuse", case.id


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"field": "colour"}, "field: 'colour' is unknown"),
        ({"evidence": [{"quote": "x", "document": 3}]}, "evidence.document: 3 is not among"),
        ({"expected": "maybe"}, "Invalid enum value 'maybe'"),
    ],
)
def test_a_wrong_case_is_refused_with_its_place(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    line = json.loads((OWN / "proposals.jsonl").read_text().splitlines()[0]) | changes
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match=says):
        read_gate_cases(path)
