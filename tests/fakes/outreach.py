"""Outreach's API (v2, JSON:API) as far as prospects, accounts, opportunities, calls and mailings go, with webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fakes.oauth import TokenServer
from fakes.serving import Answer, Asked, serving

TOKEN = "outreach-token"
SECRET = "outreach-webhook-secret-0123456789"


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Outreach:
    """`sent`: webhooks as (headers, body); who does not deliver one has lost it: Outreach never sends it again."""

    url: str = ""
    things: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    sent: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    oauth: TokenServer | None = None
    """Where it is there, its access tokens are the only ones that count."""
    pages: int = 0
    """Pages that were given."""
    ends_after: int = 0
    """The page after which every access token has ended, once; 0: none."""
    breaks_after: int = 0
    """Pages until one call is refused, once; 0: none is."""

    def answer(self, asked: Asked) -> Answer:
        if self.oauth is not None and asked.path == "/oauth/token":
            return self.oauth.answer(asked)
        given = asked.headers.get("authorization", "")
        if not (self.oauth.knows(given) if self.oauth is not None else given == f"Bearer {TOKEN}"):
            return Answer({"errors": [{"id": "unauthorizedOauthRequest", "title": "Unauthorized OAuth Request"}]}, 401)
        if asked.headers.get("content-type") != "application/vnd.api+json":
            return Answer({"errors": [{"id": "unsupportedMediaType", "title": "Unsupported Media Type"}]}, 415)
        if self.broken:
            return Answer({"errors": [{"id": "rateLimited"}]}, self.broken.pop(0), {"retry-after": "0"})
        kind = asked.path.removeprefix("/api/v2/")
        found = sorted(self.things.get(kind, {}).values(), key=lambda one: one["attributes"]["updatedAt"])
        if since := asked.one("filter[updatedAt]"):
            begin = datetime.fromisoformat(since.removesuffix("..inf"))
            found = [one for one in found if datetime.fromisoformat(one["attributes"]["updatedAt"]) >= begin]
        if ids := asked.one("filter[id]"):
            found = [one for one in found if str(one["id"]) in ids.split(",")]
        size, start = min(int(asked.one("page[size]", "50")), 3), int(asked.one("page[after]", "0"))
        links = {}
        if start + size < len(found):
            more = f"{self.url}{asked.path}?page[size]={size}&page[after]={start + size}"
            links = {"next": more + (f"&filter[updatedAt]={since}" if since else "")}
        if self.breaks_after:
            self.breaks_after -= 1
            if not self.breaks_after:
                return Answer({"errors": [{"id": "badRequest"}]}, 400)
        self.pages += 1
        if self.oauth is not None and self.pages == self.ends_after:
            self.oauth.forget()
        return Answer({"data": found[start : start + size], "links": links})

    def set(self, kind: str, type_: str, id_: int, at: datetime, refs: dict[str, tuple[str, int]], **own: Any) -> None:
        """Somebody makes or changes a thing; a webhook tells of what changed."""
        things = self.things.setdefault(kind, {})
        new = str(id_) not in things
        relationships = {name: {"data": {"type": to, "id": other}} for name, (to, other) in refs.items()}
        thing = things.setdefault(str(id_), {"type": type_, "id": id_, "attributes": {}, "relationships": {}})
        thing["attributes"] |= own | {"updatedAt": text(at)}
        thing["relationships"] |= relationships
        changed = {**thing, "attributes": {**own, "updatedAt": text(at)}, "relationships": relationships}
        self._send(f"{type_}.{'created' if new else 'updated'}", changed, at)

    def destroy(self, kind: str, id_: int, at: datetime) -> None:
        thing = self.things[kind].pop(str(id_))
        self._send(f"{thing['type']}.destroyed", thing, at)

    def _send(self, name: str, data: dict[str, Any], at: datetime) -> None:
        said = {"data": data, "meta": {"deliveredAt": text(at), "eventName": name, "payloadVersion": 2}}
        body = json.dumps(said, ensure_ascii=False).encode()
        made = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"outreach-webhook-signature": made, "content-type": "application/vnd.api+json"}
        self.sent.append((headers, body))


@contextmanager
def outreach() -> Iterator[Outreach]:
    fake = Outreach()
    with serving(fake.answer) as url:
        fake.url = url
        yield fake
