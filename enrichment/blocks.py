"""Texts as numbers: words, and pieces of words, each weighted by how rare it is.

A block is a vocabulary with its weights: sublinear term frequency times smoothed inverse document frequency, each
row of unit length (scikit-learn's TfidfVectorizer). Words tell what a text names; pieces of four and five letters
know that `refinery` and `refining` are kin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["words", "pieces"]

SHAPES: dict[Kind, dict[str, Any]] = {
    "words": {"ngram_range": (1, 1), "stop_words": "english"},
    "pieces": {"ngram_range": (4, 5), "analyzer": "char_wb"},
}
RARE: dict[Kind, int] = {"words": 2, "pieces": 4}
"""A term in fewer texts than this is left out: it could only be learnt by heart."""


@dataclass(frozen=True, eq=False)
class Block:
    """A vocabulary. Shapes: terms and idf alike, (terms,)."""

    kind: Kind
    terms: tuple[str, ...]
    idf: Floats
    _vectorizer: Any = field(repr=False, default=None)

    def of(self, texts: Sequence[str]) -> Any:
        """A sparse matrix (texts, terms) of weights, each row of length 1, or 0 where no term occurs."""
        return self._vectorizer.transform(texts)

    @property
    def known(self) -> dict[str, int]:
        """Each term's column."""
        columns: dict[str, int] = self._vectorizer.vocabulary_
        return columns

    def split(self) -> Callable[[str], list[str]]:
        """What cuts a text into terms."""
        cut: Callable[[str], list[str]] = self._vectorizer.build_analyzer()
        return cut


def learn(kind: Kind, texts: Sequence[str], *, only: Sequence[str] | None = None) -> Block | None:
    """The block of these texts; None where no term is common enough. `only`: the terms of these texts and no others.

    The weights always come from `texts`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms: Any = None
    try:
        if only is not None:
            terms = TfidfVectorizer(**SHAPES[kind]).fit(only).vocabulary_
        least = 1 if only is not None else RARE[kind]
        fitted = TfidfVectorizer(sublinear_tf=True, min_df=least, vocabulary=terms, **SHAPES[kind]).fit(texts)
    except ValueError:  # scikit-learn's word for an empty vocabulary
        return None
    return block(kind, tuple(str(t) for t in fitted.get_feature_names_out()), np.asarray(fitted.idf_, dtype=np.float64))


def block(kind: Kind, terms: tuple[str, ...], idf: Floats) -> Block:
    """A block from its parts, as they were kept."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, vocabulary={term: i for i, term in enumerate(terms)}, **SHAPES[kind]
    )
    vectorizer.fit([""])
    vectorizer.idf_ = idf
    return Block(kind, terms, idf, vectorizer)
