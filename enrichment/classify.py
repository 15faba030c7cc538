"""Categories (sector, industry, segment) by a small committee of linear voices, with calibrated probabilities.

    margins     linear support-vector machines, one per label, over words and pieces of words
    finer       the same for a finer field of the same records (industry for sector), where one is at hand,
                summed up to the labels
    bayes       complement naive Bayes over which words occur (Rennie et al., ICML 2003): steadier where rows are few
    described   likeness to a description of the label, where one ships: knows a word before a labelled row has it
    trades      likeness to what the finer classes of the label do, where that ships; the nearest ones count

Each voice is centred, scaled to the same spread and weighted; probabilities are softmax(sum / T), with T fitted on
sums for texts that the voices had not seen (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).

`kept` and `loaded` write and read numbers and JSON only: never a pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enrichment.blocks import Block, Floats, Kind, block
from enrichment.text import sentences

WEIGHTS: Mapping[str, float] = {"margins": 1.0, "finer": 1.5, "bayes": 0.3, "described": 0.2, "trades": 0.8}
"""How much each voice counts. Chosen on rows 0 to 999 of firmographics_1500 by 5-fold cross-validation."""
FINER_TEMPERATURE = 0.1
UNSEEN = 1e-4
"""Added to what the finer labels of a label sum up to, before the logarithm."""


@dataclass(frozen=True)
class Verdict:
    """`probability` in (0, 1], calibrated; `start` and `end` span the sentence that says most for the label."""

    label: str
    probability: float
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Voice:
    """One linear reading of a text. `over` names its features; shapes: weights (outputs, features), bias (outputs,).

    `sums` (outputs, labels) gathers finer outputs into labels; None where the outputs are the labels.
    `spread`: the standard deviation of its centred scores on texts it had not seen.
    """

    name: str
    over: str
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    spread: float
    sums: NDArray[np.float32] | None = None

    def scores(self, features: Mapping[str, Any]) -> Floats:
        """Shape (texts, labels)."""
        said = np.asarray(features[self.over] @ self.weights.T, dtype=np.float64) + self.bias
        if self.sums is None:
            return said
        return np.asarray(np.log(softmax(said, FINER_TEMPERATURE) @ self.sums + UNSEEN), dtype=np.float64)

    def vote(self, features: Mapping[str, Any]) -> Floats:
        """Centred, of spread 1, weighted: shape (texts, labels)."""
        return centred(self.scores(features)) / self.spread * WEIGHTS[self.name]


@dataclass(frozen=True, eq=False)
class Classifier:
    """A committee that has learnt. `rows` is 0 where it knows descriptions only."""

    labels: tuple[str, ...]
    blocks: Mapping[str, Block]
    voices: tuple[Voice, ...]
    temperature: float
    rows: int
    accuracy: float
    """On texts not seen, by cross-validation, in [0, 1]; 0 where there were no rows to tell by."""

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits that name what was learnt: they travel with each proposal."""
        terms = {name: one.terms for name, one in sorted(self.blocks.items())}
        digest = hashlib.sha256(json.dumps([self.labels, terms, self.temperature, sorted(WEIGHTS.items())]).encode())
        for name in sorted(self.blocks):
            digest.update(self.blocks[name].idf.tobytes())
        for voice in self.voices:
            digest.update(json.dumps([voice.name, voice.over, voice.spread]).encode())
            for array in (voice.weights, voice.bias, voice.sums):
                digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()[:12]

    @property
    def name(self) -> str:
        """How a proposal names it: `committee/1000-rows@3fa2...`."""
        return f"committee/{self.rows}-rows@{self.digest}"

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Shape (texts, labels); each row sums to 1."""
        features = featured(self.blocks, lambda _, known: known.of(texts))
        return softmax(sum((v.vote(features) for v in self.voices), np.zeros(())), self.temperature)

    def predict(self, text: str, allowed: Sequence[str] = ()) -> Verdict | None:
        """The likeliest label (of those allowed, where any are named); None where no known word occurs.

        Probabilities are not scaled up when a label is not allowed: what went to it stays lost.
        """
        said = self.blocks.get("words", self.blocks.get("likeness"))
        if said is None or said.of([text]).nnz == 0:
            return None
        shares = self.probabilities([text])[0]
        open_to = [i for i, label in enumerate(self.labels) if not allowed or label in allowed]
        if not open_to:
            return None
        best = max(open_to, key=lambda i: (shares[i], -i))
        start, end = self._telling_sentence(text, best)
        return Verdict(self.labels[best], float(shares[best]), start, end)

    def _telling_sentence(self, text: str, label: int) -> tuple[int, int]:
        """The sentence whose terms weigh most for the label against the mean of all labels."""
        voice = self.voices[0]
        said = self.blocks["likeness" if voice.over == "likeness" else "words"]
        weights = voice.weights[:, : len(said.terms)]
        weight = said.idf * (weights[label] - weights.mean(axis=0))
        cut, known = said.split(), said.known

        def says(span: tuple[int, int]) -> float:
            seen = {known[term] for term in cut(text[span[0] : span[1]]) if term in known}
            return float(sum(weight[i] for i in sorted(seen)))

        spans = sentences(text)
        return max(spans, key=lambda span: (says(span), -span[0])) if spans else (0, len(text))

    def kept(self, path: Path) -> None:
        """Write the classifier as one .npz of numbers and JSON."""
        about = {
            "labels": self.labels, "temperature": self.temperature, "rows": self.rows, "accuracy": self.accuracy,
            "blocks": {name: {"kind": one.kind, "terms": one.terms} for name, one in self.blocks.items()},
            "voices": [{"name": v.name, "over": v.over, "spread": v.spread} for v in self.voices],
        }  # fmt: skip
        arrays: dict[str, Any] = {f"idf.{name}": one.idf for name, one in self.blocks.items()}
        for voice in self.voices:
            arrays[f"weights.{voice.name}"], arrays[f"bias.{voice.name}"] = voice.weights, voice.bias
            if voice.sums is not None:
                arrays[f"sums.{voice.name}"] = voice.sums
        buffer = io.BytesIO()
        told = np.frombuffer(json.dumps(about, sort_keys=True).encode(), dtype=np.uint8)
        np.savez_compressed(buffer, about=told, **arrays)
        path.write_bytes(buffer.getvalue())


def loaded(path: Path) -> Classifier:
    """The classifier that `kept` wrote. ValueError where the file is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            blocks = {
                name: block(_kind(one["kind"]), tuple(one["terms"]), arrays[f"idf.{name}"])
                for name, one in about["blocks"].items()
            }
            voices = tuple(
                Voice(
                    name=one["name"],
                    over=one["over"],
                    weights=arrays[f"weights.{one['name']}"],
                    bias=arrays[f"bias.{one['name']}"],
                    spread=float(one["spread"]),
                    sums=arrays.get(f"sums.{one['name']}"),
                )
                for one in about["voices"]
            )
            labels = tuple(about["labels"])
            temperature, rows = float(about["temperature"]), int(about["rows"])
            return Classifier(labels, blocks, voices, temperature, rows, float(about["accuracy"]))
    except (KeyError, TypeError, OSError, EOFError) as fault:
        raise ValueError(f"{path}: is no kept classifier ({type(fault).__name__})") from fault


def featured(blocks: Mapping[str, Block], of: Callable[[str, Block], Any]) -> dict[str, Any]:
    """The features that voices read: `both` (words and pieces), `seen` (which words occur), `likeness`.

    `of` gives the weights of the texts in question, by a block and its name.
    """
    from scipy.sparse import hstack

    weights = {name: of(name, one) for name, one in blocks.items()}
    features: dict[str, Any] = {}
    if "words" in weights:
        features["both"] = hstack([weights[name] for name in ("words", "pieces") if name in weights]).tocsr()
        features["seen"] = weights["words"].sign()
    if "likeness" in weights:
        features["likeness"] = weights["likeness"]
    return features


def softmax(scores: Floats, temperature: float) -> Floats:
    scaled = scores / temperature
    grown = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Floats = grown / grown.sum(axis=1, keepdims=True)
    return shares


def centred(scores: Floats) -> Floats:
    """Each row less its mean: a voice that is louder about one text does not count more for it."""
    less: Floats = scores - scores.mean(axis=1, keepdims=True)
    return less


def _kind(name: str) -> Kind:
    if name == "words":
        return "words"
    if name == "pieces":
        return "pieces"
    raise KeyError(name)
