"""What HTTP and the pages need of the tower. `watchtower.bootstrap` builds an object of this shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from watchtower.flow.door import Door
from watchtower.flow.metrics import Measured
from watchtower.flow.told import Told
from watchtower.rulebook.model import Rulebook
from watchtower.store.silences import Silence
from watchtower.store.standing import Jobs

Verb = Literal["acknowledge", "snooze", "resolve", "reopen", "assign", "comment"]
VERBS: tuple[Verb, ...] = ("acknowledge", "snooze", "resolve", "reopen", "assign", "comment")


class Reader(Protocol):
    """A database that can be read: the connection goes to `watchtower.store.queries` and nowhere else."""

    def read(self) -> AbstractContextManager[Any]: ...

    def mark(self) -> str:
        """Two marks that are the same saw the same."""
        ...

    def check_ready(self) -> None:
        """StoreError where events cannot be taken now."""
        ...


class Verdict(Protocol):
    """What became of one event. `status` is accepted, duplicate, conflict, refused, ..."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Crossing(Protocol):
    """What came of a passage through a gate. `outcome` is offered, accepted, rejected, moved, standing, checked or
    refused."""

    @property
    def outcome(self) -> str: ...

    def to_json(self) -> dict[str, Any]:
        """{"outcome", "allowed", "record", "handoff", "at", "missing", "refusals", "version"}"""
        ...


class TowerPort(Protocol):
    """The tower, seen from outside."""

    @property
    def database(self) -> Reader: ...
    @property
    def rulebook(self) -> Rulebook: ...
    @property
    def door(self) -> Door: ...

    def clock(self) -> datetime:
        """Now, aware, in UTC."""
        ...

    def take(self, raw: Sequence[Mapping[str, Any]], *, source: str | None = None) -> Sequence[Verdict]:
        """The one door for events: decoded CloudEvents, one verdict for each, in order."""
        ...

    def act(
        self,
        alert_id: str,
        verb: Verb,
        *,
        actor: str,
        note: str = "",
        until: datetime | None = None,
        assignee: str | None = None,
        verdict: str = "",
        expected: str | None = None,
    ) -> None:
        """A person's action on an alert. Missing: no such alert; InputError: it cannot be; Stale: it is no longer at
        the revision `expected`."""
        ...

    def decide(self, proposal_id: str, verdict: Literal["accept", "reject"], *, actor: str, note: str = "") -> None:
        """A person's verdict on a proposal. Missing, InputError as in `act`."""
        ...

    def cross(
        self,
        subject: str,
        *,
        handoff: str | None = None,
        action: str = "offer",
        fields: Mapping[str, Any] | None = None,
        actor: str,
        note: str = "",
        trial: bool = False,
    ) -> Crossing:
        """Hand a record over, or move it, where no rule at the gate says no; `trial` only asks.

        InputError, Missing: it names what is not there.
        """
        ...

    def silence(self, matched: Mapping[str, str | None], *, until: datetime, because: str, actor: str) -> Silence:
        """Tell nobody of such alerts for a while. InputError."""
        ...

    def end_silence(self, silence_id: str, *, actor: str) -> Silence:
        """Let a silence end now. Missing."""
        ...

    def told(self, alert_id: str, *, person: str = "") -> Sequence[Told]:
        """Which receivers know of an alert, and why, or why not. Missing."""
        ...

    def measure(self, start: datetime, end: datetime) -> list[Measured]:
        """Every metric of the rulebook over [start, end). It reads the whole journal."""
        ...

    def jobs_now(self) -> Jobs | None:
        """What stands in the jobs database; None where there is none yet."""
        ...

    def explain(self, rule_id: str, subject: str, at: datetime) -> Mapping[str, Any]:
        """Why a rule holds or not: {"sentence", "state", "conditions": [{"text", "value", "reads"}]}.

        A read is {"field", "value", "source", "event", "at"}. Missing where there is no such rule or record.
        """
        ...
