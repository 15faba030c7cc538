"""ClickUp's API v2 as far as tasks of one list go, with its webhooks: shapes as its documentation has them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fakes.serving import Answer, Asked, serving

LIST = "901"
WEBHOOK = "7fa3ec74-69a8-4530-a251-8a13730bd204"
TOKEN = "pk_183_TOKEN"
SECRET = "clickup-webhook-secret-0123456789"
STATUSES = [
    {"status": "to do", "type": "open", "orderindex": 0},
    {"status": "in progress", "type": "custom", "orderindex": 1},
    {"status": "complete", "type": "closed", "orderindex": 2},
]


@dataclass
class ClickUp:
    """The state. `sent`: webhooks it would deliver, as (headers, body); `broken`: answers to give instead."""

    url: str = ""
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    forget_answer: bool = False
    """The next task is made, and the answer that says so is lost."""
    _number: int = 0

    @property
    def list_url(self) -> str:
        return f"{self.url}/api/v2/list/{LIST}/task"

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != TOKEN:
            return Answer({"err": "Token invalid", "ECODE": "OAUTH_025"}, 401)
        if self.broken:
            return Answer({"err": "Rate limit reached", "ECODE": "APP_002"}, self.broken.pop(0))
        match asked.method, asked.path.removeprefix("/api/v2/").split("/"):
            case "GET", ["list", name]:
                return Answer({"id": name, "name": "Alerts", "statuses": STATUSES})
            case "GET", ["list", _, "task"]:
                wanted = set(asked.query.get("tags[]", []))
                found = [t for t in self.tasks.values() if wanted <= {tag["name"] for tag in t["tags"]}]
                return Answer({"tasks": found, "last_page": True})
            case "POST", ["list", _, "task"]:
                made = self._make(asked.json())
                if self.forget_answer:
                    self.forget_answer = False
                    return Answer({"err": "gateway"}, 502)
                return Answer(made)
            case "PUT", ["task", name] if name in self.tasks:
                self._change(name, asked.json(), user=1)
                return Answer(self.tasks[name])
            case "POST", ["task", name, "comment"] if name in self.tasks:
                self.comments.append((name, asked.json()["comment_text"]))
                return Answer({"id": self._next(), "hist_id": "h", "date": 1})
        return Answer({"err": "Task not found, deleted", "ECODE": "ITEM_013"}, 404)

    def _next(self) -> str:
        self._number += 1
        return str(self._number)

    def _make(self, given: dict[str, Any]) -> dict[str, Any]:
        name = f"86c{self._next()}"
        self.tasks[name] = {
            "id": name, "name": given["name"], "description": given.get("description", ""),
            "status": STATUSES[0], "tags": [{"name": tag.lower()} for tag in given.get("tags", [])],
            "priority": given.get("priority"), "assignees": [{"id": one} for one in given.get("assignees", [])],
        }  # fmt: skip
        return self.tasks[name]

    def _change(self, name: str, given: dict[str, Any], *, user: int) -> None:
        task = self.tasks[name]
        if "status" in given:
            after = next(one for one in STATUSES if one["status"] == given["status"])
            item = {"field": "status", "before": task["status"], "after": after}
            task["status"] = after
            self._send("taskStatusUpdated", name, item, user)
        task |= {key: value for key, value in given.items() if key in ("name", "priority")}

    def person_sets(self, name: str, status: str, *, user: int) -> None:
        self._change(name, {"status": status}, user=user)

    def person_comments(self, name: str, words: str, *, user: int) -> None:
        comment = {"id": self._next(), "comment": [{"text": words}], "text_content": words + "\n"}
        self._send("taskCommentPosted", name, {"field": "comment", "after": comment["id"], "comment": comment}, user)

    def person_deletes(self, name: str) -> None:
        """Sent without `history_items`: "Task webhook payloads", https://developer.clickup.com/docs/webhooktaskpayloads."""
        del self.tasks[name]
        self._post({"event": "taskDeleted", "task_id": name, "webhook_id": WEBHOOK})

    def _send(self, event: str, name: str, item: dict[str, Any], user: int) -> None:
        whole = {
            "id": f"28007631367{self._next()}", "type": 1, "date": "1642734631523", "parent_id": LIST, "source": None,
            "user": {"id": user, "username": "John", "email": "john@example.com"}, **item,
        }  # fmt: skip
        self._post({"event": event, "history_items": [whole], "task_id": name, "webhook_id": WEBHOOK})

    def _post(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        made = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        self.sent.append(({"x-signature": made, "content-type": "application/json"}, body))


@contextmanager
def clickup() -> Iterator[ClickUp]:
    fake = ClickUp()
    with serving(fake.answer) as url:
        fake.url = url
        yield fake
