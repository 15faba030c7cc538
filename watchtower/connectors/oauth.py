"""OAuth 2.0 at the systems' token endpoints: a refresh token, or an app's own credentials, for an access token.

Outreach, HubSpot, Salesforce and Gong give access tokens that end (after two hours, half an hour, the org's session
time, a day). Each answer may carry the next refresh token, and then the one before it may be worth nothing any more: so
it is kept before anything else is done (`watchtower.bootstrap.tokens`).

Source: RFC 6749, 4.4 and 6 (grants), 5.2 (errors); developers.outreach.io, "OAuth" (two hours; fourteen days for a
refresh token; one token a minute, else 429); developers.hubspot.com, "Manage OAuth access tokens" (v3); Salesforce
Help, "OAuth 2.0 Refresh Token Flow", "Client Credentials Flow"; help.gong.io, "Create an app for Gong".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchtower.connectors.http import Http
from watchtower.contract.system import Tokens
from watchtower.errors import SystemFault

SECONDS, IN_ALL = 10.0, 20.0
"""How long one attempt, and all of them, may take: others wait for the outcome, and give up after 30 seconds."""
AUTHORIZE = "Authorize the app anew, and set {variable} to the refresh token it gives: it goes before the kept one."
APP = "Check the app there, its secret and who it runs as, and the variables that watchtower systems names."


@dataclass(frozen=True)
class Endpoint:
    """Where tokens are had: the path under `base`, or under the address that the variable `where` holds."""

    base: str
    path: str
    where: str = "URL"
    basic: bool = False
    """Whether the app names itself by HTTP Basic, and not in the form."""
    own: bool = False
    """Whether the app may do without a refresh token: as itself (client credentials)."""


ENDPOINTS: dict[str, Endpoint] = {
    "outreach": Endpoint("https://api.outreach.io", "/oauth/token"),
    "hubspot": Endpoint("https://api.hubapi.com", "/oauth/v3/token"),
    "salesforce": Endpoint("", "/services/oauth2/token", own=True),
    "gong": Endpoint("https://app.gong.io", "/oauth2/generate-customer-token", "TOKEN_URL", basic=True),
}
"""By kind of system. Attio's, Stripe's and ClickUp's tokens do not end."""


@dataclass(frozen=True)
class Fresh:
    """What an endpoint gave. `refresh`: the next refresh token; empty where the one before stays. `seconds`: how long
    the access token lasts; None where it does not say."""

    access: str
    refresh: str
    seconds: float | None


def renews(kind: str, credentials: Mapping[str, str]) -> bool:
    """Whether these are credentials by which tokens are renewed."""
    endpoint = ENDPOINTS.get(kind)
    if endpoint is None or "CLIENT_ID" not in credentials or "CLIENT_SECRET" not in credentials:
        return False
    return endpoint.own or "REFRESH_TOKEN" in credentials


def bearing(
    base: str, credentials: Mapping[str, str], tokens: Tokens | None, headers: Mapping[str, str] | None = None
) -> Http:
    """HTTP to a system under the tokens that are renewed, else under its TOKEN."""
    if tokens is not None:
        return Http(base, headers, tokens=tokens)
    return Http(base, {"authorization": f"Bearer {credentials['TOKEN']}"} | dict(headers or {}))


def renew(kind: str, credentials: Mapping[str, str], refresh: str, variable: str) -> Fresh:
    """A new access token. `refresh`: the refresh token; empty: the app as itself. `variable`: what holds a first one,
    for the remedy. SystemFault: refused where it was revoked or the app is not known any more."""
    endpoint = ENDPOINTS[kind]
    app = {"client_id": credentials["CLIENT_ID"], "client_secret": credentials["CLIENT_SECRET"]}
    form = {"grant_type": "refresh_token", "refresh_token": refresh} if refresh else {
        "grant_type": "client_credentials"}  # fmt: skip
    headers = {}
    if endpoint.basic:
        pair = base64.b64encode(":".join(app.values()).encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    else:
        form |= app
    if refresh and "REDIRECT_URI" in credentials:
        form["redirect_uri"] = credentials["REDIRECT_URI"]
    http = Http(credentials.get(endpoint.where) or endpoint.base, headers, secret=True, seconds=SECONDS, in_all=IN_ALL)
    try:
        said = http.call("POST", endpoint.path, form=form)
    except SystemFault as fault:
        if not fault.refused:
            raise
        remedy = AUTHORIZE.format(variable=variable) if refresh and "invalid_client" not in fault.message else APP
        # Without the status: it is not the answer to what was to be read or written.
        raise SystemFault(f"no access token any more: {fault.message}", remedy=remedy, refused=True) from None
    finally:
        http.close()
    return _fresh(said, endpoint.path)


def _fresh(said: Any, path: str) -> Fresh:
    access = said.get("access_token") if isinstance(said, dict) else None
    if not isinstance(access, str) or not access.isascii() or not access.isprintable() or " " in access:
        raise SystemFault(f"{path}: the answer holds no access token")
    given, lasts = said.get("refresh_token"), said.get("expires_in")
    return Fresh(
        access, given if isinstance(given, str) else "",
        float(lasts) if isinstance(lasts, int | float) and not isinstance(lasts, bool) and 0 < lasts < 1e9 else None,
    )  # fmt: skip
