"""Enrichment: proposals for fields that rules need and nobody filled. It reads, quotes and proposes; no more.

    build_worker(endpoint=..., labelled=...)    a worker for requests
    local_endpoint(path)                        the embedded model server, for the length of a block
    weights.pull, weights.find                  the embedded model's file
    Endpoint                                    any OpenAI-compatible endpoint

Heavy libraries (LangChain, scikit-learn, the model engine) are imported where they are first used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from enrichment import weights
from enrichment.errors import CallFailed, EnrichmentError, ModelError, WeightsError
from enrichment.ledger import CallLedger
from enrichment.local import local_endpoint
from enrichment.model import ChatModel, Endpoint, ExtractionModel
from enrichment.pace import Limits, Pace

if TYPE_CHECKING:
    from enrichment.calls import Caller
    from enrichment.classify import Classifier
    from enrichment.worker import Worker

PROMPT = "extract.v1"

__all__ = [
    "CallFailed",
    "CallLedger",
    "ChatModel",
    "Endpoint",
    "EnrichmentError",
    "ExtractionModel",
    "Limits",
    "ModelError",
    "WeightsError",
    "build_worker",
    "local_endpoint",
    "weights",
]


def build_worker(
    *,
    endpoint: Endpoint | None = None,
    fallback: Endpoint | None = None,
    limits: Limits | None = None,
    labelled: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    trained: Mapping[str, Classifier] | None = None,
    model: ExtractionModel | Caller | None = None,
    seconds: float = 60.0,
    parallel: int = 1,
    ledger: CallLedger | None = None,
    content: bool = False,
) -> Worker:
    """A worker. `labelled` gives (text, label) rows per enum field: a classifier is trained on them.

    `trained` gives classifiers that were trained before (see enrichment.shelf): they go before labelled rows.
    `model` stands in for `endpoint` (a replay, a stub). `fallback` is asked where `endpoint` cannot be had; `limits`
    hold for each of them. `seconds` bounds one call to a model in all, its repetitions included.
    `content`: whether traces bear what models were asked and said.
    Without either, the worker answers what patterns, gazetteer and classifiers can, and its status says so.
    """
    import structlog

    from enrichment.calls import Caller, Lane
    from enrichment.learning import fit
    from enrichment.worker import Worker
    from prompts import load

    classifiers = dict(trained or {})
    for field, rows in sorted((labelled or {}).items()):
        if field in classifiers:
            continue
        fitted = fit([text for text, _ in rows], [label for _, label in rows])
        if fitted is None:
            log = structlog.get_logger(__name__)
            log.info("no classifier", field=field, rows=len(rows), because="too few labelled records")
        else:
            classifiers[field] = fitted
    if isinstance(model, Caller):
        return Worker(model, classifiers, load(PROMPT), parallel=parallel)
    if model is not None:
        lanes = [Lane(model, pace=Pace(limits or Limits()))]
    else:
        lanes = [
            Lane(ChatModel(one, seconds=seconds), one.provider, one.region, Pace(limits or Limits()))
            for one in (endpoint, fallback)
            if one is not None
        ]
    caller = Caller(lanes, ledger=ledger, seconds=seconds, content=content) if lanes else None
    return Worker(caller, classifiers, load(PROMPT), parallel=parallel)
