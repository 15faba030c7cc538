"""The command line as its users have it: a process of its own, with nothing in its surroundings but what is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import structlog

from watchtower.cli.main import run

PROJECT = Path(__file__).parent.parent

RULEBOOK = """\
name: example
timezone: Europe/Rome
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sal, sql]}
      mql_at: {type: timestamp}
      contacted_at: {type: timestamp}
      note: {type: text, read_by: sales}
rules:
  - id: mql_uncontacted
    object: lead
    when: stage = 'mql' and contacted_at is null and mql_at <= now() - interval '48 hours'
    severity: high
    queue: attention-needed
    owner: sales_manager
    because: An MQL has waited 48 hours for a first contact.
    examples:
      - {hit: {stage: mql, mql_at: 2026-03-01T00:00:00Z}, at: 2026-03-03T00:00:00Z}
      - {miss: {stage: mql, mql_at: 2026-03-01T00:00:00Z}, at: 2026-03-02T23:59:59Z}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def surroundings(**more: str) -> dict[str, str]:
    """This process's environment, without what would configure a tower."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATCHTOWER_") and k != "DATABASE_URL"}
    return kept | {"WATCHTOWER_MODELS": "/nonexistent/models", "PYTHONUNBUFFERED": "1"} | more


def begin(*arguments: object, **env: str) -> subprocess.Popen[str]:
    """A command, begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "watchtower.cli.main", *map(str, arguments)],
        cwd=PROJECT, env=surroundings(**env), text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], *, seconds: float = 300) -> Ended:
    """How it ended. No traceback ever reaches a user, however it ended."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end within {seconds} s; it had said:\n{out}\n{err}") from None
    assert "Traceback" not in out + err, err
    return Ended(process.returncode, out, err)


def wt(*arguments: object, code: int = 0, **env: str) -> Ended:
    """A command, run to its end, which must be this exit code."""
    result = ended(begin(*arguments, **env))
    assert result.code == code, f"exit code {result.code}, not {code}\n{result.out}\n{result.err}"
    return result


def inside(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The same command within this process, where the process itself is not the point: exit code, output, errors."""
    try:
        run([str(argument) for argument in arguments])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        structlog.reset_defaults()  # the log of this run would go to a stream that ends with the test
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, " ".join(said.err.split())


def lead(id_: str, record: str, time: datetime, **fields: Any) -> dict[str, Any]:
    """An event of the CRM on a lead."""
    return {
        "specversion": "1.0", "id": id_, "source": "crm", "type": "record.updated", "subject": f"lead/{record}",
        "time": stamp(time), "data": {"fields": fields},
    }  # fmt: skip


def stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_events(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def many_leads(count: int, leads: int) -> list[dict[str, Any]]:
    """`count` events on `leads` leads, a minute apart, so that each rule's interval opens and ends several times."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    events = []
    for number in range(count):
        time = start + timedelta(minutes=number)
        turns: list[dict[str, Any]] = [
            {"stage": "mql", "mql_at": stamp(time)},
            {"contacted_at": stamp(time)},
            {"note": f"note {number}"},
            {"stage": "mql", "mql_at": stamp(time), "contacted_at": None},
        ]
        events.append(lead(f"e{number}", f"L-{number % leads}", time, **turns[number // leads % len(turns)]))
    return events


@contextmanager
def database_of(server_url: str, template: str, name: str) -> Iterator[str]:
    """A database of its own on this server, made from a template."""
    parts = urlsplit(server_url)
    administrator = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(administrator, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}")
    yield urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(administrator, autocommit=True) as conn:
        conn.execute(f"drop database {name} with (force)")
