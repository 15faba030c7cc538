"""Opaque cursors: the place after which the next page begins, as text for a URL."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from watchtower.errors import InputError
from watchtower.store.rows import AlertKey, SeqKey, TimeKey

Key = TypeVar("Key", AlertKey, SeqKey, TimeKey)


def cursor(key: AlertKey | SeqKey | TimeKey) -> str:
    """The cursor of a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def place(kind: type[Key], text: str | None) -> Key | None:
    """The place of a cursor; None for none. InputError where it is not one that we gave."""
    if not text:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError):
        key = None
    if key is None or not _possible(key):
        raise InputError(
            f"cursor: {text!r:.80} is not one that this service gave",
            remedy="leave it out to start at the first page",
        )
    return key


def _possible(key: AlertKey | SeqKey | TimeKey) -> bool:
    when = key.opened_at if isinstance(key, AlertKey) else key.time
    ranked = not isinstance(key, AlertKey) or 0 <= key.rank <= 9
    stored = 0 <= key.seq < 2**63 if isinstance(key, SeqKey) else "\x00" not in key.id
    return ranked and stored and when.tzinfo is not None
