"""Gong: calls, with what was said in them, and the trackers that sounded.

A call is an activity of the records of the CRM that it is about, in the CRM's own ids: its transcript is a document of
theirs. A tracker that sounded in it (a competitor's name, a word about leaving) is a `warning`. Objects: those of the
CRM as Gong names them, such as `Account` and `Opportunity`; nothing is read of them here, so `fields: {}`.

A webhook (an automation rule, with the signed JWT header) says that there is a call, and so that it be read.

Source: help.gong.io, "Payload sent to webhooks" (its sample is the call alone, its text wraps it in `callData`),
"Prepare your receiving application to receive a webhook JWT header"; Gong's public API v2, POST /v2/calls/extensive and
/v2/calls/transcript: pages by `records.cursor`, 404 where no call is found, 429 with Retry-After.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from watchtower.connectors.http import Http
from watchtower.connectors.oauth import bearing
from watchtower.contract import format_time
from watchtower.contract.heard import Heard
from watchtower.contract.system import Asked, Cursor, Pulled, Said, Tokens
from watchtower.errors import SystemFault

BASE = "https://api.gong.io"
LATE = timedelta(days=1)
"""A transcript may come so long after its call."""
OVERLAP = timedelta(days=2)
"""How far back each round begins before the last call that was read."""
TOGETHER = 50
"""Calls whose transcripts are asked for at once."""
LONGEST = 200_000
"""Letters of a transcript that are kept."""
WANTED = {
    "context": "Extended", "contextTiming": ["Now"],
    "exposedFields": {"parties": True, "content": {"trackers": True}},
}  # fmt: skip


def hear(payload: Any) -> Heard:
    """What an automation rule says of a call. Nothing of a test."""
    if payload.get("isTest") is True:
        return Heard()
    call = payload.get("callData", payload)
    return Heard(again=(("calls", str(call["metaData"]["id"])),))


def _about(call: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = {
        (str(thing["objectType"]), str(thing["objectId"]))
        for context in call.get("context") or []
        for thing in context.get("objects") or []
        if thing.get("objectType") and thing.get("objectId")
    }
    return tuple(sorted(found))


def _calls(call: Mapping[str, Any], monologues: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> Iterator[Said]:
    """The call, and each tracker that sounded in it."""
    data = call["metaData"]
    began = datetime.fromisoformat(str(data["started"]))
    ended = began + timedelta(seconds=float(data.get("duration") or 0))
    about = _about(call)
    if "call" in kinds:
        names = {str(one.get("speakerId")): str(one.get("name") or "") for one in call.get("parties") or []}
        yield Said(
            object="calls", id=str(data["id"]), at=ended, happened=began, activity="call", about=about,
            text=_text(monologues, names), title=str(data.get("title") or ""), url=str(data.get("url") or ""),
        )  # fmt: skip
    trackers = (call.get("content") or {}).get("trackers") or []
    for tracker in trackers if "warning" in kinds else ():
        if int(tracker.get("count") or 0) > 0:
            yield Said(
                object="trackers", id=f"{data['id']}.{tracker.get('id') or tracker['name']}", at=ended, happened=ended,
                activity="warning", about=about, title=f"{tracker['name']}: {tracker['count']} times in a call",
                url=str(data.get("url") or ""),
            )  # fmt: skip


def _text(monologues: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Who said what, a line each."""
    lines = []
    for one in monologues:
        said = " ".join(str(sentence.get("text", "")) for sentence in one.get("sentences") or [])
        lines.append(f"{names.get(str(one.get('speakerId'))) or 'Somebody'}: {said}")
    return "\n".join(lines)[:LONGEST]


class Gong:
    """Reading Gong by its API (v2)."""

    def __init__(self, credentials: Mapping[str, str], tokens: Tokens | None = None) -> None:
        if tokens is not None:
            self._http = bearing(credentials["URL"], credentials, tokens)
            return
        pair = base64.b64encode(f"{credentials['KEY']}:{credentials['SECRET']}".encode()).decode()
        self._http = Http(credentials.get("URL", BASE), {"authorization": f"Basic {pair}"})

    def close(self) -> None:
        self._http.close()

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """Calls in pages, with their transcripts; calls of the last two days once more, since a transcript takes time.
        A call whose transcript is not there yet waits for it, unless it is older than that."""
        last = datetime.fromisoformat(cursor["last"]) if "last" in cursor else None
        filter_: dict[str, Any] = {} if last is None else {"fromDateTime": format_time(last - OVERLAP)}
        following: str | None = None
        while True:
            body: dict[str, Any] = {"filter": filter_, "contentSelector": WANTED}
            page = self._post("/v2/calls/extensive", body | ({"cursor": following} if following else {}))
            calls = page.get("calls") or []
            said: list[Said] = []
            for begin in range(0, len(calls), TOGETHER):
                said += self._with_transcripts(calls[begin : begin + TOGETHER], asked.activities)
            last = max([*(one.at for one in said), *([last] if last else [])], default=None)
            following = (page.get("records") or {}).get("cursor")
            # No order of pages is promised: the cursor moves when all of them are read.
            whole = last is not None and not following
            yield Pulled(changes=tuple(said), cursor={"last": format_time(last)} if whole and last else dict(cursor))
            if not following:
                return

    def _with_transcripts(self, calls: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[Said]:
        ids = [str(call["metaData"]["id"]) for call in calls]
        there: dict[str, Any] = {}
        if "call" in kinds:
            page = self._post("/v2/calls/transcript", {"filter": {"callIds": ids}}, none={})
            there = {str(one["callId"]): one.get("transcript") or [] for one in page.get("callTranscripts") or []}
        newest = max((datetime.fromisoformat(str(call["metaData"]["started"])) for call in calls), default=None)
        found: list[Said] = []
        for call, id_ in zip(calls, ids, strict=True):
            began = datetime.fromisoformat(str(call["metaData"]["started"]))
            waits = "call" in kinds and id_ not in there and newest is not None and newest - began < LATE
            if not waits:
                found += _calls(call, there.get(id_, ()), kinds)
        return found

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """Calls stay."""
        return set(ids)

    def _post(self, path: str, body: Any, none: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            page = self._http.post(path, body)
        except SystemFault as fault:
            # Gong's answer where no call is found; to a cursor it says that this one does not count any more.
            if fault.status == 404 and "cursor" not in body:
                return none or {}
            raise
        if not isinstance(page, dict):
            raise SystemFault(f"{path}: the answer is no page of Gong's")
        return page
