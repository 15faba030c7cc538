"""The pages of records and proposals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.review.around import next_words, standing_around
from watchtower.api.review.environment import page
from watchtower.api.review.evidence import Piece, pieces, quotes_in
from watchtower.api.review.pictures import bars, plot, stretches
from watchtower.api.review.queue import row_words
from watchtower.api.review.signal_picture import series
from watchtower.api.views import RecordView, field_values, record_view, title
from watchtower.contract import parse_time
from watchtower.flow.verdicts import undo_until
from watchtower.store import boards, queries
from watchtower.store.rows import DocumentRow, ProposalRow, RecordRow, TimeKey

PROPOSALS = 20
PROPOSAL_STATUSES = ("review", "accepted", "refused", "rejected")
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
        moves = standing_around(conn, view)
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
        "ladders": {name: queue.ladder for name, queue in tower.rulebook.queues.items()},
        "rules": {rule.id: rule for rule in tower.rulebook.rules},
        "documents": documents[:DOCUMENTS],
        "more_documents": max(0, len(documents) - DOCUMENTS),
        "signals": [
            (signal, series(signal.data.get("picture")), bars(signal.data.get("contributors")))
            for signal in view.signals
        ],
        "paths": {name: path for name, path in paths.items() if path},
        "usage": {metric: drawn for metric, points in usage.items() if (drawn := plot(points, _found(view)))},
        **next_words(tower, view, moves),
        "confirmable": confirmable(tower, view.row),
        "related": [
            (field, other, title(tower.rulebook, other.object, other.id, other.state)) for field, other in view.related
        ],
        "pending": [p for p in view.proposals if p.status == "review"],
        "decided": [p for p in view.proposals if p.status != "review"],
    }
    return page(request, "record.html", words)


def confirmable(tower: TowerPort, row: RecordRow) -> list[tuple[str, str, Any]]:
    """(signal, field, value) of the fields in which a person says whether a record is odd: such verdicts are what a
    detector's reference is cleaned by (`parameters.confirmed`)."""
    model = tower.rulebook.objects.get(row.object)
    named = [
        (name, str(field))
        for name, signal in tower.rulebook.signals.items()
        if signal.object == row.object and (field := signal.parameters.get("confirmed"))
    ]
    return [(name, field, row.state.get(field)) for name, field in named if model and field in model.fields]


def _found(view: RecordView) -> list[tuple[datetime, str]]:
    """(when it began, which signal) of the changes that detectors found, and that rules may read."""
    told = []
    for signal in view.signals:
        began = signal.data.get("began_at")
        held = isinstance(decided := signal.data.get("decided"), dict) and decided.get("state") == "held"
        if isinstance(began, str) and not held:
            told.append((parse_time(began), signal.name))
    return told[:3]


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
        "undo_until": undo_until(row.status, row.decided_by, row.decided_at),
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
