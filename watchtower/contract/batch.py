"""What travels through the jobs database: batches down, answers up. JSON, by msgspec."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchtower.contract.proposal import Proposal
from watchtower.contract.request import DetectionRequest, FieldRequest
from watchtower.contract.signal import Signal

ENRICHMENT, DETECTION = "enrichment", "detection"
"""The queues."""


class FieldBatch(msgspec.Struct, frozen=True, kw_only=True, tag="fields"):
    """Requests of enrichment. The batch's blob, where it has one, holds the labelled texts: Labelled as JSON."""

    requests: tuple[FieldRequest, ...]
    trace: str = ""
    """The W3C traceparent of whoever asked; empty where nothing is traced."""


class DetectionBatch(msgspec.Struct, frozen=True, kw_only=True, tag="detection"):
    """One request of detection, or one part of it. The batch's blob is the snapshot, a Parquet file.

    The fit reads the whole snapshot; judged are the records of this part.
    """

    request: DetectionRequest
    part: int = 0
    parts: int = 1


Batch = FieldBatch | DetectionBatch
Labelled = dict[str, list[tuple[str, str]]]
"""For each category: (text, label) of the records whose value a person or a system set."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a worker says to one request. Each entry is checked by itself: one that is none costs only itself."""

    proposals: tuple[msgspec.Raw, ...] = ()
    signals: tuple[msgspec.Raw, ...] = ()
    abstained: dict[str, str] = {}
    """Cohorts that a detector would not judge, with the reason."""
    tested: int | None = None
    """How many records the detector judged; None where it does not say."""
    parts: int = 1
    """Of how many answers to the same request this is one."""
    joint: float | None = None
    """The rate at which signals of all parts are decided over together, by Benjamini-Hochberg; None: they are not."""
    unreadable: int = 0
    """Entries that could not be written as JSON."""
    postponed: bool = False
    """Something could not be asked now, and cost nothing: the request stays open, and is asked again."""
    fault: str = ""
    """Why there is no answer: a fault of the worker, or of the request."""


def written(entries: Sequence[Proposal] | Sequence[Signal]) -> tuple[list[msgspec.Raw], int]:
    """Each entry as JSON, and how many could not be."""
    found: list[msgspec.Raw] = []
    for entry in entries:
        try:
            found.append(msgspec.Raw(msgspec.json.encode(entry)))
        except (TypeError, ValueError, RecursionError):
            continue
    return found, len(entries) - len(found)


def proposals_of(answer: Answer, most: int) -> tuple[list[Proposal], int]:
    """The proposals of an answer, at most so many, and how many entries were none."""
    found: list[Proposal] = []
    for raw in answer.proposals[:most]:
        try:
            found.append(msgspec.json.decode(raw, type=Proposal))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
    return found, len(answer.proposals) - len(found) + max(answer.unreadable, 0)


def signals_of(answer: Answer) -> tuple[list[Signal], int]:
    """The signals of an answer, and how many entries were none."""
    found: list[Signal] = []
    for raw in answer.signals:
        try:
            signal = msgspec.json.decode(raw, type=Signal)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        if 0 < signal.p_value <= 1:
            found.append(signal)
    return found, len(answer.signals) - len(found) + max(answer.unreadable, 0)
