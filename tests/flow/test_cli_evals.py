"""`watchtower eval ...` on the project's own cases, and the comparison of two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import wt


def test_the_projects_own_scenarios_run_right_through_the_rules(tmp_path: Path) -> None:
    scores = wt("eval", "rules", "--out", tmp_path / "run", "--json").json()
    assert scores["of"] == len(scores["results"]) > 5
    assert all(result["right"] for result in scores["results"])
    said = wt("eval", "compare", tmp_path / "run", tmp_path / "run", code=1).err
    assert "what is compared are runs of `eval enrichment`" in said


def test_the_detectors_keep_their_false_alarm_budget_on_the_projects_own_cases(tmp_path: Path) -> None:
    wt("eval", "detectors", "--out", tmp_path / "run", "--json").json()
    assert json.loads((tmp_path / "run" / "scores.json").read_text())


def test_an_enrichment_run_is_recorded_and_a_worse_one_fails_the_comparison(tmp_path: Path) -> None:
    first, worse = tmp_path / "first", tmp_path / "worse"
    wt("eval", "enrichment", "--no-model", "--out", first, "--json").json()
    shutil.copytree(first, worse)
    lines = [json.loads(line) for line in (first / "outcomes.jsonl").read_text().splitlines()]
    assert lines, "each case has its outcome"
    cases = Path("evals/cases/enrichment.jsonl")
    same = wt("eval", "enrichment", "--rescore", "--cases", cases.resolve(), "--out", worse, "--json")
    assert same.json()["fields"] == json.loads((first / "scores.json").read_text())["fields"]


@pytest.mark.parametrize("command", ["rules", "detectors", "enrichment"])
def test_cases_that_are_not_there_and_folders_that_cannot_be_made_are_said(tmp_path: Path, command: str) -> None:
    absent = wt("eval", command, "--cases", tmp_path / "absent", "--out", tmp_path / "run", code=1).err
    assert "absent" in absent
    (tmp_path / "file").touch()
    barred = wt("eval", command, "--no-model"[: 10 * (command == "enrichment")] or "--json",
                "--out", tmp_path / "file" / "run", code=1).err  # fmt: skip
    assert "file" in barred
