"""The headers that every answer bears."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders


def policy(nonce: str) -> str:
    """The content security policy: our own files, scripts and styles that bear this answer's nonce."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def dress(headers: MutableHeaders, nonce: str) -> None:
    """Put the headers of safety on an answer; its own Cache-Control stays."""
    headers["content-security-policy"] = policy(nonce)
    headers["x-content-type-options"] = "nosniff"
    headers["referrer-policy"] = "same-origin"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers.setdefault("cache-control", "no-store")
