"""`watchtower alerts`: the queue in the terminal, one alert with its reasons, and what a person does about it."""

from __future__ import annotations

import getpass
import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from watchtower.api.views import actor_name, due_at, due_before, labels, title
from watchtower.bootstrap import Tower
from watchtower.cli.output import console, print_json, time_option
from watchtower.cli.tower import AsJson, Data, open_tower
from watchtower.contract import format_time
from watchtower.errors import InputError, Missing
from watchtower.flow.acts import FALSE_ALARM, Verb
from watchtower.store import queries
from watchtower.store.rows import ActionRow, AlertFilter, AlertRow

STATUSES = ("open", "acknowledged", "snoozed", "resolved")
_SPAN = re.compile(r"([1-9]\d{0,3})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Actor = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who acts (default: the user's name).")]


def span_option(text: str, name: str) -> timedelta:
    """`30m`, `4h`, `3d`, `2w`. InputError names the option."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{name}: {text!r:.40} is not a time such as 30m, 4h, 3d or 2w")
    return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})


def who(actor: str | None) -> str:
    """Under which name somebody acts on the command line."""
    if actor is not None:
        return actor_name(actor)
    try:
        return actor_name(getpass.getuser())
    except (OSError, KeyError):
        raise InputError("--as: nobody knows who you are here", remedy="give your name: --as NAME") from None


def alerts(
    alert: Annotated[str | None, typer.Argument(metavar="[ALERT]", help="Show this one, or act on it.")] = None,
    data: Data = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Only this queue.")] = None,
    status: Annotated[str, typer.Option("--status", help="open, acknowledged, snoozed or resolved.")] = "open",
    severity: Annotated[str | None, typer.Option("--severity", help="critical, high, medium or low.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only of this owner, or assignee.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only of this rule.")] = None,
    record: Annotated[str | None, typer.Option("--record", metavar="OBJECT/ID", help="Only on this record.")] = None,
    search: Annotated[str, typer.Option("--search", metavar="WORDS", help="In the name, rule or sentence.")] = "",
    before: Annotated[
        str | None, typer.Option("--due-before", metavar="TIME", help="Those that climb their ladder before.")
    ] = None,
    informed: Annotated[
        bool | None, typer.Option("--ai-informed/--no-ai", help="Only those that AI informed, or only the others.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="At most so many alerts.")] = 50,
    acknowledge: Annotated[bool, typer.Option("--acknowledge", help="Say that you have seen it.")] = False,
    resolve: Annotated[bool, typer.Option("--resolve", help="Close it, with --note as the reason.")] = False,
    false_alarm: Annotated[bool, typer.Option("--false-alarm", help="Close it: it should not have been told.")] = False,
    reopen: Annotated[bool, typer.Option("--reopen", help="Take back what was done.")] = False,
    snooze: Annotated[str | None, typer.Option("--snooze", metavar="3d", help="Set it aside: 30m, 4h, 3d, 2w.")] = None,
    assign: Annotated[str | None, typer.Option("--assign", metavar="NAME", help="Give it to somebody.")] = None,
    comment: Annotated[bool, typer.Option("--comment", help="Add --note to its history.")] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why.")] = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """The queue, in the terminal: the deterministic alerts first. With an alert's id: that one, why it stands, who was
    told of it or why not, and its history; with an action, that is done first.

    Examples: watchtower alerts --severity critical
    watchtower alerts al_1f2e --snooze 3d --note "waits for the fair"
    """
    chosen: dict[Verb, bool] = {
        "acknowledge": acknowledge, "resolve": resolve or false_alarm, "reopen": reopen, "snooze": snooze is not None,
        "assign": assign is not None, "comment": comment,
    }  # fmt: skip
    verbs: list[Verb] = [verb for verb, given in chosen.items() if given]
    if len(verbs) > 1:
        raise InputError(f"--{verbs[0]} and --{verbs[1]}: one at a time")
    if verbs and alert is None:
        raise InputError(f"--{verbs[0]}: on which alert? Give its id")
    if status not in STATUSES:
        raise InputError(f"--status: {status!r} is not one of {', '.join(STATUSES)}")
    with open_tower(data) as tower:
        if alert is not None:
            if verbs:
                until = tower.clock() + span_option(snooze, "--snooze") if snooze else None
                tower.act(
                    alert, verbs[0], actor=who(actor), note=note, until=until, assignee=assign,
                    verdict=FALSE_ALARM if false_alarm else "",
                )  # fmt: skip
            _show(tower, alert, as_json)
            return
        kind, _, name = (record or "").partition("/")
        if record is not None and not (kind and name):
            raise InputError(f"--record: {record!r:.80} is not of the form object/id")
        wanted = AlertFilter(
            status=(status,), queue=(queue,) if queue else (), severity=(severity,) if severity else (),
            owner=(owner,) if owner else (), rule=(rule,) if rule else (), object=kind or None, record=name or None,
            ai_informed=informed, words=search, labels=labels(tower.rulebook),
            due=due_before(tower.rulebook, time_option(before, "--due-before") if before else None),
        )  # fmt: skip
        with tower.database.read() as conn:
            rows = queries.alerts(conn, wanted, after=None, limit=limit)
        if as_json:
            print_json([alert_json(tower, row) for row in rows])
            return
        _list(tower, rows)
    console.print(
        f"{len(rows)} {status} alert{'' if len(rows) == 1 else 's'}" + (" (the first)" if len(rows) == limit else "")
    )


def alert_json(tower: Tower, row: AlertRow) -> dict[str, Any]:
    """An alert as `--json` has it."""
    due = due_at(tower.rulebook, row)
    return {
        "id": row.id, "rule": row.rule, "record": row.subject, "since": format_time(row.since),
        "severity": row.severity, "queue": row.queue, "owner": row.owner, "assignee": row.assignee,
        "because": row.because, "status": row.status, "ai_informed": row.ai_informed, "level": row.level,
        "escalated_to": row.escalated_to, "due": format_time(due) if due else None,
    }  # fmt: skip


def _list(tower: Tower, rows: list[AlertRow]) -> None:
    table = Table("severity", "record", "since", "queue", "owner", "because", "id", box=None, header_style="bold")
    for row in rows:
        table.add_row(
            row.severity, row.subject, f"{row.since:%Y-%m-%d %H:%M}", row.queue, row.assignee or row.owner,
            ("AI-informed: " if row.ai_informed else "") + row.because, row.id,
        )  # fmt: skip
    console.print(table)


def history_of(tower: Tower, alert: str) -> tuple[AlertRow, list[ActionRow]]:
    """An alert and its history. Missing where there is none."""
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, alert)
        if row is None:
            raise Missing(f"alert {alert!r:.60} does not exist", remedy="watchtower alerts lists them, with their ids")
        return row, queries.actions(conn, alert)


def _show(tower: Tower, alert: str, as_json: bool) -> None:
    row, actions = history_of(tower, alert)
    told = tower.told(alert)
    if as_json:
        shown = alert_json(tower, row)
        shown["reads"], shown["told"] = row.reads, [one.to_json() for one in told]
        shown["actions"] = [
            {"at": format_time(one.at), "actor": one.actor, "verb": one.verb, "note": one.note} for one in actions
        ]
        print_json(shown)
        return
    for line in described(tower, row, actions, tower.clock()):
        console.print(line, markup=False)
    for one in told:
        at = f" {one.at:%Y-%m-%d %H:%M}" if one.at else ""
        console.print(f"told  {one.person or one.receiver}: {one.state}{at}: {one.because}", markup=False)


def described(tower: Tower, row: AlertRow, actions: list[ActionRow], now: datetime) -> list[str]:
    """An alert in lines: what, why, since when, whose, what next, and what happened."""
    rule, due = tower.rulebook.rule(row.rule), due_at(tower.rulebook, row)
    named = title(tower.rulebook, row.object, row.record, row.state)
    lines = [
        f"{row.severity}: {named} ({row.subject}){' AI-informed' if row.ai_informed else ''}",
        row.because,
        *([f"Do: {rule.then}"] if rule and rule.then else []),
        f"{row.status}, since {row.since:%Y-%m-%d %H:%M} UTC, queue {row.queue}, "
        f"owner {row.assignee or row.owner or 'nobody'}",
    ]
    if row.snoozed_until:
        lines.append(f"snoozed until {row.snoozed_until:%Y-%m-%d %H:%M} UTC")
    if due:
        lines.append(f"escalates {'since' if due < now else 'at'} {due:%Y-%m-%d %H:%M} UTC, unless acknowledged")
    if row.escalated_to:
        lines.append(f"escalated to {row.escalated_to}")
    if rule:
        lines.append(f"rule {row.rule}: {rule.when}")
    if isinstance(row.reads, dict):
        lines += [f"read  {name}: {read_words(value)}" for name, value in row.reads.items()]
    lines += [
        f"{one.at:%Y-%m-%d %H:%M}  {one.actor} {one.verb}{': ' + one.note if one.note else ''}" for one in actions
    ]
    return lines


def read_words(value: Any) -> str:
    """A value that a rule read, in the words of the rules' language."""
    return "unknown" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
