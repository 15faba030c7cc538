"""Slack: messages with buttons, and what a press of one says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from watchtower.errors import InputError, Missing
from watchtower.flow.post import Undelivered
from watchtower.flow.words import details, link, one_line, subject
from watchtower.rulebook.telling import Receiver

BLOCKS = 48
"""Slack takes 50 blocks a message."""
BUTTONS = {
    "alert": (("acknowledge", "Acknowledge", "primary"), ("resolve", "Resolve", ""), ("snooze", "Snooze 1 day", "")),
    "proposal": (("accept", "Accept", "primary"), ("reject", "Reject", "danger")),
}
"""For each kind of thing: what a button does, its words, and its style."""


class Press(NamedTuple):
    """A button that a person pressed: on which alert or proposal, to do what, and how to answer."""

    kind: str
    id: str
    verb: str
    user: str
    response_url: str


def escaped(text: str) -> str:
    """As Slack's mrkdwn has it: a record's name mentions nobody and links nowhere."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\u200b{char}" if char in "*_~`" else char for char in plain)


def message(receiver: Receiver, bodies: Sequence[tuple[str, Mapping[str, Any]]], pages: str) -> dict[str, Any]:
    """The message that tells of these."""
    blocks: list[dict[str, Any]] = []
    for _, body in bodies:
        lines = [f"*{escaped(subject(body))}*", *(escaped(line) for line in details(body))]
        if where := link(body, pages):
            lines.append(f"<{where}|look>")
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:2900]}})
        if receiver.signing and body["data"].get("status", "open") == "open":
            blocks.append(_buttons(body))
    if len(blocks) > BLOCKS:
        blocks = blocks[:BLOCKS]
        more = f"and more, {len(bodies)} in all" + (f": <{pages}/|the queue>" if pages else "")
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": more}})
    head = subject(bodies[0][1]) if len(bodies) == 1 else f"{len(bodies)} notices"
    return {"text": escaped(head), "blocks": blocks} | ({"channel": receiver.channel} if receiver.channel else {})


def _buttons(body: Mapping[str, Any]) -> dict[str, Any]:
    kind = "proposal" if body["type"] == "proposal.review" else "alert"
    elements = []
    for verb, words, style in BUTTONS[kind]:
        button = {
            "type": "button", "action_id": f"{kind}.{verb}", "value": str(body["data"]["id"]),
            "text": {"type": "plain_text", "text": words},
        }  # fmt: skip
        elements.append(button | ({"style": style} if style else {}))
    return {"type": "actions", "elements": elements}


def post_to_slack(
    post: Callable[[str, Mapping[str, str], str], bytes | None],
    receiver: Receiver,
    secret: str,
    bodies: Sequence[tuple[str, Mapping[str, Any]]],
    pages: str,
) -> None:
    """Post to chat.postMessage with a token, or to an incoming webhook, whose address is the secret. Undelivered."""
    text = msgspec.json.encode(message(receiver, bodies, pages)).decode()
    if secret.startswith("https://"):
        post(secret, {}, text)
        return
    answer = post(receiver.url, {"authorization": f"Bearer {secret}"}, text)
    try:
        said = msgspec.json.decode(answer or b"{}")
    except msgspec.DecodeError:
        said = {}
    if not isinstance(said, dict) or said.get("ok") is not True:
        reason = (
            said.get("error", "an answer that is not Slack's") if isinstance(said, dict) else "no answer of Slack's"
        )
        raise Undelivered(f"Slack: {one_line(str(reason))}")


def pressed(body: bytes) -> Press:
    """The button of an interaction's body. InputError where it is none of ours; Missing where it does nothing."""
    try:
        payload = msgspec.json.decode(parse_qs(body.decode(), strict_parsing=True, max_num_fields=5)["payload"][0])
        action = payload["actions"][0]
        kind, _, verb = str(action["action_id"]).partition(".")
        press = Press(
            kind, str(action["value"]), verb, str(payload["user"]["id"]), str(payload.get("response_url", ""))
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise InputError("payload: is not a button that was pressed") from None
    if verb not in [name for name, _, _ in BUTTONS.get(kind, ())] or "\x00" in press.id:
        raise Missing(f"{kind}.{verb}: there is no such button"[:120])
    return press
