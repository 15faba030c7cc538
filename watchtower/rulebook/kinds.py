"""The kinds of systems that a rulebook may connect, and what each of them can do: `KINDS` is the table.

A kind is one line here and one in `watchtower.connectors.systems`, which says what speaks to it; a test holds the
two together. The rulebook needs this one alone: to name, with line and column, what a kind cannot do.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """What can be declared of a system of this kind."""

    says: str
    needs: tuple[tuple[str, ...], ...] = (("TOKEN",),)
    """Credentials, by the ends of their variables' names: all of one of these sets. Nothing: it needs none."""
    may: tuple[str, ...] = ()
    """Further variables that it reads where they are set."""
    pulls: bool = True
    """Whether it is read by and by; else it only sends."""
    writes: bool = False
    """Whether fields may go back to it."""
    activities: tuple[str, ...] = field(default=())
    """What was said and done about records, and can be read from it: note, call, ..."""


_APP = ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")
"""An OAuth app's: its access tokens are renewed."""

KINDS: dict[str, Kind] = {
    "hubspot": Kind("HubSpot, CRM objects (v3)", needs=(("TOKEN",), _APP), may=("URL", "REDIRECT_URI"), writes=True,
                    activities=("note", "call", "email", "meeting", "task")),
    "salesforce": Kind("Salesforce, REST and SOQL", needs=(("URL", "TOKEN"), ("URL", "CLIENT_ID", "CLIENT_SECRET")),
                       may=("REFRESH_TOKEN",), writes=True, activities=("task", "call", "email", "meeting")),
    "attio": Kind("Attio, records and notes (v2)", may=("URL",), writes=True, activities=("note",)),
    "stripe": Kind("Stripe, customers, subscriptions and invoices", may=("URL",)),
    "outreach": Kind("Outreach, accounts, prospects and opportunities (v2)", needs=(("TOKEN",), _APP),
                     may=("URL", "REDIRECT_URI"), activities=("call", "email", "task")),
    "gong": Kind("Gong, calls with their transcripts (v2)", needs=(("KEY", "SECRET"), ("URL", *_APP)),
                 may=("URL", "TOKEN_URL"), activities=("call", "warning")),
    "sql": Kind("Tables and views of a database", needs=(("URL",),)),
}  # fmt: skip
