"""`watchtower eval ...` on the project's own cases, and the comparison of two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import inside, wt


def test_the_projects_own_scenarios_run_right_through_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = wt("eval", "rules", "--out", tmp_path / "run", "--json").json()
    assert scores["of"] == len(scores["results"]) > 5
    assert all(result["right"] for result in scores["results"])
    code, _, err = inside(capsys, "eval", "compare", tmp_path / "run", tmp_path / "run")
    assert code == 1 and "what is compared are runs of `eval enrichment`" in err


def test_the_detectors_run_on_the_projects_own_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = inside(capsys, "eval", "detectors", "--out", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "run" / "scores.json").read_text())


def test_an_enrichment_run_is_recorded_scored_again_alike_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    code, out, _ = inside(capsys, "eval", "enrichment", "--no-model", "--out", first, "--json")
    assert code == 0
    assert (first / "report.html").exists()
    shutil.copytree(first, again)
    code, rescored, _ = inside(capsys, "eval", "enrichment", "--rescore", "--out", again, "--json")
    assert code == 0 and json.loads(rescored)["fields"] == json.loads(out)["fields"]
    code, out, _ = inside(capsys, "eval", "compare", first, again)
    # Two equal runs: nothing changed, and the exit code tells whether each case that must pass is right.
    assert "0 changed since the baseline" in " ".join(out.split())
    failed = "not right:" in out
    assert code == (1 if failed else 0)


@pytest.mark.parametrize("command", ["rules", "detectors", "enrichment"])
def test_cases_that_are_not_there_and_folders_that_cannot_be_made_are_said(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = inside(capsys, "eval", command, "--cases", tmp_path / "absent", "--out", tmp_path / "run")
    assert code == 1 and "absent" in err
    (tmp_path / "file").touch()
    code, _, err = inside(capsys, "eval", command, "--out", tmp_path / "file" / "run")
    assert code == 1 and str(tmp_path / "file") in err


BOOK = """\
name: example
objects:
  account:
    fields:
      country: {type: country, fill: enrichment}
      city: {type: text, fill: enrichment}
      founded_year: {type: integer, fill: enrichment}
rules: []
acceptance:
  # Seats are read from a sentence that says so.
  account.country: {accept_at: 1, review_at: 0.5, precision: 0.6}  # too careful
  account.city: {accept_at: 0.9, review_at: 0.5, precision: 0.999}
  account.founded_year: {accept_at: 0.9, review_at: 0.5}
"""


def test_calibrating_shows_a_change_and_makes_it_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, book = tmp_path / "run", tmp_path / "book.yaml"
    book.write_text(BOOK)
    assert inside(capsys, "eval", "enrichment", "--no-model", "--out", run, "--rulebook", book, "--json")[0] == 0
    code, diff, said = inside(capsys, "eval", "calibrate", run, "--rulebook", book)
    assert code == 0 and book.read_text() == BOOK
    assert "-  account.country: {accept_at: 1, " in diff and "too careful" in diff
    assert "no threshold is shown to keep 0.999" in said and "it takes at least 2995" in said
    assert "no precision is asked for: account.employees, account.founded_year" in said and "not written" in said
    code, out, _ = inside(capsys, "eval", "calibrate", run, "--rulebook", book, "--write", "--json")
    made = json.loads(out)
    assert code == 0 and made["written"] is True
    threshold = made["fields"]["account.country"]["threshold"]
    assert book.read_text() == BOOK.replace("accept_at: 1,", f"accept_at: {threshold:g},")
    code, _, said = inside(capsys, "eval", "calibrate", run, "--rulebook", book)
    assert code == 0 and "nothing to change" in said


def test_a_run_is_scored_again_blessed_compared_and_held_against_its_masked_self(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, run, masked, baseline = (tmp_path / name for name in ("cases.csv", "run", "masked", "baseline"))
    rows = [f"Firm {i},Firm {i} is headquartered in Oslo.,Oslo" for i in range(30)]
    cases.write_text("\n".join(["name,text,city", *rows, ""]))
    for folder, more in ((run, ()), (masked, ("--mask",))):
        given = ("--no-model", "--cases", cases, "--out", folder, "--parallel", "2", "--price", "1,2", *more)
        assert inside(capsys, "eval", "enrichment", *given, "--json")[0] == 0
    cases.unlink()
    before = (run / "scores.json").read_bytes()
    code, out, _ = inside(capsys, "eval", "score", run, "--json")
    assert code == 0 and json.loads(out)["run"]["cases"] == 30 and (run / "scores.json").read_bytes() == before
    code, out, _ = inside(capsys, "eval", "bless", run, "--to", baseline, "--because", "the first one", "--json")
    assert code == 0 and json.loads(out)["because"] == "the first one" and json.loads(out)["by"]
    code, out, _ = inside(capsys, "eval", "compare", baseline, run, "--markdown", tmp_path / "pr.md", "--json")
    assert code == 0 and json.loads(out)["exit_code"] == 0
    assert (tmp_path / "pr.md").read_text().startswith("### Eval: No regression.\n")
    page = tmp_path / "against.html"
    assert inside(capsys, "eval", "compare", baseline, run, "--html", page)[0] == 0
    assert "Cases that changed: 0 worse, 0 better" in page.read_text() and "No regression." in page.read_text()
    code, out, _ = inside(capsys, "eval", "gap", run, masked, "--json")
    assert code == 0 and json.loads(out)["compared"] == 30
    code, _, err = inside(capsys, "eval", "gap", run, run)
    assert code == 1 and "without and with --mask" in err
    code, _, err = inside(capsys, "eval", "enrichment", "--offline", "--out", run)
    assert code == 1 and "needs --completions FILE" in err
    code, _, err = inside(capsys, "eval", "enrichment", "--price", "cheap", "--out", run)
    assert code == 1 and "0.15,0.60" in err


def test_the_acceptance_suite_runs_and_names_what_is_known_and_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = inside(capsys, "eval", "acceptance", "--out", tmp_path / "gate")
    assert code == 0 and "decisions as expected" in out
