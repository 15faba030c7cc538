"""Webhooks as their vendors sign them: by the vendor's own library where there is one, else as its documentation says.

Nothing here uses the code that is tested. Bodies have the shapes of the vendors' documentation.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jwt
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hubspot.utils.signature import Signature
from slack_sdk.signature import SignatureVerifier
from stripe import WebhookSignature

from watchtower.connectors.signatures import Arrived

Headers = dict[str, str]
HOST = "https://tower.example.com"


@cache
def gong_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def gong_secret() -> str:
    """The public key as Gong shows it: base64 of its DER form."""
    public = gong_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()


def secret_of(scheme: str) -> str:
    if scheme == "gong":
        return gong_secret()
    return {
        "standard": "whsec_" + base64.b64encode(b"k" * 32).decode(),
        "stripe": "whsec_test_0123456789abcdef",
        "hubspot": "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
        "slack": "8f742231b10e8888abcd99yyyzzz85a5",
    }.get(scheme, f"{scheme}-secret-of-32-letters-and-so")


def _stripe(secret: str, url: str, body: bytes, now: datetime) -> Headers:
    made = WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))
    return {"stripe-signature": made}


def _slack(secret: str, url: str, body: bytes, now: datetime) -> Headers:
    stamp = str(int(now.timestamp()))
    made = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    assert made is not None
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": made}


def _standard(secret: str, url: str, body: bytes, now: datetime) -> Headers:
    made = standardwebhooks.Webhook(secret).sign("msg_1", now, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": made}


def _hubspot(secret: str, url: str, body: bytes, now: datetime) -> Headers:
    stamp = str(int(now.timestamp() * 1000))
    made = Signature.get_signature(secret, body.decode(), "v3", url, "POST", stamp)
    return {"x-hubspot-signature-v3": made, "x-hubspot-request-timestamp": stamp}


def _hex_of_body(header: str) -> Callable[[str, str, bytes, datetime], Headers]:
    """As the documentation of ClickUp, Attio and Outreach has it: hex of HMAC-SHA256 over the request's body."""

    def sign(secret: str, url: str, body: bytes, now: datetime) -> Headers:
        return {header: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}

    return sign


def _gong(secret: str, url: str, body: bytes, now: datetime) -> Headers:
    return {"authorization": gong_token(body, now, webhook_url=url)}


def gong_token(body: bytes, now: datetime, **claims: Any) -> str:
    said = {
        "exp": int((now + timedelta(minutes=5)).timestamp()), "iat": int(now.timestamp()),
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    return jwt.encode({k: v for k, v in (said | claims).items() if v is not None}, gong_key(), algorithm="RS256")


SIGN: Mapping[str, Callable[[str, str, bytes, datetime], Headers]] = {
    "hubspot": _hubspot,
    "slack": _slack,
    "standard": _standard,
    "stripe": _stripe,
    "clickup": _hex_of_body("x-signature"),
    "attio": _hex_of_body("attio-signature"),
    "outreach": _hex_of_body("outreach-webhook-signature"),
    "gong": _gong,
}
BODIES: Mapping[str, bytes] = {
    "slack": b"payload=%7B%22type%22%3A%22block_actions%22%7D",
    "stripe": json.dumps(
        {"id": "evt_1", "object": "event", "type": "customer.updated", "created": 1772442000,
         "data": {"object": {"id": "cus_1", "object": "customer", "name": "Größe & Söhne – ≥ 10"}}},
        ensure_ascii=False,
    ).encode(),
    "clickup": b'{"event":"taskUpdated","task_id":"c0j","webhook_id":"7689a169-a000-4985-8676-6902b96d6627",'
    b'"history_items":[]}',
}  # fmt: skip
"""A body that means little, and so can be sent to a tower again and again."""


def body_of(scheme: str) -> bytes:
    return BODIES.get(scheme, b'{"data":{"id":"1","type":"none"},"meta":{"eventName":"none"}}')


def signed(
    scheme: str, now: datetime, *, body: bytes | None = None, secret: str | None = None, url: str = ""
) -> Arrived:
    """A request of this vendor's, as it leaves there."""
    given = body_of(scheme) if body is None else body
    address = url or f"{HOST}/hooks/{scheme}"
    headers = SIGN[scheme](secret or secret_of(scheme), address, given, now)
    return Arrived("POST", address, [(name.encode(), value.encode()) for name, value in headers.items()], given)
