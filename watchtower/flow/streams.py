"""The events that records are folded from, out of the journal, with what merges make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from watchtower.contract import Event
from watchtower.rules.fold import FIELD_ACCEPTED, FIELD_WITHDRAWN, HEARD, SIGNAL_ADMITTED, ObjectFold
from watchtower.rules.merging import Merge, Merges, Numbered, boundary, led_by, redirect, stream
from watchtower.store import journal, merges
from watchtower.store.database import Connection

Folds = Mapping[str, ObjectFold]


def folded(entry_type: str, layer: str) -> bool:
    """Whether a journal entry changes a record: what sources and people say, and the rule layer's acceptances."""
    return layer == "core" or entry_type in (FIELD_ACCEPTED, FIELD_WITHDRAWN, SIGNAL_ADMITTED, HEARD)


def past_of(conn: Connection, name: str, wanted: Sequence[str]) -> dict[str, list[Event]]:
    """All that was ever said of these ids and changes records, in order of time, then of arrival."""
    return {record: [event for _, event in said] for record, said in _said(conn, name, wanted).items()}


def streams(conn: Connection, folds: Folds, name: str, wanted: Sequence[str]) -> dict[str, list[Event]]:
    """What these records are folded from, from their first event on."""
    if not wanted or not merges.any_in_force(conn):
        return past_of(conn, name, wanted)
    known = merges.families(conn, [(name, record) for record in wanted])
    one = {of for merge in known if not merge.leads for of in (merge.record, merge.into)}
    said = _said(conn, name, sorted({*wanted, *one}))
    return joined(conn, folds[name], said, wanted, known)


def joined(
    conn: Connection, fold: ObjectFold, said: Mapping[str, Sequence[Numbered]], wanted: Iterable[str],
    known: Sequence[Merge],
) -> dict[str, list[Event]]:  # fmt: skip
    mentioned = {one for events in said.values() for _, event in events for one in fold.mentions(event)}
    every = Merges(sorted({*known, *merges.families(conn, mentioned)}, key=lambda merge: (merge.at, merge.id)))
    if not every:
        return {record: [event for _, event in said[record]] for record in wanted}
    told = {
        record: redirect(events, every, fold.mentions, fold.rewrite, fold.refs.values())
        for record, events in said.items()
    }
    return {record: stream(fold.name, record, told, every) for record in wanted}


def _said(conn: Connection, name: str, wanted: Sequence[str]) -> dict[str, list[Numbered]]:
    found: dict[str, list[Numbered]] = {record: [] for record in wanted}
    for number, event, layer in journal.events_of(conn, name, wanted) if wanted else ():
        if folded(event.type, layer):
            found[event.record_id].append((number, event))
    return found


@dataclass(frozen=True)
class Rejoined:
    """A record that merges have to do with, and all it is folded from; new from `start` on."""

    object: str
    id: str
    start: datetime
    events: list[Event]


Record = tuple[str, str]
"""(object, id)"""


def led(conn: Connection, events: Iterable[Event]) -> dict[Record, datetime]:
    """Note the merges that these events of sources speak of. Who refers to a record that they have to do with, and from
    which instant on that is to be folded anew."""
    starts: dict[Record, datetime] = {}
    by_object: dict[str, list[Merge]] = {}
    for event in events:
        if (merge := led_by(event)) is not None:
            by_object.setdefault(merge.object, []).append(merge)
    for name, fresh in by_object.items():
        about = [(name, of) for merge in fresh for of in (merge.record, merge.into)]
        # An earlier word takes the place of a later one: who followed that one is looked for, too.
        known = merges.families(conn, about)
        merges.lead(conn, fresh)
        known += merges.families(conn, about)
        ids = {*(record for _, record in about), *(of for merge in known for of in (merge.record, merge.into))}
        start = min(merge.at for merge in fresh)
        starts |= dict.fromkeys(merges.linked(conn, name, sorted(ids)), start)
    return starts


def concerned(
    conn: Connection,
    folds: Folds,
    by_object: Mapping[str, dict[str, list[Event]]],
    referring: Mapping[Record, datetime],
) -> list[Rejoined]:
    """Of records with new events those that merges have to do with, taken out of `by_object`: what is said of an id
    that is another record now is that one's; and who is referred to may have become another.

    They are folded from the journal, where the new events stand already. `referring`: see `led`.
    """
    ids = {*referring, *((name, record) for name, groups in by_object.items() for record in groups)}
    named = {
        (name, record): {one for event in events for one in folds[name].mentions(event)}
        for name, groups in by_object.items()
        for record, events in groups.items()
    }
    known = Merges(merges.families(conn, {*ids, *(one for several in named.values() for one in several)}))
    starts: dict[str, dict[str, datetime]] = {}
    for name, record in ids:
        follows = (name, record) in referring or any(one in known.onward for one in named.get((name, record), ()))
        if not follows and not known.concerns(name, record):
            continue
        times = [event.time for event in by_object.get(name, {}).pop(record, ())]
        start = min([*times, *([referring[name, record]] if (name, record) in referring else [])])
        mine = starts.setdefault(name, {})
        out = known.gone.get((name, record))
        if out is None or start < out.at:
            mine[record] = min(mine.get(record, start), start)
        for merge in known.survivors(name, record):
            start = max(start, merge.at)
            mine[merge.into] = min(mine.get(merge.into, start), start)
    return rejoined(conn, folds, starts)


def rejoined(conn: Connection, folds: Folds, starts: Mapping[str, Mapping[str, datetime]]) -> list[Rejoined]:
    """These records, from these instants on, or a little before: from where a version of each begins."""
    return [
        Rejoined(name, record, boundary(events, mine[record]), events)
        for name, mine in sorted(starts.items())
        for record, events in streams(conn, folds, name, sorted(mine)).items()
    ]
