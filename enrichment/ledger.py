"""The call ledger: a paid call is preceded by a committed intent, and is never repeated by itself.

The worker only speaks to this port; who runs the worker keeps the rows (in the jobs database). A call whose
process died between intent and answer stays `unknown` for good.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from watchtower.contract import Document


class CallLedger(Protocol):
    """Two committed writes around every call to a model."""

    def intend(self, key: str) -> bool:
        """Commit the intent. False where the key was intended before: then the call must not be made."""
        ...

    def settle(self, key: str, outcome: str) -> None:
        """Commit how it ended: `answered`, or the reason of the failure."""
        ...


def call_key(request: str, model: str, prompt: str, question: str, document: Document) -> str:
    """SHA-256 of what makes a call the same call."""
    parts = (request, model, prompt, question, document.id, document.text)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
