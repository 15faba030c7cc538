"""A page of what a system said becomes events, through the one door, in one transaction with the cursor.

What is written is what changed: each object is held against what it last said, so that a page that comes twice says
nothing new, a null clears only what this system had given, and what AI or another system filled stays. An event's id is
made of the object, its time of change and what is said, so that the same change has the same id in every reading.

What we wrote to the system ourselves comes back with the next reading; it is no word of the system's, and left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from watchtower.contract import Event, format_time
from watchtower.contract.system import Gone, Merged, Pulled, Said, Seen
from watchtower.flow import intake
from watchtower.flow.apply import Engine
from watchtower.flow.personal import seal
from watchtower.flow.systems.mapping import fields_of, our_name
from watchtower.rulebook import Rulebook
from watchtower.rulebook.systems import System, master_of
from watchtower.store import merges
from watchtower.store import systems as store
from watchtower.store.database import Connection
from watchtower.store.systems import Link

DOCUMENTS = {"note": "note", "call": "call", "email": "email"}
"""The kinds of documents that the texts of activities are; what is not named is a note."""
INTO = "merged into"
"""In what is kept of an object that was merged away: what it became part of. No field has this name."""
Key = tuple[str, str]


@dataclass
class Took:
    """What became of what a system said."""

    said: int = 0
    """Changes that it told of."""
    events: int = 0
    """Events that were new."""
    refused: int = 0
    """Values that the rulebook does not allow: they are among the dead letters, the rest of the object went in."""
    unknown: int = 0
    """References to what was never read, and objects without an id."""

    def __add__(self, other: Took) -> Took:
        return Took(
            self.said + other.said, self.events + other.events, self.refused + other.refused,
            self.unknown + other.unknown,
        )  # fmt: skip


@dataclass
class _Page:
    """What a page works on: the links it knows, those it changes, and the events that follow."""

    conn: Connection
    engine: Engine
    name: str
    system: System
    round: int
    now: datetime
    links: dict[Key, Link]
    took: Took = field(default_factory=Took)
    events: list[Event] = field(default_factory=list)
    touched: dict[Key, Link] = field(default_factory=dict)

    def resolve(self, theirs: str, id_: str) -> str | None:
        """The id of our record: as it was linked; else, where our ids are theirs, the same."""
        link = self.links.get((theirs, id_))
        if link is not None:
            return link.subject.partition("/")[2]
        name = our_name(self.system, theirs)
        return id_ if name is not None and not self.system.objects[name].id else None

    def subject(self, theirs: str, id_: str) -> str | None:
        name, record = our_name(self.system, theirs), self.resolve(theirs, id_)
        return f"{name}/{record}" if name is not None and record is not None else None

    def event(self, id_: str, type_: str, subject: str, at: datetime, data: dict[str, Any]) -> Event:
        return Event(id=id_, source=self.name, type=type_, subject=subject, time=at, data=data)

    def keep(self, link: Link) -> None:
        self.links[link.object, link.id] = self.touched[link.object, link.id] = link


def take_page(conn: Connection, engine: Engine, name: str, pulled: Pulled, round_: int, now: datetime) -> Took:
    """Take what a system said, and note how far it was read. The transaction is the caller's."""
    system = engine.program.book.systems[name]
    links = store.links(conn, name, _keys(engine.program.book, system, pulled))
    page = _Page(conn, engine, name, system, round_, now, links)
    page.took.said = len(pulled.changes) + len(pulled.events)
    for wave in _waves([change for change in pulled.changes if isinstance(change, Seen)]):
        _seen(page, wave)
    for change in pulled.changes:
        if isinstance(change, Gone | Merged):
            _ended(page, change)
        elif isinstance(change, Said):
            _activity(page, change)
    _merges(page)
    given = [*page.events, *pulled.events]
    if given:
        verdicts = intake.take(conn, engine, given, now, origin=name).verdicts
        page.took.events = sum(verdict.status == "accepted" for verdict in verdicts)
        page.took.refused = sum(verdict.status in ("refused", "conflict") for verdict in verdicts)
    store.save(conn, name, page.touched.values())
    store.move(conn, name, pulled.cursor, now)
    return page.took


def take_merges(conn: Connection, engine: Engine, name: str, merged: Sequence[tuple[str, str]], now: datetime) -> None:
    """Note what a system told of its merges: (id, what it is part of now). What can be said of them now is said."""
    store.hear_merges(conn, name, merged, now)
    held = store.hold(conn, name)
    page = _Page(conn, engine, name, engine.program.book.systems[name], held.round if held else 0, now, {})
    _merges(page)
    if page.events:
        intake.take(conn, engine, page.events, now, origin=name)
    store.save(conn, name, page.touched.values())


def take_missing(
    conn: Connection, engine: Engine, name: str, unseen: Sequence[Link], there: set[str], round_: int, now: datetime
) -> int:
    """End what is no more, of objects that a whole reading did not bring; `there`: those that are still found. How
    many are gone."""
    system = engine.program.book.systems[name]
    links = store.links(conn, name, [(link.object, link.id) for link in unseen])
    page = _Page(conn, engine, name, system, round_, now, links)
    for link in unseen:
        if link.id in there:
            page.keep(msgspec.structs.replace(links[link.object, link.id], round=round_))
        else:
            _ended(page, Gone(object=link.object, id=link.id, at=max(now, link.at)))
    if page.events:
        intake.take(conn, engine, page.events, now, origin=name)
    store.save(conn, name, page.touched.values())
    return len(unseen) - len(there & {link.id for link in unseen})


def _keys(book: Rulebook, system: System, pulled: Pulled) -> set[Key]:
    """Every object of the system that a page names."""
    found: set[Key] = set()
    refs = _references(book, system)
    for change in pulled.changes:
        found.add((change.object, change.id))
        if isinstance(change, Merged):
            found.add((change.object, change.into))
        elif isinstance(change, Said):
            found.update(change.about)
        elif isinstance(change, Seen):
            for key, theirs in refs.get(change.object, ()):
                value = change.properties.get(key)
                ids = value if isinstance(value, list) else [value]
                found.update((theirs, str(id_)) for id_ in ids[:1] if id_)
    return found


def _references(book: Rulebook, system: System) -> dict[str, list[tuple[str, str]]]:
    """For each of the system's objects, the properties that name others, and which."""
    return {
        mapped.from_: [
            (source.from_, system.objects[to].from_)
            for field, source in mapped.fields.items()
            if (to := book.objects[name].fields[field].to) in system.objects
        ]
        for name, mapped in system.objects.items()
    }


def _waves(changes: Sequence[Seen]) -> list[list[Seen]]:
    """In order of time, parted so that each object stands once in each part."""
    waves: list[list[Seen]] = []
    times: Counter[Key] = Counter()
    for change in sorted(changes, key=attrgetter("at")):
        wave = times[change.object, change.id]
        times[change.object, change.id] += 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(change)
    return waves


# ---- objects


def _seen(page: _Page, changes: Sequence[Seen]) -> None:
    """Objects as they are. All are linked before any is read: they may refer to each other."""
    fresh: list[tuple[Seen, str, Link]] = []
    for change in changes:
        name = our_name(page.system, change.object)
        if name is None:
            continue
        link = page.links.get((change.object, change.id))
        if link is None:
            record = _record_id(page, name, change)
            if record is None:
                page.took.unknown += 1
                continue
            link = Link(object=change.object, id=change.id, subject=f"{name}/{record}", at=change.at, said={},
                        written={}, round=-1)  # fmt: skip
            page.links[change.object, change.id] = link
        fresh.append((change, name, link))
    again = _ended_at_the_master(page, [link.subject for _, _, link in fresh])
    events: list[tuple[Seen, str, Link, Event]] = []
    for change, name, link in fresh:
        if change.current and change.at <= link.at and link.round >= 0:
            # It does not say when this changed: since it was last read, and now at the latest.
            change = msgspec.structs.replace(change, at=max(page.now, link.at))
        if change.at < link.at or (link.gone and change.at <= link.at and not change.current):
            # What was taken already is newer; that it was seen is known all the same.
            if not link.gone:
                page.keep(msgspec.structs.replace(link, round=page.round))
        elif link.subject not in again:
            fields = fields_of(page.engine.program.book, page.system, name, change, page.resolve)
            page.took.unknown += len(page.system.objects[name].fields) - len(fields) if change.whole else 0
            events.append((change, name, link, page.event("-", "record.updated", link.subject, change.at,
                                                          {"fields": fields})))  # fmt: skip
    sealed = seal(page.conn, page.engine, [event for *_, event in events], page.now)
    for (change, name, _, event), whole in zip(events, sealed, strict=True):
        _compare(page, change, name, event, whole.data["fields"])


def _record_id(page: _Page, name: str, change: Seen) -> str | None:
    wanted = page.system.objects[name].id
    if not wanted:
        return change.id
    value = change.properties.get(wanted)
    return str(value).strip() or None if isinstance(value, str | int) and not isinstance(value, bool) else None


def _ended_at_the_master(page: _Page, subjects: Sequence[str]) -> set[str]:
    """Records that their master has deleted: another system's word does not bring them back."""
    found: set[str] = set()
    book = page.engine.program.book
    by_master: dict[str, list[str]] = {}
    for subject in subjects:
        master = master_of(book, subject.partition("/")[0])
        if master is not None and master != page.name:
            by_master.setdefault(master, []).append(subject)
    for master, theirs in by_master.items():
        found |= store.gone_from(page.conn, master, theirs)
    return found


def _compare(page: _Page, change: Seen, name: str, event: Event, fields: Mapping[str, Any]) -> None:
    """What of an object changed since it last spoke, as an event. `fields`: its own, what is personal sealed."""
    link = page.links[change.object, change.id]
    new = link.gone or link.round < 0
    said, written = ({}, {}) if link.gone else (dict(link.said), dict(link.written))
    changed = [key for key, value in fields.items() if _news(key, value, said, written)]
    for key, value in fields.items():
        if key in changed or key not in written:
            said[key] = value
    said = {key: value for key, value in said.items() if value is not None}
    at = link.at if change.current and not changed and not new else change.at
    page.keep(msgspec.structs.replace(
        link, at=at, said=said, written=written, round=page.round, gone=False
    ))  # fmt: skip
    if not changed and not new:
        return
    # What is personal stands sealed in the id's digest: under a destroyed key nobody can guess it from there.
    digest = _digest(link.subject, {key: fields[key] for key in changed}, new)
    id_ = f"{change.object}/{change.id}@{format_time(change.at)}.{digest}"
    clear = {key: event.data["fields"][key] for key in changed}
    odd = {key for key, _, _ in page.engine.folds[name].misfits(msgspec.structs.replace(event, data={"fields": clear}))}
    good = {key: value for key, value in clear.items() if key not in odd}
    if good or new:
        page.events.append(msgspec.structs.replace(event, id=id_, data={"fields": good}))
    if odd:
        # By itself, so that the door refuses it alone, and it can go through again once the rulebook allows it.
        bad = {key: clear[key] for key in clear if key in odd}
        page.events.append(msgspec.structs.replace(event, id=f"{id_}.refused", data={"fields": bad}))


def _news(key: str, value: Any, said: Mapping[str, Any], written: dict[str, Any]) -> bool:
    """Whether a value is news of the system's. What we wrote is not, until somebody there changed it."""
    mine = written.get(key)
    if mine is None:
        return bool(value != said.get(key))
    if value in mine["values"]:
        if value == mine["values"][-1]:
            written[key] = {**mine, "came_back": True}
        return False
    if mine["came_back"] or value != said.get(key):
        del written[key]
        return True
    return False  # as it was before: what we wrote is on its way


# ---- ends, and what was done


def _ended(page: _Page, change: Gone | Merged) -> None:
    link = page.links.get((change.object, change.id))
    if link is None:
        return
    if link.gone:
        if isinstance(change, Gone) or INTO in link.said:
            return
        # That it is gone was read before it was said what became of it: who referred to it follows all the same.
        change = msgspec.structs.replace(change, at=max(change.at, link.at))
    elif change.at < link.at:
        return
    said = {INTO: change.into} if isinstance(change, Merged) else {}
    told = link.gone and merges.said_by_sources(page.conn, *link.subject.split("/", 1))
    page.keep(msgspec.structs.replace(link, at=change.at, said=said, written={}, round=page.round, gone=True))
    name = our_name(page.system, change.object)
    if name is None or told or master_of(page.engine.program.book, name) != page.name:
        return  # an activity, whose text stays; or said before; or not for this system to end
    id_ = f"{change.object}/{change.id}@{format_time(change.at)}"
    if isinstance(change, Merged):
        into = page.resolve(change.object, change.into)
        if into is not None:
            if f"{name}/{into}" == link.subject:
                return
            merged = page.event(f"{id_}.merged", "record.merged", link.subject, change.at, {"into": into})
            page.events.append(merged)
            return
        if link.gone:
            return
    page.events.append(page.event(f"{id_}.gone", "record.deleted", link.subject, change.at, {}))


def _merges(page: _Page) -> None:
    """Merges that the system told of without saying of what: both are known by their ids, once they were read."""
    waiting = store.merges_waiting(page.conn, page.name)
    if not waiting:
        return
    known: dict[str, list[Link]] = {}
    for link in store.links_by_id(page.conn, page.name, {*waiting, *waiting.values()}):
        known.setdefault(link.id, []).append(page.touched.get((link.object, link.id), link))
    for key, link in page.touched.items():
        if all(other.object != key[0] for other in known.get(link.id, ())):
            known.setdefault(link.id, []).append(link)
    done: list[str] = []
    for id_, first in waiting.items():
        for link in known.get(id_, ()):
            into, passed = first, {id_}
            while not _there(known, link.object, into) and into in waiting and into not in passed:
                passed.add(into)  # what it became part of was never read, and is part of another by now
                into = waiting[into]
            if _there(known, link.object, into) and into != id_ and our_name(page.system, link.object) is not None:
                for one in (link, *known[into]):
                    page.links.setdefault((one.object, one.id), one)
                _ended(page, Merged(object=link.object, id=id_, into=into, at=max(page.now, link.at)))
                done.append(id_)
    store.merges_done(page.conn, page.name, done, page.now)


def _there(known: Mapping[str, Sequence[Link]], object_: str, id_: str) -> bool:
    return any(link.object == object_ for link in known.get(id_, ()))


def _activity(page: _Page, change: Said) -> None:
    """What was done counts once for each record; its text replaces what it said before."""
    link = page.links.get((change.object, change.id))
    if link is not None and (link.gone or change.at < link.at or (change.at == link.at and link.round >= 0)):
        page.keep(msgspec.structs.replace(link, round=page.round))
        return
    subjects = sorted({subject for about in change.about if (subject := page.subject(*about)) is not None})
    page.took.unknown += len(change.about) - len(subjects)
    told = set(link.said.get("about", ())) if link is not None else set[str]()
    about = sorted(told | set(subjects))
    page.keep(Link(object=change.object, id=change.id, subject=about[0] if about else "", at=change.at,
                   said={"about": about}, written={}, round=page.round))  # fmt: skip
    text = "\n\n".join(part for part in (change.title.strip(), change.text.strip()) if part)
    for subject in subjects:
        key = f"{change.object}/{change.id}"
        if subject not in told:
            data = {"kind": change.activity}
            page.events.append(page.event(f"{key}.{subject}", "activity.logged", subject, change.happened, data))
        if text:
            document = {
                "document": f"{page.name}:{key}", "kind": DOCUMENTS.get(change.activity, "note"), "text": text,
                **({"url": change.url} if change.url else {}),
            }  # fmt: skip
            id_ = f"{key}@{format_time(change.at)}.{subject}"
            page.events.append(page.event(id_, "document.added", subject, change.at, document))


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=8).hexdigest()
