"""What every connector gives: events in batches, and what it had to set aside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from watchtower.contract import Event


@dataclass(frozen=True)
class Refused:
    """One row or line that gave no event. The rest of the file goes in."""

    place: str
    """`events.jsonl:17` (a line) or `loan.parquet row 17`; both count from 1."""
    reason: str
    """Names the column or attribute, its value, and what is accepted."""
    raw: Any
    """The row as read (a dict, or a text where it could not be parsed); plain JSON values."""
    event: bool = False
    """Whether `raw` is an event, whole, as it was sent: what is wrong may be right by another rulebook."""


@dataclass(frozen=True)
class Batch:
    """Some events in the order of the file, which is their order of arrival."""

    events: list[Event]
    refused: list[Refused]
    done: float
    """The share of the file read so far; in [0, 1]; 1.0 with the last batch."""


class EventSource(Protocol):
    """A file that can be read, any number of times, from its start."""

    path: Path

    def batches(self, size: int = 5000) -> Iterator[Batch]:
        """Batches of about `size` rows, streaming: memory holds one of them. InputError where the file
        as a whole cannot be read on; what was given before stands, and importing it again changes nothing.
        """
        ...
