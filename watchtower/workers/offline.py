"""The provider's batches: calls handed over as a file, and taken back into the ledger when they are answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from watchtower.contract import EnrichmentWorker
from watchtower.errors import InputError, ModelError
from watchtower.settings import Settings
from watchtower.store import ledger as stored
from watchtower.store.database import Database
from watchtower.store.ledger import Ledger, Spent
from watchtower.workers.models import DEFAULT_MODEL, endpoint_of, trained_of

log = structlog.get_logger(__name__)

SUFFIX = "@batch"
"""Behind a model's name in the price list: calls of a batch cost less."""
CHARACTERS = 2.5
MAX_TOKENS = 400


@dataclass
class Offline:
    """One run: a worker that puts its calls aside, and the provider."""

    worker: EnrichmentWorker
    database: Database
    ledger: Ledger
    _collector: Any
    _provider: Any

    def take_back(self) -> tuple[int, int]:
        """(calls that the provider's batches have answered, batches still under way)."""
        taken = waiting = 0
        with self.database.begin() as conn:
            batches = stored.open_batches(conn)
        for batch, keys in batches:
            answers = _explained(lambda batch=batch: self._provider.answers(batch))
            if answers is None:
                waiting += 1
                continue
            left = set(keys)
            for one in answers:
                if one.key in left:
                    self._settle(one.key, one.outcome, one.free, one.said, (one.tokens_in, one.tokens_out))
                    left.discard(one.key)
                    taken += one.outcome == "answered"
            for key in sorted(left):
                self._settle(key, "expired", True, None, (0, 0))
            with self.database.begin() as conn:
                stored.close_batch(conn, batch)
        return taken, waiting

    def hand_over(self) -> tuple[int, list[str]]:
        """(calls handed over, the batches' ids): what the worker put aside, each after its intent is committed."""
        ids, handed = [], 0
        for some in _files(self._collector.wanted):
            meant = {}
            for key, body in some.items():
                most_in = int(len(json.dumps(body)) / CHARACTERS)
                try:
                    intent = self.ledger.intend(key, f"{body['model']}{SUFFIX}", most_in, MAX_TOKENS)
                except Spent:
                    log.warning("stopped", because="what may be spent today is spent")
                    break
                if intent.status == "go":
                    meant[key] = body
            if not meant:
                continue
            try:
                batch = _explained(lambda meant=meant: self._provider.submit(meant))
            except ModelError:
                # A batch that was not made runs nothing: what was meant may be asked again.
                for key in meant:
                    self._settle(key, "refused", True, None, (0, 0))
                raise
            with self.database.begin() as conn:
                stored.keep_batch(conn, batch, sorted(meant))
            ids.append(batch)
            handed += len(meant)
        self._collector.wanted.clear()
        return handed, ids

    def _settle(self, key: str, outcome: str, free: bool, said: str | None, took: tuple[int, int]) -> None:
        self.ledger.settle(key, outcome, free=free, said=said, tokens_in=took[0], tokens_out=took[1])


@contextmanager
def open_offline(
    settings: Settings,
    labelled: Mapping[str, Sequence[tuple[str, str]]],
    database: Database,
    *,
    shelf: Path | None = None,
) -> Iterator[Offline]:
    """A worker over the provider's batches. InputError where no endpoint is configured."""
    import enrichment
    from enrichment.calls import Lane
    from enrichment.model import ChatModel
    from enrichment.offline import Collector, Provider

    if settings.llm_base_url is None or not settings.llm_model:
        raise InputError(
            "--batch: no endpoint is configured",
            remedy="Set WATCHTOWER_LLM_BASE_URL, WATCHTOWER_LLM_API_KEY and WATCHTOWER_LLM_MODEL.",
        )
    endpoint = endpoint_of(settings, settings.llm_model or DEFAULT_MODEL)
    ledger = Ledger(database)
    lane = Lane(ChatModel(endpoint), endpoint.provider, endpoint.region)
    collector = Collector(lane, ledger, MAX_TOKENS)
    worker = enrichment.build_worker(model=collector, labelled=labelled, trained=trained_of(shelf))
    yield Offline(worker, database, ledger, collector, Provider(endpoint))


def _files(wanted: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, dict[str, Any]]]:
    """In parts that a provider takes."""
    from enrichment.offline import MOST_BYTES, MOST_LINES

    part: dict[str, dict[str, Any]] = {}
    size = 0
    for key, body in wanted.items():
        length = len(json.dumps(body)) + 200
        if part and (len(part) == MOST_LINES or size + length > MOST_BYTES):
            yield part
            part, size = {}, 0
        part[key] = body
        size += length
    if part:
        yield part


def _explained(call: Any) -> Any:
    import enrichment

    try:
        return call()
    except enrichment.EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error
