"""Gong's API (v2) as far as calls and transcripts go, and the webhook of an automation rule."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from webhook_samples import gong_token

from fakes.serving import Answer, Asked, serving

PAIR = "Basic " + base64.b64encode(b"key:secret").decode()


@dataclass
class Gong:
    """`transcripts`: by call; one comes later than its call."""

    url: str = ""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    transcripts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    page: int = 2
    forgets: bool = False
    """Whether no cursor counts any more."""

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != PAIR:
            return Answer({"errors": ["Invalid access key"]}, 401)
        given = asked.json()
        if self.forgets and "cursor" in given:
            return Answer({"requestId": "r", "errors": ["Invalid cursor"]}, 404)
        wanted = given.get("filter", {})
        found = list(self.calls.values())
        if since := wanted.get("fromDateTime"):
            begin = datetime.fromisoformat(since)
            found = [one for one in found if datetime.fromisoformat(one["metaData"]["started"]) >= begin]
        if ids := wanted.get("callIds"):
            found = [one for one in found if one["metaData"]["id"] in ids]
        if asked.path == "/v2/calls/transcript":
            said = [
                {"callId": name, "transcript": self.transcripts[name]}
                for one in found
                if (name := one["metaData"]["id"]) in self.transcripts
            ]
            return Answer({"requestId": "r", "callTranscripts": said} if said else {"errors": ["No calls found"]},
                          200 if said else 404)  # fmt: skip
        if not found:
            return Answer({"requestId": "r", "errors": ["No calls found corresponding to the provided filters"]}, 404)
        start = int(given.get("cursor", "0"))
        records: dict[str, Any] = {"totalRecords": len(found), "currentPageSize": self.page, "currentPageNumber": 0}
        if start + self.page < len(found):
            records["cursor"] = str(start + self.page)
        return Answer({"requestId": "r", "records": records, "calls": found[start : start + self.page]})

    def call(self, id_: str, started: datetime, account: str, *, trackers: dict[str, int] | None = None) -> None:
        self.calls[id_] = {
            "metaData": {
                "id": id_, "url": f"https://app.gong.io/call?id={id_}", "title": "Quarterly talk",
                "started": started.isoformat(), "duration": 1800, "direction": "Conference", "scope": "External",
            },
            "context": [{"system": "Salesforce", "objects": [
                {"objectType": "Account", "objectId": account, "fields": []},
                {"objectType": "Lead", "objectId": "unmapped", "fields": []},
            ]}],
            "parties": [{"id": "1", "name": "Anna", "speakerId": "s1"}, {"id": "2", "name": None, "speakerId": "s2"}],
            "content": {"trackers": [
                {"id": name.lower(), "name": name, "count": count} for name, count in (trackers or {}).items()
            ]},
        }  # fmt: skip

    def transcribe(self, id_: str) -> None:
        self.transcripts[id_] = [
            {"speakerId": "s1", "topic": "x", "sentences": [{"start": 0, "end": 9, "text": "How is it going?"}]},
            {"speakerId": "s2", "topic": "x", "sentences": [
                {"start": 10, "end": 19, "text": "We look at a competitor."}, {"start": 20, "text": "Sorry."},
            ]},
        ]  # fmt: skip

    def hook(self, id_: str, now: datetime, url: str, *, test: bool = False) -> tuple[dict[str, str], bytes]:
        body = json.dumps({"callData": self.calls[id_], "isTest": test}).encode()
        return {"authorization": gong_token(body, now, webhook_url=url)}, body


@contextmanager
def gong() -> Iterator[Gong]:
    fake = Gong()
    with serving(fake.answer) as url:
        fake.url = url
        yield fake
