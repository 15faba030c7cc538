"""`watchtower normalise` from the outside: values, reasons, lines from standard input, errors that name the remedy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from command_line import PROJECT, inside, surroundings


def test_a_value_and_its_parts_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = inside(capsys, "normalise", "phone", "+49 (0)30 1234567", "030 1234567")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("+49301234567\tcountry=DE")
    assert second.startswith("-\t'030 1234567': no country code")


def test_each_line_of_standard_input_is_one_json_object() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watchtower.cli.main", "normalise", "legal_name", "-", "--json"],
        input="ACME Gesellschaft mit beschränkter Haftung\n\nGmbH\n", capture_output=True, text=True, encoding="utf-8",
        cwd=PROJECT, env=surroundings(), check=True,
    )  # fmt: skip
    first, blank, alone = map(json.loads, done.stdout.splitlines())
    assert first["raw"] == "ACME Gesellschaft mit beschränkter Haftung" and first["value"] == "ACME GmbH"
    assert first["parts"]["form"] == "GmbH"
    assert blank == {"raw": "", "value": None, "because": "it says nothing"}
    assert alone["value"] is None and "without a name" in alone["because"]


def test_a_region_settles_what_a_text_leaves_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        inside(capsys, "normalise", "date", "03/04/2026", "--region", "GB")[1]
        == "2026-04-03\tyear=2026  month=4  day=3\n"
    )
    assert inside(capsys, "normalise", "date", "03/04/2026")[0] == 1


def test_an_unknown_kind_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = inside(capsys, "normalise", "shoe_size", "42")
    assert code == 1 and "'shoe_size' is no kind of value" in err and "legal_name" in err


def test_an_unknown_region_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = inside(capsys, "normalise", "phone", "030 1234567", "--region", "Germany")
    assert code == 1 and "ISO 3166" in err


def test_without_a_kind_the_kinds_are_listed_and_examples_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "telephone numbers" in inside(capsys, "normalise")[1]
    assert "+49301234567" in inside(capsys, "normalise", "phone", "--examples")[1]
