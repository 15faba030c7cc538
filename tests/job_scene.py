"""A tower that asks who leads a company, a model that says it, and a worker process between them."""

from __future__ import annotations

import string
import subprocess
from datetime import UTC, datetime
from typing import Any

from command_line import begin
from llm_stub import Stub, text_of
from sqlalchemy import text

from watchtower.bootstrap import Tower
from watchtower.contract import format_time

BOOK = """
name: chiefs
timezone: UTC
objects:
  account:
    fields:
      chief: {type: text, fill: enrichment}
rules:
  - {id: led_by_nobody, object: account, when: chief = 'Nobody'}
acceptance:
  account.chief: {accept_at: 0.5, review_at: 0.1}
"""
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def name_of(number: int) -> str:
    """A, B, ... as words without digits: digits would be patterns' business."""
    letters = ""
    while True:
        number, rest = divmod(number, 26)
        letters = string.ascii_lowercase[rest] + letters
        if not number:
            return "Q" + letters


def prepared(tower: Tower, records: int) -> None:
    """Accounts whose chief stands in a document, and nowhere else."""
    events: list[dict[str, Any]] = []
    for number in range(records):
        common = {"specversion": "1.0", "source": "crm", "subject": f"account/A{number}", "time": format_time(START)}
        events.append(common | {"id": f"r{number}", "type": "record.updated", "data": {"fields": {}}})
        said = {"document": "d1", "text": text_of(name_of(number))}
        events.append(common | {"id": f"d{number}", "type": "document.added", "data": said})
    assert {verdict.status for verdict in tower.take(events)} <= {"accepted", "duplicate"}


def worker(url: str, stub: Stub, slots: int = 1) -> subprocess.Popen[str]:
    """A worker process: the jobs database and the model are all that it is told."""
    return begin(
        "worker", WATCHTOWER_JOBS_URL=url, WATCHTOWER_LLM_BASE_URL=stub.url, WATCHTOWER_LLM_MODEL="stub",
        WATCHTOWER_LLM_API_KEY="none", WATCHTOWER_LLM_SLOTS=str(slots),
    )  # fmt: skip


def waiting(tower: Tower) -> int:
    """Requests that no worker has answered yet."""
    with tower.desk.database.begin() as conn:
        return int(conn.execute(text("select count(*) from asked where answered_at is null")).scalar_one())
