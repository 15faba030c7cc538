"""A notification in words: what mail, Slack and chats say of the body that a webhook is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

HAPPENED = {
    "alert.opened": "opened", "alert.resolved": "resolved", "alert.corrected": "corrected",
    "alert.escalated": "escalated",
    "alert.reopened": "reopened", "proposal.review": "to review",
}  # fmt: skip


def subject(body: Mapping[str, Any]) -> str:
    """One line: `high: opportunity/O-7: A proposal is silent.`"""
    data, kind = body["data"], str(body["type"])
    if kind == "proposal.review":
        return f"to review: {data['field']} of {data['record']}"
    said = "" if kind == "alert.opened" else f"{HAPPENED.get(kind, kind)}: "
    return one_line(f"{said}{data['severity']}: {data['record']}: {data['because']}")


def details(body: Mapping[str, Any]) -> list[str]:
    """What else there is to say, a line each."""
    data = body["data"]
    if body["type"] == "proposal.review":
        quotes = [f"“{item.get('quote', '')}”" for item in data["evidence"] if isinstance(item, Mapping)]
        sure = f"{data['confidence']:.0%} sure, {data['method']}"
        return [one_line(line) for line in (f"{data['field']} would become {data['value']!r}", sure, *quotes)]
    lines = [f"rule {data['rule']}, since {data['since'][:16].replace('T', ' ')} UTC", f"queue {data['queue']}"]
    if data["owner"]:
        lines[-1] += f", owner {data['owner']}"
    if data.get("escalated_to"):
        lines.append(f"escalated to {data['escalated_to']}: nobody has acknowledged it")
    if data["note"]:
        lines.append(str(data["note"]))
    if data["ai_informed"]:
        lines.append("AI-informed: the rule reads something that AI supplied")
    return [one_line(line) for line in lines]


def link(body: Mapping[str, Any], pages: str) -> str:
    """Where it can be looked at; empty where nobody said where the pages are."""
    if not pages:
        return ""
    place = "proposals" if body["type"] == "proposal.review" else f"alerts/{quote(str(body['data']['id']), safe='')}"
    return f"{pages}/review/{place}"


def one_line(text: str, most: int = 300) -> str:
    """Without line breaks and what else does not print, and not too long: it may stand in a header."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
