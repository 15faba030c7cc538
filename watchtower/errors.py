"""The errors people see, as one tree.

    WatchtowerError            what, where, remedy; exit code 1 unless it says otherwise
      RulebookError            a rulebook does not load: one Fault per place
      InputError               a file, an event or an option is not what it must be
        EventError             one event is refused: the rest goes on
        EventConflict          the same (source, id) with another body
      StoreError               the database cannot be reached, started or written
        Busy                   another process holds what we need
      ModelError               the language model cannot be had, or does not answer
      SystemFault              a connected system did not answer as it must
      Missing                  what was asked for does not exist
      Stale                    it has changed since it was read: nothing was written

Every message names the thing, the value, the place and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass


class WatchtowerError(Exception):
    """The root. `remedy` says what to do next; `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, order=True)
class Fault:
    """One place in a rulebook that is wrong. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        tail = f" ({self.remedy})" if self.remedy else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{tail}"


class RulebookError(WatchtowerError):
    """A rulebook does not load. `faults` is never empty."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class InputError(WatchtowerError):
    """A file, an event or an option is not what it must be."""


class MediaError(InputError):
    """A body over HTTP comes in a form that is not read: its media type, its charset, its coding."""


class EventError(InputError):
    """One event is refused; the others go on."""


class EventConflict(EventError):
    """The same (source, id) arrived before with another body."""


class StoreError(WatchtowerError):
    """The database cannot be reached, started or written."""


class Busy(StoreError):
    """Another process holds what this one needs."""

    exit_code = 3


class ModelError(WatchtowerError):
    """The language model cannot be had, or does not answer as it must."""


class SystemFault(WatchtowerError):
    """A connected system did not answer as it must. `refused`: it will not until somebody puts something right;
    `status`: what it answered, of HTTP."""

    def __init__(self, message: str, *, remedy: str = "", refused: bool = False, status: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.refused, self.status = refused, status


class Missing(WatchtowerError):
    """What was asked for does not exist."""


class Stale(WatchtowerError):
    """It has changed since the caller read it; nothing was written."""
