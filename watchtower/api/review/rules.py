"""The rulebook browser: each rule's sentence, the trend of its alerts, what people said of them, its last change. And
the page that says why there is an alert of a rule on a record, or none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.port import TowerPort
from watchtower.api.review.environment import page
from watchtower.api.review.pictures import trend
from watchtower.api.review.queue import told_words
from watchtower.api.review.remembered import Remembered
from watchtower.api.views import named
from watchtower.errors import WatchtowerError
from watchtower.flow.told import Told
from watchtower.rulebook.model import RuleModel
from watchtower.store import boards, queries, rulebooks
from watchtower.store.boards import Tally
from watchtower.store.rulebooks import Activation

WEEKS = 12
NONE = Tally(0, 0, 0, 0)
ORDERS = {
    "": "as written", "standing": "most standing", "false": "most false alarms", "changed": "changed last",
}  # fmt: skip


class Changed(NamedTuple):
    """The last change of a rule: when, by whom, and each part that was added, removed or says something else now."""

    by: Activation
    parts: list[tuple[str, Any, Any]]
    """(part, before, after); None: not there."""

    @property
    def kind(self) -> str:
        whole = len(self.parts) == 1 and not self.parts[0][0]
        return ("added" if self.parts[0][1] is None else "removed") if whole else "changed"


class Shown(NamedTuple):
    """A rule with what is known of it."""

    rule: RuleModel
    tally: Tally
    trend: list[tuple[int, float]]
    changed: Changed | None


def rules_page(tower: TowerPort, request: Request) -> Response:
    """Every rule, in the order that is asked for."""
    now = tower.clock()
    remembered: Remembered = request.app.state.remembered
    tallies, trends, waiting = remembered.about("rules", tower.database.mark(), lambda: _told_by_rule(tower, now))
    with tower.database.read() as conn:
        past = rulebooks.history(conn)
    rules = [
        Shown(rule, tallies.get(rule.id, NONE), trend(trends.get(rule.id, {}), WEEKS), last_change(past, rule))
        for rule in tower.rulebook.rules
    ]
    known = {rule.id for rule in tower.rulebook.rules}
    asked = request.query_params.get("order", "")
    order = asked if asked in ORDERS else ""
    words = {
        "now": now,
        "waiting": waiting,
        "book": tower.rulebook,
        "rules": _ordered(rules, order),
        "orders": ORDERS,
        "order": order,
        "weeks": WEEKS,
        "gone": sorted((rule, tally.ever) for rule, tally in tallies.items() if rule not in known),
    }
    return page(request, "rules.html", words)


def _ordered(rules: list[Shown], order: str) -> list[Shown]:
    if order == "standing":
        return sorted(rules, key=lambda one: -one.tally.standing)
    if order == "false":
        return sorted(rules, key=lambda one: (-one.tally.false_alarms, -one.tally.judged))
    if order == "changed":
        return sorted(rules, key=lambda one: -one.changed.by.seq if one.changed else 0)
    return rules


def _told_by_rule(tower: TowerPort, now: datetime) -> tuple[Any, Any, int]:
    with tower.database.read() as conn:
        trends = boards.trends(conn, now, now - timedelta(weeks=WEEKS))
        return boards.tallies(conn), trends, queries.proposal_counts(conn).get("review", 0)


def last_change(past: Sequence[Activation], rule: RuleModel) -> Changed | None:
    """How a rule last changed, or the part of the rulebook that it follows from; None where it is as it was at
    first."""
    for activation in reversed(past):
        parts: list[tuple[str, Any, Any]] = []
        for root in filter(None, (f"rules.{rule.id}", rule.origin)):
            for change in activation.changes:
                path = str(change["path"])
                if path == root or path.startswith(f"{root}."):
                    part = path.removeprefix(root).removeprefix(".")
                    parts.append((part, change.get("old"), change.get("new")))
        if parts:
            return Changed(activation, parts)
    return None


def why_page(tower: TowerPort, request: Request) -> Response:
    """Of any rule on any record: whether it holds, whether there is an alert, and whether a person was told."""
    asked = {name: named(request.query_params.get(name, ""), name).strip() for name in ("rule", "record", "person")}
    explained: dict[str, Any] = {}
    fault, nobody = "", ""
    told: Sequence[Told] = ()
    if asked["rule"] and asked["record"]:
        try:
            explained = dict(tower.explain(asked["rule"], asked["record"], tower.clock()))
        except WatchtowerError as error:
            fault = error.message
        if explained.get("alert"):
            told, nobody = told_words(tower, explained["alert"], asked["person"][:120])
    with tower.database.read() as conn:
        waiting = queries.proposal_counts(conn).get("review", 0)
    words = {
        "now": tower.clock(),
        "waiting": waiting,
        "asked": asked,
        "explained": explained,
        "fault": fault,
        "told": told,
        "nobody": nobody,
        "rule": tower.rulebook.rule(asked["rule"]),
        "rules": [rule.id for rule in tower.rulebook.rules],
        "people": sorted({one.person for one in tower.rulebook.receivers.values() if one.person}),
    }
    return page(request, "why.html", words)
