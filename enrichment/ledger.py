"""The call ledger: a paid call is preceded by a committed intent, and is never repeated by itself.

The worker only speaks to this port; who runs the worker keeps the rows (in the jobs database). A call whose
process died between intent and answer stays `unknown` for good. A call that was answered is known by what was asked:
the same question about the same text costs nothing the second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Intent(Protocol):
    """What the ledger says to an intent."""

    @property
    def status(self) -> str:
        """go: make the call. known: it was answered, `said` is the answer. failed: it was made before and gave none,
        `said` is why. deferred: a provider has it in a batch. spent: it was intended, and nobody knows how it ended."""
        ...

    @property
    def said(self) -> str: ...


class CallLedger(Protocol):
    """Two committed writes around every call to a model."""

    def intend(self, key: str, model: str, most_in: int, most_out: int) -> Intent:
        """Commit the intent of a call that takes at most so many tokens."""
        ...

    def settle(self, key: str, outcome: str, *, free: bool, said: str | None, tokens_in: int, tokens_out: int) -> Any:
        """Commit how it ended: `answered`, or the reason of the failure. `free`: nothing was paid."""
        ...


def call_key(model: str, prompt: str, messages: Sequence[tuple[str, str]], schema: Mapping[str, Any]) -> str:
    """SHA-256 of all that makes an answer what it is: the model, the prompt's hash, the messages, the schema."""
    asked = json.dumps([model, prompt, list(messages), schema], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
