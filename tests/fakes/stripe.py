"""Stripe's API as far as customers, subscriptions, invoices and events go; the vendor's own SDK drives it.

Each change makes an event, kept for the list of events and among the webhooks that it would send, signed by the SDK's
own function. The shapes are those of its documentation (2025-03-31 and later: a subscription's period stands in its
items, an invoice's subscription under `parent`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from stripe import WebhookSignature

from fakes.serving import Answer, Asked, serving

KEY = "sk_test_0123456789abcdefghijklmn"
SECRET = "whsec_test_0123456789abcdef"
MONTH = 30 * 86_400


@dataclass
class Stripe:
    """`now`: its clock, in seconds. `waiting`: bodies of webhooks to send. `limited`: how many 429 it gives first."""

    now: int
    url: str = ""
    things: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"customers": {}, "subscriptions": {}, "invoices": {}}
    )
    events: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    limited: int = 0
    asked: int = 0
    _number: int = 0

    def answer(self, asked: Asked) -> Answer:
        self.asked += 1
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Answer({"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}, 401)
        if self.limited:
            self.limited -= 1
            return Answer({"error": {"message": "Too many requests"}}, 429, {"retry-after": "0"})
        given = _nested(parse_qsl(asked.body.decode()))
        match asked.method, asked.path.removeprefix("/v1/").split("/"):
            case "GET", ["events"]:
                begin, end = int(asked.one("created[gte]", "0")), int(asked.one("created[lt]", "99999999999"))
                found = [event for event in reversed(self.events) if begin <= event["created"] < end]
                return _page(found, asked)
            case "GET", [kind] if kind in self.things:
                found = list(reversed(self.things[kind].values()))
                if kind == "subscriptions" and asked.one("status") != "all":
                    found = [one for one in found if one["status"] != "canceled"]
                return _page(found, asked)
            case "GET", [kind, name] if name in self.things.get(kind, {}):
                return Answer(self.things[kind][name])
            case "POST", ["customers"]:
                made = {"object": "customer", "name": given.get("name"), "metadata": given.get("metadata", {})}
                return Answer(self.add("customers", "cus", made, "customer.created"))
            case "POST", ["subscriptions"]:
                return Answer(self._subscribe(given))
            case "POST", ["subscriptions", name] if name in self.things["subscriptions"]:
                return Answer(self._update(name, given))
            case "DELETE", ["subscriptions", name] if name in self.things["subscriptions"]:
                thing = self.things["subscriptions"][name]
                thing |= {"status": "canceled", "canceled_at": self.now, "ended_at": self.now}
                self._say("customer.subscription.deleted", thing)
                return Answer(thing)
        return Answer({"error": {"type": "invalid_request_error", "message": "No such thing"}}, 404)

    def _next(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}_{self._number:06}"

    def add(self, kind: str, prefix: str, made: dict[str, Any], event: str) -> dict[str, Any]:
        thing = {"id": self._next(prefix), "created": self.now, "livemode": False, **made}
        self.things[kind][thing["id"]] = thing
        self._say(event, thing)
        return thing

    def _subscribe(self, given: dict[str, Any]) -> dict[str, Any]:
        item = given["items"]["0"]
        price = {
            "id": item["price"], "object": "price", "lookup_key": item["price"].removeprefix("price_"),
            "unit_amount": 5000, "currency": "eur", "product": "prod_1",
            "recurring": {"interval": "month", "interval_count": 1},
        }  # fmt: skip
        one = {
            "id": self._next("si"), "object": "subscription_item", "price": price,
            "quantity": int(item.get("quantity", 1)), "current_period_end": self.now + MONTH,
        }  # fmt: skip
        made = {
            "object": "subscription", "customer": given["customer"], "status": "active", "currency": "eur",
            "items": {"object": "list", "data": [one], "has_more": False}, "metadata": given.get("metadata", {}),
            "start_date": self.now, "canceled_at": None, "ended_at": None,
        }  # fmt: skip
        return self.add("subscriptions", "sub", made, "customer.subscription.created")

    def _update(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        thing = self.things["subscriptions"][name]
        if "items" in given:
            thing["items"]["data"][0]["quantity"] = int(given["items"]["0"]["quantity"])
        thing["metadata"] |= given.get("metadata", {})
        self._say("customer.subscription.updated", thing)
        return thing

    def bill(self, subscription: str, *, paid: bool) -> None:
        """An invoice is made and paid, or its payment fails; the subscription follows."""
        thing = self.things["subscriptions"][subscription]
        cents = sum(item["price"]["unit_amount"] * item["quantity"] for item in thing["items"]["data"])
        invoice = {
            "id": self._next("in"), "object": "invoice", "created": self.now, "customer": thing["customer"],
            "currency": "eur", "amount_due": cents, "amount_paid": cents if paid else 0,
            "status": "paid" if paid else "open", "metadata": {},
            "status_transitions": {"paid_at": self.now if paid else None},
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": subscription}},
        }  # fmt: skip
        self.things["invoices"][invoice["id"]] = invoice
        self._say("invoice.paid" if paid else "invoice.payment_failed", invoice)
        status = "active" if paid else "past_due"
        if thing["status"] != status:
            thing["status"] = status
            self._say("customer.subscription.updated", thing)

    def _say(self, kind: str, thing: dict[str, Any]) -> None:
        event = {
            "id": self._next("evt"), "object": "event", "type": kind, "created": self.now, "livemode": False,
            "api_version": "2025-03-31.basil", "pending_webhooks": 1, "data": {"object": json.loads(json.dumps(thing))},
        }  # fmt: skip
        self.events.append(event)
        self.waiting.append(json.dumps(event, indent=2).encode())

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers of a webhook that is sent now: each attempt is signed anew."""
        made = WebhookSignature.generate_signature_header(body.decode(), SECRET, self.now)
        return {"stripe-signature": made, "content-type": "application/json"}


def _page(found: list[dict[str, Any]], asked: Asked) -> Answer:
    limit, after = int(asked.one("limit", "10")), asked.one("starting_after")
    start = next((index + 1 for index, one in enumerate(found) if one["id"] == after), 0)
    page = found[start : start + limit]
    return Answer({"object": "list", "data": page, "has_more": start + limit < len(found), "url": asked.path})


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`items[0][price]=x` as {"items": {"0": {"price": "x"}}}."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        *path, last = key.replace("]", "").split("[")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found


@contextmanager
def stripe(now: int) -> Iterator[Stripe]:
    fake = Stripe(now)
    with serving(fake.answer) as url:
        fake.url = url
        yield fake
