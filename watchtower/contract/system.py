"""What a connected system says, in its own words, and what it is told: the protocol of every connector.

A connector speaks the system's protocol and knows nothing of the rulebook: it yields changes under the system's own
ids and properties. What they mean here, under which ids of events, and where the cursor is kept, is the tower's.

    Seen      an object as it is (whole), or some of its properties
    Gone      an object was deleted or archived
    Merged    an object became part of another one
    Said      a note, a call, ... about objects

Pulling is at least once: a connector may say the same again, and in any order. A change whose `at` lies before what was
taken of that object already is passed over, so `at` is the system's own time of the last change, never our clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec

from watchtower.contract.event import Event


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An object of the system at `at`. `whole`: what was asked for and is not in `properties` has no value."""

    object: str
    id: str
    at: datetime
    properties: dict[str, Any]
    whole: bool = True
    current: bool = False
    """Read as it is now, from a system that does not say when it last changed: `at` is the newest time that it does
    say, and what changed without moving that changed since."""


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An object that is no more."""

    object: str
    id: str
    at: datetime


class Merged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An object that lives on in another one of its kind."""

    object: str
    id: str
    into: str
    at: datetime


class Said(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A note, a call, an e-mail about objects. `at`: when it was last changed; `happened`: what it tells of."""

    object: str
    id: str
    at: datetime
    happened: datetime
    activity: str
    about: tuple[tuple[str, str], ...]
    """(object, id) of the system."""
    text: str = ""
    """As plain text."""
    title: str = ""
    by: str = ""
    url: str = ""


Change = Seen | Gone | Merged | Said
Cursor = dict[str, Any]
"""How far a system was read: JSON that only its connector understands. Empty: from the beginning."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to read: the properties of each of the system's objects, in an order in which references point back."""

    objects: dict[str, tuple[str, ...]]
    activities: tuple[str, ...] = ()


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """Some changes, and the cursor to go on from once they are taken."""

    changes: tuple[Change, ...]
    cursor: Cursor
    events: tuple[Event, ...] = ()
    """What needs no mapping, ready, under the system's name as its source."""
    whole: tuple[str, ...] = ()
    """Objects of which this round has now said all there are: what it did not say is looked for, one by one."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Properties to set on one object. `key` is the same whenever the same write is tried again."""

    key: str
    object: str
    id: str
    properties: dict[str, Any]


@runtime_checkable
class Pulls(Protocol):
    """A system that can be read."""

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """All that changed since `cursor`, in pages; it ends when there is no more now. SystemFault.

        Each page is taken, with its cursor, before the next is asked for. A round that is broken off goes on from the
        last cursor that was taken.
        """
        ...

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """Which of these still exist. It is asked about those that a whole reading did not bring. SystemFault."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Pushes(Protocol):
    """A system that can be written to."""

    def push(self, write: Write) -> None:
        """Set properties; setting them twice is as setting them once. SystemFault."""
        ...


class Tokens(Protocol):
    """Access tokens of a system that end, and are renewed."""

    def token(self) -> str:
        """The one to use now. SystemFault where none can be had."""
        ...

    def after(self, refused: str) -> str:
        """Another one than this, which the system no longer takes. SystemFault where none can be had."""
        ...


class Connect(Protocol):
    """What opens a connector: a line of `watchtower.connectors.systems.SYSTEMS`."""

    def __call__(self, credentials: Mapping[str, str], tokens: Tokens | None = None) -> Pulls | Pushes:
        """`credentials`: by the ends of their variables' names (TOKEN, URL); `tokens`: instead of a TOKEN, where they
        are renewed. SystemFault where they are malformed."""
        ...
