"""Company names compared: what makes two names one company's, and what does not; symmetric, whatever the text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.name_matching import SCORERS, at_threshold, best, company_like, learning, name_pairs, scored
from enrichment.matching.names import alike, compare, ready
from enrichment.matching.weights import LEVELS, of_names, probability, scales


def bits(a: str, b: str) -> float:
    return sum(weight.bits for weight in of_names(compare(ready(a), ready(b))))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Siemens Aktiengesellschaft", "Siemens AG"),
        ("Procter & Gamble Co.", "The Procter and Gamble Company"),
        ("MS&AD INS GP HLDGS", "MS&AD Insurance Group Holdings, Inc."),
        ("HankookSteel", "Hankook Steel Co., Ltd."),
        ("C.K. Hutchison Holdings", "CK Hutchison Holdings"),
        ("WATKIN JONES PLC ORD 1P", "Watkin Jones Plc"),
        ("Gasprom JSC", "OAO Gazprom"),
        ("HOME POTTERY PUBLIC COMPANY LIM", "Home Pottery Public Company Limited"),
    ],
)
def test_one_company_written_in_two_ways_is_more_likely_one(a: str, b: str) -> None:
    assert bits(a, b) > 0 and probability(bits(a, b)) > 0.5


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Hotel Grand", "Hotel Chocolat Group plc"),
        ("Suzhou Chunxing Precision", "Suzhou Keda Technology Co., Ltd"),
        ("Sparkles Foods Corporation", "Morris Foods Corporation"),
        ("Global Technology Solutions", "Orca Gold Inc."),
        ("ISHII HYOKI", "Ishii Food Co., Ltd."),
    ],
)
def test_two_companies_that_share_a_common_word_are_more_likely_two(a: str, b: str) -> None:
    assert bits(a, b) < 0


@settings(max_examples=300, deadline=None)
@given(a=st.text(max_size=50), b=st.text(max_size=50))
def test_the_order_of_two_names_does_not_matter_and_no_text_fails(a: str, b: str) -> None:
    one, other = compare(ready(a), ready(b)), compare(ready(b), ready(a))
    assert one == other
    assert all(0 <= value <= 1 for value in (one.whole, one.begins, one.first, one.less, one.more))


@pytest.mark.parametrize(
    ("short", "long"), [("hldgs", "holdings"), ("tech", "technology"), ("vii", "7"), ("corp", "corporation")]
)
def test_a_word_cut_short_is_like_the_whole(short: str, long: str) -> None:
    assert alike(short, long) > 0.6 and alike(short, long) == alike(long, short)


def test_the_table_of_weights_has_each_level_of_each_comparison() -> None:
    assert {name: scale.floors for name, scale in scales().items()} == LEVELS


def test_held_out_pairs_are_told_apart_better_than_by_the_usual_ratios(shared_data: Path) -> None:
    learnt, held_out = name_pairs(shared_data / "names" / "name_pairs_dev.csv")
    assert not {pair[:2] for pair in learnt} & {pair[:2] for pair in held_out}
    figures = {name: best(*scored(scorer, held_out))[0] for name, scorer in SCORERS.items()}
    assert figures["watchtower"] > 0.93
    assert figures["watchtower"] > max(f1 for name, f1 in figures.items() if name != "watchtower") + 0.02
    threshold = best(*scored(SCORERS["watchtower"], learnt))[1]
    assert at_threshold(*scored(SCORERS["watchtower"], held_out), threshold)[0] > 0.92


def test_company_like_pairs_are_ranked_better_than_the_published_baseline(shared_data: Path) -> None:
    from sklearn.metrics import roc_auc_score

    pairs = company_like(shared_data / "names" / "name_match_dev.csv")
    assert roc_auc_score(*scored(SCORERS["watchtower"], pairs)) > 0.90


def test_a_company_belongs_to_one_half_only() -> None:
    assert 0.4 < sum(learning(f"fdb-{n}") for n in range(1000)) / 1000 < 0.6
