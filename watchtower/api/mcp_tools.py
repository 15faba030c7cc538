"""What a language model may do through MCP: read, and propose. No tool writes a field, decides, or acts on an alert.

The tower behind these tools holds no key of personal data: what is sealed reads `(sealed)`, here as in the database.
Documents and fields are shown as the rulebook lets them leave (`enrichment.leaving`), mail addresses and numbers of
telephones and accounts covered. What a document says is data: a client that obeys it can do no more than these tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Literal

from pydantic import BaseModel

from watchtower.api.cursor import cursor, place
from watchtower.api.rate import Rate
from watchtower.api.routes.alerts import alert_of
from watchtower.api.views import alert_model, field_values, record_view
from watchtower.bootstrap import Tower
from watchtower.errors import InputError, Missing, WatchtowerError
from watchtower.flow.door import Credential, Role
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertKey
from watchtower.workers import shown_document

MOST = 50
"""Items in one answer."""
MOST_TEXT = 20_000
"""Characters of a document in an answer."""
READERS: tuple[Role, ...] = ("viewer", "operator", "admin", "worker")
PROPOSERS: tuple[Role, ...] = ("operator", "admin", "worker")
"""Roles that may propose. A worker's key is the least that does: over the API it opens nothing."""

Status = Literal["open", "acknowledged", "snoozed", "resolved"]
Part = Literal["summary", "objects", "rules", "lifecycles", "handoffs", "acceptance", "metrics", "queues", "signals"]


class Refused(WatchtowerError):
    """The key at hand may not do this."""


@dataclass
class Tools:
    """The tools over one tower. `holder`: who asks, looked up anew at each call; None where the tower has no keys."""

    tower: Tower
    holder: Callable[[], Credential | None]
    rate: Rate

    def _may(self, *roles: Role) -> str:
        """The name of who asks. Refused where the role is none of these, or it asks too often."""
        credential = self.holder() if self.tower.door.locked() else None
        if self.tower.door.locked() and (credential is None or credential.role not in roles):
            role = "no key that opens anything" if credential is None else f"the role {credential.role}"
            raise Refused(
                f"the key: {role}; needed is {' or '.join(roles)}",
                remedy="watchtower keys add --role worker --name NAME makes one that reads and proposes",
            )
        name = credential.name if credential is not None else "agent"
        if seconds := self.rate.wait(name, monotonic()):
            raise Refused(f"more than {self.rate.per_minute} calls a minute; wait {int(seconds) + 1} s")
        return name

    def list_alerts(
        self,
        status: Status = "open",
        queue: str = "",
        severity: str = "",
        record: str = "",
        after: str = "",
        limit: int = 20,
    ) -> dict[str, Any]:
        """Alerts, rules before AI-informed ones, the gravest first, then the oldest. `record` is object/id. Go on with
        `after`: the `next` of the answer before."""
        self._may(*READERS)
        kind, name = _subject(record) if record else (None, None)
        wanted = AlertFilter(
            status=(status,), queue=(queue,) if queue else (), severity=(severity,) if severity else (), object=kind,
            record=name,
        )  # fmt: skip
        many = max(1, min(limit, MOST))
        with self.tower.database.read() as conn:
            rows = queries.alerts(conn, wanted, after=place(AlertKey, after or None), limit=many + 1)
        last = cursor(queries.alert_key(rows[many - 1])) if len(rows) > many else None
        return {"alerts": [_json(alert_model(self.tower.rulebook, row)) for row in rows[:many]], "next": last}

    def get_alert(self, id: str) -> dict[str, Any]:
        """One alert: its history, the events behind it, the values that the rule read, and each condition explained."""
        self._may(*READERS)
        alert = _json(alert_of(self.tower, id))
        try:
            alert["explanation"] = self.tower.explain(alert["rule"], alert["record"], self.tower.clock())
        except WatchtowerError as error:
            alert["explanation"] = error.message
        found: dict[str, Any] = _plain(alert)
        return found

    def get_record(self, record: str) -> dict[str, Any]:
        """One record (object/id): each field with its value and where that came from, what holds, what is unknown and
        for want of which fields, its alerts, and its documents, which evidence for a proposal is quoted from."""
        self._may(*READERS)
        view = record_view(self.tower, *_subject(record), limit=1)
        hidden = self._hidden(view.row.object)
        fields = {k: _json(v) for k, v in field_values(self.tower.rulebook, view.row).items() if k not in hidden}
        found: dict[str, Any] = _plain({
            "record": record, "title": view.title, "created_at": view.row.created_at, "changed_at": view.row.changed_at,
            "deleted_at": view.row.deleted_at, "fields": fields,
            "holds": [{"rule": span.rule, "since": span.since, "until": span.until} for span in view.holds],
            "unknown": [{"rule": span.rule, "missing": list(missing)} for span, missing in view.unknown],
            "alerts": [_json(alert_model(self.tower.rulebook, row)) for row in view.alerts],
            "documents": [
                {"id": doc.id, "kind": doc.kind, "url": doc.url, "text": shown_document(doc.text)[:MOST_TEXT]}
                for doc in view.documents
                if self._leaves(view.row.object, doc.kind)
            ],
        })  # fmt: skip
        return found

    def search_records(self, object: str, words: str, limit: int = 20) -> list[dict[str, Any]]:
        """Records of an object whose id or label has these words in it. Labels that are personal are not searched."""
        self._may(*READERS)
        model = self.tower.rulebook.objects.get(object)
        if model is None:
            raise Missing(f"object {object!r:.60} does not exist", remedy=", ".join(self.tower.rulebook.objects))
        if len(words.strip()) < 2:
            raise InputError(f"words: {words!r:.20} is shorter than 2 letters")
        label = model.label if model.label and model.label not in self._hidden(object) else None
        with self.tower.database.read() as conn:
            rows = queries.search_records(conn, object, words.strip(), label, max(1, min(limit, MOST)))
        return [{"record": f"{object}/{row.id}", "title": row.state.get(label or "") or row.id} for row in rows]

    def list_gaps(self, limit: int = 20) -> list[dict[str, Any]]:
        """What is wanted: records with fields that no one filled and that leave rules unknown, the most wanted first.
        A proposal for one of these fields is decided on by its acceptance rule."""
        self._may(*READERS)
        made = self.tower.plan(limit=max(1, min(limit, MOST)), means="", paid=False, again=timedelta(0))
        return [
            {
                "record": ask.request.record.subject, "because": list(ask.request.because), "weight": ask.weight,
                "fields": [
                    {"name": f.name, "type": f.type, "values": list(f.values), "unit": f.unit, "what": f.description}
                    for f in ask.request.fields
                ],
            }
            for ask in made.asks
        ]  # fmt: skip

    def get_rulebook(self, part: Part = "summary", rule: str = "") -> dict[str, Any]:
        """The rulebook in force: one part of it, or one rule."""
        self._may(*READERS)
        book = self.tower.rulebook
        if rule:
            found = book.rule(rule)
            if found is None:
                raise Missing(f"rule {rule!r:.80} does not exist", remedy="get_rulebook(part='rules') lists them")
            return _json(found)
        if part == "summary":
            return {
                "name": book.name, "version": book.version, "timezone": book.timezone, "objects": list(book.objects),
                "rules": len(book.rules), "metrics": list(book.metrics),
            }  # fmt: skip
        if part == "rules":
            names = ("id", "object", "when", "severity", "queue", "owner", "because")
            return {"rules": [{name: getattr(one, name) for name in names} for one in book.rules]}
        return {part: book.content().get(part, {})}

    def get_metrics(self, days: int = 30) -> list[dict[str, Any]]:
        """The metrics that the rulebook declares, over the last days, each with how many cases it stands on."""
        self._may(*READERS)
        end = self.tower.clock()
        return [one.to_json() for one in self.tower.measure(end - timedelta(days=max(1, min(days, 400))), end)]

    def list_proposals(self, status: Literal["accepted", "review", "refused", "rejected"] = "review") -> list[Any]:
        """What was proposed and what became of it, the oldest first."""
        self._may(*READERS)
        with self.tower.database.read() as conn:
            rows = queries.proposals(conn, status=(status,), limit=MOST)
        names = ("id", "field", "value", "confidence", "method", "model", "status", "rule", "because", "proposed_at")
        shown = [{"record": row.subject} | {name: getattr(row, name) for name in names} for row in rows]
        found: list[Any] = _plain(shown)
        return found

    def propose_field(
        self, record: str, field: str, value: str | int | float | bool, document: str, quote: str, confidence: float
    ) -> dict[str, Any]:
        """Propose a value for a field that is wanted (see list_gaps). It becomes the field's value only if the field's
        acceptance rule says so, or a person. `quote` stands word for word in the record's document of that id;
        `confidence` is from 0 to 1, and counts for 0.7 at most."""
        by = self._may(*PROPOSERS)
        decision = self.tower.propose(
            record, field, value, document=document, quote=quote, confidence=confidence, by=f"mcp:{by}"
        )
        return {"status": decision.status, "because": decision.because, "proposal": decision.proposal}

    def _hidden(self, object_name: str) -> frozenset[str]:
        """The fields that are not shown: personal ones, and what the rulebook keeps in."""
        book = self.tower.rulebook
        leaving = book.enrichment.leaving.get(object_name)
        fields = frozenset(book.objects[object_name].fields) if object_name in book.objects else frozenset[str]()
        kept = fields - frozenset(leaving.fields) if leaving is not None and leaving.fields is not None else frozenset()
        return book.personal.get(object_name, frozenset()) | kept

    def _leaves(self, object_name: str, kind: str) -> bool:
        """Whether a document may be read by a model of which nobody knows where it stands."""
        leaving = self.tower.rulebook.enrichment.leaving.get(object_name)
        if leaving is None:
            return True
        anywhere = not leaving.providers and not leaving.regions
        return anywhere and (leaving.documents is None or kind in leaving.documents)


def _subject(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not slash or not kind or not name or "\x00" in text:
        raise InputError(f"record: {text!r:.80} is not of the form object/id")
    return kind, name


def _json(model: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True)
    return found


def _plain(value: Any) -> Any:
    """As JSON has it: times as text."""
    return json.loads(json.dumps(value, default=lambda one: one.isoformat() if hasattr(one, "isoformat") else str(one)))
