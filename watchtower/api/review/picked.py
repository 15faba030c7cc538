"""Many at once: what a reviewer picked is done one by one, what could not be done is said, and what was done can be
taken back in one go.

What was done is named by the numbers of its lines in the alerts' histories (`acknowledge.1001-1040.1043`). That stands
in the address of the page one comes back to, so that any process can undo it, and nobody's acts are mistaken for
another's: an alert on which something has happened since is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from watchtower.api.port import TowerPort, Verb
from watchtower.api.review.forms import MOST_PICKED
from watchtower.errors import InputError, WatchtowerError
from watchtower.flow.acts import FALSE_ALARM
from watchtower.store import boards, queries

ALERT_VERBS: dict[str, Verb] = {
    "acknowledge": "acknowledge", "resolve": "resolve", FALSE_ALARM: "resolve", "snooze": "snooze", "assign": "assign",
    "undo": "reopen",
}  # fmt: skip
SNOOZE = timedelta(days=1)
DONE = {
    "acknowledge": "acknowledged", "resolve": "resolved", "snooze": "snoozed", "assign": "assigned",
    "reopen": "open again",
}  # fmt: skip
UNDOABLE = ("acknowledge", "resolve", "snooze")
_DID = re.compile(r"[a-z]{1,20}(\.\d{1,18}(-\d{1,18})?){1,200}")


@dataclass
class Bulk:
    """What came of it. `refused`: (id, why). `did`: what was done to alerts, for an address; empty for nothing."""

    verb: str
    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    did: str = ""


class Did(NamedTuple):
    """What was just done, in words; `value` is its name in the address; `undo`: whether it can be taken back."""

    value: str
    words: str
    undo: bool


def bulk(tower: TowerPort, verb: str, picked: Sequence[str], actor: str, *, note: str = "", assignee: str = "") -> Bulk:
    """Do `verb` to each alert (`id revision`) or proposal (`id`) that was picked. A fault of one stops no other.

    InputError where there is no such thing to do.
    """
    did, acted = Bulk(verb), []
    if verb not in ("accept", "reject", *ALERT_VERBS):
        raise InputError(f"{verb!r:.40}: there is no such action on many")
    if verb == "assign" and not assignee:
        raise InputError("nobody is named to assign them to", remedy="write the name beside the button")
    for one in dict.fromkeys(picked):
        id_, _, seen = one.partition(" ")
        try:
            if verb in ("accept", "reject"):
                verdict: Literal["accept", "reject"] = "accept" if verb == "accept" else "reject"
                tower.decide(id_, verdict, actor=actor, note=note[:4000])
            else:
                tower.act(
                    id_,
                    ALERT_VERBS[verb],
                    actor=actor,
                    note=note[:4000],
                    until=tower.clock() + SNOOZE if verb == "snooze" else None,
                    assignee=assignee or None,
                    verdict=FALSE_ALARM if verb == FALSE_ALARM else "",
                    expected=seen or None,
                )
                acted.append(id_)
        except WatchtowerError as fault:
            did.refused.append((id_, fault.message))
        else:
            did.done += 1
    if acted:
        with tower.database.read() as conn:
            did.did = ".".join([ALERT_VERBS[verb], *_ranges(boards.last_acts(conn, acted))])
    return did


def told_of(tower: TowerPort, did: str, actor: str) -> Did | None:
    """What `did` names, as far as it is `actor`'s and still so; None where nothing of it is."""
    verb, found = _still(tower, did, actor)
    if not found:
        return None
    alerts = "1 alert" if len(found) == 1 else f"{len(found)} alerts"
    return Did(did, f"{alerts} {DONE[verb]}.", verb in UNDOABLE)


def to_undo(tower: TowerPort, did: str, actor: str) -> list[str]:
    """`id revision` of the alerts on which what `did` names is `actor`'s last word. InputError where there are none."""
    verb, found = _still(tower, did, actor)
    if verb not in UNDOABLE or not found:
        raise InputError("there is nothing left to undo", remedy="it was undone already, or others have acted since")
    with tower.database.read() as conn:
        rows = [queries.alert_by_id(conn, one) for one in found]
    return [f"{row.id} {row.revision}" for row in rows if row is not None]


def with_did(address: str, did: str) -> str:
    """The address of a queue, saying there what was done; any other address as it is."""
    path, _, query = address.partition("?")
    return f"/?{query}{'&' if query else ''}did={did}" if did and path == "/" else address


def _ranges(numbers: Sequence[int]) -> list[str]:
    """`1001-1040` for numbers that follow each other; the numbers are in order."""
    runs = [[one for _, one in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


def _still(tower: TowerPort, did: str, actor: str) -> tuple[str, list[str]]:
    """The verb that `did` names, and the alerts on which it is `actor`'s last word."""
    verb, *parts = did.split(".")
    if verb not in DONE or not _DID.fullmatch(did):
        return "", []
    seqs: list[int] = []
    for first, _, last in (part.partition("-") for part in parts):
        if int(last or first) - int(first) >= MOST_PICKED - len(seqs):
            return "", []
        seqs += range(int(first), int(last or first) + 1)
    with tower.database.read() as conn:
        return verb, boards.still_so(conn, seqs, actor, verb)
