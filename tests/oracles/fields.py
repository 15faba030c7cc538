"""The objects, calendars and spans of the drawn rules, and the columns of the table that PostgreSQL is asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

ZONES = ("Europe/Rome", "America/New_York", "Australia/Lord_Howe", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
Json = dict[str, Any]

SCHEMA: dict[str, dict[str, Json]] = {
    "account": {
        "segment": {"type": "enum", "values": ["smb", "mid", "enterprise"]},
        "employees": {"type": "integer"},
        "renewal_on": {"type": "date"},
        "touched_at": {"type": "timestamp"},
        "deals": {"type": "integer", "rollup": {"count": "records", "over": "deal", "via": "account"}},
        "called": {
            "type": "integer",
            "rollup": {"sum": "calls", "over": "deal", "via": "account", "where": "stage = 'won' or hot"},
        },
        "top": {"type": "money", "rollup": {"max": "amount", "over": "deal", "via": "account"}},
        "first_due": {"type": "timestamp", "rollup": {"min": "due_at", "over": "deal", "via": "account"}},
    },
    "deal": {
        "account": {"type": "ref", "to": "account"},
        "stage": {"type": "enum", "values": ["new", "open", "won", "lost"]},
        "opened_at": {"type": "timestamp"},
        "due_at": {"type": "timestamp"},
        "seen_at": {"type": "timestamp"},
        "closed_on": {"type": "date"},
        "amount": {"type": "money"},
        "chance": {"type": "number"},
        "hot": {"type": "boolean"},
        "name": {"type": "text"},
        "tags": {"type": "list"},
        "calls": {"type": "integer", "rollup": {"count": "events", "of": "activity.logged", "where": "kind = 'call'"}},
        "last_at": {"type": "timestamp", "rollup": {"latest": "time", "of": "activity.logged"}},
        "used": {"type": "number", "rollup": {"sum": "value", "of": "usage.recorded", "where": "metric = 'seats'"}},
        "least": {"type": "number", "rollup": {"min": "value", "of": "usage.recorded"}},
        "first_used": {"type": "number", "rollup": {"first": "value", "of": "usage.recorded"}},
        "begun_at": {"type": "timestamp", "rollup": {"earliest": "time", "of": ["usage.recorded", "activity.logged"]}},
    },
}
SPANS = (
    "48 hours", "1 day", "2 days", "1 month", "1 week", "30 minutes", "90 minutes", "1 month 1 day", "1 year",
    "2 months 3 days 4 hours", "1 month -1 day", "1.5 hours", "1 microsecond", "24 hours", "3 weeks", "11 months",
)  # fmt: skip

CALENDARS: dict[str, Json] = {
    "office": {
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "hours": ["09:00", "13:00", "14:00", "18:00"],
        "holidays": "IT",
    },
    "night": {"days": ["sat", "sun", "mon"], "hours": ["00:00", "03:30", "22:00", "24:00"], "closed": ["2026-03-28"]},
}
LENGTHS = ("30 minutes", "90 minutes", "4 hours", "8 hours", "9 hours", "40 hours", "1 second")

# What each column of the oracle's table is: its type, and the field a rule names for it where it is missing.
_PG = {"timestamp": "timestamptz", "date": "date", "integer": "float8", "money": "float8", "number": "float8"}
_PG |= {"boolean": "bool", "list": "text[]"}
COLUMNS: dict[str, tuple[str, str]] = {
    **{name: (_PG.get(spec["type"], "text"), name) for name, spec in SCHEMA["deal"].items()},
    **{f"account.{name}": (_PG.get(s["type"], "text"), f"account.{name}") for name, s in SCHEMA["account"].items()},
    "changed_at(stage)": ("timestamptz", "stage"),
    "previous(stage)": ("text", "stage"),
    "previous(amount)": ("float8", "amount"),
    "previous(due_at)": ("timestamptz", "due_at"),
    "previous(account.segment)": ("text", "account.segment"),
    "pauses(hot)": ("tstzmultirange", "hot"),
    "source_of(stage)": ("text", "stage"),
    "changed_at(amount)": ("timestamptz", "amount"),
    "changed_at(account.segment)": ("timestamptz", "account.segment"),
    "source_of(account.segment)": ("text", "account.segment"),
}
