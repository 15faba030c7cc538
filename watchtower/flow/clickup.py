"""ClickUp: an alert as a task of a list, and what was done to that task there.

A task is made when the alert opens, and closed when it is over. Its tag names the alert, so that a task which was made
just before we died is found again and not made twice. What people do to it comes back by webhook: closing it
acknowledges the alert (or resolves it, where the receiver says `closing: resolve`), a comment is a comment; always in
the name that the receiver's `people` gives the ClickUp user, and nothing is done in any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from watchtower.flow.post import READ_LIMIT, Undelivered
from watchtower.flow.words import details, link, one_line, subject
from watchtower.rulebook.telling import Receiver
from watchtower.store.database import Connection
from watchtower.store.tasks import Task, add_task, task_of_alert

PRIORITY = {"critical": 1, "high": 2, "medium": 3, "low": 4}
"""ClickUp's: urgent, high, normal, low."""
CLOSED = ("closed", "done")
"""The types of status in which a task is over."""
_NOTE = 3_000
_ANSWER = 1 << 20
"""Bytes of an answer of ClickUp's that are read."""


class Call(Protocol):
    """Say something over HTTP; the beginning of the answer, so many bytes of it. Undelivered."""

    def __call__(
        self, url: str, headers: Mapping[str, str], body: str, method: str = "POST", limit: int = READ_LIMIT
    ) -> bytes | None: ...


class Done(NamedTuple):
    """What one person did to one task: `verb` is closed, comment or gone. `id`: ClickUp's, of this very act."""

    task: str
    id: str
    verb: str
    user: str
    said: str = ""


def tell_clickup(
    conn: Connection, call: Call, receiver: Receiver, name: str, secret: str, body: Mapping[str, Any], pages: str
) -> None:
    """Let the task of an alert say what the message says. Undelivered."""
    talk = _Talk(call, receiver.url, secret)
    alert, kind = str(body["data"]["id"]), str(body["type"])
    over = body["data"].get("status") == "resolved"
    task = task_of_alert(conn, name, alert) or talk.find(tag(alert))
    if task is None:
        if over:
            return
        task = talk.make(_task(receiver, body, pages))
    elif over or kind in ("alert.reopened", "alert.corrected"):
        talk.set_status(task, closed=over)
    elif kind == "alert.escalated":
        talk.change(task, {"priority": 1})
    if kind != "alert.opened":
        talk.comment(task, one_line("; ".join((subject(body), *details(body))), _NOTE))
    add_task(conn, Task(name, alert, task))


def tag(alert: str) -> str:
    """The tag by which a task is known as an alert's. ClickUp writes tags in lower case."""
    return f"watchtower-{alert}".lower()


def _task(receiver: Receiver, body: Mapping[str, Any], pages: str) -> dict[str, Any]:
    data = body["data"]
    lines = [subject(body), *details(body)]
    if where := link(body, pages):
        lines.append(where)
    ours = {person: user for user, person in receiver.people.items()}
    users = [ours[who] for who in (data.get("owner"),) if who in ours]
    return {
        "name": one_line(f"{data['record']}: {data['because']}", 200), "description": "\n".join(lines),
        "tags": [tag(str(data["id"]))], "priority": PRIORITY.get(data["severity"], 3),
        "assignees": [int(user) for user in users if user.isdigit()],
    }  # fmt: skip


class _Talk:
    """Calls to ClickUp about the tasks of one list. `list_url`: that of the receiver, .../list/ID/task."""

    def __init__(self, call: Call, list_url: str, secret: str) -> None:
        self._call, self._list, self._headers = call, list_url.rstrip("/"), {"authorization": secret}
        self._tasks = self._list.partition("/list/")[0] + "/task"

    def find(self, named: str) -> str | None:
        found = self._said("GET", f"{self._list}?include_closed=true&tags%5B%5D={quote(named, safe='')}")
        tasks = found.get("tasks")
        wanted = [
            one
            for one in (tasks if isinstance(tasks, list) else [])
            if isinstance(one, dict) and named in [str(tag.get("name", "")).lower() for tag in one.get("tags", [])]
        ]
        return str(wanted[0]["id"]) if wanted else None

    def make(self, task: Mapping[str, Any]) -> str:
        made = self._said("POST", self._list, task).get("id")
        if not made:
            raise Undelivered("ClickUp: the answer names no task")
        return str(made)

    def set_status(self, task: str, *, closed: bool) -> None:
        """The list's own word for closed, or for open again."""
        statuses = self._said("GET", self._list.removesuffix("/task")).get("statuses", [])
        kinds = ("closed", "done") if closed else ("open",)
        names = [
            one.get("status") for kind in kinds for one in statuses if isinstance(one, dict) and one.get("type") == kind
        ]
        if not names:
            raise Undelivered(f"ClickUp: the list has no status of the type {' or '.join(kinds)}")
        self.change(task, {"status": names[0]})

    def change(self, task: str, changes: Mapping[str, Any]) -> None:
        self._said("PUT", f"{self._tasks}/{quote(task, safe='')}", changes)

    def comment(self, task: str, words: str) -> None:
        said = {"comment_text": words, "notify_all": False}
        self._said("POST", f"{self._tasks}/{quote(task, safe='')}/comment", said)

    def _said(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        text = "" if body is None else msgspec.json.encode(body).decode()
        answer = self._call(url, self._headers, text, method, _ANSWER)
        try:
            said = msgspec.json.decode(answer or b"{}")
        except msgspec.DecodeError:
            # Of a long answer we read the beginning only; what we need stands in short ones.
            raise Undelivered("ClickUp: an answer that is not its JSON, or too long") from None
        return said if isinstance(said, dict) else {}


def done_to_tasks(payload: Any) -> Sequence[Done]:
    """What a webhook says was done. Nothing where it is about something else."""
    if not isinstance(payload, dict):
        return []
    event, task = payload.get("event"), payload.get("task_id")
    if not isinstance(task, str):
        return []
    if event == "taskDeleted":
        # It comes without history: nobody says who did it.
        return [Done(task, f"deleted {task}", "gone", "", "the task was deleted in ClickUp")]
    items = payload.get("history_items")
    if not isinstance(items, list):
        return []
    found = [_done(task, item) for item in items if isinstance(item, dict)]
    return [one for one in found if one is not None]


def _done(task: str, item: Mapping[str, Any]) -> Done | None:
    user, after = item.get("user"), item.get("after")
    who = str(user.get("id", "")) if isinstance(user, dict) else ""
    name = str(item.get("id", ""))
    if not name or "\x00" in f"{name}{task}{who}":
        return None
    if item.get("field") == "status" and isinstance(after, dict) and after.get("type") in CLOSED:
        return Done(task, name, "closed", who, f"closed in ClickUp ({one_line(str(after.get('status', '')), 80)})")
    if item.get("field") == "comment" and isinstance(item.get("comment"), dict):
        words = one_line(str(item["comment"].get("text_content", "")).strip(), _NOTE)
        return Done(task, name, "comment", who, words) if words.strip() else None
    return None
