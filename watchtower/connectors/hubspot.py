"""HubSpot: CRM objects of API v3, associations of v4, by a service key, or under an OAuth app's tokens.

A first reading lists each object; later ones search for what was modified since. A search gives 10,000 results and no
more, so each page is a new search from the last time of modification; where a whole page bears one time (a bulk
import), by id within it. The index of the search lags behind: each reading looks back a little. What was archived is
listed at each reading, since no search finds it.

Source: developers.hubspot.com, CRM API: objects, search (limits), associations v4; lastmodifieddate of contacts,
hs_lastmodifieddate of all others; hs_merged_object_ids names what became part of an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from watchtower.connectors.http import Http
from watchtower.connectors.oauth import bearing
from watchtower.connectors.plain import plain_text
from watchtower.connectors.rounds import Page, Step, run
from watchtower.contract import parse_time
from watchtower.contract.system import Asked, Change, Cursor, Gone, Merged, Pulled, Said, Seen, Tokens, Write
from watchtower.errors import SystemFault

BASE = "https://api.hubapi.com"
SIZE = 100
"""Objects on a page: what every endpoint accepts."""
LAG = timedelta(minutes=1)
"""How far a later reading looks back: the search's index lags behind."""
ASSOCIATED = "associations."
"""Before the name of an object that is read through an association: `associations.companies`."""
MERGED = "hs_merged_object_ids"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ACTIVITIES: dict[str, tuple[str, str, str]] = {
    "note": ("notes", "", "hs_note_body"),
    "call": ("calls", "hs_call_title", "hs_call_body"),
    "email": ("emails", "hs_email_subject", "hs_email_text"),
    "meeting": ("meetings", "hs_meeting_title", "hs_meeting_body"),
    "task": ("tasks", "hs_task_subject", "hs_task_body"),
}
"""Of each activity: the object, the property of its title, and that of its text."""


class HubSpot:
    """One portal. `size`: objects on a page, at most."""

    def __init__(self, http: Http, *, size: int = SIZE) -> None:
        self._http, self._size = http, size

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """See `Pulls.pull`."""
        steps: list[tuple[str, str, Step]] = []
        for object_, properties in asked.objects.items():
            steps += [
                (object_, "read", self._objects(properties)),
                (object_, "archived", self._archived),
            ]
        for activity in asked.activities:
            object_, title, body = ACTIVITIES[activity]
            steps.append((object_, "read", self._activities(activity, title, body, tuple(asked.objects))))
        return run(steps, cursor)

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """See `Pulls.present`."""
        found: set[str] = set()
        for start in range(0, len(ids), SIZE):
            inputs = [{"id": id_} for id_ in ids[start : start + SIZE]]
            said = self._http.post(f"/crm/v3/objects/{object}/batch/read", {"inputs": inputs, "properties": []})
            found.update(str(one["id"]) for one in said.get("results", ()) if not one.get("archived"))
        return found

    def push(self, write: Write) -> None:
        """See `Pushes.push`."""
        properties = {key: _written(value) for key, value in write.properties.items()}
        self._http.call("PATCH", f"/crm/v3/objects/{write.object}/{write.id}", body={"properties": properties})

    def close(self) -> None:
        self._http.close()

    # ---- steps

    def _objects(self, wanted: Sequence[str]) -> Step:
        properties = [name for name in wanted if not name.startswith(ASSOCIATED)]
        targets = [name.removeprefix(ASSOCIATED) for name in wanted if name.startswith(ASSOCIATED)]

        def changes(object_: str, found: Sequence[Mapping[str, Any]]) -> list[Change]:
            linked = {target: self._associated(object_, target, found) for target in targets}
            made: list[Change] = []
            for one in found:
                id_, at = str(one["id"]), _updated(one)
                said = {name: one["properties"].get(name) for name in properties}
                said |= {f"{ASSOCIATED}{target}": linked[target].get(id_, []) for target in targets}
                made.append(Seen(object=object_, id=id_, at=at, properties=said))
                merged = str(one["properties"].get(MERGED) or "")
                made += (
                    Merged(object=object_, id=loser, into=id_, at=at)
                    for loser in (part.strip() for part in merged.split(";"))
                    if loser and loser != id_
                )
            return made

        return self._reading([*properties, MERGED], changes)

    def _activities(self, activity: str, title: str, body: str, targets: Sequence[str]) -> Step:
        properties = ["hs_timestamp", body, *([title] if title else [])]
        if activity == "task":
            properties += ["hs_task_status", "hs_task_completion_date"]

        def changes(object_: str, found: Sequence[Mapping[str, Any]]) -> list[Change]:
            linked = {target: self._associated(object_, target, found) for target in targets}
            made: list[Change] = []
            for one in found:
                said, id_, at = one["properties"], str(one["id"]), _updated(one)
                if activity == "task" and said.get("hs_task_status") != "COMPLETED":
                    continue  # what is yet to be done was not done
                happened = said.get("hs_task_completion_date") or said.get("hs_timestamp")
                made.append(Said(
                    object=object_, id=id_, at=at, happened=_time(happened) if happened else at, activity=activity,
                    about=tuple((target, other) for target in targets for other in linked[target].get(id_, ())),
                    text=plain_text(said.get(body) or ""), title=plain_text(said.get(title) or "") if title else "",
                ))  # fmt: skip
            return made

        return self._reading(properties, changes)

    def _reading(self, properties: Sequence[str], changes: Any) -> Step:
        """List all where nothing was read yet, else search for what was modified since."""

        def step(object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
            if since is not None and "top" not in at:
                yield from self._search(object_, properties, changes, int(since), at)
                return
            # The newest time of modification before the list begins: what changes while it is read comes later.
            top = at["top"] if "top" in at else self._newest(object_)
            after = at.get("after")
            while True:
                params = {"limit": self._size, "properties": ",".join(properties)} | ({"after": after} if after else {})
                said = self._http.get(f"/crm/v3/objects/{object_}", params)
                after = _next(said)
                last = after is None
                yield Page(
                    changes(object_, said["results"]), {"top": top, "after": after}, since=top if last else None,
                    whole=last,
                )  # fmt: skip
                if last:
                    return

        return step

    def _search(
        self, object_: str, properties: Sequence[str], changes: Any, since: int, at: dict[str, Any]
    ) -> Iterator[Page]:
        """What was modified from `since` on. Each page is the beginning of a search of its own, from the last time
        read: an object that is modified meanwhile would shift the pages of one search, and another be passed over.

        `at`: {"from": ms, "newest": ms} and, where a whole page bears one time, {"id": the last one read of it}.
        """
        name = modified(object_)
        start = int(at.get("from", since - LAG // timedelta(milliseconds=1)))
        within, newest = at.get("id"), int(at.get("newest", since))
        while True:
            if within is None:
                filters, sort = [{"propertyName": name, "operator": "GTE", "value": str(start)}], name
            else:
                sort = "hs_object_id"
                filters = [
                    {"propertyName": name, "operator": "EQ", "value": str(start)},
                    {"propertyName": sort, "operator": "GT", "value": within},
                ]
            said = self._http.post(f"/crm/v3/objects/{object_}/search", {
                "filterGroups": [{"filters": filters}], "properties": [*properties, name], "limit": self._size,
                "sorts": [{"propertyName": sort, "direction": "ASCENDING"}], "after": "0",
            })  # fmt: skip
            found, more = said["results"], _next(said) is not None
            times = [_ms(_updated(one)) for one in found]
            newest = max([newest, *times])
            if within is not None:
                # All that bear this one time, by id; then on with what came after it.
                more, start, within = True, start if more else start + 1, str(found[-1]["id"]) if more else None
            elif more and max(times) <= start:
                within = "0"
            elif more:
                start = max(times)
            place = {"from": start, "newest": newest} | ({"id": within} if within is not None else {})
            yield Page(changes(object_, found), place, since=None if more else newest)
            if not more:
                return

    def _archived(self, object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
        after = at.get("after")
        while True:
            params = {"limit": self._size, "archived": "true"} | ({"after": after} if after else {})
            said = self._http.get(f"/crm/v3/objects/{object_}", params)
            gone = [
                Gone(object=object_, id=str(one["id"]), at=_time(one["archivedAt"]))
                for one in said["results"]
                if one.get("archivedAt")
            ]
            after = _next(said)
            yield Page(gone, {"after": after})
            if after is None:
                return

    # ---- calls

    def _newest(self, object_: str) -> int:
        name = modified(object_)
        said = self._http.post(f"/crm/v3/objects/{object_}/search", {
            "filterGroups": [], "properties": [name], "limit": 1,
            "sorts": [{"propertyName": name, "direction": "DESCENDING"}], "after": "0",
        })  # fmt: skip
        return _ms(_updated(said["results"][0])) if said["results"] else 0

    def _associated(self, object_: str, target: str, found: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """Of each object, those of another kind that belong to it: the primary one first, then by id."""
        if not found:
            return {}
        inputs = [{"id": str(one["id"])} for one in found]
        said = self._http.post(f"/crm/v4/associations/{object_}/{target}/batch/read", {"inputs": inputs})
        linked: dict[str, list[str]] = {}
        for one in (said or {}).get("results", ()):
            others = sorted(
                (not any(kind.get("label") == "Primary" for kind in other.get("associationTypes", ())),
                 int(other["toObjectId"]))
                for other in one.get("to", ())
            )  # fmt: skip
            linked[str(one["from"]["id"])] = [str(id_) for _, id_ in others]
        return linked


def modified(object_: str) -> str:
    """The property that says when an object was last changed."""
    return "lastmodifieddate" if object_ in ("contacts", "0-1") else "hs_lastmodifieddate"


def connect(credentials: Mapping[str, str], tokens: Tokens | None = None) -> HubSpot:
    """TOKEN: a service key, or a private app's. URL: another address than HubSpot's own, for tests and proxies."""
    return HubSpot(bearing(credentials.get("URL", BASE), credentials, tokens))


def _next(said: Mapping[str, Any]) -> str | None:
    return ((said.get("paging") or {}).get("next") or {}).get("after")


def _time(value: Any) -> datetime:
    """ISO 8601, or milliseconds since 1970."""
    text = str(value)
    try:
        return _EPOCH + timedelta(milliseconds=int(text)) if text.isdigit() else parse_time(text)
    except (ValueError, OverflowError) as error:
        raise SystemFault(f"HubSpot: {text!r:.60} is no time: {error}") from None


def _updated(one: Mapping[str, Any]) -> datetime:
    return _time(one["updatedAt"])


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(str, value)) if isinstance(value, list) else value
