"""The queue page and the page of one alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from watchtower.api.cursor import cursor, place
from watchtower.api.port import TowerPort
from watchtower.api.review.environment import address, goes_on, page, path_to, render, reviewer
from watchtower.api.review.forms import MOST_PICKED
from watchtower.api.review.picked import told_of
from watchtower.api.review.remembered import Remembered
from watchtower.api.review.silences import silence_link
from watchtower.api.views import cause_keys, due_at, labels, named, title
from watchtower.contract import parse_time
from watchtower.errors import InputError, Missing, WatchtowerError
from watchtower.flow.told import Told
from watchtower.store import boards, queries
from watchtower.store.rows import AlertFilter, AlertKey, AlertRow

PAGE = 40
OWNERS = 10
"""Owners offered as filters; the others are found by the search."""
INHIBITED = "inhibited"
"""Open alerts that wait for another one on the same record to end."""
STATUSES = ("open", "acknowledged", "snoozed", INHIBITED, "resolved")
VERB_WORDS = {
    "opened": "opened",
    "resolved": "resolved itself",
    "corrected": "corrected",
    "woken": "woke it: the snooze is over",
    "escalated": "escalated it",
    "reopen": "took it back",
    "acknowledge": "acknowledged it",
    "snooze": "snoozed it",
    "resolve": "resolved it",
    "assign": "assigned it",
    "comment": "commented",
}


class Choice(NamedTuple):
    """One filter to click: its words, its count, where it leads, whether it is on."""

    text: str
    amount: int
    href: str
    on: bool


class Group(NamedTuple):
    """Alerts under one heading."""

    heading: str
    informed: bool
    rows: list[dict[str, Any]]


class Of(NamedTuple):
    """Whose a record is: the account of a deal, the customer of a subscription."""

    title: str
    href: str


def owners_of(tower: TowerPort, conn: Any, rows: Sequence[AlertRow]) -> dict[str, Of]:
    """For each alert (by id) on a record that names another: the record that its first reference names."""
    named_by: dict[str, tuple[str, str]] = {}
    for row in rows:
        model = tower.rulebook.objects.get(row.object)
        field = (
            next(((name, spec.to) for name, spec in model.fields.items() if spec.type == "ref"), None)
            if model
            else None
        )
        if field is not None and isinstance(id_ := row.state.get(field[0]), str) and id_:
            named_by[row.id] = (field[1], id_)
    states = queries.record_states(conn, sorted(set(named_by.values())))
    return {
        alert: Of(title(tower.rulebook, *subject, states[subject]), path_to("review", *subject))
        for alert, subject in named_by.items()
        if subject in states
    }


def row_words(tower: TowerPort, row: AlertRow, more: int = 0, of: Of | None = None) -> dict[str, Any]:
    """What a template needs of an alert. `more`: how many others are open on the same record; `of`: whose record it
    is."""
    return {
        "alert": row,
        "title": title(tower.rulebook, row.object, row.record, row.state),
        "due": due_at(tower.rulebook, row),
        "beside": more,
        "of": of,
    }


def queue_page(tower: TowerPort, request: Request) -> Response:
    """The queue: filters, groups by severity, pages."""
    asked = request.query_params
    chosen = chosen_of(asked)
    remembered: Remembered = request.app.state.remembered
    mark = tower.database.mark()
    counts = remembered.about(("counts", *chosen.values()), mark, lambda: _counted(tower, chosen))
    waiting = counts["waiting"].get("review", 0)
    total = counts["status"].get(chosen["status"], 0)
    now, here = tower.clock(), address(request)
    key = ("rows", here, total, tower.rulebook.version, now.replace(second=0, microsecond=0))
    after = place(AlertKey, asked.get("cursor"))
    rows, more = remembered.exact(
        key, mark, lambda: _rows(tower, chosen, after, {"now": now, "total": total, "here": here})
    )
    me = reviewer(request)
    words = {
        "now": now,
        "live": "queue",
        "back": here,
        "did": told_of(tower, asked.get("did", ""), me),
        "waiting": waiting,
        "rows": rows,
        "more": more,
        "first": _href(chosen) if asked.get("cursor") else None,
        "total": total,
        "chosen": chosen,
        "choices": {
            "Status": _choices("status", STATUSES, counts["status"], chosen, every=False),
            "Severity": _choices("severity", queries.SEVERITIES, counts["severity"], chosen),
            "Queue": _choices("queue", sorted(counts["queue"]), counts["queue"], chosen),
            "Owner": _choices("owner", _owners(counts["owner"], chosen["owner"], me), counts["owner"], chosen),
        },
        "narrowed": [
            (shown, chosen[name], _href({**chosen, name: ""}))
            for name, shown in (("rule", "rule"), ("q", "words"))
            if chosen[name]
        ],
    }
    return page(request, "queue.html", words)


def chosen_of(asked: Mapping[str, str]) -> dict[str, str]:
    """The filters of the queue that an address names, each empty where it names none; `status` is open then."""
    chosen = {name: named(asked.get(name, ""), name) for name in ("status", "queue", "severity", "owner", "rule", "q")}
    chosen["q"] = chosen["q"].strip()[:200]
    chosen["status"] = chosen["status"] if chosen["status"] in STATUSES else "open"
    return chosen


def _rows(
    tower: TowerPort, chosen: Mapping[str, str], after: AlertKey | None, words: Mapping[str, Any]
) -> tuple[Markup, str | None]:
    """The list as it is shown, and where the next page is. Nothing of it depends on who looks."""
    with tower.database.read() as conn:
        rows = queries.alerts(conn, _filter(tower, chosen), after=after, limit=PAGE + 1)
        beside = boards.standing_on(conn, [(row.object, row.record) for row in rows[:PAGE]])
        of = owners_of(tower, conn, rows[:PAGE])
        known = bool(rows) or boards.any_record(conn)
    here, more = rows[:PAGE], None
    if len(rows) > PAGE:
        more = _href(chosen, cursor=cursor(queries.alert_key(here[-1])))
    return render(
        "queue_rows.html",
        {**words, "chosen": chosen, "within": within(chosen), "groups": _groups(tower, here, beside, of),
         "shown": len(here), "most": MOST_PICKED, "known": known,
         "narrowed": any(value for name, value in chosen.items() if name != "status")},
    ), more  # fmt: skip


def matching(tower: TowerPort, back: str, seen: str) -> list[str]:
    """`id revision` of the alerts in the queue at the address `back`, as far as they were there at the time `seen`, and
    no more than may be picked at once. InputError where the address is not a queue's, or there is no such time."""
    path, _, query = back.partition("?")
    if path != "/":
        raise InputError(f"next: {back!r:.80} is not the address of a queue")
    try:
        seen_at = parse_time(seen)
    except ValueError as fault:
        raise InputError(f"every: {fault}") from None
    with tower.database.read() as conn:
        rows = queries.alerts(conn, _filter(tower, chosen_of(dict(parse_qsl(query)))), after=None, limit=MOST_PICKED)
    return [f"{row.id} {row.revision}" for row in rows if row.opened_at <= seen_at]


def _counted(tower: TowerPort, chosen: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """How many alerts each filter would show, and how many proposals wait."""
    with tower.database.read() as conn:
        counts = {
            by: queries.alert_counts(conn, _filter(tower, {**chosen, by: ""}), by)
            for by in ("status", "queue", "severity", "owner")
        }
        hidden = sum(queries.alert_counts(conn, _filter(tower, {**chosen, "status": INHIBITED}), "status").values())
        counts["waiting"] = queries.proposal_counts(conn)
    counts["status"] = counts["status"] | {
        "open": counts["status"].get("open", 0) - hidden, INHIBITED: hidden,
    }  # fmt: skip
    return counts


def _filter(tower: TowerPort, chosen: Mapping[str, str]) -> AlertFilter:
    given = {name: (value,) if value else () for name, value in chosen.items()}
    inhibited = {INHIBITED: True, "open": False}.get(chosen["status"])
    return AlertFilter(
        status=("open",) if inhibited else given["status"],
        inhibited=inhibited,
        queue=given["queue"],
        severity=given["severity"],
        owner=given["owner"],
        rule=given["rule"],
        words=chosen["q"],
        labels=labels(tower.rulebook),
    )


def _href(chosen: Mapping[str, str], **more: str) -> str:
    pairs = {name: value for name, value in {**chosen, **more}.items() if value and (name, value) != ("status", "open")}
    return f"/?{urlencode(pairs)}" if pairs else "/"


def within(chosen: Mapping[str, str], **more: str) -> str:
    """What follows the path of an alert that is seen as one of a filtered queue; nothing for the whole queue."""
    return _href(chosen, **more).removeprefix("/")


def within_of(back: str) -> str:
    """The same, of the queue at this address; nothing where the address is another page's."""
    path, _, query = back.partition("?")
    return within(chosen_of(dict(parse_qsl(query)))) if path == "/" else ""


def _choices(
    name: str, values: Any, counts: Mapping[str, int], chosen: Mapping[str, str], *, every: bool = True
) -> list[Choice]:
    found = [
        Choice(value, counts.get(value, 0), _href({**chosen, name: value}), chosen[name] == value)
        for value in values
        if counts.get(value) or chosen[name] == value or not every
    ]
    if every:
        found.insert(0, Choice("all", sum(counts.values()), _href({**chosen, name: ""}), not chosen[name]))
    return found


def _owners(counts: Mapping[str, int], chosen: str, me: str) -> list[str]:
    """Who is offered as a filter: the reader first, then those with most in hand."""
    most = sorted(counts, key=lambda name: (name != me, name != chosen, -counts[name], name))
    return [name for name in most if name][:OWNERS]


def _groups(
    tower: TowerPort, rows: list[AlertRow], beside: Mapping[tuple[str, str], int], of: Mapping[str, Of]
) -> list[Group]:
    groups: list[Group] = []
    for row in rows:
        if not groups or (groups[-1].heading, groups[-1].informed) != (row.severity, row.ai_informed):
            groups.append(Group(row.severity, row.ai_informed, []))
        itself = row.status in ("open", "acknowledged")
        groups[-1].rows.append(row_words(tower, row, beside.get((row.object, row.record), 0) - itself, of.get(row.id)))
    return groups


def alert_words(
    tower: TowerPort, alert_id: str, *, chosen: Mapping[str, str], person: str = "", done: str = ""
) -> dict[str, Any]:
    """All that the page of an alert shows. Missing where there is no such alert. `chosen`: the queue from which one has
    come, and in which the next alert is looked for; `person`: who asks whether they were told; `done`: the alert that
    was just decided on, from whose page one has come on to this one."""
    now = tower.clock()
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, named(alert_id, "alert"))
        if row is None:
            raise Missing(f"alert {alert_id!r:.80} does not exist")
        actions = queries.actions(conn, alert_id)
        causes = queries.events_by_key(conn, cause_keys(row.causes))
        waiting = queries.proposal_counts(conn).get("review", 0)
        following = queries.alerts(conn, _filter(tower, chosen), after=queries.alert_key(row), limit=1)
        beside = boards.standing_on(conn, [(row.object, row.record)]).get((row.object, row.record), 0)
        of = owners_of(tower, conn, [row])
        before = queries.alert_by_id(conn, done) if done and done != alert_id and "\x00" not in done else None
    rule = tower.rulebook.rule(row.rule)
    at = now if row.resolved_at is None else row.opened_at
    explained: Mapping[str, Any] = {}
    if rule is not None:
        try:
            explained = tower.explain(row.rule, row.subject, at)
        except WatchtowerError as fault:
            explained = {"fault": str(fault)}
    told, unknown = told_words(tower, alert_id, person)
    return {
        **row_words(tower, row, beside - (row.status in ("open", "acknowledged")), of.get(row.id)),
        "before": row_words(tower, before) if before is not None else None,
        "live": row.id,
        "now": now,
        "waiting": waiting,
        "rule": rule,
        "explained": explained,
        "explained_at": at,
        "reads": row.reads if isinstance(row.reads, dict) else {},
        "actions": actions,
        "verbs": VERB_WORDS,
        "causes": causes,
        "following": following[0].id if following else None,
        "queue": _href(chosen),
        "chosen": {name: value for name, value in chosen.items() if value},
        "within": within(chosen),
        "onward": within(chosen, done=row.id),
        "told": told,
        "person": person,
        "nobody": unknown,
        "people": sorted({one.person for one in tower.rulebook.receivers.values() if one.person}),
        "silence": {"rule": silence_link(rule=row.rule), "record": silence_link(record=row.subject)},
        "ladder": tower.rulebook.queues[row.queue].ladder if row.queue in tower.rulebook.queues else [],
    }


def told_words(tower: TowerPort, alert_id: str, person: str) -> tuple[Sequence[Told], str]:
    """Who was told, or whether one person was; and why there is no answer, where there is none."""
    try:
        return tower.told(alert_id, person=person), ""
    except Missing as fault:
        if not person:
            raise
        return [], f"{fault.message}."


def alert_page(tower: TowerPort, request: Request, alert_id: str) -> Response:
    """One alert: the sentence, why, since when, its history, and what can be done."""
    asked = request.query_params
    person = named(asked.get("person", ""), "person").strip()[:120]
    words = alert_words(tower, alert_id, chosen=chosen_of(asked), person=person, done=asked.get("done", ""))
    return page(request, "alert.html", {**words, "goes_on": goes_on(request)})
