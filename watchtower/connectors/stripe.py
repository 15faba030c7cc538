"""Stripe: customers, subscriptions and their invoices. Webhooks at once; its list of events for what a webhook missed.

Objects: `customers`, `subscriptions`, `invoices`. Their properties are Stripe's own, and these beside them:

    subscriptions   payment_status (ok, failed), amount (a year's recurring revenue, in whole units of the currency),
                    plan (the price's lookup key, nickname or id), product, seats, renewal_on, last_paid_at,
                    last_payment_failed_at; metadata.NAME
    invoices        amount, amount_paid (in whole units), paid_at, subscription; metadata.NAME
    customers       metadata.NAME

An invoice's payment, or its failure, is said of its subscription, too. Stripe's objects bear no time of their last
change: the event's time is it, and at a first reading the time of the newest event then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from watchtower.connectors.http import Http
from watchtower.contract import format_time
from watchtower.contract.heard import Heard
from watchtower.contract.system import Asked, Change, Cursor, Gone, Pulled, Seen, Tokens
from watchtower.errors import SystemFault

BASE = "https://api.stripe.com"
KEPT = timedelta(days=29)
"""Stripe keeps events for 30 days; who has not read for as long reads everything once more."""
OVERLAP = timedelta(minutes=2)
"""Events of one moment may become readable a little after each other."""
WINDOW = timedelta(days=1)
PAGE = 100
PATHS = {"customers": "/v1/customers", "subscriptions": "/v1/subscriptions", "invoices": "/v1/invoices"}
OF = {"customer": "customers", "subscription": "subscriptions", "invoice": "invoices"}
"""Our names of objects, by Stripe's in the singular."""
FAILING = frozenset({"past_due", "unpaid", "incomplete", "incomplete_expired"})
PAYING = frozenset({"active", "trialing"})
YEARLY = {"day": 365, "week": 52, "month": 12, "year": 1}
WHOLE = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
"""Currencies without a smaller unit."""
THOUSANDTHS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
PAID = frozenset({"invoice.paid", "invoice.payment_succeeded"})
FAILED = "invoice.payment_failed"


def hear(payload: Any) -> Heard:
    """What an event says; nothing where it is about an object that is not read."""
    return Heard(changes=tuple(_changes(payload)))


def _changes(event: Mapping[str, Any]) -> Iterator[Change]:
    kind, thing, at = str(event["type"]), event["data"]["object"], _moment(event["created"])
    name = OF.get(str(thing.get("object")))
    if name is None:
        return
    if kind in ("customer.deleted", "invoice.deleted"):
        yield Gone(object=name, id=str(thing["id"]), at=at)
        return
    yield _seen(name, thing, at)
    of = _subscription_of(thing) if name == "invoices" else None
    if of is not None and (kind == FAILED or kind in PAID):
        failed = kind == FAILED
        said = {"payment_status": "failed" if failed else "ok"}
        said["last_payment_failed_at" if failed else "last_paid_at"] = format_time(at)
        yield Seen(object="subscriptions", id=of, at=at, properties=said, whole=False)


def _seen(name: str, thing: Mapping[str, Any], at: datetime) -> Seen:
    """Of a subscription not all is in it: when it was last paid is told by invoices."""
    whole = name != "subscriptions"
    return Seen(object=name, id=str(thing["id"]), at=at, properties=PROPERTIES[name](thing), whole=whole)


def _customer(thing: Mapping[str, Any]) -> dict[str, Any]:
    return _own(thing)


def _subscription(thing: Mapping[str, Any]) -> dict[str, Any]:
    items = [item for item in (thing.get("items") or {}).get("data") or [] if isinstance(item, dict)]
    prices = [price for item in items if isinstance(price := item.get("price") or item.get("plan"), dict)]
    ends = thing.get("current_period_end") or max((i["current_period_end"] for i in items if i.get(
        "current_period_end")), default=None)  # fmt: skip
    status, first = str(thing.get("status", "")), prices[0] if prices else {}
    said: dict[str, Any] = {
        "amount": _yearly(items), "seats": sum(int(item.get("quantity") or 0) for item in items) or None,
        "plan": first.get("lookup_key") or first.get("nickname") or first.get("id"), "product": first.get("product"),
        "current_period_end": None if ends is None else format_time(_moment(ends)),
        "renewal_on": None if ends is None else _moment(ends).date().isoformat(),
    }  # fmt: skip
    if status in FAILING or status in PAYING:
        said["payment_status"] = "failed" if status in FAILING else "ok"
    return _own(thing) | said


def _invoice(thing: Mapping[str, Any]) -> dict[str, Any]:
    currency = str(thing.get("currency", ""))
    paid_at = (thing.get("status_transitions") or {}).get("paid_at")
    said = {
        "amount": _money(thing.get("amount_due"), currency), "amount_paid": _money(thing.get("amount_paid"), currency),
        "subscription": _subscription_of(thing), "paid_at": None if paid_at is None else format_time(_moment(paid_at)),
    }  # fmt: skip
    return _own(thing) | said


PROPERTIES = {"customers": _customer, "subscriptions": _subscription, "invoices": _invoice}
_TIMES = (
    "created", "canceled_at", "cancel_at", "ended_at", "start_date", "trial_end", "trial_start", "due_date",
    "billing_cycle_anchor", "next_payment_attempt", "period_end", "period_start",
)  # fmt: skip


def _own(thing: Mapping[str, Any]) -> dict[str, Any]:
    """Stripe's own properties that are plain values; times as texts; what it refers to by its id."""
    found: dict[str, Any] = {}
    for name, value in thing.items():
        if name in _TIMES and isinstance(value, int):
            found[name] = format_time(_moment(value))
        elif isinstance(value, dict) and isinstance(value.get("id"), str):
            found[name] = value["id"]
        elif value is None or isinstance(value, str | int | float | bool):
            found[name] = value
    metadata = thing.get("metadata")
    if isinstance(metadata, dict):
        found |= {f"metadata.{name}": value for name, value in metadata.items()}
    return found


def _subscription_of(invoice: Mapping[str, Any]) -> str | None:
    """Where it stands depends on the version of the API."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    found = invoice.get("subscription") or details.get("subscription")
    if isinstance(found, dict):
        found = found.get("id")
    return str(found) if found else None


def _yearly(items: Sequence[Mapping[str, Any]]) -> int | float | None:
    """What recurs in a year; None where a price is not a plain amount (tiers, usage)."""
    total = Decimal(0)
    for item in items:
        price = item.get("price") or item.get("plan") or {}
        recurs = price.get("recurring") or price
        unit, per = price.get("unit_amount", price.get("amount")), YEARLY.get(str(recurs.get("interval")))
        if unit is None or per is None:
            return None
        count = Decimal(int(recurs.get("interval_count") or 1))
        quantity = item.get("quantity")
        total += _units(int(unit), str(price.get("currency", ""))) * (1 if quantity is None else quantity) * per / count
    return _plain(total) if items else None


def _money(cents: Any, currency: str) -> int | float | None:
    return _plain(_units(cents, currency)) if isinstance(cents, int) else None


def _units(cents: int, currency: str) -> Decimal:
    name = currency.lower()
    return Decimal(cents) / (1 if name in WHOLE else 1000 if name in THOUSANDTHS else 100)


def _plain(amount: Decimal) -> int | float:
    rounded = amount.quantize(Decimal("0.001"))
    return int(rounded) if rounded == int(rounded) else float(rounded)


def _moment(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds < 253_402_300_800:
        raise ValueError(f"{seconds!r:.40} is no time in seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _together(changes: Sequence[Change], known: dict[str, dict[str, Any]]) -> Iterator[Seen]:
    """What is said of each subscription in several parts, once more in one, at the time of the last: where a webhook
    was lost and a later one was not, the part that it told lies before what is known, and would be passed over.
    `known`: what was said before in this reading."""
    last: dict[str, datetime] = {}
    for change in changes:
        if isinstance(change, Seen) and not change.whole:
            known.setdefault(change.id, {}).update(change.properties)
            last[change.id] = change.at
    for id_, at in last.items():
        yield Seen(object="subscriptions", id=id_, at=at, properties=dict(known[id_]), whole=False)


class Stripe:
    """Reading Stripe by its API."""

    def __init__(self, credentials: Mapping[str, str], tokens: Tokens | None = None) -> None:
        token = credentials["TOKEN"]
        self._http = Http(credentials.get("URL", BASE), {"authorization": f"Bearer {token}"})

    def close(self) -> None:
        self._http.close()

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """A first reading takes the objects as they are; then the events since. SystemFault."""
        newest = self._page("/v1/events", {"limit": 1})["data"]
        now = _moment(newest[0]["created"]) if newest else None
        since = datetime.fromisoformat(cursor["since"]) if "since" in cursor else None
        if since is None or "loading" in cursor or (now is not None and now - since > KEPT):
            fresh = since is None or "loading" not in cursor
            began = now if fresh or since is None else since
            for page in self._load(asked, {} if fresh else cursor["loading"], began):
                cursor = page.cursor
                yield page
            since = datetime.fromisoformat(cursor["since"])
        if now is not None:
            yield from self._events(asked, since, now)

    def _load(self, asked: Asked, loading: Mapping[str, str], began: datetime | None) -> Iterator[Pulled]:
        """Every object as it is. `loading`: how far that came, {object: the last id}."""
        names = [name for name in asked.objects if name in PATHS]
        since = format_time(began or datetime(1970, 1, 1, tzinfo=UTC))
        start = next((index for index, name in enumerate(names) if name in loading), 0)
        for index, name in enumerate(names[start:], start):
            after = loading.get(name, "")
            while True:
                more = {"status": "all"} if name == "subscriptions" else {}
                page = self._page(PATHS[name], {"limit": PAGE, **more, **({"starting_after": after} if after else {})})
                things = page["data"]
                after = str(things[-1]["id"]) if things else ""
                last = not page["has_more"] or not things
                there = {name: after} if not last else {names[index + 1]: ""} if index + 1 < len(names) else None
                moved: Cursor = {"since": since} | ({} if there is None else {"loading": there})
                seen = tuple(_seen(name, thing, began or _moment(thing["created"])) for thing in things)
                yield Pulled(changes=seen, cursor=moved, whole=(name,) if last else ())
                if last:
                    break
        if not names:
            yield Pulled(changes=(), cursor={"since": since})

    def _events(self, asked: Asked, since: datetime, now: datetime) -> Iterator[Pulled]:
        """What happened since, in its order, a day at a time: Stripe lists the newest first."""
        begin = since - OVERLAP
        known: dict[str, dict[str, Any]] = {}
        while begin <= now:
            end = begin + WINDOW
            events: list[Mapping[str, Any]] = []
            after = ""
            while True:
                page = self._page("/v1/events", {
                    "limit": PAGE, "created[gte]": int(begin.timestamp()), "created[lt]": int(end.timestamp()),
                    **({"starting_after": after} if after else {}),
                })  # fmt: skip
                events += page["data"]
                if not page["has_more"] or not page["data"]:
                    break
                after = str(page["data"][-1]["id"])
            changes = [change for event in reversed(events) for change in _changes(event)]
            wanted = [change for change in changes if change.object in asked.objects]
            yield Pulled(changes=(*wanted, *_together(wanted, known)), cursor={"since": format_time(min(end, now))})
            begin = end

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """Which of these still exist. SystemFault."""
        return {id_ for id_ in ids if self._exists(object, id_)}

    def _exists(self, name: str, id_: str) -> bool:
        try:
            found = self._http.get(f"{PATHS[name]}/{id_}")
        except SystemFault as fault:
            if fault.status == 404:
                return False
            raise
        return not found.get("deleted")

    def _page(self, path: str, params: Mapping[str, Any]) -> Any:
        page = self._http.get(path, params)
        if not isinstance(page, dict) or not isinstance(page.get("data"), list) or "has_more" not in page:
            raise SystemFault(f"{path}: the answer is no list of Stripe's")
        return page
