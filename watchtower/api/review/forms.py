"""Reading a form, and going back to where it was."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request
from starlette.responses import RedirectResponse

from watchtower.errors import InputError

MAX_FORM = 20_000
MOST_PICKED = 200
"""Alerts or proposals that one form may decide on."""


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. InputError where it is not one."""
    return dict(await pairs_of(request))


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, one that is given often as often as it is. InputError where it is not one."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise InputError(f"Content-Type: {media!r} is not a form", remedy="send application/x-www-form-urlencoded")
    body = await request.body()
    try:
        if len(body) > MAX_FORM:
            raise ValueError
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PICKED + 20)
    except ValueError:
        raise InputError("the form cannot be read") from None
    if any("\x00" in value for _, value in fields):
        raise InputError("the form has the character U+0000, which cannot be stored")
    return fields


def back(form: dict[str, str], default: str) -> RedirectResponse:
    """To the page the form was on, if that is one of ours."""
    path = form.get("next", "")
    plain = path.isascii() and path.isprintable() and "\\" not in path
    ours = plain and path.startswith("/") and not path.startswith("//")
    return RedirectResponse(path if ours else default, status_code=303)
