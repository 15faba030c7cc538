"""Salesforce: SOQL by SystemModstamp through the REST API, deleted and merged records included.

Pages follow each other by (SystemModstamp, Id), so that nothing is passed over and a broken round goes on where it
was. A transaction bears the time at which it began and is seen when it ends: each reading looks back a little.
`queryAll` also gives what is deleted (IsDeleted), with MasterRecordId where it was merged.

Source: Salesforce REST API Developer Guide (Query, QueryAll, sObject Rows), SOQL and SOSL Reference (date literals,
polymorphic relationships), OAuth 2.0 client credentials flow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from watchtower.connectors.http import Http
from watchtower.connectors.oauth import bearing
from watchtower.connectors.plain import plain_text
from watchtower.connectors.rounds import Page, Step, run
from watchtower.contract import format_time, parse_time
from watchtower.contract.system import Asked, Change, Cursor, Gone, Merged, Pulled, Said, Seen, Tokens, Write
from watchtower.errors import SystemFault

API = "/services/data/v60.0"
SIZE = 2000
"""Records of one query."""
NAMED = 100
"""Ids in one query."""
LAG = timedelta(minutes=2)
"""How far a later reading looks back: what began before it may have ended since."""
MERGING = frozenset({"Account", "Contact", "Lead", "Case"})
"""Objects that can be merged: they alone have MasterRecordId."""
TASKS = {"Task": "task", "Call": "call", "Email": "email", "ListEmail": "email"}
"""What a task's subtype is here."""
_ID = re.compile(r"[A-Za-z0-9]{15,18}")


class Salesforce:
    """One org. `size`: records of one query, at most."""

    def __init__(self, http: Http, *, size: int = SIZE) -> None:
        self._http, self._size = http, size

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        """See `Pulls.pull`."""
        steps: list[tuple[str, str, Step]] = [
            (object_, "read", self._objects(properties)) for object_, properties in asked.objects.items()
        ]
        tasks = frozenset(asked.activities) - {"meeting"}
        if tasks:
            steps.append(("Task", "read", self._tasks(tasks)))
        if "meeting" in asked.activities:
            steps.append(("Event", "read", self._meetings()))
        return run(steps, cursor)

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        """See `Pulls.present`."""
        found: set[str] = set()
        for start in range(0, len(ids), NAMED):
            named = ", ".join(_quoted(id_) for id_ in ids[start : start + NAMED])
            for page in self._query("query", f"SELECT Id FROM {object} WHERE Id IN ({named})"):
                found.update(str(one["Id"]) for one in page)
        return found

    def push(self, write: Write) -> None:
        """See `Pushes.push`."""
        properties = {k: ";".join(map(str, v)) if isinstance(v, list) else v for k, v in write.properties.items()}
        self._call("PATCH", f"{API}/sobjects/{write.object}/{write.id}", body=properties)

    def close(self) -> None:
        self._http.close()

    # ---- steps

    def _objects(self, wanted: Sequence[str]) -> Step:
        def step(object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
            merging = ["MasterRecordId"] if object_ in MERGING else []

            def change(one: Mapping[str, Any]) -> Change:
                id_, time = str(one["Id"]), _time(one["SystemModstamp"])
                if one.get("IsDeleted") and one.get("MasterRecordId"):
                    return Merged(object=object_, id=id_, into=str(one["MasterRecordId"]), at=time)
                if one.get("IsDeleted"):
                    return Gone(object=object_, id=id_, at=time)
                said = {name: _value(one, name) for name in wanted}
                return Seen(object=object_, id=id_, at=time, properties=said)

            for found, place, newest, whole in self._read(object_, [*wanted, *merging], since, at):
                yield Page([change(one) for one in found], place, since=newest, whole=whole)

        return step

    def _tasks(self, wanted: frozenset[str]) -> Step:
        fields = ("Subject", "Description", "TaskSubtype", "IsClosed", "CompletedDateTime", "ActivityDate",
                  "WhoId", "Who.Type", "WhatId", "What.Type")  # fmt: skip

        def step(object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
            for found, place, newest, _ in self._read(object_, fields, since, at):
                changes: list[Change] = []
                for one in found:
                    activity = TASKS.get(one.get("TaskSubtype") or "Task", "task")
                    if one.get("IsDeleted"):
                        changes.append(_gone(object_, one))
                    elif one.get("IsClosed") and activity in wanted:
                        # What is yet to be done was not done.
                        when = one.get("CompletedDateTime") or one.get("ActivityDate") or one["SystemModstamp"]
                        changes.append(_said(object_, one, activity, when))
                yield Page(changes, place, since=newest)

        return step

    def _meetings(self) -> Step:
        fields = ("Subject", "Description", "StartDateTime", "WhoId", "Who.Type", "WhatId", "What.Type")

        def step(object_: str, since: Any, at: dict[str, Any]) -> Iterator[Page]:
            for found, place, newest, _ in self._read(object_, fields, since, at):
                yield Page([
                    _gone(object_, one) if one.get("IsDeleted")
                    else _said(object_, one, "meeting", one.get("StartDateTime") or one["SystemModstamp"])
                    for one in found
                ], place, since=newest)  # fmt: skip

        return step

    def _read(
        self, object_: str, fields: Sequence[str], since: Any, at: dict[str, Any]
    ) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any], Any, bool]]:
        """(records, where to go on, since of the next reading or None, whether that was all there are)"""
        first = since is None
        newest: str | None = at.get("newest", since)
        after: tuple[str, str] | None = (at["time"], at["id"]) if "time" in at else None
        if after is None and since is not None:
            after = (format_time(parse_time(since) - LAG), "")
        names = ", ".join(dict.fromkeys(["Id", "SystemModstamp", "IsDeleted", *fields]))
        while True:
            where = ""
            if after is not None:
                time = _literal(after[0])
                later = f"SystemModstamp > {time}"
                more = f"(SystemModstamp = {time} AND Id > {_quoted(after[1])})" if after[1] else ""
                where = f" WHERE {later} OR {more}" if more else f" WHERE SystemModstamp >= {time}"
            soql = f"SELECT {names} FROM {object_}{where} ORDER BY SystemModstamp, Id LIMIT {self._size}"
            found = [one for page in self._query("queryAll", soql) for one in page]
            for one in found:
                place = (format_time(_time(one["SystemModstamp"])), str(one["Id"]))
                after = place if after is None else max(after, place)
                newest = max(newest or "", place[0])
            last = len(found) < self._size
            at = {"newest": newest} | ({"time": after[0], "id": after[1]} if after is not None else {})
            yield found, at, (newest or format_time(_BEGINNING)) if last else None, last and first
            if last:
                return

    # ---- calls

    def _query(self, how: str, soql: str) -> Iterator[list[dict[str, Any]]]:
        said = self._call("GET", f"{API}/{how}", params={"q": soql})
        while True:
            yield said["records"]
            if said.get("done", True) or not said.get("nextRecordsUrl"):
                return
            said = self._call("GET", said["nextRecordsUrl"])

    def _call(self, method: str, path: str, **more: Any) -> Any:
        try:
            return self._http.call(method, path, **more)
        except SystemFault as fault:
            if fault.status == 403 and "REQUEST_LIMIT_EXCEEDED" in fault.message:
                raise SystemFault(fault.message, remedy="The day's calls of this org are used up.") from None
            raise


_BEGINNING = parse_time("1999-01-01T00:00:00Z")
"""Before Salesforce was: from here on an object is read that had no record yet."""


def connect(credentials: Mapping[str, str], tokens: Tokens | None = None) -> Salesforce:
    """URL: https://NAME.my.salesforce.com; TOKEN, where tokens are not renewed."""
    return Salesforce(bearing(credentials["URL"], credentials, tokens))


def _value(one: Mapping[str, Any], name: str) -> Any:
    """A field, or one of a related record: `Owner.Email`."""
    value: Any = one
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _gone(object_: str, one: Mapping[str, Any]) -> Gone:
    return Gone(object=object_, id=str(one["Id"]), at=_time(one["SystemModstamp"]))


def _said(object_: str, one: Mapping[str, Any], activity: str, when: str) -> Said:
    about = tuple(
        (str(kind), str(one[f"{which}Id"]))
        for which in ("Who", "What")
        if one.get(f"{which}Id") and (kind := _value(one, f"{which}.Type"))
    )
    # A day without an hour is noon, which is that day in most of the world.
    happened = _time(when if len(when) > 10 else f"{when}T12:00:00Z")
    return Said(
        object=object_, id=str(one["Id"]), at=_time(one["SystemModstamp"]), happened=happened, activity=activity,
        about=about, text=plain_text(one.get("Description") or ""), title=(one.get("Subject") or "").strip(),
    )  # fmt: skip


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise SystemFault(f"Salesforce: {error}") from None


def _literal(time: str) -> str:
    """A time as SOQL writes it, to the millisecond, unquoted."""
    return f"{time[:23]}Z"


def _quoted(id_: str) -> str:
    if not _ID.fullmatch(id_):
        raise SystemFault(f"Salesforce: {id_!r:.40} is no id of a record")
    return f"'{id_}'"
