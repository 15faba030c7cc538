"""A token endpoint as OAuth 2.0 has it: access tokens that end, refresh tokens of which each serves once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from fakes.serving import Answer, Asked

APP = {"client_id": "app-1", "client_secret": "app-secret-0123456789"}
FIRST = "refresh-first-0123456789"


@dataclass
class TokenServer:
    """`lasts`: how long an access token does; `said`: the forms that it was asked with; `rotates`: whether each answer
    carries another refresh token, and the one before it is worth nothing then; `hold`: waits before it answers."""

    clock: Callable[[], datetime]
    lasts: timedelta = timedelta(hours=2)
    rotates: bool = True
    refresh: str = FIRST
    revoked: bool = False
    given: dict[str, datetime] = field(default_factory=dict)
    said: list[dict[str, str]] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Answered first, one after the other, instead of a token."""
    retry_after: str = "0"
    asked: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event | None = None
    silent: bool = False
    """Whether the answer says neither when the token ends nor when it was made, as Salesforce's."""

    def answer(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        self.said.append(form)
        self.headers.append(asked.headers.get("authorization", ""))
        self.asked.set()
        if self.hold is not None:
            self.hold.wait(20)
        if self.statuses:
            return Answer({"error": "slow_down"}, self.statuses.pop(0), {"retry-after": self.retry_after})
        given = form.get("refresh_token")
        if self.revoked or (form["grant_type"] == "refresh_token" and given != self.refresh):
            # It repeats what it was given, which must come into no message of ours.
            return Answer({"error": "invalid_grant", "error_description": f"{given} is revoked, of {form}"}, 400)
        number = len(self.given) + 1
        access = f"access-{number}-9876543210"
        self.given[access] = self.clock() + self.lasts
        said: dict[str, object] = {"access_token": access, "token_type": "bearer"}
        if not self.silent:
            said |= {"expires_in": int(self.lasts.total_seconds()), "created_at": int(self.clock().timestamp())}
        if self.rotates and given is not None:
            self.refresh = f"refresh-{number}-9876543210"
            said["refresh_token"] = self.refresh
        return Answer(said)

    def knows(self, authorization: str) -> bool:
        """Whether a header bears a token that has not ended."""
        ends = self.given.get(authorization.removeprefix("Bearer "))
        return ends is not None and self.clock() < ends

    def forget(self) -> None:
        """No access token counts any more, before its time."""
        self.given = dict.fromkeys(self.given, self.clock())
