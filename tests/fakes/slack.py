"""Slack's Web API as far as one message goes, and the press of a button: chat.postMessage, an interaction's body.

Shapes: "chat.postMessage" (https://docs.slack.dev/reference/methods/chat.postMessage) and "block_actions payload"
(https://docs.slack.dev/reference/interaction-payloads/block_actions-payload). tests/systems/test_slack_sdk.py drives
slack_sdk against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

from fakes.serving import Answer, Asked, serving

TOKEN = "xoxb-1-test"
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
CHANNEL = "C012AB3CD"


@dataclass
class Slack:
    """`messages`: what was posted, in order."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def post_url(self) -> str:
        return f"{self.url}/api/chat.postMessage"

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer({"ok": False, "error": "invalid_auth"})
        if asked.path != "/api/chat.postMessage":
            return Answer({"ok": False, "error": "unknown_method"})
        said = asked.json()
        if said.get("channel") != CHANNEL:
            return Answer({"ok": False, "error": "channel_not_found"})
        if not said.get("text") and not said.get("blocks"):
            return Answer({"ok": False, "error": "no_text"})
        if len(said.get("blocks", [])) > 50:
            return Answer({"ok": False, "error": "invalid_blocks"})
        self.messages.append(said)
        stamp = f"1503435956.{len(self.messages):06d}"
        shown = {name: said[name] for name in ("text", "blocks") if name in said}
        message = {"type": "message", "subtype": "bot_message", "ts": stamp} | shown
        return Answer({"ok": True, "channel": CHANNEL, "ts": stamp, "message": message})

    def press(self, words: str, *, user: str, now: datetime) -> tuple[dict[str, str], bytes]:
        """Headers and body of what Slack sends when somebody presses the last message's button of these words."""
        blocks = [block for block in self.messages[-1]["blocks"] if block["type"] == "actions"]
        [button] = [one for block in blocks for one in block["elements"] if one["text"]["text"] == words]
        payload = {
            "type": "block_actions", "user": {"id": user, "username": "anna", "name": "anna", "team_id": "T9TK3CUKW"},
            "api_app_id": "A0123", "token": "9s8d9as89d8as9d8as989", "trigger_id": "12466734323.1395872398",
            "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": CHANNEL},
            "team": {"id": "T9TK3CUKW", "domain": "example"}, "channel": {"id": CHANNEL, "name": "ops"},
            "response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
            "actions": [{"block_id": "=qXel", "type": "button", "action_ts": "1548426417.840180", **{
                key: button[key] for key in ("action_id", "value", "text")}}],
        }  # fmt: skip
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int(now.timestamp()))
        signed = SignatureVerifier(SIGNING).generate_signature(timestamp=stamp, body=body)
        return {
            "content-type": "application/x-www-form-urlencoded", "x-slack-request-timestamp": stamp,
            "x-slack-signature": str(signed),
        }, body  # fmt: skip


@contextmanager
def slack() -> Iterator[Slack]:
    fake = Slack()
    with serving(fake.answer) as url:
        fake.url = url
        yield fake
