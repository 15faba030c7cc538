"""Webhooks signed by their vendors' own libraries are taken, and nothing else is: not by one bit."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from faults.webhook_campaign import mutations, wrongly_taken
from hypothesis import given
from hypothesis import strategies as st
from webhook_samples import gong_secret, gong_token, secret_of, signed

from watchtower.connectors.signatures import SCHEMES, Arrived, authentic

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
STAMPED = ("hubspot", "slack", "standard", "stripe", "gong")
EVERY = tuple(SCHEMES)
NAMES = (
    "x-hubspot-signature-v3", "x-hubspot-request-timestamp", "x-slack-signature", "x-slack-request-timestamp",
    "webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-signature", "attio-signature",
    "outreach-webhook-signature", "authorization",
)  # fmt: skip


def taken(scheme: str, arrived: Arrived, *secrets: str, now: datetime = NOW) -> bool:
    return authentic(scheme, arrived, secrets or [secret_of(scheme)], now)


def with_header(arrived: Arrived, name: str, value: bytes) -> Arrived:
    return replace(arrived, headers=[(k, value if k == name.encode() else v) for k, v in arrived.headers])


@pytest.mark.parametrize("scheme", EVERY)
def test_what_the_vendor_signed_is_taken_and_with_any_other_secret_it_is_not(scheme: str) -> None:
    arrived = signed(scheme, NOW)
    assert taken(scheme, arrived)
    for other in ("another-secret-of-the-same-kind", "whsec_" + base64.b64encode(b"o" * 32).decode(), "", "short"):
        assert not taken(scheme, arrived, other)
    assert not authentic(scheme, arrived, [], NOW)
    assert not authentic("nobody", arrived, [secret_of(scheme)], NOW)


@pytest.mark.parametrize("scheme", EVERY)
def test_while_a_secret_is_replaced_the_old_and_the_new_one_count(scheme: str) -> None:
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    assert taken(scheme, signed(scheme, NOW), other, secret_of(scheme))
    assert taken(scheme, signed(scheme, NOW), secret_of(scheme), other)


@pytest.mark.parametrize("scheme", STAMPED)
def test_five_minutes_apart_is_the_most_and_years_ahead_is_refused(scheme: str) -> None:
    arrived = signed(scheme, NOW)
    for apart in (timedelta(minutes=5), -timedelta(minutes=5)):
        assert taken(scheme, arrived, now=NOW + apart)
    for apart in (timedelta(minutes=10, seconds=1), timedelta(days=3650), -timedelta(minutes=5, seconds=1)):
        assert not taken(scheme, arrived, now=NOW + apart)
    years = NOW + timedelta(days=3650)
    assert not taken(scheme, signed(scheme, years)), "the vendors' own helpers of HubSpot and Stripe take this one"


@pytest.mark.parametrize("scheme", ["hubspot", "slack", "standard", "stripe"])
def test_a_second_over_five_minutes_is_too_old(scheme: str) -> None:
    assert not taken(scheme, signed(scheme, NOW), now=NOW + timedelta(minutes=5, seconds=1))


@pytest.mark.parametrize("scheme", EVERY)
def test_a_header_that_is_there_twice_counts_as_missing(scheme: str) -> None:
    arrived = signed(scheme, NOW)
    for header in arrived.headers:
        assert not taken(scheme, replace(arrived, headers=[*arrived.headers, header]))
        assert not taken(scheme, replace(arrived, headers=[one for one in arrived.headers if one != header]))


@pytest.mark.parametrize("scheme", EVERY)
def test_no_mutation_of_a_request_is_taken(scheme: str) -> None:
    assert list(wrongly_taken(scheme, mutations(scheme, 300, seed=1, now=NOW), NOW)) == []


@given(
    scheme=st.sampled_from(EVERY),
    method=st.text(),
    url=st.text(),
    body=st.binary(max_size=200),
    values=st.lists(
        st.one_of(st.binary(max_size=80), st.just(str(int(NOW.timestamp())).encode())), min_size=12, max_size=12
    ),
    secret=st.one_of(st.text(min_size=8, max_size=60), st.just(gong_secret())),
)
def test_whatever_arrives_nothing_is_raised(
    scheme: str, method: str, url: str, body: bytes, values: list[bytes], secret: str
) -> None:
    headers = [(name.encode(), value) for name, value in zip(NAMES, values, strict=True)]
    assert authentic(scheme, Arrived(method, url, headers, body), [secret], NOW) is False


def test_stripe_may_sign_twice_while_its_secret_is_rolled() -> None:
    arrived = signed("stripe", NOW)
    (name, value) = arrived.headers[0]
    rolled = value.replace(b",v1=", b",v1=" + b"0" * 64 + b",v1=")
    assert taken("stripe", replace(arrived, headers=[(name, rolled)]))
    assert not taken("stripe", replace(arrived, headers=[(name, value.replace(b"v1=", b"v0="))])), "v0 is no signature"
    assert not taken("stripe", replace(arrived, headers=[(name, value + b",t=1")])), "which time was signed?"


def test_hubspot_signs_the_address_under_which_it_knows_us() -> None:
    arrived = signed("hubspot", NOW, url="https://tower.example.com/hooks/hubspot?a=b:c")
    assert taken("hubspot", arrived)
    assert taken("hubspot", replace(arrived, url="https://tower.example.com/hooks/hubspot?a=b%3Ac"))
    assert not taken("hubspot", replace(arrived, url="http://10.0.0.7:8000/hooks/hubspot?a=b:c"))
    assert not taken("hubspot", replace(arrived, method="PUT"))


def test_gongs_token_is_bound_to_this_body_and_to_today() -> None:
    arrived = signed("gong", NOW)
    body = arrived.body
    for claims in (
        {"exp": None}, {"body_sha256": None}, {"body_sha256": 7}, {"exp": "soon"}, {"exp": True}, {"exp": 1e300},
        {"exp": int((NOW + timedelta(days=365)).timestamp())}, {"iat": 0}, {"iat": "now"},
        {"webhook_url": "https://elsewhere.example.com/hooks/gong"},
    ):  # fmt: skip
        token = gong_token(body, NOW, **claims)
        assert not taken("gong", with_header(arrived, "authorization", token.encode())), claims
    assert taken("gong", with_header(arrived, "authorization", gong_token(body, NOW, iat=None).encode()))


def test_gongs_token_has_one_text_only() -> None:
    arrived = signed("gong", NOW)
    token = arrived.headers[0][1]
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = letters.index(token[-1:])
    others = [letters[(at & 0b110000) | low : ((at & 0b110000) | low) + 1] for low in range(16)]
    said = [taken("gong", with_header(arrived, "authorization", token[:-1] + other)) for other in others]
    assert said.count(True) == 1, "four bits of its last letter mean nothing: changed, they are refused"


def test_gongs_token_is_signed_by_its_key_and_no_other_way() -> None:
    arrived = signed("gong", NOW)
    claims = jwt.decode(arrived.headers[0][1], options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, algorithm="none")
    stranger = jwt.encode(claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithm="RS256")
    # The public key taken for a shared secret: the classic confusion of algorithms.
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    confused = f"{head}.{unsigned.split('.')[1]}.AAAA"
    for token in (unsigned, stranger, confused, "", "..", "a.b.c", "é"):
        assert not taken("gong", with_header(arrived, "authorization", token.encode()))
    pem = f"-----BEGIN PUBLIC KEY-----\n{gong_secret()}\n-----END PUBLIC KEY-----"
    assert taken("gong", arrived, pem), "the key may be pasted with its PEM lines"
