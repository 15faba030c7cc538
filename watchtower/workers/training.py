"""Training a classifier on labelled records, and keeping it where workers find it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from watchtower.errors import InputError, ModelError
from watchtower.settings import Settings

if TYPE_CHECKING:
    from enrichment.shelf import Stored

LabelledRow = tuple[str, str, str | None]
"""The text of a record, its label, and the value of a finer field where one is known."""


def shelf_folder(settings: Settings) -> Path:
    """Where the trained classifiers of a tower stand."""
    return settings.data / "classifiers"


def stamp(settings: Settings) -> str:
    """What tells the trained classifiers from others; empty where there are none."""
    folder = shelf_folder(settings)
    if not folder.is_dir():
        return ""
    from enrichment.errors import EnrichmentError
    from enrichment.shelf import Shelf

    try:
        return Shelf(folder).stamp()
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def trained(settings: Settings) -> list[Stored]:
    """Every version of every trained classifier."""
    from enrichment.errors import EnrichmentError
    from enrichment.shelf import Shelf

    try:
        return Shelf(shelf_folder(settings)).versions()
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def train(
    settings: Settings, field: str, rows: Sequence[LabelledRow], *, learnt_from: str, at: str, keep: bool = True
) -> Stored:
    """Learn the field's classifier from these rows, tell how good it is, and keep it. InputError: too few rows."""
    from enrichment.errors import EnrichmentError
    from enrichment.learning import MIN_ROWS, MIN_ROWS_PER_LABEL, study
    from enrichment.quality import quality
    from enrichment.shelf import Shelf, Stored

    learnt = study([text for text, _, _ in rows], [label for _, label, _ in rows], [finer for _, _, finer in rows])
    if learnt is None:
        raise InputError(
            f"{field}: {_told(rows)} from {learnt_from} teach nothing; needed are {MIN_ROWS} labelled texts, "
            f"and at least two labels with {MIN_ROWS_PER_LABEL} each",
            remedy="Label more records, or give a file of labelled texts with --cases FILE.",
        )
    told = quality(learnt.classifier.labels, learnt.unseen, learnt.target)
    left_out = dict(learnt.left_out)
    if not keep:
        return Stored(
            field=field, version=0, digest=learnt.classifier.digest, sha256="", trained_at=at,
            learnt_from=learnt_from, quality=told, left_out=left_out,
        )  # fmt: skip
    try:
        return Shelf(shelf_folder(settings)).put(
            field, learnt.classifier, told, left_out=left_out, learnt_from=learnt_from, trained_at=at
        )
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def _told(rows: Sequence[LabelledRow]) -> str:
    texts = sum(bool(text.strip()) for text, _, _ in rows)
    labels = len({label for text, label, _ in rows if text.strip()})
    return f"{texts} labelled text{'' if texts == 1 else 's'} with {labels} label{'' if labels == 1 else 's'}"
