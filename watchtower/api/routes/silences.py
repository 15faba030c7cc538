"""GET and POST /silences, POST /silences/{id}/end, GET /alerts/{id}/told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.port import TowerPort
from watchtower.api.routes.alerts import subject_of
from watchtower.api.views import named
from watchtower.errors import InputError
from watchtower.store.silences import Silence, silences


def silence_model(silence: Silence) -> models.Silence:
    """A silence as it goes over the wire."""
    shown = silence._asdict()
    record = f"{silence.object}/{silence.record}" if silence.record else None
    return models.Silence(**shown | {"record": record})


def routes(tower: TowerPort) -> APIRouter:
    """Of what nobody is told, and who was told of what."""
    router = APIRouter(tags=["silences"], responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM))

    @router.get("/silences", summary="Of what nobody is told now")
    def get_silences(
        every: Annotated[bool, Query(description="Also those that are over, the last 200.")] = False,
    ) -> list[models.Silence]:
        """Those that last, or will: the last to end first."""
        with tower.database.read() as conn:
            return [silence_model(silence) for silence in silences(conn, tower.clock(), every=every)]

    @router.post("/silences", summary="Tell nobody of certain alerts for a while", status_code=201)
    def post_silence(request: Request, ask: models.Silencing) -> models.Silence:
        """Alerts still open, stand in the queue and climb its ladder; what is to be told of them waits until the
        silence is over, and is then told of those that still stand."""
        kind, name = subject_of(ask.record)
        matched = {
            "rule": ask.rule, "object": kind or ask.object, "record": name, "queue": ask.queue, "owner": ask.owner,
            "severity": ask.severity,
        }  # fmt: skip
        if any("\x00" in text for text in (*filter(None, matched.values()), ask.because)):
            raise InputError("the character U+0000 cannot be stored")
        made = tower.silence(matched, until=ask.until, because=ask.because, actor=acting(request, ask.actor))
        return silence_model(made)

    @router.post("/silences/{silence_id}/end", summary="Let a silence end now")
    def post_end(request: Request, silence_id: str) -> models.Silence:
        return silence_model(tower.end_silence(named(silence_id, "silence"), actor=acting(request, None)))

    @router.get("/alerts/{alert_id}/told", summary="Why was I told, or not?", tags=["alerts"])
    def get_told(
        alert_id: str,
        person: Annotated[
            str, Query(max_length=120, pattern=r"^[^\x00]*$", description="A person, or a receiver.")
        ] = "",
    ) -> list[models.Told]:
        """For each receiver that the rulebook names: whether it knows of the alert, since or until when, and why so:
        not routed there, inhibited, silenced, put off by the day's budget or to the digest, failing, or given up."""
        found = tower.told(named(alert_id, "alert"), person=person)
        return [models.Told.model_validate(one) for one in found]

    return router
