"""Whether a webhook is from whom it says: one check for each vendor's scheme, over the bytes as they came.

A check answers yes or no. Whatever arrives, in whatever form, it raises nothing and does not say what was wrong; every
comparison takes the same time wherever the first difference is. A scheme with a time in what is signed takes no
request that is more than five minutes old, or ahead: the vendors' own helpers take one from years ahead, or raise.
Where a scheme signs no time (ClickUp, Attio, Outreach), somebody's copy of a request still verifies: what it says is
taken once, since the journal knows its id.

`secrets` may be several: while one is replaced, the old and the new one both count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

APART = timedelta(minutes=5)
"""How far a request's time may be from ours, either way."""
TOKEN_LIFE = timedelta(days=1)
"""A signed token (Gong) may be valid for this long at most: one that is valid for years is no token of today."""
SHORTEST = 8
"""Characters of a secret at least; what is shorter is no secret, and verifies nothing."""
_DIGITS = re.compile(rb"[0-9]{1,16}")
_STRIPE = re.compile(rb"(t=[0-9]{1,16}|v[01]=[0-9a-f]{64})(,(t=[0-9]{1,16}|v[01]=[0-9a-f]{64})){0,20}")
_HUBSPOT_PLAIN = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
"""What HubSpot decodes in an address before it signs it."""


@dataclass(frozen=True)
class Arrived:
    """A request as it came. `url` is the address under which the sender knows us; header names are in lower case."""

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> bytes:
        """The header's value; nothing where it is missing, or there more than once: then nobody knows which counts."""
        found = [value for key, value in self.headers if key == name.encode()]
        return found[0] if len(found) == 1 else b""


Check = Callable[[Arrived, str, datetime], bool]


def authentic(scheme: str, arrived: Arrived, secrets: Iterable[str], now: datetime) -> bool:
    """Whether one of the secrets signed it. An unknown scheme verifies nothing."""
    check = SCHEMES.get(scheme)
    if check is None:
        return False
    # Every secret is tried, so that how long it takes does not tell which one it was.
    return True in [check(arrived, secret, now) for secret in secrets if len(secret) >= SHORTEST]


def _hmac(secret: bytes, *parts: bytes) -> bytes:
    return hmac.new(secret, b"".join(parts), hashlib.sha256).digest()


def _same(made: bytes, given: bytes) -> bool:
    return hmac.compare_digest(made, given)


def _fresh(stamp: bytes, now: datetime, unit: float = 1.0) -> bool:
    """Whether a text of digits, in seconds (or 1 / `unit` of them) since 1970, is about now."""
    return bool(_DIGITS.fullmatch(stamp)) and abs(now.timestamp() - int(stamp) / unit) <= APART.total_seconds()


def _hubspot(arrived: Arrived, secret: str, now: datetime) -> bool:
    """v3: base64 of HMAC-SHA256 over method, address, body and time (in milliseconds)."""
    stamp = arrived.header("x-hubspot-request-timestamp")
    if not _fresh(stamp, now, 1000.0):
        return False
    url = re.sub("%[0-9A-F]{2}", lambda found: _HUBSPOT_PLAIN.get(found.group(), found.group()), arrived.url)
    signed = _hmac(_bytes(secret), _bytes(arrived.method), _bytes(url), arrived.body, stamp)
    return _same(base64.b64encode(signed), arrived.header("x-hubspot-signature-v3"))


def _slack(arrived: Arrived, secret: str, now: datetime) -> bool:
    """v0: hex of HMAC-SHA256 over v0:time:body."""
    stamp = arrived.header("x-slack-request-timestamp")
    if not _fresh(stamp, now):
        return False
    signed = _hmac(_bytes(secret), b"v0:", stamp, b":", arrived.body)
    return _same(b"v0=" + signed.hex().encode(), arrived.header("x-slack-signature"))


def _standard(arrived: Arrived, secret: str, now: datetime) -> bool:
    """Standard Webhooks 1.0: base64 of HMAC-SHA256 over id.time.body; the header may hold several, v1 counts."""
    name, stamp = arrived.header("webhook-id"), arrived.header("webhook-timestamp")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    if not name or not key or not _fresh(stamp, now):
        return False
    made = b"v1," + base64.b64encode(_hmac(key, name, b".", stamp, b".", arrived.body))
    return True in [_same(made, given) for given in arrived.header("webhook-signature").split(b" ")]


def _stripe(arrived: Arrived, secret: str, now: datetime) -> bool:
    """`t=time,v1=hex,...`: HMAC-SHA256 over time.body; several v1 while a secret is replaced, v0 is not looked at."""
    given = arrived.header("stripe-signature")
    if not _STRIPE.fullmatch(given):
        return False
    pairs = [item.partition(b"=")[::2] for item in given.split(b",")]
    stamps = [value for name, value in pairs if name == b"t"]
    if len(stamps) != 1 or not _fresh(stamps[0], now):
        return False
    made = _hmac(_bytes(secret), stamps[0], b".", arrived.body).hex().encode()
    return True in [_same(made, value) for name, value in pairs if name == b"v1"]


def _of_body(header: str) -> Check:
    """Hex of HMAC-SHA256 over the body, and nothing else."""

    def check(arrived: Arrived, secret: str, now: datetime) -> bool:
        return _same(_hmac(_bytes(secret), arrived.body).hex().encode(), arrived.header(header))

    return check


def _gong(arrived: Arrived, secret: str, now: datetime) -> bool:
    """A JWT (RS256) in `Authorization`, with the body's SHA-256 in it. `secret`: the rule's public key, as Gong shows
    it (base64 of its DER form, with or without the PEM lines)."""
    key, token = _public_key(secret), arrived.header("authorization")
    if key is None or not _canonical(token):
        return False
    required = ["exp", "body_sha256"]
    try:
        # The clock is ours, not the library's: `exp` and `iat` are compared below.
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=["RS256"],
            options={"require": required, "verify_exp": False, "verify_iat": False, "verify_nbf": False,
                     "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return False
    ends, begins, url = claims["exp"], claims.get("iat"), claims.get("webhook_url")
    if not _a_time(ends) or not -APART.total_seconds() <= ends - now.timestamp() <= TOKEN_LIFE.total_seconds():
        return False
    if begins is not None and not (_a_time(begins) and abs(now.timestamp() - begins) <= APART.total_seconds()):
        return False
    if url is not None and url != arrived.url:
        return False
    return _same(hashlib.sha256(arrived.body).hexdigest().encode(), _bytes(claims["body_sha256"]))


def _a_time(claim: object) -> bool:
    return isinstance(claim, int | float) and not isinstance(claim, bool) and 0 <= claim < 1e12


def _canonical(token: bytes) -> bool:
    """Whether the token is the one text of what it says: the last letter of base64 has bits that nobody reads."""
    parts = token.split(b".")
    if len(parts) != 3:
        return False
    try:
        return all(base64.urlsafe_b64encode(jwt.utils.base64url_decode(part)).rstrip(b"=") == part for part in parts)
    except (binascii.Error, ValueError):
        return False


def _public_key(text: str) -> RSAPublicKey | None:
    bare = re.sub(r"-----[A-Z ]+-----|\s|\\n", "", text)
    try:
        key = load_der_public_key(base64.b64decode(bare, validate=True))
    except (binascii.Error, ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _bytes(text: object) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""


SCHEMES: Mapping[str, Check] = {
    "hubspot": _hubspot,
    "slack": _slack,
    "standard": _standard,
    "stripe": _stripe,
    "clickup": _of_body("x-signature"),
    "attio": _of_body("attio-signature"),
    "outreach": _of_body("outreach-webhook-signature"),
    "gong": _gong,
}
"""Each scheme by its name."""
