"""What goes back to a system: fields that enrichment filled and that were accepted, where the rulebook opts in.

Through the outbox, at least once: the message is written in the transaction that looked through the journal, and what
it is about to set is noted beside the object before it leaves, so that its coming back is known for what it is. Setting
a value twice is as setting it once.

Asked again when it is to leave: is the record there, is the value still the accepted one, does the rulebook in force
still say so, and is the system still the object's master? What the system, or a person, said meanwhile stands.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from watchtower.contract import format_time
from watchtower.contract.system import Pushes, Write
from watchtower.errors import SystemFault
from watchtower.flow.delivery import GIVE_UP_AFTER, pause
from watchtower.flow.outbox import RANKS, message_id
from watchtower.flow.systems.state import LANE
from watchtower.rulebook import Rulebook
from watchtower.rulebook.systems import MappedObject, master_of
from watchtower.store import journal, outbox, records
from watchtower.store import systems as store
from watchtower.store.database import Connection, Database
from watchtower.store.outbox import Lane, Message, NewMessage

PAGE = 500
"""Accepted fields looked at in one transaction."""
RATE = 1_000_000
"""Messages a minute: the system's own limits are kept to by its connector."""
KEPT = 5
"""Values of ours, at most, whose coming back is known for what it is."""
HOPELESS = frozenset({400, 404, 409, 410, 422})
"""Answers to one write that no other try will change; the others may go."""


class Accepted(NamedTuple):
    """The body of a message: what is to be set, and who decided so."""

    subject: str
    field: str
    value: Any
    event: str
    by: str
    rule: str
    at: str


def plan_writes(conn: Connection, book: Rulebook, name: str, now: datetime) -> int:
    """Write a message for each accepted field that is to go back, of those the journal holds since the last look; how
    many entries were looked at: where it is PAGE, there may be more."""
    system, state = book.systems[name], store.hold(conn, name)
    if state is None:
        return 0
    found = store.accepted_since(conn, state.written_seq or 0, PAGE)
    wanted = [
        (event, accepted)
        for _, event, accepted in found
        if accepted["field"] in system.write.get(event[0], ()) and master_of(book, event[0]) == name
    ]
    linked = store.links_of(conn, name, sorted({f"{event[0]}/{event[1]}" for event, _ in wanted}))
    messages = []
    for (object_, record, id_, at), data in wanted:
        subject = f"{object_}/{record}"
        if subject in linked:
            body = Accepted(subject, data["field"], data["value"], id_, data.get("actor") or data["by"],
                            data.get("rule", ""), format_time(at))  # fmt: skip
            messages.append(NewMessage(
                id=message_id(id_, f"{LANE}{name}"), receiver=f"{LANE}{name}", alert=None, event=id_,
                type="field.accepted", ai_informed=True, rank=RANKS["medium"], state="pending",
                body=msgspec.json.encode(body._asdict()).decode(), due_at=format_time(now),
            ))  # fmt: skip
    outbox.add(conn, messages, now)
    store.written_up_to(conn, name, found[-1][0] if found else journal.last_seq(conn))
    return len(found)


Outcome = Literal["none", "written", "withheld", "refused"]


def write_next(database: Database, book: Rulebook, name: str, connector: Pushes, now: datetime) -> tuple[Outcome, str]:
    """Write the next thing that is due, and say what became of it, and why. SystemFault where the system fails; the
    message is then due later."""
    lane = Lane(f"{LANE}{name}", True)
    with database.begin() as conn:
        message = outbox.take(conn, lane, now, rate=RATE)
        if message is None:
            return "none", ""
        accepted = Accepted(**msgspec.json.decode(message.body))
        if because := _no_longer(conn, book, name, accepted):
            outbox.tried(conn, message.id, "withheld", now, now, because)
            return "withheld", because
        write = _intend(conn, book, name, message, accepted)
    with database.begin() as conn:
        again = outbox.take(conn, lane, now, rate=RATE)
        if again is None or again.id != message.id:
            return "withheld", "another process took it"
        try:
            connector.push(write)
        except SystemFault as fault:
            hopeless = fault.status in HOPELESS or now - (message.first_tried_at or now) >= GIVE_UP_AFTER
            due = now + max(pause(message.id, message.attempts + 1), timedelta(seconds=1))
            outbox.tried(conn, message.id, "dead" if hopeless else "pending", now, due, fault.message)
            if hopeless:
                return "refused", fault.message
            failed = fault
        else:
            outbox.tried(conn, message.id, "delivered", now, now)
            return "written", ""
    raise failed


def _no_longer(conn: Connection, book: Rulebook, name: str, accepted: Accepted) -> str:
    """Why something is not to be written any more; empty where it is."""
    object_, _, record = accepted.subject.partition("/")
    system = book.systems.get(name)
    if system is None or accepted.field not in system.write.get(object_, ()):
        return "the rulebook in force does not write it"
    if (master := master_of(book, object_)) != name:
        return f"the master of {object_} is {master}"
    row = records.load(conn, object_, [record]).get(record)
    if row is None or row.deleted_at is not None:
        return "the record is gone"
    if row.provenance.get(accepted.field, {}).get("id") != accepted.event:
        return "the field was set otherwise since"
    return "" if store.links_of(conn, name, [accepted.subject]) else f"{name} has no such object any more"


def _intend(conn: Connection, book: Rulebook, name: str, message: Message, accepted: Accepted) -> Write:
    """The write, noted beside its object before it leaves."""
    link = store.links_of(conn, name, [accepted.subject])[accepted.subject]
    mapped = book.systems[name].objects[accepted.subject.partition("/")[0]]
    before = link.written.get(accepted.field, {}).get("values", [])
    values = [*(value for value in before if value != accepted.value), accepted.value][-KEPT:]
    link.written[accepted.field] = {"values": values, "came_back": False}
    store.save(conn, name, [link])
    return Write(key=message.id, object=link.object, id=link.id, properties=_properties(mapped, accepted))


def _properties(mapped: MappedObject, accepted: Accepted) -> dict[str, Any]:
    source = mapped.fields[accepted.field]
    theirs = source.theirs
    value = accepted.value
    there = [theirs.get(one, one) for one in value] if isinstance(value, list) else theirs.get(str(value), value)
    found = {source.from_: there}
    if mapped.provenance:
        by = f"{accepted.by}{f' ({accepted.rule})' if accepted.rule else ''}"
        found[mapped.provenance] = f"{accepted.field}: {by}, {accepted.at[:19]}Z, {accepted.event}"
    return found
