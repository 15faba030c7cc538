"""GET /alerts, GET /alerts/{id}, POST /alerts/{id}/{verb}."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort, Verb
from watchtower.api.views import alert_detail, alert_model, named
from watchtower.errors import InputError, Missing
from watchtower.store import queries
from watchtower.store.rows import AlertFilter, AlertKey

Words = Annotated[list[Annotated[str, Query(pattern=r"^[^\x00]*$", max_length=1024)]], Query(max_length=50)]


def alert_of(tower: TowerPort, alert_id: str) -> models.AlertDetail:
    """One alert with its history. Missing where there is none."""
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, named(alert_id, "alert"))
        if row is None:
            raise Missing(f"alert {alert_id!r:.80} does not exist")
        return alert_detail(tower.rulebook, row, queries.actions(conn, alert_id))


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

    @router.get("/alerts", summary="What stands in the queues")
    def get_alerts(
        status: Words = [],  # noqa: B006 - FastAPI copies defaults
        queue: Words = [],  # noqa: B006
        severity: Words = [],  # noqa: B006
        owner: Words = [],  # noqa: B006
        rule: Words = [],  # noqa: B006
        record: Annotated[str | None, Query(description="object/id", pattern=r"^[^\x00]*$")] = None,
        ai_informed: bool | None = None,
        inhibited: Annotated[bool | None, Query(description="Whether it waits for another alert's end.")] = None,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=4000)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> models.AlertPage:
        """Alerts of rules before AI-informed ones, the gravest first, then the oldest. A filter may be
        repeated; without `status`, resolved alerts are listed too.
        `owner` is the assignee where there is one."""
        kind, name = subject_of(record)
        wanted = AlertFilter(
            status=tuple(status), queue=tuple(queue), severity=tuple(severity), owner=tuple(owner),
            rule=tuple(rule), object=kind, record=name, ai_informed=ai_informed,
            inhibited=inhibited,
        )  # fmt: skip
        with tower.database.read() as conn:
            rows = queries.alerts(conn, wanted, after=place(AlertKey, cursor_), limit=limit + 1)
        items = [alert_model(tower.rulebook, row) for row in rows[:limit]]
        more = cursor(queries.alert_key(rows[limit - 1])) if len(rows) > limit else None
        return models.AlertPage(items=items, next=more)

    @router.get("/alerts/{alert_id}", summary="One alert: its reasons and history")
    def get_alert(alert_id: str) -> models.AlertDetail:
        return alert_of(tower, alert_id)

    def act(
        request: Request,
        alert_id: str,
        verb: Verb,
        ask: models.Act,
        until: datetime | None = None,
        assignee: str | None = None,
    ) -> models.AlertDetail:
        actor = acting(request, ask.actor)
        named(alert_id, "alert")
        if "\x00" in ask.note or (assignee and "\x00" in assignee):
            raise InputError("note, assignee: the character U+0000 cannot be stored")
        tower.act(alert_id, verb, actor=actor, note=ask.note, until=until, assignee=assignee)
        return alert_of(tower, alert_id)

    @router.post("/alerts/{alert_id}/acknowledge", summary="Say that you have seen it")
    def acknowledge(
        request: Request, alert_id: str, ask: Annotated[models.Act | None, Body()] = None
    ) -> models.AlertDetail:
        return act(request, alert_id, "acknowledge", ask or models.Act())

    @router.post("/alerts/{alert_id}/snooze", summary="Set it aside until a time")
    def snooze(request: Request, alert_id: str, ask: models.Snooze) -> models.AlertDetail:
        return act(request, alert_id, "snooze", ask, until=ask.until)

    @router.post("/alerts/{alert_id}/resolve", summary="Close it by hand")
    def resolve(
        request: Request, alert_id: str, ask: Annotated[models.Act | None, Body()] = None
    ) -> models.AlertDetail:
        return act(request, alert_id, "resolve", ask or models.Act())

    @router.post("/alerts/{alert_id}/assign", summary="Give it to someone")
    def assign(request: Request, alert_id: str, ask: models.Assign) -> models.AlertDetail:
        return act(request, alert_id, "assign", ask, assignee=ask.assignee)

    @router.post("/alerts/{alert_id}/comment", summary="Add a line to its history")
    def comment(request: Request, alert_id: str, ask: models.Comment) -> models.AlertDetail:
        return act(request, alert_id, "comment", ask)

    return router
