"""The classifier learns from labelled records, says how sure it is, and quotes what made it say so."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from enrichment.classify import LinearClassifier, Verdict, fit, loaded

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
def fitted() -> LinearClassifier:
    found = fit(*rows(90, seed=1))
    assert found is not None
    return found


def test_unseen_texts_get_their_label(fitted: LinearClassifier) -> None:
    texts, labels = rows(60, seed=2)
    said = [fitted.predict(text) for text in texts]
    assert np.mean([v is not None and v.label == label for v, label in zip(said, labels, strict=True)]) > 0.95
    assert fitted.accuracy > 0.9


def test_the_evidence_is_the_sentence_that_made_it_say_so(fitted: LinearClassifier) -> None:
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


def test_the_same_rows_give_the_same_classifier(fitted: LinearClassifier) -> None:
    again = fit(*rows(90, seed=1))
    assert again is not None
    assert again.digest == fitted.digest


def test_a_kept_classifier_answers_the_same(fitted: LinearClassifier, tmp_path: Path) -> None:
    fitted.kept(tmp_path / "sector.npz")
    again = loaded(tmp_path / "sector.npz")
    assert again.digest == fitted.digest
    texts, _ = rows(20, seed=6)
    assert [again.predict(t) for t in texts] == [fitted.predict(t) for t in texts]


def test_only_allowed_labels_are_said_and_lost_probability_stays_lost(fitted: LinearClassifier) -> None:
    text = "It drills wells for crude oil and gas."
    free = fitted.predict(text)
    bound = fitted.predict(text, allowed=("Healthcare", "Technology"))
    assert free is not None and bound is not None
    assert free.label == "Energy" and bound.label != "Energy"
    assert bound.probability < 1 - free.probability + 1e-9
    assert fitted.predict(text, allowed=("Banking",)) is None


def test_a_text_without_a_known_word_gets_no_answer(fitted: LinearClassifier) -> None:
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
