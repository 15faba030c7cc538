"""OpenAI's Batch API: calls are collected, handed over as one file, and answered within a day at a lower price.

The worker is the same, and so are its calls: what would be asked at once is put aside, and the request stays open. When
the provider has answered, the answers stand in the ledger under the names of the calls, and the worker, asked again,
finds them there. So both ways come to the same results.

Source: OpenAI, API reference, Batches and Files: a JSONL file of {custom_id, method, url, body}; at most 50,000 lines
and 200 MB; each answer bears its custom_id.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from enrichment.calls import Called, Caller, Lane, read, remembered
from enrichment.errors import CallFailed, ModelError
from enrichment.ledger import Intent, call_key
from enrichment.model import REMEDY, Endpoint, fenced, shaped
from prompts import Prompt

MOST_LINES, MOST_BYTES = 20_000, 100_000_000
"""Of one file: well below what is allowed."""
MAX_ANSWERS = 400_000_000
"""Bytes of a file of answers."""
SECONDS = 300.0
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


class Known(Protocol):
    """What the ledger knows of a call; None: nothing."""

    def look(self, key: str) -> Intent | None: ...


class Collector(Caller):
    """Answers what is known, and puts the rest aside: `wanted`, the request's body by the call's name."""

    def __init__(self, lane: Lane, known: Known, max_tokens: int) -> None:
        super().__init__([lane])
        self._known, self._max_tokens = known, max_tokens
        self._turn = threading.Lock()
        self.wanted: dict[str, dict[str, Any]] = {}

    def ask(
        self,
        prompt: Prompt,
        question: str,
        document: str,
        schema: Mapping[str, Any],
        *,
        allowed: Callable[[Lane], bool] = lambda lane: True,
    ) -> Called:
        [lane] = self.lanes
        if not allowed(lane):
            raise CallFailed("withheld", "the rulebook does not let the provider read this document")
        messages = [("system", prompt.text), ("user", fenced(question, document))]
        key = call_key(lane.model.name, prompt.sha256, messages, schema)
        known = self._known.look(key)
        if known is not None:
            return remembered(known.status, known.said, lane.model, schema)
        with self._turn:
            self.wanted[key] = {
                "model": lane.model.name, "temperature": 0, "seed": 0, "max_completion_tokens": self._max_tokens,
                "messages": [{"role": role, "content": content} for role, content in messages],
                "response_format": shaped(schema),
            }  # fmt: skip
        raise CallFailed("deferred", "it is put aside for the provider's next batch", free=True)


@dataclass(frozen=True)
class Answered:
    """How one call of a batch ended: as the ledger's `settle` takes it."""

    key: str
    outcome: str
    free: bool
    said: str | None
    tokens_in: int
    tokens_out: int


class Provider:
    """The provider's side: files and batches. ModelError where it cannot be had, or turns us away."""

    def __init__(self, endpoint: Endpoint) -> None:
        import openai

        from enrichment.wire import client

        self._client = openai.OpenAI(
            base_url=endpoint.base_url, api_key=endpoint.api_key or "none", max_retries=0,
            http_client=client(MAX_ANSWERS, SECONDS),
        )  # fmt: skip
        self._address = endpoint.base_url

    def submit(self, wanted: Mapping[str, Mapping[str, Any]]) -> str:
        """Hand calls over; the batch's id."""
        lines = [
            json.dumps({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body})
            for key, body in wanted.items()
        ]
        with _told(self._address):
            file = self._client.files.create(file=("calls.jsonl", "\n".join(lines).encode()), purpose="batch")
            made = self._client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        return made.id

    def answers(self, batch: str) -> Iterator[Answered] | None:
        """How its calls ended; None while it is under way."""
        with _told(self._address):
            found = self._client.batches.retrieve(batch)
            if found.status not in ENDED:
                return None
            files = [name for name in (found.output_file_id, found.error_file_id) if name]
            contents = [self._client.files.content(name).content for name in files]
        return (_answered(line) for content in contents for line in content.splitlines() if line.strip())


class _told:
    """What goes wrong on the way to the provider, in words."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        import openai

        if isinstance(fault, openai.OpenAIError | CallFailed):
            raise ModelError(
                f"the batches of {self._address} cannot be had: {fault}"[:300],
                remedy=REMEDY + " Not every endpoint takes batches.",
            ) from fault


def _answered(line: bytes) -> Answered:
    """One line of a file of answers. What was not run (the batch expired) cost nothing."""
    try:
        whole = json.loads(line)
        key, response = str(whole["custom_id"]), whole.get("response")
        if not response or response.get("status_code") != 200:
            return Answered(key, "expired" if not response else f"http_{response.get('status_code')}", True, None, 0, 0)
        body = response["body"]
        content = body["choices"][0]["message"]["content"]
        usage = body.get("usage") or {}
        took = [n if isinstance(n := usage.get(name), int) else 0 for name in ("prompt_tokens", "completion_tokens")]
        if not isinstance(content, str) or len(content) > 200_000:
            return Answered(key, "empty" if not content else "oversized", False, None, *took)
        return Answered(key, "answered", False, content, *took)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return Answered("", "not_json", False, None, 0, 0)


__all__ = ["MOST_BYTES", "MOST_LINES", "Answered", "Collector", "Provider", "read"]
