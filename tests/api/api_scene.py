"""A small scene in a real database: what the tower would have written, and its port on top.

The port's writing half (take, act, decide) is the least that lets HTTP be tested by itself: it writes the
same tables. The tests in test_tower_over_http.py run the same interface on the real tower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update

from watchtower.contract import parse_event
from watchtower.errors import InputError, Missing, Stale
from watchtower.flow import silencing
from watchtower.flow.door import Door
from watchtower.flow.metrics import Measured
from watchtower.flow.told import Told, why_told
from watchtower.rulebook.model import Rulebook
from watchtower.store import schema
from watchtower.store.alerts import lock_alert
from watchtower.store.database import Database
from watchtower.store.silences import Silence

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TEXT = "Rossi Arredi S.r.l. builds office furniture in Brescia, Italy. About 240 people work there."

RULEBOOK = Rulebook.model_validate(
    {
        "name": "scene",
        "timezone": "Europe/Rome",
        "objects": {
            "account": {
                "label": "name",
                "fields": {
                    "name": {"type": "text"},
                    "employees": {"type": "integer", "min": 1, "fill": "enrichment", "unit": "people"},
                    "city": {"type": "text", "fill": "enrichment"},
                    "website": {"type": "url"},
                    "segment": {"type": "enum", "values": ["smb", "enterprise"]},
                },
            },
            "lead": {
                "label": "company",
                "fields": {
                    "company": {"type": "text"},
                    "account": {"type": "ref", "to": "account"},
                    "stage": {"type": "enum", "values": ["raw", "mql", "sal", "sql"]},
                    "mql_at": {"type": "timestamp"},
                    "contacted_at": {"type": "timestamp"},
                },
            },
        },
        "rules": [
            {
                "id": "mql_uncontacted",
                "object": "lead",
                "when": "stage = 'mql' and contacted_at is null and mql_at <= now() - interval '48 hours'",
                "severity": "high",
                "queue": "attention-needed",
                "owner": "sales_manager",
                "because": "An MQL has waited 48 hours for a first contact.",
                "then": "Call today, or hand the lead back to marketing.",
            },
            {
                "id": "big_account_quiet",
                "object": "account",
                "when": "employees >= 200 and segment is null",
                "severity": "critical",
                "queue": "customer-success",
                "owner": "csm",
                "because": "A large account has no segment.",
            },
        ],
        "signals": {"stuck": {"object": "lead", "detector": "stage_dwell", "field": "stage"}},
    }
)


@dataclass(frozen=True)
class Verdict:
    id: str
    status: str
    reason: str = ""


@dataclass
class Scene:
    """The tower's port over a real database, with a clock that stands still."""

    database: Database
    rulebook: Rulebook = RULEBOOK
    now: datetime = NOW
    taken: list[Mapping[str, Any]] = field(default_factory=list)
    fault: Exception | None = None
    """What `take` is to raise, if anything."""

    def __post_init__(self) -> None:
        self.door = Door(self.database, self.clock)

    def clock(self) -> datetime:
        return self.now

    def jobs_now(self) -> None:
        return None

    def take(self, raw: Sequence[Mapping[str, Any]], *, source: str | None = None) -> list[Verdict]:
        if self.fault is not None:
            raise self.fault
        verdicts = []
        for item in raw:
            earlier = [
                one for one in self.taken if (one.get("source"), one.get("id")) == (item.get("source"), item.get("id"))
            ]
            try:
                parse_event(item)
            except ValueError as fault:
                verdicts.append(Verdict(str(item.get("id", "")), "refused", str(fault)))
                continue
            if not earlier:
                self.taken.append(item)
                verdicts.append(Verdict(str(item["id"]), "accepted"))
            elif earlier[0] == item:
                verdicts.append(Verdict(str(item["id"]), "duplicate"))
            else:
                verdicts.append(Verdict(str(item["id"]), "conflict", f"event {item['id']} has another body"))
        return verdicts

    def act(
        self,
        alert_id: str,
        verb: str,
        *,
        actor: str,
        note: str = "",
        until: datetime | None = None,
        assignee: str | None = None,
        verdict: str = "",
        expected: str | None = None,
    ) -> None:
        alert = schema.alert
        with self.database.begin() as conn:
            held = lock_alert(conn, alert_id)
            if held is not None and expected not in (None, held.revision):
                raise Stale(f"alert {alert_id}: is {held.status} now; nothing of yours was written")
            status = conn.execute(select(alert.c.status).where(alert.c.id == alert_id)).scalar()
            if status is None:
                raise Missing(f"alert {alert_id!r} does not exist")
            if status == "resolved" and verb not in ("comment", "reopen"):
                raise InputError(f"alert {alert_id} is resolved already", remedy="comment on it instead")
            changes: dict[str, Any] = {
                "acknowledge": {"status": "acknowledged"},
                "snooze": {"status": "snoozed", "snoozed_until": until},
                "resolve": {"status": "resolved", "resolved_at": self.now, "resolution": note or "by hand"},
                "reopen": {"status": "open", "resolved_at": None, "resolution": None, "snoozed_until": None},
                "assign": {"assignee": assignee},
                "comment": {},
            }[verb]
            if changes:
                conn.execute(update(alert).where(alert.c.id == alert_id).values(**changes))
            conn.execute(insert(schema.action).values(alert=alert_id, at=self.now, actor=actor, verb=verb, note=note))

    def decide(self, proposal_id: str, verdict: str, *, actor: str, note: str = "") -> None:
        proposal = schema.proposal
        with self.database.begin() as conn:
            done = conn.execute(
                update(proposal)
                .where(proposal.c.id == proposal_id, proposal.c.status == "review")
                .values(status=f"{verdict}ed", decided_by=actor, decided_at=self.now)
            )
            if done.rowcount == 0:
                raise Missing(f"proposal {proposal_id!r} does not wait for review")

    def silence(self, matched: Mapping[str, str | None], *, until: datetime, because: str, actor: str) -> Silence:
        with self.database.begin() as conn:
            return silencing.silence(conn, matched, until=until, because=because, by=actor, now=self.now)

    def end_silence(self, silence_id: str, *, actor: str) -> Silence:
        with self.database.begin() as conn:
            return silencing.lift(conn, silence_id, by=actor, now=self.now)

    def told(self, alert_id: str, *, person: str = "") -> list[Told]:
        with self.database.read() as conn:
            return why_told(conn, self.rulebook, alert_id, self.now, person=person)

    def measure(self, start: datetime, end: datetime) -> list[Measured]:
        return []

    def explain(self, rule_id: str, subject: str, at: datetime) -> dict[str, Any]:
        if self.rulebook.rule(rule_id) is None:
            raise Missing(f"rule {rule_id!r} is not in the rulebook")
        read = {
            "field": "stage",
            "value": "mql",
            "source": "crm",
            "event": "e1",
            "at": "2026-03-02T09:00:00.000000Z",
        }
        empty = {"field": "employees", "value": None, "source": None, "event": None, "at": None}
        return {
            "sentence": "stage is mql and nobody has made contact for 48 hours",
            "state": "holds",
            "conditions": [
                {"text": "stage = 'mql'", "value": True, "reads": [read]},
                {"text": "employees >= 200", "value": None, "reads": [empty]},
            ],
        }


def add_alert(conn: Any, number: int, **changes: Any) -> str:
    """One alert on a lead; later numbers are older."""
    values = {
        "id": f"a{number:04}",
        "rule": "mql_uncontacted",
        "rulebook": RULEBOOK.version,
        "object": "lead",
        "record": "L-1",
        "since": NOW - timedelta(days=3, hours=number),
        "opened_at": NOW - timedelta(days=3, hours=number),
        "status": "open",
        "severity": "high",
        "queue": "attention-needed",
        "owner": "sales_manager",
        "because": "An MQL has waited 48 hours for a first contact.",
        "ai_informed": False,
        "causes": [{"source": "crm", "id": "e1", "at": "2026-03-02T09:00:00.000000Z"}],
        "reads": {"stage": "mql"},
    } | changes
    conn.execute(insert(schema.alert).values(**values))
    conn.execute(
        insert(schema.action).values(alert=values["id"], at=values["opened_at"], actor="watchtower", verb="opened")
    )
    return str(values["id"])


def add_record(conn: Any, object_name: str, record_id: str, state: dict[str, Any], provenance: dict[str, Any]) -> None:
    conn.execute(
        insert(schema.record).values(
            object=object_name, id=record_id, state=state, provenance=provenance,
            created_at=NOW - timedelta(days=30), changed_at=NOW - timedelta(days=8),
        )
    )  # fmt: skip


def add_event(conn: Any, number: int, object_name: str, record_id: str, **changes: Any) -> None:
    values = {
        "source": "crm",
        "id": f"e{number}",
        "type": "record.updated",
        "object": object_name,
        "record": record_id,
        "time": NOW - timedelta(days=8) + timedelta(minutes=number),
        "received_at": NOW - timedelta(days=8) + timedelta(minutes=number),
        "data": {"fields": {"stage": "mql"}},
        "body_hash": bytes([number % 256]) * 32,
        "layer": "core",
    } | changes
    conn.execute(insert(schema.journal).values(**values))


def add_proposal(conn: Any, number: int, **changes: Any) -> str:
    values = {
        "id": f"p{number}",
        "request": "r1",
        "object": "account",
        "record": "A-1",
        "field": "city",
        "value": "Brescia",
        "confidence": 0.72,
        "evidence": [
            {
                "document": "d1",
                "quote": "Brescia",
                "start": TEXT.index("Brescia"),
                "end": TEXT.index("Brescia") + 7,
            }
        ],
        "method": "model",
        "model": "small",
        "prompt": "extract.v1@3fa2",
        "status": "review",
        "rule": "account.city",
        "because": "One source; the rule wants more.",
        "decided_by": "account.city",
        "decided_at": NOW - timedelta(days=1),
        "proposed_at": NOW - timedelta(days=1) + timedelta(minutes=number),
    } | changes
    conn.execute(insert(schema.proposal).values(**values))
    return str(values["id"])


def furnish(database: Database, *, name: str = "Rossi Arredi", text: str = TEXT) -> None:
    """An account with a document, a signal and proposals; a lead that waits; alerts of both kinds."""
    by_crm = {"source": "crm", "id": "e1", "at": "2026-03-02T09:00:00.000000Z", "by": "crm"}
    by_ai = {"source": "enrichment", "id": "w1", "at": "2026-03-03T09:00:00.000000Z", "by": "ai"}
    by_hand = {"source": "anna", "id": "v1", "at": "2026-03-04T09:00:00.000000Z", "by": "person"}
    with database.begin() as conn:
        add_record(
            conn,
            "account",
            "A-1",
            {"name": name, "employees": 240, "website": "https://rossi.example", "note": text},
            {"name": by_crm, "employees": by_ai, "website": by_hand},
        )
        add_record(
            conn,
            "lead",
            "L-1",
            {"company": name, "account": "A-1", "stage": "mql", "mql_at": "2026-03-02T09:00:00Z"},
            {"company": by_crm, "stage": by_crm, "mql_at": by_crm},
        )
        for state, since, until in (("raw", 30, 20), ("mql", 20, 12), ("sal", 12, 8), ("mql", 8, None)):
            conn.execute(
                insert(schema.version).values(
                    object="lead", id="L-1", state={"stage": state, "company": name},
                    valid_from=NOW - timedelta(days=since),
                    valid_to=None if until is None else NOW - timedelta(days=until),
                )
            )  # fmt: skip
        add_event(conn, 1, "lead", "L-1", data={"fields": {"stage": "mql", "company": name}})
        add_event(conn, 2, "account", "A-1", data={"fields": {"name": name}})
        add_event(conn, 3, "account", "A-1", type="document.added", data={"document": "d1", "text": text})
        add_event(conn, 4, "account", "A-1", type="field.proposed", layer="worker", source="enrichment")
        conn.execute(
            insert(schema.document).values(
                object="account", record="A-1", id="d1", kind="description", text=text,
                url="https://rossi.example/about", added_at=NOW - timedelta(days=8),
            )
        )  # fmt: skip
        start = text.find("240 people")
        quote = [] if start < 0 else [{"document": "d1", "quote": "240 people", "start": start, "end": start + 10}]
        add_proposal(conn, 1, field="employees", value=240, status="accepted", confidence=0.97, evidence=quote)
        add_proposal(conn, 2)
        conn.execute(
            insert(schema.signal).values(
                id="s1", name="stuck", object="lead", record="L-1", raised_at=NOW - timedelta(days=1),
                data={
                    "detector": "stage_dwell", "version": "1", "p_value": 0.004, "strength": 3.2,
                    "unit": "times the median", "direction": "up",
                    "explanation": f"{name} stays in mql for longer than 99% of its peers.",
                    "contributors": [
                        {"name": "this lead", "value": 8.0},
                        {"name": "its peers", "value": 2.5},
                    ],
                },
            )
        )  # fmt: skip
        for rule, state, since, until in (
            ("mql_uncontacted", "holds", -6, None),
            ("big_account_quiet", "unknown", -5, None),
            ("mql_uncontacted", "holds", 3, 9),
        ):
            start_at = NOW + timedelta(days=since)
            conn.execute(
                insert(schema.span).values(
                    rule=rule, object="lead", record="L-1", state=state, since=start_at, opens_at=start_at,
                    opened=since < 0,
                    until=None if until is None else NOW + timedelta(days=until),
                )
            )  # fmt: skip
        add_alert(conn, 1)
        add_alert(conn, 2, severity="low", because=f"{name} has no next step.")
        add_alert(
            conn, 3, object="account", record="A-1", rule="big_account_quiet", severity="critical",
            queue="customer-success", owner="csm", ai_informed=True,
            because="A large account has no segment.",
        )  # fmt: skip
        add_alert(
            conn,
            4,
            severity="critical",
            status="resolved",
            resolved_at=NOW,
            resolution="the rule no longer holds",
        )
