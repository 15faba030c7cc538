"""Sources, jobs and systems that must not fall silent: each is a record of a built-in object, its silence a rule.

    sources:
      crm: {silent_after: 2 hours, owner: revops, queue: data-quality}
      billing: {silent_after: 4 hours, calendar: office, source: https://billing.example/events}
    jobs:
      enrichment: {silent_after: 1 hour, owner: revops}

`source.crm.silent` stands on the record `source/crm` from `last_event_at + silent_after` until the source speaks
again. The tower keeps `last_event_at`; no sender can write it. Connected systems (`systems:`) are watched likewise.
"""

from __future__ import annotations

from pydantic import Field

from watchtower.rulebook.duties import Duty

JOBS = ("clock", "enrichment", "detection")
"""The tower's own jobs that tell when they have run."""
FIELDS = {
    "name": {"type": "text", "description": "Which one it is."},
    "last_event_at": {
        "type": "timestamp",
        "description": "The end of the minute in which it last spoke, or ran; at first, since when it is watched.",
    },
}
"""The fields of each."""
SYSTEM_FIELDS = {
    **FIELDS,
    "failing_since": {"type": "timestamp", "description": "Since when it refuses us, until a round succeeds."},
    "failure": {
        "type": "text", "read_by": ["owner"], "description": "What it, or the network, said when a round last failed.",
    },
}  # fmt: skip
"""Those of a connected system; its `last_event_at` is the end of its last round that succeeded."""
FIELDS_OF = {"source": FIELDS, "job": FIELDS, "system": SYSTEM_FIELDS}
"""The built-in objects: records of the tower's own, one for each part that is watched."""


class Watch(Duty):
    """How long a source or a job may be silent; with a calendar, its open hours count."""

    silent_after: str = Field(min_length=1)
    calendar: str = ""
    source: str = Field(default="", max_length=1024)
    """What its events name as their source; empty: the key it stands under."""
