"""What a record's page asks first: what did we promise, what are we doing, who owns the next move. Of the record, and
of those that name it: an account's deals, projects and handoffs."""

from __future__ import annotations

from typing import Any, NamedTuple

from watchtower.api.port import TowerPort
from watchtower.api.review.queue import row_words
from watchtower.api.views import RecordView, title
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertRow, RecordRow

PROMISES = ("contract_terms", "scope", "constraints", "next_step", "start_date", "renewal_plan", "stakeholders")
"""Fields that say what was promised, where a record has them."""
MOVES = 8
STATUSES = ("offered", "rejected", "accepted")
"""Of handoffs, those that wait for somebody first."""


class Promise(NamedTuple):
    """What a record says that was promised. `own`: it is the page's own record."""

    row: RecordRow
    title: str
    own: bool
    said: list[tuple[str, Any]]


class Handed(NamedTuple):
    """A handoff of a record, and since when it stands so."""

    row: RecordRow
    title: str
    own: bool
    handoff: str
    status: str
    since: str
    owner: str
    """Who is to answer an offer, or to offer again what was rejected."""


def standing_around(conn: Any, view: RecordView) -> list[AlertRow]:
    """What stands on the record and on those that name it: rules first, then the gravest, then the oldest."""
    rows = _rows(view)
    wanted = AlertFilter(
        status=("open", "acknowledged"), inhibited=False, subjects=tuple((row.object, row.id) for row in rows)
    )
    return queries.alerts(conn, wanted, after=None, limit=MOVES)


def next_words(tower: TowerPort, view: RecordView, moves: list[AlertRow]) -> dict[str, Any]:
    """The words of the three columns."""
    promised = []
    for row in _rows(view):
        said = [(name, row.state[name]) for name in PROMISES if row.state.get(name)]
        if said:
            promised.append(Promise(row, _title(tower, row), row is view.row, said))
    handoffs = [one for row in _rows(view) for one in _handed(tower, row, row is view.row)]
    handoffs.sort(key=lambda one: (STATUSES.index(one.status), one.since))
    return {
        "promised": promised,
        "moves": [row_words(tower, row) for row in moves],
        "handoffs": handoffs,
        "offers": [one for one in handoffs if one.status != "accepted"],
    }


def _rows(view: RecordView) -> list[RecordRow]:
    return [view.row, *(other for _, other in view.related)]


def _title(tower: TowerPort, row: RecordRow) -> str:
    return title(tower.rulebook, row.object, row.id, row.state)


def _handed(tower: TowerPort, row: RecordRow, own: bool) -> list[Handed]:
    found = []
    for key, value in row.state.items():
        handoff, dot, part = key.rpartition(".")
        model = tower.rulebook.handoffs.get(handoff)
        if model is not None and dot and part == "status" and value in STATUSES:
            since = str(row.state.get(f"{handoff}.{value}_at") or "")
            owner = {"offered": model.to, "rejected": model.from_}.get(value, "")
            found.append(Handed(row, _title(tower, row), own, handoff, value, since, owner))
    return found
