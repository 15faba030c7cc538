"""Comparing two runs: what is paired, what is called a regression, what is not compared."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evals.cases import Must
from evals.compare import compare
from evals.flags import FILE, CaseFlags, FieldFlags
from watchtower.errors import InputError


def flags(right: bool, *, filled: bool = True) -> FieldFlags:
    return FieldFlags(known=True, stated=True, filled=filled, right=right, harmed=filled and not right)


def folder(path: Path, right: list[bool], *, must: Must = "", content: str = "same", filled: bool = True) -> Path:
    path.mkdir()
    lines = [
        CaseFlags(
            case=f"c{number}",
            content=content,
            cluster=f"c{number}",
            must_pass=must if number == 0 else "",
            fields={"city": flags(one, filled=filled or one)},
        )
        for number, one in enumerate(right)
    ]
    (path / FILE).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def test_a_loss_that_is_certain_and_large_ends_with_exit_code_one(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 100)
    after = folder(tmp_path / "b", [False] * 12 + [True] * 88)
    found = compare(before, after)
    assert [(q.field, q.about) for q in found.regressions] == [("city", "right"), ("city", "unharmed")]
    assert found.questions[0].difference == pytest.approx(-0.12)
    assert found.questions[0].interval.low < -0.12 < found.questions[0].interval.high < 0
    assert found.exit_code == 1


def test_a_loss_of_answers_without_wrong_ones_is_named_as_that(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 100)
    after = folder(tmp_path / "b", [False] * 12 + [True] * 88, filled=False)
    assert [q.about for q in compare(before, after).regressions] == ["right"]


def test_a_loss_that_chance_explains_is_no_regression(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 100)
    after = folder(tmp_path / "b", [False] * 3 + [True] * 97)
    found = compare(before, after)
    assert found.questions[0].lost == 3
    assert found.exit_code == 0


def test_a_certain_loss_below_the_minimum_effect_is_no_regression(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 2000)
    after = folder(tmp_path / "b", [False] * 20 + [True] * 1980)
    assert compare(before, after).exit_code == 0
    assert compare(before, after, minimum_effect=0.005).exit_code == 1


def test_a_failed_must_pass_case_ends_with_exit_code_one_however_good_the_rest(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] + [False] * 50, must="right")
    after = folder(tmp_path / "b", [False] + [True] * 50, must="right")
    found = compare(before, after)
    assert found.regressions == ()
    assert found.newly_failed == found.must_pass_failed == ("c0",)
    assert found.exit_code == 1


def test_a_case_that_must_be_unharmed_may_stay_empty(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 5, must="unharmed")
    empty = folder(tmp_path / "b", [False] + [True] * 4, must="unharmed", filled=False)
    wrong = folder(tmp_path / "c", [False] + [True] * 4, must="unharmed")
    assert compare(before, empty).must_pass_failed == ()
    assert compare(before, wrong).must_pass_failed == ("c0",)


def test_cases_with_another_text_are_counted_and_not_compared(tmp_path: Path) -> None:
    before = folder(tmp_path / "a", [True] * 10)
    changed = folder(tmp_path / "b", [False] * 10, content="other")
    with pytest.raises(InputError, match="share no unchanged case"):
        compare(before, changed)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Name a folder that an eval run wrote"):
        compare(tmp_path, tmp_path)
