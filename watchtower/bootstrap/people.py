"""What people do: verdicts on alerts and proposals, silences, handoffs; and what they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from watchtower.bootstrap.core import Core
from watchtower.contract import format_time
from watchtower.flow import silencing, subscribing
from watchtower.flow.acts import Verb, act
from watchtower.flow.explain_stored import explain_stored
from watchtower.flow.gates import check_fields
from watchtower.flow.handover import Crossing, cross
from watchtower.flow.outbox import tell, tell_ended
from watchtower.flow.told import Told, why_told
from watchtower.flow.verdicts import person_decides, person_withdraws
from watchtower.store import audit, journal
from watchtower.store.database import Connection
from watchtower.store.silences import Silence
from watchtower.store.subscriptions import Subscription


class Hearing(Core):
    """What people do: verdicts on alerts and proposals, silences, handoffs; and what they ask."""

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
        """A person acts on an alert. Missing, InputError; Stale where it is not at the revision `expected` any more."""
        with self._write() as conn:
            self._act(conn, alert_id, verb, actor=actor, note=note, until=until, assignee=assignee, verdict=verdict,
                      expected=expected)  # fmt: skip

    def _act(self, conn: Connection, alert_id: str, verb: Verb, *, actor: str, **more: Any) -> None:
        """What `act` does, within a transaction."""
        now, begun = self.clock(), journal.last_seq(conn)
        said = act(conn, alert_id, verb, actor=actor, now=now, **more)
        audit.note(conn, actor=actor, what=f"alert.{verb}", about=alert_id, now=now, data={"note": said})
        book = self._engine.program.book
        if verb == "resolve":
            tell_ended(conn, book, [alert_id], f"{alert_id}.{format_time(now)}", now)
        elif verb == "reopen":
            tell(conn, book, begun, now)

    def silence(self, matched: Mapping[str, str | None], *, until: datetime, because: str, actor: str) -> Silence:
        """Tell nobody of alerts that are all this, until a time. InputError."""
        with self._write() as conn:
            return silencing.silence(conn, matched, until=until, because=because, by=actor, now=self.clock())

    def end_silence(self, silence_id: str, *, actor: str) -> Silence:
        """Let a silence end now; what waited for it is told. Missing."""
        with self._write() as conn:
            now = self.clock()
            ended = silencing.lift(conn, silence_id, by=actor, now=now)
            tell(conn, self._engine.program.book, journal.last_seq(conn), now)
            return ended

    def subscribe(self, url: str, narrowed: Mapping[str, Sequence[str]], *, actor: str) -> Subscription:
        """Tell an address of alerts from now on: of those of these queues, severities and owners. InputError."""
        hosts = {host.strip().lower() for host in self.settings.subscriber_hosts.split(",") if host.strip()}
        with self._write() as conn:
            return subscribing.subscribe(conn, url, narrowed, hosts=hosts, by=actor, now=self.clock())

    def unsubscribe(self, subscription_id: str, *, actor: str) -> Subscription:
        """Tell it of nothing any more. Missing."""
        with self._write() as conn:
            return subscribing.unsubscribe(conn, subscription_id, by=actor, now=self.clock())

    def told(self, alert_id: str, *, person: str = "") -> list[Told]:
        """Which receivers know of an alert, and why, or why not. Missing."""
        with self.database.read() as conn:
            return why_told(conn, self.rulebook, alert_id, self.clock(), person=person)

    def decide(self, proposal_id: str, verdict: Literal["accept", "reject"], *, actor: str, note: str = "") -> None:
        """A person accepts or rejects a proposal. Missing, InputError."""
        with self._write() as conn:
            now = self.clock()
            person_decides(conn, self._engine, proposal_id, verdict, actor=actor, note=note, now=now)
            audit.note(conn, actor=actor, what=f"proposal.{verdict}", about=proposal_id, now=now, data={"note": note})

    def withdraw(self, proposal_id: str, *, actor: str, note: str = "") -> None:
        """A person takes back a person's verdict on a proposal. Missing, InputError."""
        with self._write() as conn:
            now = self.clock()
            person_withdraws(conn, self._engine, proposal_id, actor=actor, note=note, now=now)
            audit.note(conn, actor=actor, what="proposal.withdraw", about=proposal_id, now=now, data={"note": note})

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
        """Hand a record over, or move it, where no rule at the gate says no; `trial` only asks. InputError, Missing."""
        with self._write() as conn:
            check_fields(self._engine.program, subject, fields or {})
            now = self.clock()
            crossing = cross(
                conn, self._engine, subject, handoff=handoff, action=action, fields=fields or {}, actor=actor,
                note=note, now=now, trial=trial,
            )  # fmt: skip
            if crossing.outcome in ("offered", "accepted", "rejected", "moved"):
                said = {"handoff": handoff, "fields": sorted(fields or {}), "note": note}
                audit.note(conn, actor=actor, what=f"handoff.{crossing.outcome}", about=subject, now=now, data=said)
            return crossing

    def explain(self, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
        """Each condition of a rule on a record at an instant, the values read, and where they came from."""
        with self.database.read() as conn:
            return explain_stored(conn, self._engine, rule_id, subject, at)
