"""E-mail addresses, by syntax alone (email-validator, RFC 5321 and 6531): no name server is asked.

A mailbox is compared without regard to case, and its domain in ASCII. `Maria Rossi <M.Rossi@Acme.IT>` and
`m.rossi (at) acme (dot) it` are `m.rossi@acme.it`.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from enrichment.normalise.domain import FREE_MAIL, listed, registrable
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

ANGLE = re.compile(r"^[^<>]*<\s*(?:mailto:)?([^<>\s]+)\s*>[\s;,]*$", re.I)
AT = re.compile(r"\s*[\[({]\s*at\s*[\])}]\s*", re.I)
DOT = re.compile(r"\s*[\[({]\s*dot\s*[\])}]\s*", re.I)
ROLES = frozenset(
    {
        "accounting", "accounts", "admin", "billing", "career", "careers", "contact", "customerservice", "enquiries",
        "finance", "hello", "help", "helpdesk", "hr", "info", "invoices", "jobs", "kontakt", "legal", "mail",
        "marketing", "no-reply", "noreply", "office", "orders", "postmaster", "press", "privacy", "purchasing",
        "reception", "sales", "security", "service", "support", "team", "vertrieb", "webmaster",
    }
)  # fmt: skip
"""Mailboxes of a desk, not of a person."""


def normalise(raw: str, region: str = "") -> Normalised | None:
    """Parts: mailbox (without what follows a `+`), domain (registrable), role and free (`yes` where they are)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    if found := ANGLE.match(text):
        text = found[1]
    text = DOT.sub(".", AT.sub("@", re.sub(r"^mailto:", "", text, flags=re.I)))
    text = text.partition("?")[0].strip(" .,;<>()[]\"'")
    if text.count("@") != 1:
        return refused(raw, "an address has one @")
    try:
        found_address = validate_email(text, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeError, ValueError) as error:
        return refused(raw, str(error))
    host = found_address.ascii_domain.lower()
    domain = registrable(host)
    if domain is None or not listed(host):
        return refused(raw, f"{host} is no public domain")
    local = found_address.local_part.lower()
    mailbox = local.partition("+")[0]
    return accepted(
        raw, f"{local}@{host}", mailbox=mailbox, domain=domain,
        role="yes" if mailbox in ROLES else "", free="yes" if domain in FREE_MAIL else "",
    )  # fmt: skip
