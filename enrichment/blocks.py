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


def block(kind: Kind, terms: tuple[str, ...], idf: Floats) -> Block:
    """A block from its parts, as they were kept."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, vocabulary={term: i for i, term in enumerate(terms)}, **SHAPES[kind]
    )
    vectorizer.fit([""])
    vectorizer.idf_ = idf
    return Block(kind, terms, idf, vectorizer)


class Counted:
    """How often each term stands in each text, counted once: blocks of many choices of rows are learnt from it.

    What `learn` and `weighed` give is what a block that was learnt from those texts alone would give.
    """

    def __init__(self, kind: Kind, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self.kind = kind
        self.terms: NDArray[np.str_] = np.array([], dtype=np.str_)
        try:
            counter = CountVectorizer(dtype=np.float64, **SHAPES[kind])
            self._counts = counter.fit_transform(texts)
        except ValueError:  # no term at all
            self._counts = None
            return
        self.terms = counter.get_feature_names_out()

    def learn(self, rows: NDArray[np.int64], only: frozenset[str] | None = None) -> Block | None:
        """The block of these texts; None where no term is common enough. `only`: of these terms and no others."""
        if self._counts is None:
            return None
        occurs = np.bincount(self._counts[rows].indices, minlength=len(self.terms))
        if only is None:
            kept = np.flatnonzero(occurs >= RARE[self.kind])
        else:
            kept = np.flatnonzero([term in only for term in self.terms])
        if not len(kept):
            return None
        idf = np.log((1 + len(rows)) / (1 + occurs[kept])) + 1
        return block(self.kind, tuple(str(term) for term in self.terms[kept]), idf)

    def weighed(self, known: Block, rows: NDArray[np.int64]) -> Any:
        """The same as `known.of` the texts of these rows, for a block that was learnt here."""
        from sklearn.preprocessing import normalize

        columns = np.searchsorted(self.terms, np.array(known.terms))
        weights = self._counts[rows][:, columns].tocsr()
        weights.data = 1 + np.log(weights.data)
        return normalize(weights.multiply(known.idf).tocsr())
