"""The pages of records, proposals, rules and health."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page
from watchtower.api.review.evidence import Piece, pieces, quotes_in
from watchtower.api.review.pictures import bars, plot, series, stretches, trend
from watchtower.api.review.queue import row_words
from watchtower.api.review.remembered import Remembered
from watchtower.api.views import RecordView, field_values, record_view, title
from watchtower.store import boards, outbox, queries, rulebooks
from watchtower.store.boards import Tally
from watchtower.store.rows import AlertFilter, DocumentRow, ProposalRow, TimeKey
from watchtower.store.rulebooks import Activation
from watchtower.store.silences import silences

PROPOSALS = 20
PROPOSAL_STATUSES = ("review", "accepted", "refused", "rejected")
WEEKS = 12
NONE = Tally(0, 0, 0, 0)
DOCUMENTS = 8
"""Documents shown on a record's page; evidence first. The JSON answer has them all."""


def record_page(tower: TowerPort, request: Request, object_name: str, record_id: str) -> Response:
    """One record: what is so and who says it, what stands, what is unknown, what is due."""
    view = record_view(tower, object_name, record_id, before=request.query_params.get("before"))
    now = tower.clock()
    spoken = [item for p in view.proposals if p.status in ("accepted", "review") for item in _items(p.evidence)]
    documents = [
        (document, pieces(document.text, quotes_in(document.text, document.id, spoken))) for document in view.documents
    ]
    documents.sort(key=lambda pair: not any(piece.marked for piece in pair[1]))
    fields = field_values(tower.rulebook, view.row)
    by_field: dict[str, list[ProposalRow]] = defaultdict(list)
    for proposal in view.proposals:
        by_field[proposal.field].append(proposal)
    with tower.database.read() as conn:
        waiting = queries.proposal_counts(conn).get("review", 0)
        paths = {
            name: stretches(queries.field_history(conn, object_name, record_id, name), now)
            for name in _pictured(tower, view)
        }
        targets = _targets(tower, object_name)
        named = [(to, str(view.row.state[name])) for name, to in targets.items() if view.row.state.get(name)]
        states = queries.record_states(conn, named)
        usage = boards.usage(conn, object_name, record_id)
    words = {
        "now": now,
        "waiting": waiting,
        "view": view,
        "row": view.row,
        "title": view.title,
        "known": {name: field for name, field in fields.items() if field.value is not None},
        "unfilled": {name: field for name, field in fields.items() if field.value is None},
        "targets": targets,
        "titles": {subject: title(tower.rulebook, *subject, state) for subject, state in states.items()},
        "quotes": {name: _quotes(found) for name, found in by_field.items()},
        "standing": [row_words(tower, row) for row in view.alerts if row.status != "resolved"],
        "past": [row_words(tower, row) for row in view.alerts if row.status == "resolved"],
        "rules": {rule.id: rule for rule in tower.rulebook.rules},
        "documents": documents[:DOCUMENTS],
        "more_documents": max(0, len(documents) - DOCUMENTS),
        "signals": [
            (signal, series(signal.data.get("picture")), bars(signal.data.get("contributors")))
            for signal in view.signals
        ],
        "paths": {name: path for name, path in paths.items() if path},
        "usage": {metric: plot(points, now) for metric, points in usage.items()},
        "promised": _promised(tower, view),
        "moves": _moves(tower, view),
        "related": [
            (field, other, title(tower.rulebook, other.object, other.id, other.state)) for field, other in view.related
        ],
        "handoffs": handed_over(view),
        "pending": [p for p in view.proposals if p.status == "review"],
        "decided": [p for p in view.proposals if p.status != "review"],
    }
    return page(request, "record.html", words)


PROMISES = ("contract_terms", "scope", "constraints", "next_step", "start_date", "renewal_plan", "stakeholders")
"""Fields that say what was promised, where a record has them."""


def _promised(tower: TowerPort, view: RecordView) -> list[tuple[str, str, str, Any]]:
    """What was promised: (object, id, field, value), of the record and of those that name it."""
    rows = [view.row, *(other for _, other in view.related)]
    return [(row.object, row.id, name, row.state[name]) for row in rows for name in PROMISES if row.state.get(name)]


def _moves(tower: TowerPort, view: RecordView) -> list[dict[str, Any]]:
    """What is being done, and who owns the next move: what stands, else what is due."""
    standing = [row_words(tower, row) for row in view.alerts if row.status != "resolved"]
    return sorted(standing, key=lambda words: (words["alert"].ai_informed, words["alert"].opened_at))[:6]


def handed_over(view: RecordView) -> list[tuple[str, str, str]]:
    """(handoff, status, since) of a record's own handoffs."""
    found = []
    for key, value in view.row.state.items():
        handoff, dot, part = key.partition(".")
        if dot and part == "status" and isinstance(value, str):
            found.append((handoff, value, str(view.row.state.get(f"{handoff}.{value}_at") or "")))
    return found


def _items(evidence: Any) -> list[Any]:
    return evidence if isinstance(evidence, list) else []


def _quotes(found: Iterable[ProposalRow]) -> list[str]:
    """The quotes behind an accepted value, for its line in the table."""
    return [
        str(item["quote"])
        for proposal in found
        if proposal.status == "accepted"
        for item in _items(proposal.evidence)
        if isinstance(item, dict) and item.get("quote")
    ]


def _targets(tower: TowerPort, object_name: str) -> dict[str, str]:
    """The object that each reference field names."""
    model = tower.rulebook.objects.get(object_name)
    return {name: spec.to for name, spec in model.fields.items() if spec.type == "ref"} if model else {}


def _pictured(tower: TowerPort, view: RecordView) -> list[str]:
    """The enum fields whose stays are drawn: those that a declared signal watches, and `stage`."""
    model = tower.rulebook.objects.get(view.row.object)
    if model is None:
        return []
    watched = {signal.field for signal in tower.rulebook.signals.values() if signal.object == view.row.object}
    return [name for name, spec in model.fields.items() if spec.type == "enum" and name in watched | {"stage"}]


def proposals_page(tower: TowerPort, request: Request) -> Response:
    """Proposals that wait for a person, each beside its evidence."""
    asked = request.query_params.get("status", "")
    status = asked if asked in PROPOSAL_STATUSES else "review"
    with tower.database.read() as conn:
        rows = queries.proposals(
            conn,
            status=[status],
            after=place(TimeKey, request.query_params.get("cursor")),
            limit=PROPOSALS + 1,
        )
        counts = queries.proposal_counts(conn)
        cards = [_card(tower, conn, row) for row in rows[:PROPOSALS]]
    more = None
    if len(rows) > PROPOSALS:
        last = rows[PROPOSALS - 1]
        more = "/review/proposals?" + urlencode(
            {"status": status, "cursor": cursor(TimeKey(last.proposed_at, last.id))}
        )
    words = {
        "now": tower.clock(),
        "waiting": counts.get("review", 0),
        "cards": cards,
        "status": status,
        "statuses": [(name, counts.get(name, 0)) for name in PROPOSAL_STATUSES],
        "more": more,
    }
    return page(request, "proposals.html", words)


def card_words(tower: TowerPort, conn: Any, row: ProposalRow) -> dict[str, Any]:
    """What a proposal's card shows: it, the value that stands, and the texts it quotes."""
    return _card(tower, conn, row)


def _card(tower: TowerPort, conn: Any, row: ProposalRow) -> dict[str, Any]:
    record = queries.record_by_id(conn, row.object, row.record)
    wanted = {item.get("document") for item in _items(row.evidence) if isinstance(item, dict)}
    texts: list[tuple[DocumentRow, list[Piece]]] = [
        (document, _near(pieces(document.text, quotes_in(document.text, document.id, _items(row.evidence)))))
        for document in queries.documents(conn, row.object, row.record)
        if document.id in wanted
    ]
    model = tower.rulebook.objects.get(row.object)
    spec = model.fields.get(row.field) if model else None
    return {
        "proposal": row,
        "title": title(tower.rulebook, row.object, row.record, record.state) if record else row.record,
        "value": record.state.get(row.field) if record else None,
        "provenance": record.provenance.get(row.field) if record else None,
        "type": spec.type if spec else None,
        "unit": spec.unit if spec else "",
        "texts": texts,
    }


def _near(found: list[Piece], around: int = 300) -> list[Piece]:
    """Only what surrounds the marks: a card is short."""
    if not any(piece.marked for piece in found):
        return []
    short: list[Piece] = []
    for place_, piece in enumerate(found):
        if piece.marked or len(piece.text) <= 2 * around:
            short.append(piece)
        elif place_ == 0:
            short.append(Piece(piece.text[-around:], False, cut=True))
        else:
            short += [
                Piece(piece.text[:around], False),
                Piece(piece.text[-around:] if place_ < len(found) - 1 else "", False, cut=True),
            ]
    return short


def rules_page(tower: TowerPort, request: Request) -> Response:
    """Each rule with its sentence, its condition, and how much stands because of it."""
    now = tower.clock()
    remembered: Remembered = request.app.state.remembered
    tallies, trends, waiting = remembered.about("rules", tower.database.mark(), lambda: _told_by_rule(tower, now))
    with tower.database.read() as conn:
        past = rulebooks.history(conn)
    known = {rule.id for rule in tower.rulebook.rules}
    words = {
        "now": now,
        "waiting": waiting,
        "book": tower.rulebook,
        "rules": [
            (rule, tallies.get(rule.id, NONE), trend(trends.get(rule.id, {}), WEEKS), last_change(past, rule.id))
            for rule in tower.rulebook.rules
        ],
        "weeks": WEEKS,
        "gone": sorted((rule, tally.ever) for rule, tally in tallies.items() if rule not in known),
    }
    return page(request, "rules.html", words)


def _told_by_rule(tower: TowerPort, now: datetime) -> tuple[Any, Any, int]:
    with tower.database.read() as conn:
        trends = boards.trends(conn, now, now - timedelta(weeks=WEEKS))
        return boards.tallies(conn), trends, queries.proposal_counts(conn).get("review", 0)


def last_change(past: Sequence[Activation], rule: str) -> tuple[Activation, str] | None:
    """When a rule last changed: the activation, and what it did; None where it is as it was at first."""
    for activation in reversed(past):
        for change in activation.changes:
            path = str(change["path"])
            if path == f"rules.{rule}" or path.startswith(f"rules.{rule}."):
                return activation, str(change["change"])
    return None


def _by_receiver(counts: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for receiver, state, count in counts:
        found[receiver][state] = count
    return found


def health_page(tower: TowerPort, request: Request) -> Response:
    """How much is in, how late it is, and what was set aside."""
    with tower.database.read() as conn:
        proposals = queries.proposal_counts(conn)
        words = {
            "now": tower.clock(),
            "book": tower.rulebook,
            "waiting": proposals.get("review", 0),
            "health": queries.health(conn),
            "journal": queries.journal_counts(conn),
            "alerts": queries.alert_counts(conn, AlertFilter(), "status"),
            "proposals": proposals,
            "dead": queries.dead_letters(conn),
            "sources": boards.sources(conn),
            "messages": _by_receiver(outbox.counts(conn)),
            "failing": outbox.listed(conn, state="dead", receiver=None, limit=10),
            "silences": silences(conn, tower.clock()),
            "proposed": boards.proposed_by(conn),
        }
    return page(request, "health.html", words)
