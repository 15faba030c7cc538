"""Conditional requests: entity tags, and what If-Match and If-None-Match ask (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Header, Request
from starlette.responses import Response

from watchtower.errors import InputError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1000,
        pattern=r'^(\*|(W/)?"[!#-~]*")$',
        description="The ETag that you saw: where it has changed since, the answer is 412 and nothing is written.",
        examples=['"3.9a0b12cd"'],
    ),
]


def expected(if_match: str | None) -> str | None:
    """The revision that a caller saw; None where it does not say, or any will do. InputError."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise InputError(f'If-Match: {if_match!r:.80} is not one entity tag such as "3.9a0b12cd"')
    # A weak tag never matches here: what was seen may differ from what there is.
    return f"W/{found.group(2)}" if found.group(1) else found.group(2)


def tagged(response: Response, revision: str) -> None:
    """Say the revision of what is answered."""
    response.headers["etag"] = f'"{revision}"'


def unchanged(request: Request, tag: str) -> bool:
    """Whether the caller has this already; `*`: any that there is."""
    given = request.headers.get("if-none-match", "")
    if given.strip() == "*":
        return True
    return any(found.group(2) == tag for found in _TAG.finditer(given))


def digest(body: bytes) -> str:
    """The tag of a body."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()
