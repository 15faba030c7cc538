"""The language model and the enrichment worker that these settings lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from watchtower.contract import EnrichmentWorker, ModelStatus
from watchtower.errors import ModelError
from watchtower.settings import Settings

LOCAL_SECONDS = 180.0
"""How long one call to the embedded model may take in all: it reads about 70 tokens a second on two cores."""
DEFAULT_MODEL = "default"
"""What an endpoint is asked for where WATCHTOWER_LLM_MODEL names nothing: most local servers serve just one."""

Progress = Callable[[int, int], None]
Through = Callable[[Any], Any]
"""From the model of the settings (None: none) to the one that the worker asks."""


@contextmanager
def open_worker(
    settings: Settings,
    labelled: Mapping[str, Sequence[tuple[str, str]]],
    *,
    use_model: bool = True,
    ledger: Any = None,
    through: Through | None = None,
    shelf: Path | None = None,
) -> Iterator[EnrichmentWorker]:
    """A worker with the configured endpoint, else the embedded model where its file is there, else without one.

    `through` gives what stands between the worker and its model (None: there is none): recorded completions. `shelf`:
    the folder of trained classifiers, which go before what it could learn from `labelled`.
    """
    with open_model(settings, use_model=use_model, through=through, shelf=shelf) as make:
        yield make(labelled, ledger)


@contextmanager
def open_model(
    settings: Settings, *, use_model: bool, through: Through | None = None, shelf: Path | None = None
) -> Iterator[Callable[[Any, Any], EnrichmentWorker]]:
    """What makes workers over the configured model, which stands ready for the length of the block.

    The ledger is for calls that somebody pays for: those to the embedded model may be made again.
    """
    import enrichment

    with ExitStack() as stack:
        endpoint, fallback, seconds = None, None, 60.0
        limits = enrichment.Limits(settings.llm_slots, settings.llm_requests_per_minute, settings.llm_tokens_per_minute)
        try:
            if use_model and settings.llm_base_url is not None:
                endpoint = endpoint_of(settings, settings.llm_model or DEFAULT_MODEL)
                if settings.llm_fallback_model:
                    fallback = endpoint_of(settings, settings.llm_fallback_model)
            elif use_model and (path := _model_file(settings)) is not None:
                endpoint, seconds = stack.enter_context(enrichment.local_endpoint(path)), LOCAL_SECONDS
        except enrichment.EnrichmentError as error:
            raise ModelError(error.message, remedy=error.remedy) from error
        paid, model = settings.llm_base_url is not None, None
        if through is not None:
            model = through(enrichment.ChatModel(endpoint, seconds=seconds) if endpoint is not None else None)
        yield lambda labelled, ledger: enrichment.build_worker(
            endpoint=endpoint, fallback=fallback, labelled=labelled, trained=trained_of(shelf), model=model,
            seconds=seconds, limits=limits if paid else None, ledger=ledger if paid else None,
            content=settings.trace_content,
        )  # fmt: skip


def endpoint_of(settings: Settings, model: str) -> Any:
    """The configured endpoint, for one of its models."""
    import enrichment

    assert settings.llm_base_url is not None
    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else "none"
    return enrichment.Endpoint(
        settings.llm_base_url, key, model, settings.llm_provider, settings.llm_api_version, settings.llm_region
    )


def slots(settings: Settings) -> int:
    """Requests that a worker of these settings answers at once: the embedded model gains nothing by more than one."""
    return at_once(settings.llm_slots) if settings.llm_base_url else 1


def at_once(calls: int) -> int:
    """Requests at once for so many calls at once: while the answers of some are written down, others wait at the door
    of the endpoint, so that it never waits for us."""
    return calls + calls // 4


def trained_of(folder: Path | None) -> Mapping[str, Any]:
    """The newest trained classifier of each field."""
    if folder is None or not folder.is_dir():
        return {}
    from enrichment.errors import EnrichmentError
    from enrichment.shelf import Shelf

    try:
        return Shelf(folder).classifiers()
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def _model_file(settings: Settings) -> Path | None:
    from enrichment import weights

    return settings.gguf or weights.find(settings.models)


def model_name(settings: Settings) -> str:
    """The language model that these settings lead to, as its worker names it; empty where there is none."""
    if settings.llm_base_url is not None:
        return settings.llm_model or DEFAULT_MODEL
    path = _model_file(settings)
    return path.stem if path is not None else ""


def model_status(worker: EnrichmentWorker) -> ModelStatus:
    """Whether a language model stands behind a worker, and what it goes without."""
    status = getattr(worker, "status", None)
    return status() if status is not None else ModelStatus(ready=True, name=type(worker).__name__, detail="")


def pull_model(settings: Settings, name: str, progress: Progress) -> Path:
    """Fetch a model of the catalogue, check it, and tell where it is. `progress`: bytes done, bytes in all."""
    from enrichment import weights
    from enrichment.errors import EnrichmentError

    try:
        return weights.pull(name, settings.models, lambda p: progress(p.done, p.model.size))
    except EnrichmentError as error:
        raise ModelError(error.message, remedy=error.remedy) from error


def model_catalogue(settings: Settings) -> list[dict[str, Any]]:
    """The models that can be pulled, the best first: name, size, licence, memory, and the path where it is here."""
    from enrichment import weights

    return [
        {
            "name": model.name,
            "bytes": model.size,
            "licence": model.licence,
            "memory": model.memory,
            "path": str(settings.models / model.file) if weights.find(settings.models, catalogue=[model]) else None,
        }
        for model in weights.CATALOGUE
    ]
