"""What a webhook says, once it is known whose it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from watchtower.contract.system import Change


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What one webhook says: whole changes, and objects that it only names."""

    changes: tuple[Change, ...] = ()
    again: tuple[tuple[str, str], ...] = ()
    """(object, id) of the system: they changed, and what they are now is to be read there."""
    merged: tuple[tuple[str, str], ...] = ()
    """(id, the id of what it is part of now), where the webhook says neither when nor under which name its object is
    read. It counts once both have been read."""


Hears = Callable[[Any], Heard]
"""A webhook's JSON -> what it says. Nothing where it is about something else. ValueError, TypeError, LookupError or
AttributeError where it is not as the system's documentation has it: then it is kept among the dead letters."""
