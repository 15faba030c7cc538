"""Which task of a work tool is which alert, and what that was done to a task there has been taken."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, text

KEPT = 500
"""Ids of what was done that are remembered, for each task."""


class Task(NamedTuple):
    """One task, of one receiver."""

    receiver: str
    alert: str
    task: str


_ADD = text("insert into task (receiver, alert, task) values (:receiver, :alert, :task) on conflict do nothing")
_OF_ALERT = text("select receiver, alert, task from task where receiver = :receiver and alert = :alert")
_OF_TASK = text("select receiver, alert, task from task where receiver = :receiver and task = :task")
_HEAR = text(
    f"""
    update task set heard = (heard || cast(:what as text))[greatest(cardinality(heard) + 2 - {KEPT}, 1):]
    where receiver = :receiver and task = :task and not :what = any(heard)
    """
)


def add_task(conn: Connection, task: Task) -> None:
    """Note that an alert has this task. One that has one already keeps it."""
    conn.execute(_ADD, task._asdict())


def task_of_alert(conn: Connection, receiver: str, alert: str) -> str | None:
    row = conn.execute(_OF_ALERT, {"receiver": receiver, "alert": alert}).one_or_none()
    return None if row is None else str(row.task)


def alert_of_task(conn: Connection, receiver: str, task: str) -> str | None:
    row = conn.execute(_OF_TASK, {"receiver": receiver, "task": task}).one_or_none()
    return None if row is None else str(row.alert)


def hear_task(conn: Connection, receiver: str, task: str, what: str) -> bool:
    """Note that something done to a task is taken; False where it was before, or there is no such task."""
    return conn.execute(_HEAR, {"receiver": receiver, "task": task, "what": what}).rowcount == 1
