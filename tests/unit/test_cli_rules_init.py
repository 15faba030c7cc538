"""`watchtower rules init`: a rulebook to begin with, that loads, and takes nothing away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import inside

from watchtower.rulebook import CONNECTING, DEFAULT, load


def test_the_rulebook_that_ships_is_copied_with_the_parts_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = inside(capsys, "rules", "init", tmp_path / "mine", "--system", "hubspot", "--json")
    assert code == 0, err
    names = {path.name for path in DEFAULT.glob("*.yaml")} | {"hubspot.yaml"}
    assert set(json.loads(out)["files"]) == names == {path.name for path in (tmp_path / "mine").iterdir()}
    assert list(load(tmp_path / "mine").rulebook.systems) == ["hubspot"]
    theirs = {rule.id for rule in load(DEFAULT).rulebook.rules}
    added = {rule.id for rule in load(tmp_path / "mine").rulebook.rules} - theirs
    assert added == {"system.hubspot.failing", "system.hubspot.silent"}


def test_nothing_that_is_there_is_overwritten_and_an_unknown_system_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = inside(capsys, "rules", "init", tmp_path / "new", "--system", "sap")
    known = ", ".join(sorted(path.stem for path in CONNECTING.glob("*.yaml")))
    assert code == 1 and "'sap'" in err and known in " ".join(err.split()) and not (tmp_path / "new").exists()
    (tmp_path / "account.yaml").write_text("mine")
    code, _, err = inside(capsys, "rules", "init", tmp_path)
    assert code == 1 and "is not an empty folder" in err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
