"""Learning a classifier from labelled records, and telling how good it is on texts it has not seen.

Everything told comes from cross-fitting: the rows are parted into folds, and each row is answered by voices that
learnt from the other folds. The same rows give the same classifier, to the byte.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enrichment.blocks import Block, Counted, Floats
from enrichment.classify import FINER_TEMPERATURE, WEIGHTS, Classifier, Voice, centred, featured, softmax
from enrichment.described import Trade, descriptions, trades

Whole = NDArray[np.int64]

MIN_ROWS = 30
"""Fewer labelled rows than this teach nothing that could be calibrated."""
MIN_ROWS_PER_LABEL = 3
FOLDS = 5
TEMPERATURES = np.geomspace(0.02, 5.0, 120)
COST, SMOOTHING = 0.3, 0.3
"""Of the support-vector machines, and of naive Bayes."""
NEARNESS = 0.02
"""The temperature under which likenesses to finer classes are weighed against each other. Chosen on the same rows."""
UNLABELLED_TEMPERATURE = 1.24
"""For a classifier that knows descriptions only: fitted on rows 0 to 999 of firmographics_1500 (11 sectors)."""
UNLABELLED_SPREADS: Mapping[str, float] = {"described": 0.0106, "trades": 1.46}
"""Of the likenesses there, times the voice's weight: both voices count alike."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """A classifier, and what cross-fitting says of it. Shapes: unseen (rows, labels), target (rows,)."""

    classifier: Classifier
    unseen: Floats
    """Probabilities of each row by voices that had not seen it, under the temperature fitted on all of them."""
    target: Whole
    left_out: tuple[tuple[str, int], ...]
    """Labels with too few rows, and how many they have: they cannot be predicted."""


def fit(texts: Sequence[str], labels: Sequence[str], finer: Sequence[str | None] = ()) -> Classifier | None:
    """A classifier, or None where the rows are too few to learn from (see MIN_ROWS, MIN_ROWS_PER_LABEL)."""
    learnt = study(texts, labels, finer)
    return None if learnt is None else learnt.classifier


def study(texts: Sequence[str], labels: Sequence[str], finer: Sequence[str | None] = ()) -> Learnt | None:
    """A classifier with its cross-fitted answers, or None where the rows are too few.

    `finer`: for each row the value of a finer field, None where it is not known. Labels with fewer than
    MIN_ROWS_PER_LABEL rows are left out.
    """
    counts = Counter(label for label, text in zip(labels, texts, strict=True) if text.strip())
    left_out = tuple(sorted((label, n) for label, n in counts.items() if n < MIN_ROWS_PER_LABEL))
    kept = [i for i, label in enumerate(labels) if counts[label] >= MIN_ROWS_PER_LABEL and texts[i].strip()]
    names = sorted({labels[i] for i in kept})
    if len(kept) < MIN_ROWS or len(names) < 2:
        return None
    said = [texts[i] for i in kept]
    target = np.array([names.index(labels[i]) for i in kept])
    below = np.array([(finer[i] if finer else None) or "" for i in kept])
    folds = _folds(target)
    told = _Told(said, descriptions(names, every=False), trades(names, every=False))
    unseen: dict[str, Floats] = {}
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        made = told.trained(train, target, below, len(names))
        if made is None or not len(test):
            return None
        features = told.features(made[0], test)
        for voice in made[1]:
            unseen.setdefault(voice.name, np.zeros((len(said), len(names))))[test] = voice.scores(features)
    made = told.trained(np.arange(len(said)), target, below, len(names))
    if made is None:
        return None
    spreads = {name: float(centred(scores).std()) or 1.0 for name, scores in unseen.items()}
    total = sum((centred(unseen[n]) / spreads[n] * WEIGHTS[n] for n in unseen), np.zeros_like(unseen["margins"]))
    temperature = _temperature(total, target)
    classifier = Classifier(
        labels=tuple(names),
        blocks=made[0],
        voices=tuple(
            Voice(v.name, v.over, v.weights, v.bias, spreads[v.name], v.sums) for v in made[1] if v.name in spreads
        ),
        temperature=temperature,
        rows=len(kept),
        accuracy=float((total.argmax(axis=1) == target).mean()),
    )
    return Learnt(classifier, softmax(total, temperature), target, left_out)


def from_descriptions(labels: Sequence[str]) -> Classifier | None:
    """A classifier that has seen no labelled row: likeness to what ships about the labels. None where nothing does."""
    written, known = descriptions(labels), trades(labels)
    if written is None:
        return None
    counted = Counted("pieces", [*written, *(trade.text for trade in known)])
    likeness = counted.learn(np.arange(len(written) + len(known)), frozenset(counted.terms.tolist()))
    if likeness is None:
        return None
    voices = [_alike(likeness, written, UNLABELLED_SPREADS["described"])]
    if known:
        voices.append(_traded(likeness, known, len(labels), UNLABELLED_SPREADS["trades"]))
    return Classifier(tuple(labels), {"likeness": likeness}, tuple(voices), UNLABELLED_TEMPERATURE, 0, 0.0)


class _Told:
    """The texts of all rows, counted once, and what ships about their labels."""

    def __init__(self, said: Sequence[str], written: Sequence[str] | None, known: Sequence[Trade]) -> None:
        self._written, self._trades = written, known
        shipped = [trade.text for trade in known]
        # What ships stands behind the rows, so that each of its terms is counted, too.
        self._words = Counted("words", [*said, *shipped])
        self._pieces = Counted("pieces", [*said, *shipped, *(written or ())])
        self._shipped = np.arange(len(said), len(said) + len(known))
        self._likeness = frozenset(Counted("pieces", [*written, *shipped]).terms.tolist()) if written else None

    def features(self, blocks: Mapping[str, Block], rows: Whole) -> dict[str, Any]:
        """The features of these rows."""

        def of(name: str, known: Block) -> Any:
            return (self._words if name == "words" else self._pieces).weighed(known, rows)

        return featured(blocks, of)

    def trained(
        self, rows: Whole, target: Whole, below: NDArray[np.str_], labels: int
    ) -> tuple[dict[str, Block], list[Voice]] | None:
        """Blocks and voices learnt from these rows (their spread is yet to be told); None without a common word.

        A description of a finer class is a row more for the machines: vocabulary and rarity are of the rows alone.
        """
        words, pieces = self._words.learn(rows), self._pieces.learn(rows)
        if words is None:
            return None
        blocks = {"words": words} | ({"pieces": pieces} if pieces is not None else {})
        if self._likeness is not None and (likeness := self._pieces.learn(rows, self._likeness)) is not None:
            blocks["likeness"] = likeness
        features, target, below = self.features(blocks, rows), target[rows], below[rows]
        more = self.features(blocks, np.concatenate([rows, self._shipped]))["both"]
        every = np.concatenate([target, np.array([trade.label for trade in self._trades], dtype=np.int64)])
        voices = [Voice("margins", "both", *_machines(more, every, labels), spread=1.0)]
        named = sorted(set(below.tolist()) - {""})
        if len(named) > labels:
            finer = np.concatenate([below, np.array([trade.name for trade in self._trades], dtype=np.str_)])
            named = sorted(set(finer.tolist()) - {""})
            known = np.flatnonzero(finer != "")
            inner = np.array([named.index(name) for name in finer[known]])
            sums = np.zeros((len(named), labels), dtype=np.float32)
            np.add.at(sums, (inner, every[known]), 1.0)
            weights, bias = _machines(more[known], inner, len(named))
            voices.append(Voice("finer", "both", weights, bias, 1.0, sums / sums.sum(axis=1, keepdims=True)))
        voices.append(_bayes(features["seen"], target))
        if "likeness" in blocks and self._written is not None:
            voices.append(_alike(blocks["likeness"], self._written, 1.0))
            if self._trades:
                voices.append(_traded(blocks["likeness"], self._trades, labels, 1.0))
        return blocks, voices


def _machines(features: Any, target: Whole, labels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One machine per label: weights (labels, features) and bias (labels,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=COST, class_weight="balanced", random_state=0, max_iter=5000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # contradictory rows: the last iterate serves
        machine.fit(features, target)
    weights, bias = machine.coef_, machine.intercept_
    if labels == 2:
        # scikit-learn gives one machine for two labels; two mirrored ones keep the shapes alike.
        weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
    return weights.astype(np.float32), bias.astype(np.float32)


def _bayes(seen: Any, target: Whole) -> Voice:
    from sklearn.naive_bayes import ComplementNB

    fitted = ComplementNB(alpha=SMOOTHING).fit(seen, target)
    weights = fitted.feature_log_prob_.astype(np.float32)
    return Voice("bayes", "seen", weights, np.zeros(len(weights), dtype=np.float32), 1.0)


def _alike(likeness: Block, written: Sequence[str], spread: float) -> Voice:
    """The cosine of a text with each description."""
    weights = likeness.of(written).toarray().astype(np.float32)
    return Voice("described", "likeness", weights, np.zeros(len(written), dtype=np.float32), spread)


def _traded(likeness: Block, known: Sequence[Trade], labels: int, spread: float) -> Voice:
    """The cosine of a text with each finer class; the nearest ones of a label speak for it."""
    near = likeness.of([trade.text for trade in known]).toarray().astype(np.float32)
    sums = np.zeros((len(known), labels), dtype=np.float32)
    for place, trade in enumerate(known):
        sums[place, trade.label] = 1.0
    weights = near * np.float32(FINER_TEMPERATURE / NEARNESS)
    return Voice(
        "trades",
        "likeness",
        weights,
        np.zeros(len(known), dtype=np.float32),
        spread,
        sums / np.maximum(sums.sum(axis=0), 1),
    )


def _folds(target: Whole) -> Whole:
    """A fold for each row: rows of one label are spread evenly, in an order drawn from a fixed seed."""
    folds = np.zeros(len(target), dtype=np.int64)
    chance = np.random.default_rng(0)
    begin = 0
    for label in range(int(target.max()) + 1):
        rows = chance.permutation(np.flatnonzero(target == label))
        folds[rows] = (np.arange(len(rows)) + begin) % FOLDS
        begin += len(rows)
    return folds


def _temperature(scores: Floats, target: Whole) -> float:
    """The T of the grid with the least mean negative log-likelihood."""
    rows = np.arange(len(target))
    loss: Callable[[float], float] = lambda t: float(-np.log(softmax(scores, t)[rows, target] + 1e-12).mean())  # noqa: E731
    return float(min(TEMPERATURES, key=loss))
