"""What others send by webhook: known by its signature, taken once, answered at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog

from watchtower.bootstrap.people import Hearing
from watchtower.bootstrap.systems import UNLIKE, Syncing
from watchtower.connectors import Refused
from watchtower.connectors.hooks import HOOKS, Hook
from watchtower.connectors.signatures import Arrived, authentic
from watchtower.contract.system import Pulled
from watchtower.errors import StoreError, WatchtowerError
from watchtower.flow.acts import Verb
from watchtower.flow.clickup import Done, done_to_tasks
from watchtower.flow.systems import taking
from watchtower.rulebook.telling import Receiver
from watchtower.settings import credential, read_secrets
from watchtower.store import systems as store
from watchtower.store.tasks import alert_of_task, hear_task

log = structlog.get_logger(__name__)


class Hooking(Hearing, Syncing):
    """What others send by webhook."""

    def hear(self, name: str, arrived: Arrived) -> bool:
        """Take a webhook that a connected system or a work tool sent. False where it is not one of theirs: nothing was
        read of it then, and the log alone says why."""
        receiver, system = self.rulebook.receivers.get(name), self.rulebook.systems.get(name)
        if system is not None and system.kind in HOOKS:
            hook = HOOKS[system.kind]
            if not self._signed(name, hook.scheme, arrived, credential(name, "WEBHOOK_SECRET")):
                return False
            self._hear_system(name, hook, arrived.body)
            return True
        if receiver is not None and receiver.kind == "clickup" and receiver.signing:
            if not self._signed(name, "clickup", arrived, receiver.signing):
                return False
            for done in done_to_tasks(self._payload(name, arrived.body)):
                self._hear_task(name, receiver, done)
            return True
        log.info(
            "webhook refused", name=name[:80], because="no system of the rulebook that sends webhooks has this name"
        )
        return False

    def _signed(self, name: str, scheme: str, arrived: Arrived, variable: str) -> bool:
        secrets = read_secrets(variable)
        if not secrets:
            log.warning(
                "webhook refused", name=name, because=f"{variable} is not set, which holds what it is signed with"
            )
        elif authentic(scheme, self._addressed(arrived), secrets, self.clock()):
            return True
        else:
            because = f"it is not signed as {scheme} signs, with the secret of {variable}, for this address and time"
            log.warning("webhook refused", name=name, because=because)
        return False

    def _hear_system(self, name: str, hook: Hook, body: bytes) -> None:
        """Take what a system says as if it had been read there, and let be read what it only names."""
        payload = self._payload(name, body)
        if payload is None:
            return
        try:
            heard = hook.hear(payload)
        except UNLIKE as error:
            self._keep(name, f"the webhook is not as {hook.scheme}'s are: {type(error).__name__}: {error}", payload)
            return
        if not heard.changes and not heard.again and not heard.merged:
            return
        with self._write() as conn:
            if name not in self._engine.program.book.systems:
                return  # a rulebook that came into force meanwhile no longer names it
            if heard.changes:
                held = store.hold(conn, name)
                pulled = Pulled(changes=heard.changes, cursor={} if held is None else held.cursor)
                taking.take_page(conn, self._engine, name, pulled, 0 if held is None else held.round, self.clock())
            if heard.merged:
                taking.take_merges(conn, self._engine, name, heard.merged, self.clock())
            if heard.again:
                store.wake(conn, name)

    def _addressed(self, arrived: Arrived) -> Arrived:
        """With the address under which the sender knows us: behind a proxy it is another than the one that was asked
        for here."""
        if not self.settings.public_url:
            return arrived
        ours, asked = urlsplit(self.settings.public_url), urlsplit(arrived.url)
        path = ours.path.rstrip("/") + asked.path
        return replace(arrived, url=urlunsplit((ours.scheme, ours.netloc, path, asked.query, "")))

    def _payload(self, name: str, body: bytes) -> Any:
        """What a webhook holds; None where it is no JSON, or cannot be stored: then it is kept among the dead
        letters."""
        try:
            if b"\\u0000" in body:
                raise ValueError("the character U+0000 cannot be stored")
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._keep(name, f"the webhook cannot be read: {error}", body.decode(errors="replace")[:10_000])
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
