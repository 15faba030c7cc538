"""GET /alerts, GET /alerts/{id}, POST /alerts/{id}/{verb}."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.conditions import IfMatch, digest, expected, tagged, unchanged
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort, Verb
from watchtower.api.review.remembered import Remembered
from watchtower.api.views import alert_detail, alert_model, cause_keys, labels, named
from watchtower.api.views import due_before as due
from watchtower.errors import InputError, Missing
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertKey

SUBJECT = r"^[^/\x00]+/[^\x00]+$"
Words = Annotated[list[Annotated[str, Query(pattern=r"^[^\x00]*$", max_length=1024)]], Query(max_length=50)]
Statuses = Annotated[list[Literal["open", "acknowledged", "snoozed", "resolved"]], Query(max_length=50)]
Severities = Annotated[list[Literal["critical", "high", "medium", "low"]], Query(max_length=50)]

_ETAG = {"ETag": {"description": "The alert's revision.", "schema": {"type": "string"}, "example": '"3.9a0b12cd"'}}
LISTED: dict[int | str, dict[str, Any]] = {
    200: {"headers": _ETAG}, 304: {"description": "As the ETag in If-None-Match has it: nothing has changed."}
}  # fmt: skip
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": _ETAG}}
CHANGED: dict[int | str, dict[str, Any]] = {**TAGGED, 412: models.PROBLEM}


class Asked:
    """What each action on an alert has in common."""

    def __init__(self, request: Request, response: Response, alert_id: str, if_match: IfMatch = None) -> None:
        self.request, self.response, self.alert_id, self.if_match = request, response, alert_id, if_match


OneAlert = Annotated[Asked, Depends()]


def scoped(tower: TowerPort, alert_id: str, scope: str) -> list[str]:
    """The other alerts that are set aside with one: all that stand on its record, or of its rule."""
    if scope == "alert":
        return []
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, named(alert_id, "alert"))
        if row is None:
            raise Missing(f"alert {alert_id!r:.80} does not exist")
        return queries.standing_with(conn, row, "record" if scope == "record" else "rule")


def alert_of(tower: TowerPort, alert_id: str) -> models.AlertDetail:
    """One alert with its history. Missing where there is none."""
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, named(alert_id, "alert"))
        if row is None:
            raise Missing(f"alert {alert_id!r:.80} does not exist")
        events = queries.events_by_key(conn, cause_keys(row.causes))
        return alert_detail(tower.rulebook, row, queries.actions(conn, alert_id), events)


def subject_of(record: str | None) -> tuple[str | None, str | None]:
    """(object, id) of `object/id`; (None, None) for None."""
    if record is None:
        return None, None
    kind, slash, name = record.partition("/")
    if not (kind and slash and name):
        raise InputError(f"record: {record!r:.80} is not of the form object/id, such as lead/L-17")
    return kind, name


def routes(tower: TowerPort) -> APIRouter:
    """Reading alerts, and what a person does to one."""
    router = APIRouter(tags=["alerts"], responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM))

    @router.get("/alerts", summary="What stands in the queues", response_model=models.AlertPage, responses=LISTED)
    def get_alerts(
        request: Request,
        status: Statuses = [],  # noqa: B006 - FastAPI copies defaults
        queue: Words = [],  # noqa: B006
        severity: Severities = [],  # noqa: B006
        owner: Words = [],  # noqa: B006
        rule: Words = [],  # noqa: B006
        record: Annotated[str | None, Query(description="object/id", pattern=SUBJECT)] = None,
        ai_informed: bool | None = None,
        inhibited: Annotated[bool | None, Query(description="Whether it waits for another alert's end.")] = None,
        due_before: Annotated[
            models.Instant | None,
            Query(description="Climbs its queue's ladder before this, if nobody acknowledges it."),
        ] = None,
        q: Annotated[
            str,
            Query(max_length=200, pattern=r"^[^\x00]*$", description="In the record's name, rule or sentence."),
        ] = "",
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=4000)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Alerts of rules before AI-informed ones, the gravest first, then the oldest. A filter may be
        repeated; without `status`, resolved alerts are listed too.
        `owner` is the assignee where there is one."""
        kind, name = subject_of(record)
        book = tower.rulebook
        wanted = AlertFilter(
            status=tuple(status), queue=tuple(queue), severity=tuple(severity), owner=tuple(owner),
            rule=tuple(rule), object=kind, record=name, ai_informed=ai_informed,
            inhibited=inhibited, due=due(book, due_before), words=q.strip(), labels=labels(book),
        )  # fmt: skip
        after = place(AlertKey, cursor_)

        def listed() -> tuple[bytes, str]:
            with tower.database.read() as conn:
                rows = queries.alerts(conn, wanted, after=after, limit=limit + 1)
            items = [alert_model(book, row) for row in rows[:limit]]
            more = cursor(queries.alert_key(rows[limit - 1])) if len(rows) > limit else None
            body = models.AlertPage(items=items, next=more).model_dump_json().encode()
            return body, digest(body)

        remembered: Remembered = request.app.state.remembered
        # Clients ask again and again for what has not changed: then the last answer is the answer.
        body, tag = remembered.exact((wanted, after, limit, book.version), tower.database.mark(), listed)
        headers = {"etag": f'"{tag}"'}
        if unchanged(request, tag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @router.get("/alerts/{alert_id}", summary="One alert: its reasons and history", responses=TAGGED)
    def get_alert(alert_id: str, response: Response) -> models.AlertDetail:
        """With its ETag, for If-Match: of two people who act on what both have seen, the second is told."""
        found = alert_of(tower, alert_id)
        tagged(response, found.revision)
        return found

    def act(asked: Asked, verb: Verb, ask: models.Act, **more: Any) -> models.AlertDetail:
        actor, assignee = acting(asked.request, ask.actor), more.get("assignee")
        named(asked.alert_id, "alert")
        if "\x00" in ask.note or (assignee and "\x00" in assignee):
            raise InputError("note, assignee: the character U+0000 cannot be stored")
        tower.act(asked.alert_id, verb, actor=actor, note=ask.note, expected=expected(asked.if_match), **more)
        found = alert_of(tower, asked.alert_id)
        tagged(asked.response, found.revision)
        return found

    router_post = partial(router.post, responses=CHANGED)

    @router_post("/alerts/{alert_id}/acknowledge", summary="Say that you have seen it")
    def acknowledge(asked: OneAlert, ask: Annotated[models.Act | None, Body()] = None) -> models.AlertDetail:
        """It is yours from now on, unless somebody has it already; it no longer climbs its queue's ladder."""
        return act(asked, "acknowledge", ask or models.Act())

    @router_post("/alerts/{alert_id}/snooze", summary="Set it aside until a time")
    def snooze(asked: OneAlert, ask: models.Snooze) -> models.AlertDetail:
        """It wakes at that time, or when it climbs a rung of its queue's ladder. With a wider scope, all that stand now
        are set aside with it; what opens later stands by itself."""
        others = scoped(tower, asked.alert_id, ask.scope)
        found = act(asked, "snooze", ask, until=ask.until)
        for other in others:
            tower.act(other, "snooze", actor=acting(asked.request, ask.actor), note=ask.note, until=ask.until)
        return found

    @router_post("/alerts/{alert_id}/resolve", summary="Close it by hand")
    def resolve(asked: OneAlert, ask: Annotated[models.Resolve | None, Body()] = None) -> models.AlertDetail:
        """With a reason, best; and a verdict: a false alarm counts against the rule."""
        ask = ask or models.Resolve(verdict="")
        return act(asked, "resolve", ask, verdict=ask.verdict)

    @router_post("/alerts/{alert_id}/reopen", summary="Take back what was done")
    def reopen(asked: OneAlert, ask: Annotated[models.Act | None, Body()] = None) -> models.AlertDetail:
        """Open again, as long as the rule holds as it did."""
        return act(asked, "reopen", ask or models.Act())

    @router_post("/alerts/{alert_id}/assign", summary="Give it to someone")
    def assign(asked: OneAlert, ask: models.Assign) -> models.AlertDetail:
        return act(asked, "assign", ask, assignee=ask.assignee)

    @router_post("/alerts/{alert_id}/comment", summary="Add a line to its history")
    def comment(asked: OneAlert, ask: models.Comment) -> models.AlertDetail:
        return act(asked, "comment", ask)

    return router
