"""Stripe, driven by its own SDK: by webhook at once, by its list of events where one was lost, the same in the end."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.stripe import KEY, SECRET, Stripe
from fakes.stripe import stripe as serving
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text
from stripe import StripeClient
from tower_scene import Clock

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.connectors.stripe import hear
from watchtower.contract import format_time
from watchtower.contract.system import Seen
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: billing
objects:
  account:
    fields:
      name: {type: text}
  subscription:
    fields:
      account: {type: ref, to: account}
      plan: {type: text}
      status: {type: enum, values: [active, cancelled]}
      amount: {type: money}
      seats: {type: integer}
      payment_status: {type: enum, values: [ok, failed]}
      last_paid_at: {type: timestamp}
      renewal_on: {type: date}
      region: {type: text}
rules:
  - id: payment_failed
    object: subscription
    when: >-
      status = 'active' and payment_status = 'failed' and changed_at(payment_status) <= now() - interval '72 hours'
    severity: high
    owner: finance
systems:
  billing:
    kind: stripe
    owner: finance
    objects:
      account: {from: customers, fields: {name: name}}
      subscription:
        from: subscriptions
        fields:
          account: customer
          plan: plan
          status: {from: status, values: {active: active, past_due: active, trialing: active, canceled: cancelled}}
          amount: amount
          seats: seats
          payment_status: payment_status
          last_paid_at: last_paid_at
          renewal_on: renewal_on
          region: metadata.region
"""


@dataclass
class Scene:
    tower: Tower
    fake: Stripe
    sdk: StripeClient
    client: TestClient

    def later(self, step: timedelta) -> None:
        self.tower.clock.now += step  # type: ignore[attr-defined]
        self.fake.now = int(self.tower.clock().timestamp())

    def hooks(self) -> set[int]:
        sent, self.fake.waiting = self.fake.waiting, []
        return {self.post(body, self.fake.signed(body)) for body in sent}

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        return self.client.post("/hooks/billing", content=body, headers=headers).status_code

    def record(self, subject: str) -> dict[str, Any]:
        found = self.client.get(f"/records/{subject}")
        fields = found.json()["fields"] if found.status_code == 200 else {}
        return {name: one["value"] for name, one in fields.items() if one["value"] is not None}

    def customer(self) -> tuple[str, str]:
        """A customer with a subscription of three seats."""
        made = self.sdk.v1.customers.create({"name": "Rossi Arredi"})
        bought = self.sdk.v1.subscriptions.create({
            "customer": made.id, "items": [{"price": "price_team", "quantity": 3}], "metadata": {"region": "north"},
        })  # fmt: skip
        return f"account/{made.id}", f"subscription/{bought.id}"


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    (tmp_path / "book.yaml").write_text(BOOK)
    with serving(int(START.timestamp())) as fake:
        for end, value in (("TOKEN", KEY), ("URL", fake.url), ("WEBHOOK_SECRET", SECRET)):
            monkeypatch.setenv(f"WATCHTOWER_BILLING_{end}", value)
        sdk = StripeClient(KEY, base_addresses={"api": fake.url}, max_network_retries=0)
        settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
        with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock(START)) as tower:
            yield Scene(tower, fake, sdk, TestClient(create_app(tower), base_url="http://127.0.0.1:8000"))


def test_what_is_bought_and_billed_is_known_at_once_and_a_payment_that_fails_becomes_an_alert(scene: Scene) -> None:
    account, subscription = scene.customer()
    assert scene.hooks() == {200}
    assert scene.record(account) == {"name": "Rossi Arredi"}
    assert scene.record(subscription) == {
        "account": account.partition("/")[2], "plan": "team", "status": "active", "amount": 1800, "seats": 3,
        "payment_status": "ok", "renewal_on": "2026-04-01", "region": "north",
    }  # fmt: skip
    scene.later(HOUR)
    scene.fake.bill(subscription.partition("/")[2], paid=True)
    scene.hooks()
    assert scene.record(subscription)["last_paid_at"] == "2026-03-02T10:00:00.000000Z"
    scene.later(24 * HOUR)
    scene.fake.bill(subscription.partition("/")[2], paid=False)
    assert scene.hooks() == {200}
    assert (scene.record(subscription)["payment_status"], scene.record(subscription)["status"]) == ("failed", "active")
    scene.later(72 * HOUR)
    scene.tower.tick()
    [alert] = scene.client.get("/alerts?status=open&rule=payment_failed").json()["items"]
    assert (alert["rule"], alert["record"], alert["owner"]) == ("payment_failed", subscription, "finance")
    scene.fake.bill(subscription.partition("/")[2], paid=True)
    scene.hooks()
    assert scene.client.get("/alerts?status=open&rule=payment_failed").json()["items"] == []
    scene.later(HOUR)
    scene.sdk.v1.subscriptions.cancel(subscription.partition("/")[2])
    scene.hooks()
    assert scene.record(subscription)["status"] == "cancelled"


def test_a_lost_webhook_is_made_good_though_a_later_one_was_taken(scene: Scene) -> None:
    _, subscription = scene.customer()
    name = subscription.partition("/")[2]
    assert scene.tower.sync("billing").fault == "" and scene.hooks() == {200}
    scene.later(HOUR)
    scene.fake.bill(name, paid=True)
    scene.fake.waiting = []
    scene.later(30 * HOUR)
    scene.sdk.v1.subscriptions.update(name, {"metadata": {"region": "south"}})
    assert scene.hooks() == {200}
    assert "last_paid_at" not in scene.record(subscription)
    assert scene.tower.sync("billing").fault == ""
    assert scene.record(subscription)["last_paid_at"] == "2026-03-02T10:00:00.000000Z"
    assert scene.record(subscription)["region"] == "south"


def of(invoice: dict[str, Any]) -> str:
    """The subscription of an invoice."""
    return str(invoice["parent"]["subscription_details"]["subscription"])


def test_a_month_of_webhooks_lost_doubled_late_and_in_disorder_leaves_what_is_so_at_stripe(scene: Scene) -> None:
    draw = random.Random(7)
    subjects = [scene.customer() for _ in range(5)]
    assert scene.tower.sync("billing").fault == ""
    late: list[bytes] = []
    for step in range(75):
        scene.later(timedelta(minutes=draw.choice((0, 1, 60, 2940))))
        name = draw.choice(subjects)[1].partition("/")[2]
        match step % 3:
            case 0:
                scene.fake.bill(name, paid=draw.random() < 0.6)
            case 1:
                scene.sdk.v1.subscriptions.update(name, {"items": [{"quantity": draw.randrange(1, 50)}]})
            case 2:
                scene.sdk.v1.subscriptions.update(name, {"metadata": {"region": draw.choice(("north", "south"))}})
        if step % 5 == 4:
            kept = [body for body in (*scene.fake.waiting, *late) if draw.random() < 0.7]
            late = draw.sample(scene.fake.waiting, 2)
            scene.fake.waiting = draw.sample([*kept, *kept[:3]], len(kept) + len(kept[:3]))
            assert scene.hooks() <= {200}
        if step % 25 == 24:
            scene.fake.limited = 1
            assert scene.tower.sync("billing").fault == ""
    assert scene.tower.clock() - START > timedelta(days=28)
    for account, subscription in subjects:
        thing = scene.fake.things["subscriptions"][subscription.partition("/")[2]]
        found = scene.record(subscription)
        assert found["seats"] == thing["items"]["data"][0]["quantity"]
        assert found["region"] == thing["metadata"]["region"]
        assert found["payment_status"] == ("ok" if thing["status"] == "active" else "failed")
        invoices = [one for one in scene.fake.things["invoices"].values() if subscription.endswith(of(one))]
        paid = max((one["created"] for one in invoices if one["status"] == "paid"), default=None)
        told = found.get("last_paid_at")
        assert told == (None if paid is None else format_time(datetime.fromtimestamp(paid, UTC)))
        assert scene.record(account) == {"name": "Rossi Arredi"}
    again = scene.tower.sync("billing")
    assert (again.took.events, again.fault) == (0, ""), "what is read twice is taken once"


def test_a_first_reading_goes_on_where_it_was_broken_off_and_takes_every_page(scene: Scene) -> None:
    made = {"object": "customer", "name": "Rossi", "metadata": {}}
    names = [scene.fake.add("customers", "cus", made, "customer.created")["id"] for _ in range(130)]
    subjects = [scene.customer() for _ in range(3)] + [(f"account/{name}", f"account/{name}") for name in names]
    pages = iter((False,))
    first = scene.tower.sync("billing", enough=lambda: next(pages, True))
    assert first.pages == 2 and first.took.said == 133
    asked = scene.fake.asked
    second = scene.tower.sync("billing")
    assert second.fault == "" and scene.fake.asked - asked == 4, "the newest event, subscriptions, two pages of events"
    assert all(scene.record(subject) for pair in subjects for subject in pair)


def test_a_key_that_is_not_valid_any_more_is_a_fault_with_an_owner(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHTOWER_BILLING_TOKEN", "sk_test_other")
    assert "answered 401" in scene.tower.sync("billing").fault
    scene.later(HOUR)
    scene.tower.tick()
    [alert] = scene.client.get("/alerts?status=open&rule=system.billing.failing").json()["items"]
    assert (alert["rule"], alert["owner"]) == ("system.billing.failing", "finance")


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"7", b'{"type": "x"}', b'{"type": "x", "created": "now", "data": {"object": {"object": "customer"}}}',
     b'{"type": "x", "created": 1e99, "data": {"object": {"object": "customer", "id": "c"}}}', b"{", b"\xff",
     b'{"type":"x","created":1,"data":{"object":{"object":"customer","id":"a\\u0000"}}}', b"[" * 100_000],
)  # fmt: skip
def test_a_signed_webhook_that_makes_no_sense_is_kept_with_the_reason(scene: Scene, payload: bytes) -> None:
    # By hand: the vendor's function takes texts.
    digest = hmac.new(SECRET.encode(), f"{scene.fake.now}.".encode() + payload, hashlib.sha256).hexdigest()
    made = f"t={scene.fake.now},v1={digest}"
    answer = scene.client.post("/hooks/billing", content=payload, headers={"stripe-signature": made})
    assert answer.status_code == 200
    with scene.tower.database.read() as conn:
        [(origin, reason)] = conn.execute(text("select origin, reason from deadletter")).all()
    assert origin == "hooks/billing" and "webhook" in reason


def test_amounts_are_what_recurs_in_a_year_in_whole_units() -> None:
    def amount(*items: tuple[int | None, str, int, int, str]) -> Any:
        data = [
            {"quantity": quantity, "price": {
                "id": "p", "unit_amount": unit, "currency": currency,
                "recurring": {"interval": interval, "interval_count": count},
            }}
            for unit, interval, count, quantity, currency in items
        ]  # fmt: skip
        event = {"type": "customer.subscription.updated", "created": 1, "data": {"object": {
            "object": "subscription", "id": "sub_1", "status": "active", "items": {"data": data},
        }}}  # fmt: skip
        [seen] = hear(event).changes
        assert isinstance(seen, Seen)
        return seen.properties["amount"]

    assert amount((5000, "month", 1, 3, "eur")) == 1800
    assert amount((5000, "month", 3, 1, "eur"), (120000, "year", 1, 1, "eur")) == 1400
    assert amount((5000, "month", 1, 1, "jpy")) == 60000
    assert amount((5000, "year", 1, 1, "kwd")) == 5
    assert amount((999, "week", 1, 1, "eur")) == 519.48
    assert amount((None, "month", 1, 1, "eur")) is None, "a price in tiers is no plain amount"
    assert amount() is None


def test_a_whole_reading_ends_a_customer_whose_deletion_no_event_tells_of_any_more(scene: Scene) -> None:
    account, subscription = scene.customer()
    scene.later(HOUR)
    other, _ = scene.customer()
    assert scene.tower.sync("billing").fault == ""
    del scene.fake.things["customers"][account.partition("/")[2]]
    scene.later(HOUR)
    assert scene.tower.sync("billing").gone == 0, "what is read by events tells of no end that none of them names"
    done = scene.tower.sync("billing", full=True)
    assert (done.fault, done.gone) == ("", 1)
    ended = {name: bool(scene.client.get(f"/records/{name}").json()["deleted_at"]) for name in (account, other)}
    assert ended == {account: True, other: False} and scene.record(subscription)["status"] == "active"
