"""Queues and receivers: who is told of alerts, by what way, how often, and who hears next where nobody answers."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from watchtower.rulebook.parts import Part, Text, Texts

Severity = Literal["low", "medium", "high", "critical"]
_AFTER = re.compile(r"([1-9]\d{0,4}) (minute|hour|day)s?")
_ADDRESS = re.compile(r"[^\s@,?#<>\"]+@[^\s@,?#<>\"]+")


class Rung(Part):
    """One step of a ladder: an alert that nobody has acknowledged so long after it opened is escalated to `to`."""

    after: str
    to: Annotated[str, Field(min_length=1, max_length=200)]

    @field_validator("after")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if not _AFTER.fullmatch(value):
            raise ValueError(f"{value!r:.40} is no time such as '30 minutes', '4 hours' or '2 days' (of 24 hours)")
        return value

    @property
    def delay(self) -> timedelta:
        found = _AFTER.fullmatch(self.after)
        assert found is not None
        return timedelta(**{f"{found.group(2)}s": int(found.group(1))})


class Queue(Part):
    description: Text = ""
    owner: str = ""
    ladder: Annotated[list[Rung], Field(max_length=9)] = []
    """To whom an alert goes that nobody acknowledges, and when, counted from its opening."""

    @model_validator(mode="after")
    def _rising(self) -> Queue:
        delays = [rung.delay for rung in self.ladder]
        if delays != sorted(set(delays)):
            raise ValueError(
                f"ladder: each rung comes later than the one before; found {[r.after for r in self.ladder]}"
            )
        return self


class Receiver(Part):
    """Who is told of alerts, and by what way. Each list narrows what it is told; an empty one narrows nothing."""

    kind: Literal["webhook", "slack", "email", "apprise", "clickup"] = "webhook"
    url: Annotated[str, Field(max_length=2000)] = ""
    """Where messages go: an address; of e-mail `mailto:anna@example.com`; of apprise nothing, the secret has it all."""
    secret: str
    """The name of the environment variable that holds the signing secret of a webhook, the token of Slack or ClickUp,
    the address of the mail server (smtp://USER:PASSWORD@HOST:PORT), or apprise's address."""
    queues: Texts = []
    severities: list[Severity] = []
    owners: Texts = []
    rate: Annotated[int, Field(ge=1, le=100_000)] = 600
    """Messages a minute at most, counted apart for alerts that AI informed and for all others."""
    per_day: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Messages a day at most (in the rulebook's time zone), counted apart as `rate` is. What is over it waits for the
    next day; what is critical never waits."""
    digest: Annotated[
        list[Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]], Field(max_length=24)
    ] = []
    """Times of day at which all that has gathered leaves as one message. Empty: each message leaves by itself."""
    at_once: list[Severity] = ["critical"]
    """What does not wait for the digest."""
    person: str = ""
    """The person who reads here."""
    channel: Annotated[str, Field(max_length=80)] = ""
    """Of Slack: the channel that a message goes to."""
    signing: str = ""
    """The name of the environment variable that holds Slack's signing secret: its buttons then act; of ClickUp that of
    its webhook (POST /hooks/NAME, by this receiver's name): what is done to a task there is then done to its alert."""
    people: dict[str, str] = {}
    """User ids of Slack or ClickUp, and the names under which they act here. Nobody else can."""
    closing: Literal["acknowledge", "resolve"] = "acknowledge"
    """Of ClickUp: what closing a task there does to its alert."""
    proposals: bool = False
    """Told, too, of proposals that wait for a person (Slack)."""
    description: Text = ""

    @field_validator("secret", "signing")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Z][A-Z0-9_]{2,80}", value):
            # The value is not shown: it may be the secret.
            raise ValueError("names an environment variable (OPS_WEBHOOK_SECRET); the secret itself stays outside")
        return value

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if kind in ("webhook", "slack", "clickup") and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@#]*)?", value):
            shown = "" if "@" in value else f"{value!r:.80} "
            raise ValueError(f"{shown}is no address such as https://hooks.example.com/alerts, without user or password")
        if kind == "clickup" and not re.fullmatch(r"[^?#]+/list/[A-Za-z0-9]+/task/?", value):
            raise ValueError(f"{value!r:.80} is no list of ClickUp: https://api.clickup.com/api/v2/list/ID/task")
        if kind == "email" and not all(_ADDRESS.fullmatch(one) for one in _mailboxes(value) or [""]):
            raise ValueError(f"{value!r:.80} is not of the form mailto:anna@example.com,bruno@example.com")
        if kind == "apprise" and value:
            raise ValueError("the environment variable that `secret` names holds apprise's address")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Receiver:
        if not self.url and self.kind != "apprise":
            raise ValueError(f"url: is missing; a {self.kind} receiver has an address")
        if self.kind not in ("slack", "clickup") and (self.signing or self.people):
            raise ValueError("signing and people belong to Slack and ClickUp")
        if self.kind != "slack" and self.proposals:
            raise ValueError("proposals belong to Slack")
        if self.kind != "clickup" and self.closing != "acknowledge":
            raise ValueError("closing belongs to ClickUp")
        if self.digest and self.kind in ("webhook", "clickup"):
            raise ValueError(f"digest: a {self.kind} is sent each message by itself")
        if self.digest and self.per_day is not None:
            raise ValueError("per_day: a digest is one message however much is in it; give one of the two")
        return self

    @property
    def addresses(self) -> list[str]:
        """Of e-mail: to whom."""
        return _mailboxes(self.url)

    def wants(self, *, queue: str, severity: str, owner: str) -> bool:
        """Whether it is told of such an alert."""
        return not self.unwanted(queue=queue, severity=severity, owner=owner)

    def unwanted(self, *, queue: str, severity: str, owner: str) -> str:
        """Why it is not told of such an alert; empty where it is."""
        for name, given, known in (
            ("queues", queue, self.queues), ("severities", severity, self.severities), ("owners", owner, self.owners)
        ):  # fmt: skip
            if known and given not in known:
                return f"{given!r} is not among its {name} ({', '.join(known)})"
        return ""

    def due(self, severity: str, now: datetime, zone: ZoneInfo) -> datetime:
        """When a message that is written now is to leave: at once, or with the next digest."""
        if not self.digest or severity in self.at_once:
            return now
        here = now.astimezone(zone)
        days = [here.date(), here.date() + timedelta(days=1)]
        times = [datetime.combine(day, time.fromisoformat(at), zone) for day in days for at in sorted(self.digest)]
        return next(moment for moment in times if moment > here).astimezone(now.tzinfo)


def _mailboxes(url: str) -> list[str]:
    return url.removeprefix("mailto:").split(",") if url.startswith("mailto:") else []


def midnight(now: datetime, zone: ZoneInfo, *, days: int = 0) -> datetime:
    """When the present day began in that zone, or the one so many days later."""
    day = now.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), zone).astimezone(now.tzinfo)
