"""Silences are made and ended by people, with a reason and an end. They are notes to the outbox: no alert changes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from watchtower.errors import InputError, Missing
from watchtower.store import audit
from watchtower.store.database import Connection
from watchtower.store.silences import MATCHED, Silence, add_silence, end_silence

LONGEST = timedelta(days=366)


def silence(
    conn: Connection,
    matched: Mapping[str, str | None],
    *,
    until: datetime,
    because: str,
    by: str,
    now: datetime,
    begins: datetime | None = None,
) -> Silence:
    """Tell nobody of alerts that are all that `matched` names (rule, object, record, queue, owner, severity).

    InputError where it names nothing, has no reason, or ends too late.
    """
    given = {name: value for name, value in matched.items() if value}
    if unknown := sorted(set(given) - set(MATCHED)):
        raise InputError(f"a silence cannot name {unknown[0]!r:.40}; it names {', '.join(MATCHED)}")
    if not given:
        raise InputError(
            "a silence names what it is about: all alerts at once are not silenced",
            remedy=f"give one of {', '.join(MATCHED)}",
        )
    if ("record" in given) != ("object" in given) and "record" in given:
        raise InputError("record: is named as object/id, such as lead/L-17")
    begin = begins or now
    if not begin < until <= begin + LONGEST or until <= now:
        raise InputError("until: a silence ends in the future, within a year")
    if not because.strip():
        raise InputError("because: a silence says why")
    made = Silence(
        id=f"si_{secrets.token_hex(6)}", begins_at=begin, ends_at=until, because=because.strip(), made_by=by,
        **{name: given.get(name) for name in MATCHED},
    )  # fmt: skip
    add_silence(conn, made)
    audit.note(conn, actor=by, what="silence.add", about=made.id, now=now, data=given | {"note": made.because})
    return made


def lift(conn: Connection, id_: str, *, by: str, now: datetime) -> Silence:
    """Let it end now. Missing where there is none, or it is over."""
    ended = end_silence(conn, id_, now)
    if ended is None:
        raise Missing(f"silence {id_!r:.60} does not exist, or is over")
    audit.note(conn, actor=by, what="silence.end", about=id_, now=now)
    return ended
