"""What others send by webhook: known by its signature, taken once, answered at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog

from watchtower.bootstrap.events import Taking
from watchtower.bootstrap.people import Hearing
from watchtower.connectors import Refused
from watchtower.connectors.signatures import Arrived, authentic
from watchtower.errors import StoreError, WatchtowerError
from watchtower.flow.acts import Verb
from watchtower.flow.clickup import Done, done_to_tasks
from watchtower.rulebook.telling import Receiver
from watchtower.settings import read_secrets
from watchtower.store.tasks import alert_of_task, hear_task

log = structlog.get_logger(__name__)


class Hooking(Hearing, Taking):
    """What others send by webhook."""

    def hear(self, name: str, arrived: Arrived) -> bool:
        """Take a webhook that a connected system or a work tool sent. False where it is not one of theirs, and for
        whatever reason: nothing was read of it then."""
        receiver = self.rulebook.receivers.get(name)
        if receiver is None or receiver.kind != "clickup" or not receiver.signing:
            return False
        if not authentic("clickup", self._addressed(arrived), read_secrets(receiver.signing), self.clock()):
            return False
        payload = self._payload(name, arrived.body)
        for done in done_to_tasks(payload):
            self._hear_task(name, receiver, done)
        return True

    def _addressed(self, arrived: Arrived) -> Arrived:
        """With the address under which the sender knows us: behind a proxy it is another than the one that was asked
        for here."""
        if not self.settings.public_url:
            return arrived
        ours, asked = urlsplit(self.settings.public_url), urlsplit(arrived.url)
        path = ours.path.rstrip("/") + asked.path
        return replace(arrived, url=urlunsplit((ours.scheme, ours.netloc, path, asked.query, "")))

    def _payload(self, name: str, body: bytes) -> Any:
        """What a webhook holds; None where it is no JSON: then it is kept among the dead letters."""
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._keep(name, f"the webhook is no JSON: {error}", body.decode(errors="replace")[:10_000])
            return None

    def _keep(self, name: str, because: str, raw: Any) -> None:
        self.take_events([], refused=[Refused(f"hooks/{name}", because, raw)])

    def _hear_task(self, name: str, receiver: Receiver, done: Done) -> None:
        """Do to the alert what was done to its task, once, in the name of who did it."""
        actor = receiver.people.get(done.user) or (name if done.verb == "gone" else None)
        if actor is None:
            log.info("nobody of this receiver's people", receiver=name, task=done.task, user=done.user)
            return
        verb: Verb = receiver.closing if done.verb == "closed" else "comment"
        try:
            with self._write() as conn:
                alert = alert_of_task(conn, name, done.task)
                if alert is not None and hear_task(conn, name, done.task, done.id):
                    self._act(conn, alert, verb, actor=actor, note=done.said)
        except WatchtowerError as fault:
            if isinstance(fault, StoreError):
                raise
            # It is over already, for example: we close tasks ourselves, and are told of that, too.
            log.info("refused of a task", receiver=name, task=done.task, because=fault.message)
