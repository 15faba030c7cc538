"""What enrichment is measured against: the commonest value, a gazetteer, TF-IDF with one machine, the model alone.

Each takes texts and gives an answer per text, or None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enrichment.atlas import atlas
from enrichment.errors import CallFailed
from enrichment.grounding import Refused, ground
from enrichment.model import ChatModel, Endpoint
from enrichment.schema import question, schema
from prompts import load
from watchtower.contract import Document, FieldSpec

Answers = list[Any]
PLACE = re.compile(r"[A-Z][\w'’-]+(?:[ -][A-Z][\w'’-]+){0,2}")
YEAR = re.compile(r"\b(?:1[89]\d\d|20[0-2]\d)\b")


def majority(known: Sequence[Any], texts: Sequence[str]) -> Answers:
    """The commonest value of the tuning rows, whatever the text."""
    return [Counter(value for value in known if value is not None).most_common(1)[0][0]] * len(texts)


def first_country(texts: Sequence[str]) -> Answers:
    """The country that is named first."""
    return [next((code for code, _, _ in atlas().mentions(text)), None) for text in texts]


def last_country(texts: Sequence[str]) -> Answers:
    """The country that is named last: these texts close with the seat."""
    return [next((code for code, _, _ in reversed(atlas().mentions(text))), None) for text in texts]


def last_city(texts: Sequence[str]) -> Answers:
    """The last name in the text that is a city's."""
    return [next((n for n in reversed(PLACE.findall(t)) if atlas().city_country(n) is not None), None) for t in texts]


def first_year(texts: Sequence[str]) -> Answers:
    """The earliest number that looks like a year."""
    return [min(map(int, YEAR.findall(text)), default=None) for text in texts]


def tfidf(train: Sequence[str], labels: Sequence[str], texts: Sequence[str]) -> tuple[Answers, NDArray[np.float64]]:
    """Words and pairs of words, one linear support-vector machine; the answers and how sure it is (a margin)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), stop_words="english", min_df=2)
    machine = LinearSVC(C=0.5, class_weight="balanced", random_state=0).fit(words.fit_transform(train), labels)
    margins = machine.decision_function(words.transform(texts))
    top = np.sort(margins, axis=1)
    return [machine.classes_[i] for i in margins.argmax(axis=1)], top[:, -1] - top[:, -2]


def model_alone(
    endpoint: Endpoint, fields: Sequence[FieldSpec], texts: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the language model says to each field, as it says it, and what of that is grounded."""
    model, prompt = ChatModel(endpoint, seconds=300), load("extract.v1")
    said, grounded = [], []
    for text in texts:
        document = Document(id="d", kind="description", text=text)
        try:
            answer = model.answer(prompt.text, question(fields), text, schema(fields))
        except CallFailed:
            answer = {}
        said.append({spec.name: answer.get(spec.name) for spec in fields})
        kept = {}
        for spec in fields:
            checked = ground(spec, answer.get(spec.name), answer.get(f"{spec.name}_quote"), document)
            kept[spec.name] = None if isinstance(checked, Refused) else checked.value
        grounded.append(kept)
    return said, grounded
