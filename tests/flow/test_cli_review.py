"""The queue in a terminal: one key a decision, alerts by their ids, silences."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, wt
from test_ladders import BOOK, START, alert_of, history, stage
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.cli.alerts import span_option
from watchtower.cli.review import Session
from watchtower.errors import InputError


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    with tower_under(BOOK, database_url, tmp_path, Clock(START)) as built:
        yield built


def reviewed(tower: Tower, keys: str) -> Session:
    session = Session(tower, "anna", iter(keys))
    session.alerts(None)
    return session


def test_each_key_decides_and_goes_on(tower: Tower) -> None:
    for number in range(1, 6):
        stage(tower, f"L{number}", "mql")
    order = sorted((alert_of(tower, f"L{n}").id, f"L{n}") for n in range(1, 6))
    assert reviewed(tower, "afsj?r").done == 4
    found = [alert_of(tower, lead) for _, lead in order]
    assert [row.status for row in found] == ["acknowledged", "resolved", "snoozed", "open", "resolved"]
    assert found[1].resolution == "a false alarm" and found[0].assignee == "anna"


def test_the_last_decision_is_taken_back(tower: Tower) -> None:
    stage(tower, "L1", "mql")
    stage(tower, "L2", "mql")
    assert reviewed(tower, "ruq").done == 0
    assert {alert_of(tower, lead).status for lead in ("L1", "L2")} == {"open"}


def test_what_somebody_else_decided_first_stays(tower: Tower, capsys: pytest.CaptureFixture[str]) -> None:
    stage(tower, "L1", "mql")

    def keys() -> Iterator[str]:
        tower.act(alert_of(tower, "L1").id, "acknowledge", actor="bruno")
        yield "r"

    session = Session(tower, "anna", keys())
    session.alerts(None)
    assert (session.done, alert_of(tower, "L1").status) == (0, "acknowledged")
    assert "bruno acknowledged it" in capsys.readouterr().out
    assert history(tower, alert_of(tower, "L1"))[-1][1] == "bruno"


@pytest.mark.parametrize(("text", "span"), [("30m", timedelta(minutes=30)), ("4h", timedelta(hours=4)),
                                            ("3d", timedelta(days=3)), ("2w", timedelta(weeks=2))])  # fmt: skip
def test_a_time_is_short_to_write(text: str, span: timedelta) -> None:
    assert span_option(text, "--snooze") == span


@pytest.mark.parametrize("text", ["", "3", "d", "0d", "-1d", "3 days", "99999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--snooze"):
        span_option(text, "--snooze")


def test_alerts_and_silences_from_the_command_line(tower: Tower, database_url: str) -> None:
    stage(tower, "L1", "mql")
    id_ = alert_of(tower, "L1").id

    def say(*words: Any) -> Ended:
        return wt(*words, DATABASE_URL=database_url)

    shown = say("alerts", id_, "--snooze", "3d", "--note", "the fair", "--as", "anna", "--json").json()
    assert (shown["status"], shown["actions"][-1]["note"], shown["told"]) == ("snoozed", "the fair", [])
    assert say("alerts", id_, "--reopen", "--as", "anna", "--json").json()["status"] == "open"
    listed = say("alerts", "--severity", "high", "--search", "l1", "--no-ai", "--json").json()
    assert [one["id"] for one in listed] == [id_]
    wrong = wt("alerts", id_, "--resolve", "--reopen", code=1, DATABASE_URL=database_url)
    assert "one at a time" in wrong.err
    made = say(
        "silence", "add", "--rule", "waiting", "--for", "4h", "--because", "fair", "--as", "anna", "--json"
    ).json()
    assert [one["id"] for one in say("silence", "list", "--json").json()] == [made["id"]]
    assert say("silence", "end", made["id"], "--as", "anna").code == 0
    assert say("silence", "list", "--json").json() == []
    assert datetime.fromisoformat(made["ends_at"]) > datetime(2026, 3, 2, tzinfo=UTC)
