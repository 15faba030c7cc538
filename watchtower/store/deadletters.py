"""What could not be read, kept with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is the event as it came, as far as the database can keep it."""

    origin: str
    reason: str
    body: dict[str, Any]


_ADD = text(
    """
    insert into deadletter (received_at, origin, reason, body)
    select :now, origin, reason, body
    from json_to_recordset(cast(:rows as json)) as given(origin text, reason text, body jsonb)
    """
)


def add_deadletters(conn: Connection, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Keep a batch of refused events."""
    if not letters:
        return
    rows = []
    for letter in letters:
        try:
            body = msgspec.json.encode(letter.body).decode()
        except (UnicodeEncodeError, ValueError, TypeError):
            body = ascii(letter.body)
        if "\\u0000" in body or "\\ud" in body.lower():
            body = msgspec.json.encode({"text": ascii(letter.body)[:10_000]}).decode()
        reason = letter.reason.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
        rows.append({"origin": letter.origin, "reason": reason[:4000], "body": msgspec.Raw(body.encode())})
    conn.execute(_ADD, {"now": now, "rows": msgspec.json.encode(rows).decode()})
