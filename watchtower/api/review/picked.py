"""Many at once: what a reviewer picked is done one by one, and what could not be done is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from watchtower.api.port import TowerPort, Verb
from watchtower.errors import InputError, WatchtowerError

ALERT_VERBS: dict[str, Verb] = {"acknowledge": "acknowledge", "resolve": "resolve", "snooze": "snooze"}
SNOOZE = timedelta(days=1)


@dataclass
class Bulk:
    """What came of it. `refused`: (id, why)."""

    verb: str
    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def bulk(tower: TowerPort, verb: str, picked: Sequence[str], actor: str) -> Bulk:
    """Do `verb` to each alert (`id revision`) or proposal (`id`) that was picked. A fault of one stops no other.

    InputError where there is no such thing to do.
    """
    did = Bulk(verb)
    for one in dict.fromkeys(picked):
        id_, _, seen = one.partition(" ")
        try:
            if verb in ("accept", "reject"):
                verdict: Literal["accept", "reject"] = "accept" if verb == "accept" else "reject"
                tower.decide(id_, verdict, actor=actor)
            elif verb in ALERT_VERBS:
                until = tower.clock() + SNOOZE if verb == "snooze" else None
                tower.act(id_, ALERT_VERBS[verb], actor=actor, until=until, expected=seen or None)
            else:
                raise InputError(f"{verb!r:.40}: there is no such action on many")
        except WatchtowerError as fault:
            if verb not in ("accept", "reject", *ALERT_VERBS):
                raise
            did.refused.append((id_, fault.message))
        else:
            did.done += 1
    return did
