"""Rulebooks that rename a field or lose a value: what earlier events say is read anew, or the author is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from test_tower_decisions import BOOK, START, Clock, ask_about, rows, say, state, tell
from test_tower_decisions import clock as clock
from test_tower_decisions import tower as tower

from watchtower.bootstrap import Tower
from watchtower.contract import format_time
from watchtower.errors import InputError, RulebookError
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook

STAGES = "stage: {type: enum, values: [raw, mql, sql]}"
RENAMED = (
    (
        STAGES,
        "status: {type: enum, values: [raw, marketing, sql], renamed_from: [stage], values_from: {mql: marketing}}",
    ),
    ("stage = 'mql'", "status = 'marketing'"),
)


def book(folder: Path, *changes: tuple[str, str]) -> Path:
    text = BOOK
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "changed.yaml"
    path.write_text(text)
    return path


def lead(tower: Tower, name: str) -> dict[str, object]:
    ((found,),) = rows(tower, f"select state from record where object = 'lead' and id = '{name}'")
    return found  # type: ignore[no-any-return]


def test_a_renamed_field_keeps_its_past_and_hears_both_names(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    say(tower, "lead/L1", stage="mql", mql_at=format_time(START))
    say(tower, "lead/L2", stage="sql")
    clock.now = START + timedelta(days=3)
    tower.tick()
    before = rows(tower, "select id, rule, record, status, since from alert order by id")
    tower.activate(load(book(tmp_path, *RENAMED)), by="ann")
    assert (lead(tower, "L1")["status"], lead(tower, "L2")["status"]) == ("marketing", "sql")
    assert rows(tower, "select id, rule, record, status, since from alert order by id") == before
    assert say(tower, "lead/L2", clock.now, stage="mql") == "accepted"
    assert lead(tower, "L2")["status"] == "marketing"
    assert say(tower, "lead/L2", clock.now, stage="mql", status="raw") == "accepted"
    assert lead(tower, "L2")["status"] == "raw"
    assert say(tower, "lead/L2", clock.now, stage="no such") == "refused"


def test_what_ai_was_granted_under_the_old_name_stays(tower: Tower, tmp_path: Path) -> None:
    ask_about(tower)
    changes = (
        ("employees: {type: integer, min: 1,", "staff: {type: integer, min: 1, renamed_from: [employees],"),
        ("object: account, when: employees", "object: account, when: staff"),
        ("account.employees < 10", "account.staff < 10"),
        ("account.employees: {", "account.staff: {"),
    )
    tower.activate(load(book(tmp_path, *changes)), by="ann")
    assert state(tower)["staff"] == 7
    tower.activate(load(book(tmp_path, ("min: 1,", "min: 8,"))), by="ann", pass_over=True)
    assert "employees" not in state(tower)


def test_a_value_that_is_no_longer_allowed_stops_the_activation_and_is_named(tower: Tower, tmp_path: Path) -> None:
    say(tower, "lead/L1", stage="mql", mql_at=format_time(START))
    say(tower, "lead/L1", stage="raw")
    tell(tower, "lead/L2", START, "record.updated", {"fields": {"stage": "mql"}}, id="the_one", source="hub")
    lost = book(tmp_path, (STAGES, "stage: {type: enum, values: [raw, marketing, sql]}"), ("'mql'", "'marketing'"))
    version = tower.rulebook.version
    with pytest.raises(InputError, match=r"lead.stage: 'mql' is not one of .* said by 2 events, the first") as caught:
        tower.activate(load(lost), by="ann")
    assert "values_from" in str(caught.value.remedy)
    assert tower.rulebook.version == version and lead(tower, "L2") == {"stage": "mql"}

    tower.activate(load(lost), by="ann", pass_over=True)
    assert lead(tower, "L1")["stage"] == "raw" and lead(tower, "L2") == {}
    ((told,),) = rows(tower, "select data -> 'passed_over' from journal where type = 'rulebook.activated' and data ? "
                             "'passed_over'")  # fmt: skip
    assert told == [{"object": "lead", "field": "stage", "value": "'mql'", "events": 2}]

    tower.roll_back(by="ann")
    assert lead(tower, "L2")["stage"] == "mql"


def test_the_way_back_is_never_barred(tower: Tower, tmp_path: Path) -> None:
    say(tower, "lead/L1", stage="mql", mql_at=format_time(START))
    more = book(tmp_path, (STAGES, "stage: {type: enum, values: [raw, mql, sal, sql]}"))
    tower.activate(load(more), by="ann")
    say(tower, "lead/L1", stage="sal")
    tower.roll_back(by="ann")
    assert lead(tower, "L1")["stage"] == "mql"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("stage: {type: enum, values: [raw, mql, sql], values_from: {mql: raw}}", "'mql' is still one of its values"),
        ("stage: {type: enum, values: [raw, mql, sql], values_from: {a: b}}", "'a' becomes 'b', which is not one of"),
        ("stage: {type: enum, values: [raw, mql, sql], renamed_from: [mql_at]}", "'mql_at' is still a field"),
        ("stage: {type: text, renamed_from: [old]}\n      also: {type: text, renamed_from: [old]}", "earlier name of"),
        ("stage: {type: text, personal: true, renamed_from: [old]}", "sealed under the name"),
        ("stage: {type: integer, rollup: {count: events, of: x}, renamed_from: [old]}", "has no earlier names"),
    ],
)
def test_earlier_names_and_values_that_cannot_be_are_refused(tmp_path: Path, field: str, message: str) -> None:
    with pytest.raises(RulebookError, match=message):
        compile_rulebook(load(book(tmp_path, (STAGES, field))))
