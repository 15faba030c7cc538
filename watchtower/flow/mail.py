"""E-mail, through an SMTP server: one message, or a digest of many; and apprise for every other way there is.

A message's Message-ID follows from what it tells of, so that one which is sent twice is seen once.
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from watchtower.flow.post import SECONDS, Undelivered
from watchtower.flow.words import details, link, one_line, subject
from watchtower.rulebook.telling import Receiver

Bodies = Sequence[tuple[str, Mapping[str, Any]]]
"""(message id, body) of what one mail tells of."""
ACCEPTED = (
    "smtp://USER:PASSWORD@HOST:587?from=watchtower@example.com, or smtps:// (port 465), or smtp+plain:// without TLS"
)


def compose(receiver: Receiver, sender: str, bodies: Bodies, now: datetime, pages: str) -> EmailMessage:
    """A mail of one message, or of many: the gravest first, as they come."""
    first = bodies[0][1]
    informed = "AI-informed: " if first["data"].get("ai_informed") else ""
    head = subject(first)
    if len(bodies) > 1:
        graves = [str(body["data"].get("severity", "")) for _, body in bodies]
        urgent = sum(grave in ("critical", "high") for grave in graves)
        head = f"{len(bodies)} notices" + (f", {urgent} of them critical or high" if urgent else "")
    mail = EmailMessage()
    mail["Subject"] = one_line(f"[watchtower] {informed}{head}", 200)
    mail["From"], mail["To"] = sender, ", ".join(receiver.addresses)
    mail["Date"] = format_datetime(now)
    key = hashlib.blake2b("\n".join(id_ for id_, _ in bodies).encode(), digest_size=16).hexdigest()
    mail["Message-ID"] = f"<{key}@watchtower>"
    mail["Auto-Submitted"] = "auto-generated"
    blocks = []
    for _, body in bodies:
        lines = [subject(body), *(f"  {line}" for line in details(body))]
        if where := link(body, pages):
            lines.append(f"  {where}")
        blocks.append("\n".join(lines))
    ending = f"\n\n-- \n{pages}\n" if pages else "\n"
    mail.set_content("\n\n".join(blocks) + ending)
    return mail


def send_mail(receiver: Receiver, server: str, bodies: Bodies, now: datetime, pages: str) -> None:
    """Send; Undelivered where the server does not take it for every address."""
    place = urlsplit(server)
    try:
        port = place.port
    except ValueError:
        port = -1
    if place.scheme not in ("smtp", "smtps", "smtp+plain") or not place.hostname or port == -1:
        raise Undelivered(f"{receiver.secret} is not of the form {ACCEPTED}")
    user, password = unquote(place.username or ""), unquote(place.password or "")
    sender = parse_qs(place.query).get("from", [user])[0]
    if "@" not in sender:
        raise Undelivered(f"{receiver.secret} does not say from whom mail is: add ?from=watchtower@example.com")
    mail = compose(receiver, sender, bodies, now, pages)
    try:
        with _connected(place.scheme, place.hostname, port) as smtp:
            if user:
                smtp.login(user, password)
            refused = smtp.send_message(mail)
    except (smtplib.SMTPException, OSError) as fault:
        words = str(fault).replace(password, "***") if password else str(fault)
        raise Undelivered(f"mail server {place.hostname}: {words or type(fault).__name__}") from None
    if refused:
        raise Undelivered(f"mail server {place.hostname}: took it, but not for {', '.join(sorted(refused))}")


def _connected(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=SECONDS, context=ssl.create_default_context())
    smtp = smtplib.SMTP(host, port or 587, timeout=SECONDS)
    if scheme == "smtp":
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp


def notify_apprise(address: str, bodies: Bodies, pages: str) -> None:
    """Tell through apprise, where it is installed (the extra `apprise`). Undelivered where it is not, or does not."""
    try:
        import apprise
    except ModuleNotFoundError:
        raise Undelivered("apprise is not installed: pip install 'watchtower-revops[apprise]'") from None
    told = apprise.Apprise()
    if not told.add(address):
        raise Undelivered("the receiver's secret is no address that apprise knows")
    title = subject(bodies[0][1]) if len(bodies) == 1 else f"{len(bodies)} notices"
    parts = [[subject(body), *details(body), link(body, pages)] for _, body in bodies]
    if not told.notify(title=title, body="\n\n".join("\n".join(filter(None, part)) for part in parts)):
        raise Undelivered("apprise did not deliver it; its own log says why")
