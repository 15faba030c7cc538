"""The tables. One dialect: PostgreSQL 15 or newer.

journal      every event and every decision, append-only
record       what is so now; version: what was so when (rebuilt from the journal, never edited by hand)
span         the intervals in which each rule holds, or is unknown, on each record
link         which records look through to which others
alert        what stands in a queue, with its history in `action`
outbox       who is told of an alert, and how far that has come
document, request, proposal, signal: what enrichment and detection read, were asked, and said
rulebook, activation: which rules were in force when
merge_proposal, merge: which records may be one, and which were made one
deadletter   what could not be taken, whole, with the reason; and events of the future until their time has come
subject_key  the keys of personal data, one a person; erased by destroying it
api_key, session: who may come in, and who has signed in
silence      of what nobody is told for a while
task         which task of a work tool is which alert
subscription who asked over HTTP to be told of alerts, beside the receivers of the rulebook
system_state, system_link: how far each connected system was read, and which of its objects is which record
system_token the tokens that a connected system has given, sealed
system_merge merges that a system told of and that wait for the record they lead to
audit        who did what when, each row bound to the one before by its hash
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


RANK = "coalesce(array_position(array['critical', 'high', 'medium', 'low'], severity), 5)"
"""The place of an alert's severity, the gravest first."""
REVISION = """(select count(*) from action where action.alert = alert.id) || '.' || left(md5(concat_ws('|',
  alert.status, alert.assignee, alert.snoozed_until, alert.resolved_at, alert.level)), 8)"""
"""What an alert is at: another text after each change of it, and each line of its history. It follows from these alone:
a number that the server gives (xmin) would also tell of what workers write elsewhere."""


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, TIMESTAMP(timezone=True), nullable=nullable)


journal = Table(
    "journal",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    _time("time"),
    _time("received_at"),
    Column("data", JSONB, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("layer", Text, nullable=False),
    Column("txn", BigInteger, server_default=text("txid_current()")),
    UniqueConstraint("source", "id"),
    Index("ix_journal_object_record_time_seq", "object", "record", "time", "seq"),
)
"""`layer` is core (a source system or a person), worker (below the rules) or decision (the rule layer, and people on
its alerts and proposals). `txn`: entries written together, which a replay takes together; null in old entries."""

record = Table(
    "record",
    metadata,
    Column("object", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("provenance", JSONB, nullable=False),
    _time("created_at"),
    _time("changed_at"),
    _time("deleted_at", nullable=True),
    PrimaryKeyConstraint("object", "id"),
)
"""`provenance` maps a field to {"source", "id", "at", "by"}: the event that set it and who spoke."""

version = Table(
    "version",
    metadata,
    Column("object", Text, nullable=False),
    Column("id", Text, nullable=False),
    _time("valid_from"),
    _time("valid_to", nullable=True),
    Column("state", JSONB, nullable=False),
    PrimaryKeyConstraint("object", "id", "valid_from"),
)
"""Half-open [valid_from, valid_to); null: still so."""

span = Table(
    "span",
    metadata,
    Column("rule", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("state", Text, nullable=False),
    _time("since"),
    _time("until", nullable=True),
    _time("opens_at"),
    Column("opened", Boolean, nullable=False, server_default=text("false")),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("rule", "object", "record", "state", "since"),
    Index("ix_span_object_record", "object", "record"),
    Index(
        "ix_span_due",
        "opens_at",
        postgresql_where=text("state = 'holds' and not opened and (until is null or until > opens_at)"),
    ),
    Index(
        "ix_span_end",
        "until",
        postgresql_where=text("state = 'holds' and opened and not closed and until is not null"),
    ),
)
"""`state` is holds or unknown; `opens_at` is since + for; null `until`: without end, given no further event.
`opened` and `closed`: an alert was opened, and resolved, for it."""

alert = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("rulebook", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    _time("since"),
    _time("opened_at"),
    Column("status", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("ai_informed", Boolean, nullable=False),
    Column("inhibitors", ARRAY(Text), nullable=False, server_default="{}"),
    Column("causes", JSONB, nullable=False),
    Column("reads", JSONB, nullable=False),
    _time("resolved_at", nullable=True),
    Column("resolution", Text, nullable=True),
    _time("snoozed_until", nullable=True),
    Column("assignee", Text, nullable=True),
    Column("level", Integer, nullable=False, server_default=text("0")),
    Column("escalated_to", Text, nullable=True),
    Index("ix_alert_status_opened_at_id", "status", "opened_at", "id"),
    Index("ix_alert_object_record", "object", "record"),
    Index("ix_alert_order", "ai_informed", text(f"({RANK})"), "opened_at", "id"),
    Index("ix_alert_status_order", "status", "ai_informed", text(f"({RANK})"), "opened_at", "id"),
    Index("ix_alert_ladder", "queue", "level", "opened_at", postgresql_where=text("status in ('open', 'snoozed')")),
    Index("ix_alert_snoozed", "snoozed_until", postgresql_where=text("status = 'snoozed'")),
)
"""`level`: how many rungs of its queue's ladder it has climbed; `escalated_to`: to whom the last one was. `status` is
open, acknowledged, snoozed or resolved; `causes` the events behind it; `reads` the values read; `inhibitors` the
rules whose standing alerts on the same record make this one wait."""

action = Table(
    "action",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("alert", Text, ForeignKey("alert.id"), nullable=False, index=True),
    _time("at"),
    Column("actor", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)
"""`verb` is opened, resolved, corrected, woken, escalated (actor: watchtower), acknowledge, snooze, resolve, reopen,
assign or comment."""

link = Table(
    "link",
    metadata,
    Column("target_object", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("record", Text, nullable=False),
    PrimaryKeyConstraint("target_object", "target", "object", "ref", "record"),
    Index("ix_link_object_record", "object", "record"),
)
"""Who has ever referred to whom, where rules look through the reference, or gather by it: an event there is
evaluated here."""

document = Table(
    "document",
    metadata,
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("url", Text, nullable=False, server_default=""),
    _time("added_at"),
    PrimaryKeyConstraint("object", "record", "id"),
)

request = Table(
    "request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("because", ARRAY(Text), nullable=False),
    _time("asked_at"),
    _time("answered_at", nullable=True),
)
"""`kind` is fields (enrichment) or signal (a detector; `record` is then empty and `fields` names the signal)."""

proposal = Table(
    "proposal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("value", JSONB, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("method", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    _time("decided_at"),
    _time("proposed_at"),
    Index("ix_proposal_status_proposed_at_id", "status", "proposed_at", "id"),
    Index("ix_proposal_object_record", "object", "record"),
)
"""`status` is accepted, review, refused or rejected (by a person); `rule` names the acceptance rule."""

merge_proposal = Table(
    "merge_proposal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("survivor", Text, nullable=False),
    Column("bits", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("weights", JSONB, nullable=False),
    Column("compared", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    _time("decided_at"),
    _time("proposed_at"),
    Index("ix_merge_proposal_status_proposed_at_id", "status", "proposed_at", "id"),
    Index("ix_merge_proposal_object_record", "object", "record"),
    Index("ix_merge_proposal_object_survivor", "object", "survivor"),
)
"""Two records that a worker takes for one. `compared`: what both had in the fields that were compared, when it said so;
`status` is accepted, review, refused or rejected (by a person); `rule` names the merging rule."""

merge = Table(
    "merge",
    metadata,
    Column("id", Text, primary_key=True),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("survivor", Text, nullable=False),
    _time("at"),
    Column("by", Text, nullable=False),
    Column("proposal", Text, nullable=True),
    _time("undone_at", nullable=True),
    Column("undone_by", Text, nullable=False, server_default=""),
    Index("ix_merge_record", "object", "record", unique=True, postgresql_where=text("undone_at is null")),
    Index("ix_merge_survivor", "object", "survivor", postgresql_where=text("undone_at is null")),
)
"""`record` is `survivor` since `at`, until it was undone; `id` is that of the decision in the journal; `by` is
person:NAME, or rule:ID of a merging rule."""

signal = Table(
    "signal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    _time("raised_at"),
    Column("data", JSONB, nullable=False),
    Index("ix_signal_object_record", "object", "record"),
)

rulebook = Table(
    "rulebook",
    metadata,
    Column("version", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    _time("loaded_at"),
)
"""`content` is the normalised rulebook, from which it loads again."""

activation = Table(
    "activation",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("version", Text, ForeignKey("rulebook.version"), nullable=False),
    _time("at"),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("changes", JSONB, nullable=False, server_default=text("'[]'")),
)
"""`changes`: what differs from the rulebook that was in force before."""

deadletter = Table(
    "deadletter",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    _time("received_at"),
    Column("origin", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("redrivable", Boolean, nullable=False),
    Column("credential", Text, nullable=True),
    Column("source", Text, nullable=True),
    Column("event", Text, nullable=True),
    Column("type", Text, nullable=True),
    Column("digest", LargeBinary, nullable=True),
    Column("attempts", BigInteger, nullable=False, server_default=text("1")),
    _time("tried_at"),
    _time("due_at", nullable=True),
    _time("redriven_at", nullable=True),
    _time("closed_at", nullable=True),
    Column("because", Text, nullable=False, server_default=""),
    Index("ix_deadletter_digest", "digest", unique=True, postgresql_where=text("closed_at is null")),
    Index("ix_deadletter_due_at", "due_at", postgresql_where=text("closed_at is null and due_at is not null")),
)
"""`raw` is the body as JSON, of `size` characters where it is whole; `credential` the source it came under.
Open while `closed_at` is null; `due_at` of an event of the future: it waits in quarantine until then."""

subject_key = Table(
    "subject_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("object", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=True),
    _time("made_at"),
    _time("erased_at", nullable=True),
    UniqueConstraint("object", "record"),
)
"""The key that seals what is personal of one record, wrapped by the master key; null: destroyed, the person erased."""

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    _time("made_at"),
    Column("made_by", Text, nullable=False),
    _time("revoked_at", nullable=True),
)
"""`hash` is the SHA-256 of the key, which is nowhere else; `role` is viewer, operator, admin, source or worker; `name`
is the person's, or the source's that events posted with it bear."""

session = Table(
    "session",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("key", Text, ForeignKey("api_key.id", ondelete="CASCADE"), nullable=False, index=True),
    _time("begun_at"),
    _time("ends_at"),
)
"""`hash` is the SHA-256 of what the browser's cookie holds."""

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _time("at"),
    Column("actor", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""`seq` counts from 1 without a gap; `key` is the id of the API key it was done with, empty on the command line; `what`
is a verb, `about` what it was done to; `hash` is over the row and the hash of the row before."""

silence = Table(
    "silence",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=True) for name in ("rule", "object", "record", "queue", "owner", "severity")),
    _time("begins_at"),
    _time("ends_at"),
    Column("because", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Index("ix_silence_ends_at", "ends_at"),
)
"""Nobody is told of alerts that are all it names, from `begins_at` until `ends_at`; null: whatever it is."""

task = Table(
    "task",
    metadata,
    Column("receiver", Text, nullable=False),
    Column("alert", Text, ForeignKey("alert.id"), nullable=False),
    Column("task", Text, nullable=False),
    Column("heard", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("receiver", "alert"),
    UniqueConstraint("receiver", "task"),
)
"""The task that a receiver (ClickUp) has for an alert. `heard`: the ids of what was done to it there and is taken."""

subscription = Table(
    "subscription",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    *(Column(name, ARRAY(Text), nullable=False) for name in ("queues", "severities", "owners")),
    Column("made_by", Text, nullable=False),
    _time("made_at"),
    _time("ended_at", nullable=True),
    Column("ended_by", Text, nullable=False, server_default=""),
    Index("ix_subscription_id", "id", postgresql_where=text("ended_at is null")),
)
"""Each is a receiver of its own, under its id, until `ended_at`."""

outbox = Table(
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("receiver", Text, nullable=False),
    Column("alert", Text, ForeignKey("alert.id"), nullable=True),
    Column("event", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("ai_informed", Boolean, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    _time("created_at"),
    _time("due_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time("first_tried_at", nullable=True),
    _time("tried_at", nullable=True),
    Column("error", Text, nullable=False, server_default=""),
    Column("held", Text, nullable=False, server_default=""),
    Index("ix_outbox_alert_receiver", "alert", "receiver", "seq"),
    Index("ix_outbox_receiver_tried", "receiver", "ai_informed", "tried_at"),
    Index("ix_outbox_pending", "receiver", "ai_informed", "rank", "seq", postgresql_where=text("state = 'pending'")),
    Index("ix_outbox_waiting", "alert", postgresql_where=text("state = 'waiting'")),
)
"""`state` is waiting (for what inhibits the alert, or silences it), withheld (the alert ended while it waited),
pending, delivered or dead; `held` says why it waits, or is due later than it might be; no `alert`: it is about a
proposal; `id` is the webhook-id; `event` the decision in the journal; `rank` 0 is the gravest; `body` the bytes that
are signed and sent."""

system_state = Table(
    "system_state",
    metadata,
    Column("system", Text, primary_key=True),
    Column("cursor", JSONB, nullable=False),
    Column("round", BigInteger, nullable=False, server_default=text("0")),
    _time("moved_at", nullable=True),
    _time("began_at", nullable=True),
    _time("succeeded_at", nullable=True),
    _time("failed_at", nullable=True),
    Column("failure", Text, nullable=False, server_default=""),
    Column("written_seq", BigInteger, nullable=True),
)
"""`cursor`: how far the system was read, as its connector has it, moved in the transaction that took what was read;
`moved_at` when. `round` counts those that ended well; `written_seq`: the journal up to here was looked through for
what is to go back."""

system_link = Table(
    "system_link",
    metadata,
    Column("system", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    _time("at"),
    Column("said", JSONB, nullable=False),
    Column("written", JSONB, nullable=False, server_default=text("'{}'")),
    Column("round", BigInteger, nullable=False),
    Column("gone", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("system", "object", "id"),
    Index("ix_system_link_subject", "subject", "system"),
    Index("ix_system_link_round", "system", "round", postgresql_where=text("not gone")),
)
"""An object of a system, under the system's names, and our record. `said`: the fields that it last gave a value (what
is personal sealed); `written`: what we wrote to it; `at`: its time of that; `round`: the last one that saw it."""

system_token = Table(
    "system_token",
    metadata,
    Column("system", Text, primary_key=True),
    Column("seed", Text, nullable=False, server_default=""),
    Column("sealed", LargeBinary, nullable=True),
    _time("ends_at", nullable=True),
    _time("renewed_at", nullable=True),
)
"""What a system gave to read it by: the access token and the next refresh token, under the master key. `seed`: a digest
of the credentials that they began with; other ones begin anew. `ends_at`: of the access token; null: not known."""

system_merge = Table(
    "system_merge",
    metadata,
    Column("system", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("into", Text, nullable=False),
    _time("heard_at"),
    PrimaryKeyConstraint("system", "id"),
)
"""An object that a system said became part of another one, while either was not read yet: it waits for that."""
