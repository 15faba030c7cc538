"""The templates' environment: autoescape for every template, and the words that pages use for values.

Starlette's own wrapper decides by file name what to escape; this one escapes always.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from watchtower.api.packed import pack
from watchtower.contract import format_time

HERE = Path(__file__).parent
STATIC = HERE / "static"
SAFE_SCHEMES = frozenset({"http", "https", "mailto"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_UNITS = ((31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def distance(seconds: float) -> str:
    """A span of time in the largest unit that fits: `3 days`. Days up to 60, then months, then years."""
    for size, name in _UNITS:
        if name == "month" and seconds < 60 * 86_400:
            continue
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "less than a minute"


def relative(time: datetime, now: datetime) -> str:
    """`3 days ago`, `in 2 hours`, `just now`."""
    seconds = (now - time).total_seconds()
    if abs(seconds) < 60:
        return "just now"
    return f"{distance(seconds)} ago" if seconds > 0 else f"in {distance(-seconds)}"


def time_tag(time: datetime | None, now: datetime, *, exact: bool = False) -> Markup:
    """A <time> with the exact moment as its title; a dash for none."""
    if time is None:
        return Markup("–")
    moment = time.astimezone(UTC)
    if exact:
        return _exact(moment)
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(format_time(moment), relative(moment, now))


def _exact(moment: datetime) -> Markup:
    """What review.js turns into the time of the reader's zone; without it, UTC stands."""
    words = f"{moment:%d %b %Y, %H:%M} UTC"
    return Markup('<time datetime="{0}" title="{0}" data-exact>{1}</time>').format(format_time(moment), words)


def stamp(value: Any, type_: str | None = None, unit: str = "") -> Markup | str:
    """As `shown`, with a <time> for a moment. Not for attributes."""
    moment = value if isinstance(value, datetime) else None
    if isinstance(value, str) and (type_ == "timestamp" or (type_ is None and _MOMENT.fullmatch(value))):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
    return shown(value, type_, unit) if moment is None else _exact(moment.astimezone(UTC))


def safe_url(text: Any) -> str | None:
    """The address where a link may go there (http, https, mailto), else None: it is then shown as text."""
    if not isinstance(text, str):
        return None
    cleaned = text.strip()
    if any(ord(char) < 33 or ord(char) == 127 for char in cleaned):
        return None
    try:
        scheme = urlsplit(cleaned).scheme.lower()
    except ValueError:
        return None
    return cleaned if scheme in SAFE_SCHEMES else None


def shown(value: Any, type_: str | None = None, unit: str = "") -> str:
    """A field's value for people: thousands grouped from five digits on (a year is no quantity), plain words for
    booleans, short times."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        text = f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"
        if abs(value) < 10_000:
            text = text.replace(",", "")
        return f"{text} {unit}".strip()
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%d %b %Y, %H:%M} UTC"
    if isinstance(value, date):
        return f"{value:%d %b %Y}"
    if isinstance(value, str):
        if type_ == "timestamp" or (type_ is None and _MOMENT.fullmatch(value)):
            try:
                return f"{datetime.fromisoformat(value).astimezone(UTC):%d %b %Y, %H:%M} UTC"
            except ValueError:
                return value
        return f"{value} {unit}".strip()
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(str(item) for item in value) or "empty"
    return json.dumps(value, ensure_ascii=False, default=str)


def path_to(*parts: Any) -> str:
    """A path of ours, each part percent-encoded; a record's id keeps its slashes."""
    return "/" + "/".join(quote(str(part), safe="/" if place else "") for place, part in enumerate(parts))


@cache
def asset(name: str) -> str:
    """The address of a static file, with its content's hash: it can be cached for good."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=shown, stamp=stamp, safe_url=safe_url, span=distance)
    environment.globals.update(asset=asset, path_to=path_to, time_tag=time_tag)
    return environment


ENVIRONMENT = _environment()


def page(request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A rendered page. The context needs at least `now`; the nonce and the reviewer come from the request."""
    words = {
        "nonce": request.state.nonce,
        "path": request.url.path,
        "here": address(request),
        "reviewer": reviewer(request),
        "signed_in": getattr(request.state, "credential", None) is not None,
        **context,
    }
    answer = HTMLResponse(ENVIRONMENT.get_template(template).render(words), status_code=status)
    pack(answer, request.headers)
    return answer


def render(template: str, context: Mapping[str, Any]) -> Markup:
    """A part of a page, to be put into one as it is."""
    return Markup(ENVIRONMENT.get_template(template).render(context))


def address(request: Request) -> str:
    """Where the reader is, to come back to; not what was said there of the last act on many."""
    query = "&".join(part for part in request.url.query.split("&") if part and not part.startswith("did="))
    return request.url.path + (f"?{query}" if query else "")


def reviewer(request: Request) -> str:
    """Under which name this browser reviews: its key's, else its cookie's, else `operator`."""
    credential = getattr(request.state, "credential", None)
    if credential is not None:
        return str(credential.name)
    name = unquote(request.cookies.get("watchtower_reviewer", "")).strip()
    return name if 0 < len(name) <= 120 and name.isprintable() else "operator"


STAY = "watchtower_stay"
"""The cookie of those who want to stay on an alert's page after a decision."""


def goes_on(request: Request) -> bool:
    """Whether this browser goes on to the next alert after a decision on an alert's page."""
    return request.cookies.get(STAY) != "yes"


def error_page(request: Request, status: int, title: str, detail: str, remedy: str) -> HTMLResponse:
    """A fault, for a person."""
    words = {"status": status, "title": title, "detail": detail, "remedy": remedy}
    return page(request, "error.html", words, status=status)
