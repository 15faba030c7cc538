"""Attio: records and notes of API v2, by an access token.

Attio does not say when a record last changed, and no query finds what changed since: each reading reads all of it, and
what a reading does not bring is looked for by its id. A value says since when it is active: the newest of these is when
the record last spoke. So read it seldom (`every: 1 hour`) where it is large.

A merge makes a new record of two, and neither of the two can be read any more: they end, and the new one begins. That
they are one is told by the webhook `record.merged` alone: without it a reference goes on once Attio says it anew.

Source: docs.attio.com, Webhook reference: record.merged; REST API: list records (query), list notes, update a record
(PUT overwrites, where PATCH would add to lists), merge two records, attribute types; rate limits answer 429 with
Retry-After as a date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from watchtower.connectors.http import Http
from watchtower.connectors.rounds import Page, Step, run
from watchtower.contract import parse_time
from watchtower.contract.system import Asked, Change, Cursor, Pulled, Said, Seen, Tokens, Write
from watchtower.errors import SystemFault

BASE = "https://api.attio.com"
SIZE, NOTES = 500, 50
"""Records, and notes, on a page."""
VALUES: dict[str, tuple[str, ...]] = {
    "currency": ("currency_value",),
    "select": ("option", "title"),
    "status": ("status", "title"),
    "domain": ("domain",),
    "email-address": ("email_address",),
    "phone-number": ("phone_number",),
    "personal-name": ("full_name",),
    "record-reference": ("target_record_id",),
    "actor-reference": ("referenced_actor_id",),
    "interaction": ("interacted_at",),
    "location": ("country_code",),
}
"""Where the value of an attribute of each type stands; of the others under `value`."""


class Attio:
    """One workspace. `size`: records on a page, at most."""

    def __init__(self, http: Http, *, size: int = SIZE) -> None:
        self._http, self._size = http, size

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """See `Pulls.pull`."""
        steps: list[tuple[str, str, Step]] = [
            (object_, "read", self._records(properties)) for object_, properties in asked.objects.items()
        ]
        if "note" in asked.activities:
            steps.append(("notes", "read", self._notes))
        return run(steps, cursor)

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """See `Pulls.present`."""
        found = set()
        for id_ in ids:
            try:
                said = self._http.get(f"/v2/objects/{object}/records/{id_}")
            except SystemFault as fault:
                if fault.status != 404:
                    raise
            else:
                found.add(str(said["data"]["id"]["record_id"]))
        return found

    def push(self, write: Write) -> None:
        """See `Pushes.push`."""
        # Every attribute's value is a list, whether it may hold several or one: so says the schema of the request.
        values = {name: _listed(value) for name, value in write.properties.items()}
        body = {"data": {"values": values}}
        self._http.call("PUT", f"/v2/objects/{write.object}/records/{write.id}", body=body)

    def close(self) -> None:
        self._http.close()

    def _records(self, wanted: Sequence[str]) -> Step:
        def step(object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
            offset = int(at.get("offset", 0))
            while True:
                said = self._http.post(f"/v2/objects/{object_}/records/query", {
                    "limit": self._size, "offset": offset, "sorts": [{"attribute": "created_at", "direction": "asc"}],
                })  # fmt: skip
                found = said["data"]
                offset += len(found)
                last = len(found) < self._size
                # A round that is broken off begins this object anew: what is deleted meanwhile shifts the pages.
                yield Page([_seen(object_, one, wanted) for one in found], {}, whole=last)
                if last:
                    return

        return step

    def _notes(self, object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
        offset = 0
        while True:
            found = self._http.get("/v2/notes", {"limit": NOTES, "offset": offset})["data"]
            offset += len(found)
            changes: list[Change] = []
            for one in found:
                made = _time(one["created_at"])
                changes.append(Said(
                    object=object_, id=str(one["id"]["note_id"]), at=made, happened=made, activity="note",
                    about=((str(one["parent_object"]), str(one["parent_record_id"])),),
                    text=(one.get("content_plaintext") or "").strip(), title=(one.get("title") or "").strip(),
                ))  # fmt: skip
            yield Page(changes, {})
            if len(found) < NOTES:
                return


def connect(credentials: Mapping[str, str], tokens: Tokens | None = None) -> Attio:
    """TOKEN: an access token of the workspace. URL: another address than Attio's own, for tests and proxies."""
    http = Http(credentials.get("URL", BASE), {"authorization": f"Bearer {credentials['TOKEN']}"})
    return Attio(http)


def _seen(object_: str, one: Mapping[str, Any], wanted: Sequence[str]) -> Seen:
    values: Mapping[str, list[Mapping[str, Any]]] = one.get("values", {})
    active = {name: [value for value in found if not value.get("active_until")] for name, found in values.items()}
    times = [_time(value["active_from"]) for found in active.values() for value in found if value.get("active_from")]
    said = {name: _plain([_value(value) for value in active.get(name, ())]) for name in wanted}
    return Seen(
        object=object_, id=str(one["id"]["record_id"]), at=max([_time(one["created_at"]), *times]), properties=said,
        current=True,
    )  # fmt: skip


def _value(value: Mapping[str, Any]) -> Any:
    found: Any = value
    for part in VALUES.get(str(value.get("attribute_type")), ("value",)):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _plain(values: Sequence[Any]) -> Any:
    return None if not values else values[0] if len(values) == 1 else list(values)


def _time(text: str) -> datetime:
    """Attio's times have nine digits of a second: the last three are left out."""
    head, dot, rest = text.partition(".")
    try:
        return parse_time(f"{head}{dot}{rest.rstrip('Z')[:6]}Z" if dot else text)
    except ValueError as error:
        raise SystemFault(f"Attio: {error}") from None
