"""Outreach: accounts, prospects and opportunities, and what was done: calls, e-mails, tasks.

Objects: `accounts`, `prospects`, `opportunities`. Their properties are Outreach's attributes, and each reference under
its own name (`account`, `owner`, `stage`): its id. Outreach does not repeat a webhook that was answered with an error,
and a webhook holds what changed only; so a webhook says at once what it knows the time of, and that the rest be read.
Reading asks for what changed since, by `updatedAt`, in pages by cursor (`page[size]`), uncounted.

Source: developers.outreach.io, "Making requests" (media type, paging, filters, sorting), "Webhooks" (delivery,
signature), and the reference made of https://api.outreach.io/api/v2/schema/openapi.json (call, mailing, task).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from watchtower.connectors.oauth import bearing
from watchtower.contract import format_time
from watchtower.contract.heard import Heard
from watchtower.contract.system import Asked, Change, Cursor, Gone, Pulled, Said, Seen, Tokens
from watchtower.errors import SystemFault

BASE = "https://api.outreach.io"
MEDIA = "application/vnd.api+json"
"""JSON:API's; a request that does not say so is answered 415."""
PAGE = 500
OVERLAP = timedelta(minutes=1)
"""Changes of one moment may become readable a little after each other."""
OBJECTS = {"account": "accounts", "prospect": "prospects", "opportunity": "opportunities"}
"""Our names, by Outreach's types."""
DONE = {"call": "calls", "email": "mailings", "task": "tasks"}
"""Outreach's objects, by the kind of activity."""


def hear(payload: Any) -> Heard:
    """What a webhook says (JSON:API, with `meta.eventName` as `prospect.updated`)."""
    data, meta = payload["data"], payload["meta"]
    kind, id_ = str(data["type"]), str(data["id"])
    name = OBJECTS.get(kind)
    if name is None:
        return Heard(again=((kind, id_),) if kind in ("call", "mailing", "task") else ())
    if str(meta["eventName"]).endswith(".destroyed"):
        return Heard(changes=(Gone(object=name, id=id_, at=_moment(meta["deliveredAt"])),))
    changed = data.get("attributes") or {}
    if "updatedAt" not in changed:
        return Heard(again=((name, id_),))
    seen = Seen(object=name, id=id_, at=_moment(changed["updatedAt"]), properties=_properties(data), whole=False)
    return Heard(changes=(seen,), again=((name, id_),))


def _properties(thing: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(thing.get("attributes") or {})
    for name, relation in (thing.get("relationships") or {}).items():
        other = relation.get("data") if isinstance(relation, dict) else None
        if isinstance(other, dict) and "id" in other:
            found[name] = str(other["id"])
        elif isinstance(relation, dict) and "data" in relation and other is None:
            found[name] = None
    return found


def _about(thing: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The objects it refers to, under whatever name: a call's account, say, is its `associatedId`."""
    related = (relation.get("data") for relation in (thing.get("relationships") or {}).values())
    return {
        (OBJECTS[str(one["type"])], str(one["id"]))
        for one in related
        if isinstance(one, dict) and one.get("type") in OBJECTS and "id" in one
    }


def _said(kind: str, thing: Mapping[str, Any]) -> Said | None:
    """A call, an e-mail or a task, once it was made, delivered or completed."""
    own = thing.get("attributes") or {}
    happened = {
        "call": own.get("answeredAt") or own.get("dialedAt") or own.get("completedAt"),
        "email": own.get("deliveredAt"), "task": own.get("completedAt"),
    }[kind]  # fmt: skip
    if not happened:
        return None
    about = tuple(sorted(_about(thing)))
    return Said(
        object=DONE[kind], id=str(thing["id"]), at=_moment(own["updatedAt"]), happened=_moment(happened),
        activity=kind, about=about, text=str(own.get("note") or own.get("bodyText") or ""),
        title=str(own.get("subject") or ""),
    )  # fmt: skip


def _moment(text: Any) -> datetime:
    """ISO 8601; what bears no offset is UTC, as its documentation's examples are."""
    moment = datetime.fromisoformat(str(text))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Outreach:
    """Reading Outreach by its API (v2)."""

    def __init__(self, credentials: Mapping[str, str], tokens: Tokens | None = None) -> None:
        headers = {"accept": MEDIA, "content-type": MEDIA}
        self._http = bearing(credentials.get("URL", BASE), credentials, tokens, headers)

    def close(self) -> None:
        self._http.close()

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """Each object's changes in order of `updatedAt`. The cursor holds, for each, the time it was read to, and under
        `whole` those that are still read for the first time."""
        read = dict(cursor)
        read["whole"] = [*read.get("whole", ()), *(name for name in asked.objects if name not in read)]
        for name in asked.objects:
            if name not in OBJECTS.values():
                raise SystemFault(
                    f"Outreach has no object {name!r}; it has {', '.join(OBJECTS.values())}", refused=True
                )
            yield from self._changes(name, name, None, read)
        for kind in asked.activities:
            yield from self._changes(DONE[kind], DONE[kind], kind, read)

    def _changes(self, name: str, path: str, kind: str | None, read: Cursor) -> Iterator[Pulled]:
        params: dict[str, Any] = {"page[size]": PAGE, "sort": "updatedAt", "count": "false"}
        if name in read:
            since = datetime.fromisoformat(read[name]) - OVERLAP
            params["filter[updatedAt]"] = f"{format_time(since)}..inf"
        url = f"/api/v2/{path}"
        while True:
            page = self._http.get(url, params or None)
            things = page.get("data") if isinstance(page, dict) else None
            if not isinstance(things, list):
                raise SystemFault(f"{url}: the answer is no page of Outreach's")
            found: list[Change | None] = [self._change(name, kind, thing) for thing in things]
            if things:
                read[name] = format_time(_moment(things[-1]["attributes"]["updatedAt"]))
            following = (page.get("links") or {}).get("next") if things else None
            whole = () if following or name not in read["whole"] else (name,)
            read["whole"] = [one for one in read["whole"] if one not in whole]
            changes = tuple(one for one in found if one is not None)
            yield Pulled(changes=changes, cursor=dict(read), whole=whole)
            if not following:
                return
            url, params = str(following), {}

    def _change(self, name: str, kind: str | None, thing: Mapping[str, Any]) -> Change | None:
        if kind is not None:
            return _said(kind, thing)
        at = _moment(thing["attributes"]["updatedAt"])
        return Seen(object=name, id=str(thing["id"]), at=at, properties=_properties(thing))

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """Which of these still exist. SystemFault."""
        found: set[str] = set()
        for begin in range(0, len(ids), 50):
            some = ids[begin : begin + 50]
            page = self._http.get(f"/api/v2/{object}", {"filter[id]": ",".join(some), "page[size]": 50})
            found |= {str(thing["id"]) for thing in page.get("data", [])}
        return found
