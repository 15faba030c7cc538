"""The classifier learns from labelled records, says how sure it is, and quotes what made it say so."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from enrichment.blocks import RARE, SHAPES, Counted, Kind
from enrichment.classify import Classifier, Verdict, loaded
from enrichment.described import SECTORS, descriptions, trades
from enrichment.learning import fit, from_descriptions, study
from enrichment.trades import TRADES

WORDS = {
    "Energy": ["oil", "gas", "drilling", "pipeline", "refinery", "crude", "barrels", "wells"],
    "Healthcare": ["clinical", "drugs", "patients", "hospital", "therapy", "medical", "vaccine", "oncology"],
    "Technology": ["software", "cloud", "platform", "semiconductor", "network", "data", "devices", "servers"],
}
COMMON = [
    "company",
    "provides",
    "services",
    "customers",
    "products",
    "operates",
    "through",
    "segments",
    "markets",
    "sells",
    "offers",
]


def rows(number: int, seed: int) -> tuple[list[str], list[str]]:
    chance = random.Random(seed)
    texts, labels = [], []
    for i in range(number):
        label = sorted(WORDS)[i % 3]
        told = [" ".join(chance.choices(COMMON, k=7)) for _ in range(3)]
        told[1] += " " + " ".join(chance.choices(WORDS[label], k=3))
        texts.append(". ".join(s.capitalize() for s in told) + ".")
        labels.append(label)
    return texts, labels


@pytest.fixture(scope="module")
def fitted() -> Classifier:
    found = fit(*rows(90, seed=1))
    assert found is not None
    return found


def test_unseen_texts_get_their_label(fitted: Classifier) -> None:
    texts, labels = rows(60, seed=2)
    said = [fitted.predict(text) for text in texts]
    assert np.mean([v is not None and v.label == label for v, label in zip(said, labels, strict=True)]) > 0.95
    assert fitted.accuracy > 0.9


def test_the_evidence_is_the_sentence_that_made_it_say_so(fitted: Classifier) -> None:
    text = "The company provides services. It drills wells for crude oil and gas. It sells products to customers."
    verdict = fitted.predict(text)
    assert verdict is not None
    assert verdict.label == "Energy"
    assert text[verdict.start : verdict.end] == "It drills wells for crude oil and gas."


def test_probabilities_sum_to_one_and_are_calibrated_on_noise() -> None:
    texts, labels = rows(120, seed=3)
    random.Random(4).shuffle(labels)
    guess = fit(texts, labels)
    assert guess is not None
    shares = guess.probabilities(rows(60, seed=5)[0])
    assert np.allclose(shares.sum(axis=1), 1)
    assert shares.max(axis=1).mean() < 0.55, "labels that mean nothing must not be told with confidence"


def test_the_same_rows_give_the_same_classifier(fitted: Classifier) -> None:
    again = fit(*rows(90, seed=1))
    assert again is not None
    assert again.digest == fitted.digest


def test_a_kept_classifier_answers_the_same(fitted: Classifier, tmp_path: Path) -> None:
    fitted.kept(tmp_path / "sector.npz")
    again = loaded(tmp_path / "sector.npz")
    assert again.digest == fitted.digest
    texts, _ = rows(20, seed=6)
    assert [again.predict(t) for t in texts] == [fitted.predict(t) for t in texts]


def test_only_allowed_labels_are_said_and_lost_probability_stays_lost(fitted: Classifier) -> None:
    text = "It drills wells for crude oil and gas."
    free = fitted.predict(text)
    bound = fitted.predict(text, allowed=("Healthcare", "Technology"))
    assert free is not None and bound is not None
    assert free.label == "Energy" and bound.label != "Energy"
    assert bound.probability < 1 - free.probability + 1e-9
    assert fitted.predict(text, allowed=("Banking",)) is None


def test_a_text_without_a_known_word_gets_no_answer(fitted: Classifier) -> None:
    assert fitted.predict("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich") is None
    assert fitted.predict("") is None


def test_too_few_rows_teach_nothing() -> None:
    assert fit(*rows(12, seed=1)) is None
    assert fit(["a company"] * 40, ["only"] * 40) is None


def test_a_label_with_too_few_rows_is_left_out() -> None:
    texts, labels = rows(60, seed=1)
    found = fit([*texts, "banking", "banking"], [*labels, "Banking", "Banking"])
    assert found is not None
    assert "Banking" not in found.labels


def test_two_labels_work_as_three_do() -> None:
    texts, labels = rows(90, seed=1)
    kept = [i for i, label in enumerate(labels) if label != "Energy"]
    found = fit([texts[i] for i in kept], [labels[i] for i in kept])
    assert found is not None
    assert found.predict("A vaccine for patients of the hospital") == found.predict(
        "A vaccine for patients of the hospital"
    )
    verdict = found.predict("A vaccine for patients of the hospital")
    assert isinstance(verdict, Verdict) and verdict.label == "Healthcare"


def test_a_finer_field_adds_a_voice_and_an_unknown_finer_value_costs_nothing() -> None:
    texts, labels = rows(90, seed=1)
    finer = [None if i % 7 == 0 else f"{label} {'odd' if i % 2 else 'even'}" for i, label in enumerate(labels)]
    found = fit(texts, labels, finer)
    assert found is not None
    assert [voice.name for voice in found.voices] == ["margins", "finer", "bayes", "described", "trades"]
    verdict = found.predict("Oncology drugs and a vaccine for patients")
    assert verdict is not None and verdict.label == "Healthcare"


def test_every_answer_of_a_study_is_by_voices_that_had_not_seen_the_row() -> None:
    texts, labels = rows(90, seed=1)
    # A word that gives each row's label away, in that row only: seen rows would be told by it.
    told = [
        f"{text} {label.lower()}{i} {label.lower()}{i}."
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    random.Random(2).shuffle(labels)
    learnt = study(told, labels)
    assert learnt is not None
    assert (learnt.unseen.argmax(axis=1) == learnt.target).mean() < 0.5


def test_descriptions_alone_tell_a_sector_and_say_how_unsure_they_are() -> None:
    sectors = tuple(SECTORS)
    known = from_descriptions(sectors)
    assert known is not None and known.rows == 0
    verdict = known.predict("It runs hospitals and sells medical devices. It was founded in 1990.")
    assert verdict is not None and verdict.label == "Healthcare"
    assert verdict.probability < 0.99
    assert from_descriptions(("Red", "Blue")) is None
    assert descriptions(("Energy", "Blue")) is None


def test_a_trade_that_no_row_and_no_sector_description_names_is_known_by_its_own_words() -> None:
    sectors = tuple(SECTORS)
    known = from_descriptions(sectors)
    assert known is not None
    assert not any("pachinko" in words or "motorways" in words for words in SECTORS.values())
    for text, sector in (
        ("It runs pachinko halls.", "Consumer Cyclical"),
        ("It runs toll roads and motorways.", "Industrials"),
    ):
        verdict = known.predict(text)
        assert verdict is not None and verdict.label == sector, text


def test_every_trade_belongs_to_a_sector_and_other_labels_have_none() -> None:
    assert set(TRADES) == set(SECTORS)
    assert {trade.label for trade in trades(("Energy", "Utilities"))} == {0, 1}
    assert trades(("Energy", "Blue")) == ()
    assert descriptions(("Gold", "Steel", "Silver", "Blue")) is None
    written = descriptions(("Gold", "Steel", "Silver", "Blue"), every=False)
    assert written is not None and written[3] == "Blue" and "gold mine" in written[0]
    assert [t.label for t in trades(("Gold", "Blue", "Steel", "Silver"), every=False)] == [0, 2, 3]
    names = [name for known in TRADES.values() for name in known]
    assert len(names) == len(set(names)), "a finer class belongs to one sector"


def test_what_the_file_of_a_classifier_lacks_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError):
        loaded(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", about=np.frombuffer(b"{}", dtype=np.uint8))
    with pytest.raises(ValueError, match="is no kept classifier"):
        loaded(tmp_path / "b.npz")


def test_a_block_learnt_from_counts_weighs_as_scikit_learn_does() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, _ = rows(40, seed=1)
    kinds: tuple[Kind, ...] = ("words", "pieces")
    for kind in kinds:
        counted, train, test = Counted(kind, texts), np.arange(30), np.arange(30, 40)
        known = counted.learn(train)
        assert known is not None
        oracle = TfidfVectorizer(sublinear_tf=True, min_df=RARE[kind], **SHAPES[kind]).fit(texts[:30])
        assert known.terms == tuple(oracle.get_feature_names_out())
        assert np.allclose(oracle.transform(texts[30:]).toarray(), counted.weighed(known, test).toarray())
        assert np.allclose(known.of(texts[30:]).toarray(), counted.weighed(known, test).toarray())
