"""GET and POST /subscriptions, DELETE /subscriptions/{id}: REST hooks, as Zapier and n8n use them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from watchtower.api import models
from watchtower.api.auth import acting
from watchtower.api.port import TowerPort
from watchtower.api.views import named
from watchtower.errors import InputError
from watchtower.store.subscriptions import subscriptions


def routes(tower: TowerPort) -> APIRouter:
    """Who asked to be told of alerts, beside the receivers of the rulebook."""
    router = APIRouter(tags=["subscriptions"], responses=dict.fromkeys((400, 404, 422, 503), models.PROBLEM))

    @router.get("/subscriptions", summary="Who asked to be told of alerts")
    def get_subscriptions() -> list[models.Subscription]:
        with tower.database.read() as conn:
            return [models.Subscription.model_validate(one) for one in subscriptions(conn)]

    @router.post("/subscriptions", summary="Have alerts sent to an address", status_code=201)
    def post_subscription(request: Request, ask: models.Subscribe) -> models.Subscribed:
        """From now on: `alert.opened`, `alert.resolved`, `alert.escalated`, `alert.reopened`, `alert.corrected`, as to
        a webhook of the rulebook. An answer of 410 ends the subscription; WATCHTOWER_SUBSCRIBER_HOSTS names the hosts
        to which one may go."""
        narrowed: dict[str, Sequence[str]] = {
            "queues": ask.queues, "severities": ask.severities, "owners": ask.owners,
        }  # fmt: skip
        if any("\x00" in text for texts in ([ask.url], *narrowed.values()) for text in texts):
            raise InputError("the character U+0000 cannot be stored")
        made = tower.subscribe(ask.url, narrowed, actor=acting(request, ask.actor))
        return models.Subscribed.model_validate(made)

    @router.delete("/subscriptions/{subscription_id}", summary="Have nothing sent there any more", status_code=204)
    def delete_subscription(request: Request, subscription_id: str) -> Response:
        tower.unsubscribe(named(subscription_id, "subscription"), actor=acting(request, None))
        return Response(status_code=204)

    return router
