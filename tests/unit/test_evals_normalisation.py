"""The normalisation suite: what ships comes out right, and a normaliser that says anything is seen for what it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evals.normalisation import read_raw_cases, run_normalisation, score_normalisation
from watchtower.errors import InputError
from watchtower.workers.normal import normalised

OWN = Path(__file__).resolve().parents[2] / "evals" / "cases" / "normalisation"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_raw_values_that_ship_come_out_in_their_one_form(tmp_path: Path) -> None:
    scores = run_normalisation(
        OWN, tmp_path, normalise=lambda kind, raw, region: normalised(kind, raw, region)["value"], now=NOW
    )
    assert [one for one in scores.wrong if one.must_pass] == [] and scores.exit_code == 0
    assert sum(one.cases for one in scores.kinds) >= 40
    assert json.loads((tmp_path / "scores.json").read_text())["schema"] == 1


def test_a_normaliser_that_gives_back_what_it_got_is_imprecise() -> None:
    cases = read_raw_cases(OWN)
    scores = score_normalisation(cases, lambda kind, raw, region: raw)
    assert scores.exit_code == 1
    country = next(one for one in scores.kinds if one.kind == "country")
    assert country.given == country.cases and country.precision == country.accuracy == 0.0


def test_a_kind_that_nobody_normalises_and_a_doubled_id_are_refused(tmp_path: Path) -> None:
    line = json.dumps({"id": "a", "provenance": "this test", "kind": "colour", "raw": "red", "expected": "red"})
    path = tmp_path / "cases.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="'colour' is no kind of value"):
        score_normalisation(read_raw_cases(path), lambda kind, raw, region: normalised(kind, raw, region)["value"])
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(InputError, match="'a' stands there already"):
        read_raw_cases(path)
