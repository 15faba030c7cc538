"""Second reviews: who is drawn, what the sheet hides, and agreement beyond chance."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from evals.agreement import agreement, inert, kappa, read_sheet, sample, sheet
from evals.labels import Verdict, split_of
from watchtower.errors import InputError

words = st.sampled_from(["accept", "reject"])


def verdict(about: str, said: str = "accept", **changes: object) -> Verdict:
    given: dict[str, object] = {
        "about": about, "kind": "proposal", "record": f"account/{about}", "what": "city", "value": "Turin",
        "verdict": said, "by": "ada", "at": "2026-03-02T09:00:00.000000Z", "because": "", "quotes": ("in Turin",),
    }  # fmt: skip
    return Verdict(**(given | changes))  # type: ignore[arg-type]


@given(st.lists(st.tuples(words, words), min_size=1, max_size=60))
def test_kappa_is_what_scikit_learn_says(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = kappa(first, second)
    if len({*first, *second}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)


def test_full_agreement_is_one_and_the_opposite_is_below_zero() -> None:
    verdicts = [verdict(f"p{i}", "accept" if i % 2 else "reject") for i in range(20)]
    same = agreement(verdicts, {one.about: one.verdict for one in verdicts})
    assert (same.both, same.alike, same.kappa, same.apart) == (20, 20, 1.0, ())
    other = agreement(verdicts, {one.about: "reject" if one.verdict == "accept" else "accept" for one in verdicts})
    assert other.kappa == -1.0 and len(other.apart) == 20
    assert same.interval is not None and other.interval is not None and other.interval.high < same.interval.low


def test_a_sample_is_seeded_and_of_the_size_asked_for() -> None:
    verdicts = [verdict(f"p{i}") for i in range(50)]
    assert sample(verdicts, 0.1, 1) == sample(verdicts, 0.1, 1) != sample(verdicts, 0.1, 2)
    assert len(sample(verdicts, 0.1, 1)) == 5 and len(sample(verdicts[:3], 0.01, 0)) == 1


def test_the_sheet_hides_the_first_verdict_and_runs_no_formula() -> None:
    made = sheet([verdict("p1", "reject", value="=HYPERLINK(1)", by="somebody", because="secret")])
    assert "reject" not in made and "somebody" not in made and "secret" not in made
    assert "'=HYPERLINK(1)" in made


PREFIXES = (
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\r=",
    "\n=",
    "\0=",
    " =",
    "\u00a0+",
    "\t",
    "\r",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)


@pytest.mark.parametrize("prefix", PREFIXES, ids=ascii)
def test_no_text_column_of_a_sheet_begins_a_formula(prefix: str) -> None:
    evil = f"{prefix}cmd|' /C calc'!A0"
    given = verdict(evil, value=evil, record=evil, what=evil, quotes=(evil, evil))
    [_, row] = csv.reader(io.StringIO(sheet([given]), newline=""))
    assert [cell[:1] for cell in row[:5]] == ["'"] * 5


def test_other_texts_stand_as_they_are() -> None:
    for text in ("", "Rossi S.r.l.", "a=b", "7", "  two blanks", "'quoted"):
        assert inert(text) == text


def filled(folder: Path, *rows: str) -> Path:
    path = folder / "second.csv"
    path.write_text("about,verdict,by\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("p9,accept,bob", r"second.csv:2: about: 'p9' is not among the verdicts"),
        ("p1,perhaps,bob", r"second.csv:2: verdict: 'perhaps'"),
        ("p1,accept,ada", "by: ada gave the first verdict too"),
    ],
)
def test_a_wrong_row_of_the_sheet_is_named(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_sheet(filled(tmp_path, row), [verdict("p1")])


def test_rows_not_yet_decided_are_counted_and_no_more(tmp_path: Path) -> None:
    verdicts = [verdict("p1"), verdict("p2", "reject"), verdict("p3")]
    second = read_sheet(filled(tmp_path, "p1,accept,bob", "p2,Accept,bob", "p3,,"), verdicts)
    found = agreement(verdicts, second)
    assert (found.both, found.alike, found.undecided, found.apart) == (2, 1, 1, ("p2",))


def test_the_cases_of_a_record_stay_in_one_split() -> None:
    splits = [split_of(f"account/{i}") for i in range(1000)]
    assert 330 < splits.count("tune") < 470 and 230 < splits.count("test") < 370
    assert splits[7] == split_of("account/7")
