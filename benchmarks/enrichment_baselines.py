"""What enrichment is measured against: the commonest value, a gazetteer, TF-IDF with one machine, the model alone.

    python -m benchmarks.enrichment_baselines [DATA] [--rows 100] [--model GGUF]

Each takes texts and gives an answer per text, or None. As a program it measures them on the first --rows of the 500
companies held out, and the language model alone with the prompt and schema that enrichment uses, without parsers and
classifier: as it says, and with only what is grounded kept. Without a model file, that part is left out, and said so.

precision: right among the answers given. coverage: answers given among the rows whose key has the field. accuracy:
right among the rows whose key has the field. Intervals are Wilson's, 95 percent.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import arguments, figure
from benchmarks.firmographics import FIELDS, TUNED, Row, as_is, companies, key, line, settled, share
from enrichment import local_endpoint, weights
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


@dataclass(frozen=True)
class Alone:
    """What the language model says per text and field. `seconds` has one number for each text."""

    said: list[dict[str, Any]]
    grounded: list[dict[str, Any]]
    """The same, where the quote is in the text and the value in the quote; else None."""
    seconds: list[float]
    failed: int
    """Texts without an answer that could be read."""


def model_alone(
    endpoint: Endpoint, fields: Sequence[FieldSpec], texts: Sequence[str], minutes: float = math.inf
) -> Alone:
    """What the language model says to each field, as it says it, and what of that is grounded.

    No text is begun after so many minutes: the answer may be of fewer texts.
    """
    model, prompt = ChatModel(endpoint, seconds=300), load("extract.v1")
    told = Alone([], [], [], 0)
    failed, end = 0, time.perf_counter() + 60 * minutes
    for place, text in enumerate(texts):
        if time.perf_counter() >= end:
            break
        document = Document(id="d", kind="description", text=text)
        began = time.perf_counter()
        try:
            answer = model.answer(prompt.text, question(fields), text, schema(fields))
        except CallFailed:
            answer, failed = {}, failed + 1
        told.seconds.append(time.perf_counter() - began)
        told.said.append({spec.name: answer.get(spec.name) for spec in fields})
        kept = {}
        for spec in fields:
            checked = ground(spec, answer.get(spec.name), answer.get(f"{spec.name}_quote"), document)
            kept[spec.name] = None if isinstance(checked, Refused) else checked.value
        told.grounded.append(kept)
        if (place + 1) % 10 == 0:
            print(f"    ... {place + 1} of {len(texts)} texts asked", flush=True)
    return Alone(told.said, told.grounded, told.seconds, failed)


def ask(endpoint: Endpoint, rows: Sequence[Row], minutes: float = math.inf) -> None:
    """The language model alone on these rows: accuracy, precision, coverage, seconds a record."""
    sectors = tuple(sorted({row["sector"] for row in rows}))
    fields = (*FIELDS, FieldSpec(name="sector", type="enum", values=sectors))
    told = model_alone(endpoint, fields, [as_is(row) for row in rows], minutes)
    asked = len(told.said)
    if asked < len(rows):
        print(f"\nonly {asked} of {len(rows)} companies were asked within {minutes:g} minutes")
    if not asked:
        return
    rows = rows[:asked]
    middle = float(np.median(told.seconds))
    print(f"\n{endpoint.model} alone: {len(rows)} companies, median {middle:.1f} s each, {told.failed} without answer")
    figure(f"{endpoint.model} alone, seconds a record", middle, "s", better="lower")
    for spec in fields:
        right = [key(row, spec.name) for row in rows]
        print(f"  {spec.name}")
        for title, answers in (("as it says", told.said), ("grounded", told.grounded)):
            values = [settled(spec.name, one[spec.name]) for one in answers]
            if spec.name == "country":
                values = [v and (atlas().country(str(v)) or v) for v in values]
            line(title, values, right)
            judged(f"{endpoint.model} alone, {title}, {spec.name}", values, right)


def judged(what: str, values: Answers, right: Answers) -> None:
    """Say the accuracy, and how many were filled where the key has nothing."""
    asked = [(v, r) for v, r in zip(values, right, strict=True) if r is not None]
    hits = sum(v == r for v, r in asked)
    print(f"    {'':34} accuracy  {share(hits, len(asked))}")
    figure(f"{what}: accuracy", hits / max(1, len(asked)))


def bare(tuned: Sequence[Row], rows: Sequence[Row]) -> None:
    """The baselines without a language model, on the same rows."""
    texts = [as_is(row) for row in rows]
    labels = [row["sector"] for row in tuned]
    plainly: dict[str, list[tuple[str, Answers]]] = {
        "country": [("gazetteer: first named", first_country(texts)), ("gazetteer: last named", last_country(texts))],
        "city": [("gazetteer: last named", [settled("city", city) for city in last_city(texts)])],
        "founded_year": [("earliest number like a year", first_year(texts))],
        "sector": [("TF-IDF, one machine", tfidf([as_is(row) for row in tuned], labels, texts)[0])],
    }
    print(f"\nwithout a model: {len(rows)} companies")
    for field, answers in plainly.items():
        right = [key(row, field) for row in rows]
        print(f"  {field}")
        for title, values in [("the commonest value", majority([key(r, field) for r in tuned], texts)), *answers]:
            line(title, values, right)
            judged(f"{title}, {field}", values, right)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/firmographics"))
    parser.add_argument("--rows", type=int, default=100, help="of the 500 held out; the model takes seconds for each")
    parser.add_argument("--model", type=Path, default=None, help="a GGUF file; default: the small model, where pulled")
    parser.add_argument("--threads", type=int, default=None, help="of the model server; fewer help on a busy machine")
    parser.add_argument("--minutes", type=float, default=math.inf, help="ask the model no longer than this")
    given = parser.parse_args()
    if not (given.data / "firmographics_1500.jsonl").is_file():
        parser.exit(0, f"left out: {given.data / 'firmographics_1500.jsonl'} is not here\n")
    every = companies(given.data)
    tuned, rows = every[:TUNED], every[-500:][: given.rows]
    bare(tuned, rows)
    small = weights.known(weights.SMALL)
    path = given.model or weights.default_folder() / small.file
    if not path.is_file():
        print(f"\nthe language model alone: left out, {path} is not here (`watchtower models pull --small`)")
        return
    with local_endpoint(path, threads=given.threads) as endpoint:
        ask(endpoint, rows, given.minutes)


if __name__ == "__main__":
    main()
