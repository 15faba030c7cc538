"""Changing rules safely: who put what in force, back again, in shadow, as it was then; and rules that wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import wt
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.errors import Missing, RulebookError
from watchtower.rulebook import load
from watchtower.rulebook.compare import differences
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: change
objects:
  deal:
    fields:
      stage: {type: enum, values: [open, won]}
      owner: {type: text}
      step: {type: text}
      size: {type: integer, fill: enrichment}
rules:
  - {id: no_owner, object: deal, because: Nobody owns it, when: stage = 'open' and owner is null, inhibits: [no_step]}
  - {id: no_step, object: deal, because: No step is known, when: stage = 'open' and step is null}
"""


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data=tmp_path, database_url=SecretStr(database_url))


@pytest.fixture
def tower(tmp_path: Path, settings: Settings, clock: Clock) -> Iterator[Tower]:
    with build(settings, rulebook=written(tmp_path, BOOK), clock=clock) as made:
        yield made
        assert list(map(str, made.replay().differences)) == []


def written(folder: Path, content: str) -> Path:
    path = folder / "book.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def changed(folder: Path, old: str, new: str) -> Any:
    assert old in BOOK
    return load(written(folder, BOOK.replace(old, new)))


def tell(tower: Tower, name: str, record: str, time: datetime, **fields: Any) -> None:
    event = {
        "specversion": "1.0", "id": name, "source": "crm", "type": "record.updated", "subject": f"deal/{record}",
        "time": format_time(time), "data": {"fields": fields},
    }  # fmt: skip
    (verdict,) = tower.take([event])
    assert verdict.status == "accepted", verdict


def alerts(tower: Tower) -> list[tuple[str, str, str]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text("select rule, record, status from alert order by 1, 2"))]


def test_an_activation_keeps_who_when_and_what_changed(tower: Tower, tmp_path: Path, clock: Clock) -> None:
    clock.now += timedelta(hours=1)
    tower.activate(
        changed(tmp_path, "step is null", "step is null and owner is not null"), by="anna", note="less noise"
    )
    first, second = tower.activations()
    assert (first.changes, second.by, second.at, second.note) == ([], "anna", clock.now, "less noise")
    assert second.changes == [{
        "path": "rules.no_step.when", "change": "changed", "old": "stage = 'open' and step is null",
        "new": "stage = 'open' and step is null and owner is not null",
    }]  # fmt: skip
    with tower.database.read() as conn:
        data = conn.execute(
            text("select data from journal where type = 'rulebook.activated' order by seq desc limit 1")
        )
        assert data.scalar_one()["changes"] == second.changes


def test_differences_name_what_was_added_and_removed(tmp_path: Path) -> None:
    old = load(written(tmp_path, BOOK)).rulebook
    more = "      size: {type: integer, fill: enrichment}\n"
    new = changed(tmp_path, more, "      price: {type: money}\nqueues: {desk: {owner: anna}}\n").rulebook
    assert [(d.path, d.kind) for d in differences(old, new)] == [
        ("objects.deal.fields.price", "added"), ("objects.deal.fields.size", "removed"), ("queues.desk", "added"),
    ]  # fmt: skip
    assert differences(old, old) == []


def test_one_command_takes_a_change_back(tower: Tower, tmp_path: Path, clock: Clock) -> None:
    tell(tower, "1", "D", START, stage="open")
    before = tower.rulebook.version
    clock.now += timedelta(hours=1)
    renamed = BOOK.replace("no_step", "step_missing")
    tower.activate(load(written(tmp_path, renamed)), by="anna")
    assert ("no_step", "D", "resolved") in alerts(tower) and ("step_missing", "D", "open") in alerts(tower)
    clock.now += timedelta(hours=1)
    assert tower.roll_back(by="piero").version == before == tower.rulebook.version
    assert ("no_step", "D", "open") in alerts(tower) and ("step_missing", "D", "resolved") in alerts(tower)
    with pytest.raises(Missing, match="was never in force"):
        tower.roll_back("ffff", by="piero")


def test_what_held_then_is_told_by_the_rules_of_then(tower: Tower, tmp_path: Path, clock: Clock) -> None:
    tell(tower, "1", "D", START, stage="open", owner="anna")
    clock.now += timedelta(hours=2)
    tower.activate(changed(tmp_path, "step is null", "step is null and owner is null"), by="anna")
    program, then = tower.states_at(START + timedelta(hours=1))
    assert [(s.rule, s.record, s.since) for s in then] == [("no_step", "deal/D", START)]
    later, now = tower.states_at(clock.now)
    assert now == [] and later.book.version != program.book.version
    with pytest.raises(Missing, match="no rulebook was in force"):
        tower.states_at(START - timedelta(days=1))


def test_a_running_tower_takes_up_what_another_process_put_in_force(
    tower: Tower, settings: Settings, tmp_path: Path, clock: Clock
) -> None:
    with build(settings, clock=clock) as other:
        other.activate(changed(tmp_path, "step is null", "step is null and owner is not null"), by="anna")
        version = other.rulebook.version
    tell(tower, "1", "D", START, stage="open")
    assert tower.rulebook.version == version
    assert alerts(tower) == [("no_owner", "D", "open")]


def test_a_shadow_rule_is_counted_and_nobody_is_told(tower: Tower, tmp_path: Path, clock: Clock) -> None:
    quiet = BOOK.replace("step is null}", "step is null, mode: shadow}")
    tower.activate(load(written(tmp_path, quiet)), by="anna")
    tell(tower, "1", "D", START, stage="open", owner="anna")
    tell(tower, "2", "E", START, stage="open", owner="anna")
    clock.now += timedelta(hours=1)
    tell(tower, "3", "E", clock.now, step="call")
    assert alerts(tower) == []
    (found,) = tower.shadow(START)
    assert (found.rule, found.alerts, found.standing, found.records) == ("no_step", 2, 1, 2)
    tower.activate(load(written(tmp_path, BOOK)), by="anna")
    assert alerts(tower) == [("no_step", "D", "open")]  # what stands is told, what is over is not
    tower.activate(load(written(tmp_path, quiet)), by="anna")
    assert alerts(tower) == [("no_step", "D", "resolved")]


def test_an_inhibited_alert_waits_and_comes_back_by_itself(tower: Tower, clock: Clock) -> None:
    tell(tower, "1", "D", START, stage="open")
    client = TestClient(create_app(tower), base_url="http://localhost")

    def listed(**filters: Any) -> list[tuple[str, str | None]]:
        items = client.get("/alerts", params={"status": "open", **filters}).json()["items"]
        return [(item["rule"], item["inhibited_by"]) for item in items]

    assert sorted(listed()) == [("no_owner", None), ("no_step", "no_owner")]
    assert listed(inhibited=False) == [("no_owner", None)]
    page = client.get("/", headers={"accept": "text/html"}).text
    assert "Nobody owns it" in page and "No step is known" not in page
    assert "No step is known" in client.get("/?status=inhibited", headers={"accept": "text/html"}).text
    clock.now += timedelta(hours=1)
    tell(tower, "2", "D", clock.now, owner="anna")
    assert listed(inhibited=False) == [("no_step", None)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "when: stage = 'open' and owner is null",
            "when: size is null",
            "it would hide no_step, which does not",
        ),
        (
            "and step is null}",
            "and step is null, inhibits: [no_owner]}",
            "rule no_owner inhibits itself, through no_step",
        ),
    ],
)
def test_an_inhibition_that_could_hide_too_much_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RulebookError, match=message):
        compile_rulebook(changed(tmp_path, old, new))


def test_the_commands_put_in_force_show_and_take_back(tmp_path: Path, database_url: str) -> None:
    env = {"DATABASE_URL": database_url, "WATCHTOWER_DATA": str(tmp_path / "data")}
    path = written(tmp_path, BOOK)
    refused = wt("rules", "activate", path, code=1, **env)
    assert "has no owner" in refused.err and "--allow-findings" in refused.err
    made = wt("rules", "activate", path, "--allow-findings", "--by", "anna", "--json", **env).json()
    assert any(change["path"] == "rules.no_owner" for change in made["changes"])
    history = wt("rules", "history", "--json", **env).json()
    assert [entry["by"] for entry in history] == ["command line", "anna"]
    assert made["old"] in wt("rules", "rollback", "--by", "piero", **env).out
    assert wt("rules", "asof", "--at", format_time(datetime.now(UTC)), "--json", **env).json()["version"] == made["old"]  # noqa: TID251
    assert "account_unlike_peers" in wt("rules", "shadow", **env).out


def test_an_explanation_says_whether_anybody_was_told_and_why_not(tower: Tower, tmp_path: Path, clock: Clock) -> None:
    more = """  - {id: lasting, object: deal, when: owner is null, for: 2 hours}
  - {id: quiet, object: deal, when: owner is null, mode: shadow}
  - {id: later, object: deal, when: changed_at(stage) <= now() - interval '1 day'}
"""
    tower.activate(load(written(tmp_path, BOOK + more)), by="anna")
    tell(tower, "1", "D", START, stage="open")
    client = TestClient(create_app(tower), base_url="http://localhost")

    def told(rule: str) -> str:
        answer = client.get("/explain", params={"rule": rule, "record": "deal/D"}).json()
        assert answer["sentence"] and answer["version"] == tower.rulebook.version
        return str(answer["told"])

    assert told("no_owner") == f"An alert opened at {format_time(START)} and is open in inbox, for nobody."
    assert told("no_step").endswith("it waits while no_owner stands.")
    assert told("lasting").startswith(f"Nobody is told before {format_time(START + timedelta(hours=2))}")
    assert told("quiet") == "Nobody is told: the rule runs in shadow."
    assert told("later").endswith(f"if nothing else happens it holds from {format_time(START + timedelta(days=1))} on.")
    alert = client.get("/alerts", params={"rule": "no_owner"}).json()["items"][0]["id"]
    tower.act(alert, "resolve", actor="piero", note="by design")
    assert told("no_owner").endswith(f"was closed at {format_time(START)}: by design.")
    clock.now += timedelta(hours=1)
    tell(tower, "2", "D", clock.now, owner="anna")
    assert told("no_owner") == "Nobody is told: it does not hold."
