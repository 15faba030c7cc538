"""Thresholds: the bound is exact, the procedure keeps its word, a rulebook changes where it must and nowhere else."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.calibrate import Answer, calibrate_field, independent, needed, p_value, smallest, split_in_two
from watchtower.errors import InputError
from watchtower.rulebook import load
from watchtower.rulebook.edit import edits, write_edits


def answers(*groups: tuple[float, int, int]) -> list[Answer]:
    """(confidence, how many, how many of them right), each of a company of its own."""
    return [
        Answer(cluster=f"c{confidence}-{i}", confidence=confidence, right=i < right)
        for confidence, count, right in groups
        for i in range(count)
    ]


@pytest.mark.parametrize(("count", "right", "target"), [(6, 6, 0.7), (7, 5, 0.8), (5, 0, 0.5), (8, 8, 0.95)])
def test_the_p_value_is_what_counting_every_outcome_gives(count: int, right: int, target: float) -> None:
    chance = 0.0
    for outcome in product((0, 1), repeat=count):
        if sum(outcome) >= right:
            chance += target ** sum(outcome) * (1 - target) ** (count - sum(outcome))
    assert p_value(right, count, target) == pytest.approx(chance)


@given(st.floats(0.5, 0.99), st.floats(0.01, 0.2))
def test_so_many_answers_are_needed_and_not_one_fewer(target: float, risk: float) -> None:
    fewest = needed(target, risk)
    assert p_value(fewest, fewest, target) <= risk * (1 + 1e-9)
    assert p_value(fewest - 1, fewest - 1, target) > risk * (1 - 1e-9)


def test_the_smallest_threshold_that_keeps_the_promise_is_found() -> None:
    both = answers((0.95, 200, 198), (0.8, 100, 97), (0.6, 100, 40))
    assert smallest(both, both, target=0.9, risk=0.05) == 0.8


def test_too_few_answers_prove_nothing_and_the_report_says_how_many_it_takes() -> None:
    few = answers((0.99, 30, 30))
    found = calibrate_field("account.city", few, few, target=0.95, before=0.9)
    assert found.threshold is None and found.promise == "unproven"
    assert "it takes at least 59 independent answers, and here are 30" in found.because


def test_a_threshold_that_would_let_the_same_through_stays_what_it_is() -> None:
    both = answers((0.97, 200, 199))
    assert smallest(both, both, target=0.95, risk=0.05, before=0.9) == 0.9
    assert smallest(both, both, target=0.95, risk=0.05, before=0.98) == 0.97


def test_an_answer_or_two_do_not_move_a_threshold() -> None:
    both = answers((0.97, 200, 199), (0.7, 2, 2))
    assert smallest(both, both, target=0.95, risk=0.05, before=0.9) == 0.9
    more = answers((0.97, 200, 199), (0.7, 20, 20))
    assert smallest(more, more, target=0.95, risk=0.05, before=0.9) == 0.7


def test_no_threshold_lies_below_the_one_for_review() -> None:
    both = answers((0.97, 200, 200), (0.3, 200, 200))
    assert smallest(both, both, target=0.95, risk=0.05, lowest=0.5) == 0.97


def test_a_check_split_that_refutes_the_promise_is_called_broken() -> None:
    found = calibrate_field("f", answers((0.9, 200, 200)), answers((0.9, 200, 150)), target=0.95, before=0.95)
    assert (found.threshold, found.promise) == (0.9, "broken")
    near = calibrate_field("f", answers((0.9, 200, 200)), answers((0.9, 200, 188)), target=0.95, before=0.95)
    assert near.promise == "not refuted"


def test_of_a_company_with_many_texts_one_counts() -> None:
    many = [Answer(cluster="one", confidence=0.9, right=True) for _ in range(500)]
    assert len(independent(many, 0)) == 1
    assert calibrate_field("f", many, many, target=0.9, before=0.5).threshold is None


def test_a_threshold_whose_precision_is_too_low_is_chosen_in_at_most_one_sample_of_twenty() -> None:
    """The promise itself, on a model whose every confidence is a lie of the same size."""
    generator = np.random.default_rng(7)
    target, wrong, trials = 0.9, 0, 400
    for _ in range(trials):
        confidence = generator.uniform(0.5, 1.0, size=600)
        # Right a hair less often than promised at each threshold: every choice is a false one.
        right = generator.random(600) < target - 0.001
        made = [Answer(cluster=str(i), confidence=float(confidence[i]), right=bool(right[i])) for i in range(600)]
        wrong += smallest(made[:300], made[300:], target=target, risk=0.05) is not None
    assert 0 < wrong / trials <= 0.05 + 2 * (0.05 * 0.95 / trials) ** 0.5


def test_halves_share_no_company_and_leave_none_out() -> None:
    names = [f"c{i}" for i in range(101)]
    first, second = split_in_two(names, 3)
    assert first | second == set(names) and not first & second and abs(len(first) - len(second)) == 1


BOOK = """\
# How we decide.
name: example
objects:
  account:
    fields:
      city: {type: text, fill: enrichment}   # where they sit
      n: {type: integer, fill: enrichment}
rules: []
acceptance:
  # Cities are easy.
  account.city: {accept_at: 0.90, review_at: 0.5, precision: 0.95}  # agreed in March
  account.n:
    review_at: 0.5   # a person looks
    precision: 0.9
"""
CITY, NUMBER = ("acceptance", "account.city", "accept_at"), ("acceptance", "account.n", "accept_at")


def test_a_change_keeps_comments_and_layout_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    values = {CITY: 0.97, NUMBER: 0.83}
    made = edits(path, values)
    assert path.read_text() == BOOK, "showing a change must not make it"
    write_edits(path, made, values)
    wanted = BOOK.replace("accept_at: 0.90", "accept_at: 0.97").replace(
        "    review_at: 0.5   # a", "    accept_at: 0.83\n    review_at: 0.5   # a"
    )
    assert path.read_text() == wanted
    book = load(path).rulebook
    assert (book.acceptance["account.city"].accept_at, book.acceptance["account.n"].accept_at) == (0.97, 0.83)
    diff = made[0].diff()
    assert "-  account.city: {accept_at: 0.90," in diff and "+    accept_at: 0.83" in diff


def test_a_missing_key_is_put_into_a_flow_mapping(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK.replace("accept_at: 0.90, ", "").replace("account.n:\n", "account.n: # n\n"))
    write_edits(path, edits(path, {CITY: 0.5}), {CITY: 0.5})
    assert "account.city: {accept_at: 0.5, review_at: 0.5, precision: 0.95}  # agreed" in path.read_text()


def test_a_change_of_what_is_not_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    with pytest.raises(InputError, match="acceptance.account.x.accept_at: is not written in the rulebook"):
        edits(path, {("acceptance", "account.x", "accept_at"): 0.5})


def test_a_change_that_would_not_load_leaves_the_files_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK)
    values = {CITY: 0.2}  # below review_at
    with pytest.raises(Exception, match="review_at"):
        write_edits(path, edits(path, values), values)
    assert path.read_text() == BOOK
