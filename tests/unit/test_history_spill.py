"""A history on disk is the history in memory: the same versions, the same problems, whatever comes in what order."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.contract import Event
from watchtower.errors import EventError
from watchtower.flow.backtest import duckdb_engine, held_between, held_in_turn
from watchtower.flow.gaps import valued
from watchtower.flow.history import History, fold_history
from watchtower.flow.spill import Spill
from watchtower.rulebook import load
from watchtower.rules.compile import Program, compile_rulebook

T = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: spilled
objects:
  account:
    fields:
      segment: {type: enum, values: [smb, enterprise]}
      pipeline: {type: money, rollup: {sum: amount, over: deal}}
  deal:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [open, won]}
      amount: {type: money, min: 0}
      calls: {type: integer, rollup: {count: value, of: activity.logged}}
rules:
  - {id: open_long, object: deal, when: "stage = 'open' and changed_at(stage) <= now() - interval '2 days'"}
  - {id: called, object: deal, when: "calls >= 2 and account.segment = 'enterprise'"}
  - {id: large, object: account, when: "pipeline > 100"}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    path = tmp_path_factory.mktemp("book") / "rules.yaml"
    path.write_text(BOOK)
    return compile_rulebook(load(path))


def _event(drawn: tuple[Any, ...]) -> Event:
    number, source, kind, subject, hours, fields = drawn
    data: dict[str, Any] = {"fields": fields} if kind == "record.updated" else {}
    return Event(id=f"e{number}", source=source, type=kind, subject=subject, time=T + timedelta(hours=hours), data=data)


_fields = st.fixed_dictionaries(
    {},
    optional={
        "stage": st.sampled_from(["open", "won", None, "lost"]), "amount": st.sampled_from([50, 50.0, 80, -1, 1, True]),
        "account": st.sampled_from(["A", "B"]), "segment": st.sampled_from(["smb", "enterprise"]),
    },
)  # fmt: skip
_kinds = st.sampled_from(["record.updated"] * 4 + ["activity.logged", "record.deleted"])
_subjects = st.sampled_from(["deal/1", "deal/2", "deal/3", "account/A", "account/B", "lead/9"])
_events = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["crm", "erp"]), _kinds, _subjects, st.integers(0, 200), _fields),
    max_size=40,
).map(lambda drawn: [_event(one) for one in drawn])


def spilled(program: Program, events: list[Event], until: datetime | None, workers: int = 1) -> History:
    spill = Spill(program, parts=3, buffer=200)
    for event in events:
        spill.add(event)
    versions, folded = spill.fold(until, workers=workers)
    return History(versions, [problem for _, problem in folded.problems], spill.events, folded.ignored, spill)


def rows(history: History) -> dict[str, list[Any]]:
    return {
        name: sorted(map(str, table.arrow().to_pylist())) for name, table in history.versions.items()
    }  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(_events, st.sampled_from([None, T + timedelta(hours=100)]))
def test_on_disk_as_in_memory(program: Program, events: list[Event], until: datetime | None) -> None:
    expected = fold_history(program, events, until=until)
    found = spilled(program, events, until)
    assert rows(found) == rows(expected)
    assert [str(problem) for problem in found.problems] == [str(problem) for problem in expected.problems]
    assert (found.events, found.ignored) == (expected.events, expected.ignored)


def _said(name: str, subject: str, **fields: Any) -> Event:
    return Event(id=name, source="crm", type="record.updated", subject=subject, time=T, data={"fields": fields})


@pytest.mark.parametrize("read", [fold_history, lambda program, events: spilled(program, events, None)])
def test_who_puts_a_refused_event_right_may_keep_its_id(program: Program, read: Any) -> None:
    """As at the door: what was refused was never said."""
    wrong, right = _said("e1", "deal/1", amount="a lot"), _said("e1", "deal/1", amount=50)
    history = read(program, [wrong, right, right, _said("e1", "deal/1", amount=60)])
    assert [str(problem) for problem in history.problems] == [
        "event (crm, e1) on deal/1: amount: 'a lot' is not a number",
        "event (crm, e1) stands twice with different bodies; the first counts",
    ]
    assert len(history.versions["deal"].arrow()) == 1


@pytest.mark.parametrize(("one", "other"), [(5, 5.0), (1, True), (0.0, -0.0)])
@pytest.mark.parametrize("read", [fold_history, lambda program, events: spilled(program, events, None)])
def test_bodies_that_python_calls_equal_differ_as_they_do_in_the_journal(
    program: Program, read: Any, one: Any, other: Any
) -> None:
    again = [_said("e1", "deal/1", note=said) for said in (one, other)]
    assert "stands twice" in str(read(program, again).problems[0])


@pytest.mark.parametrize("read", [fold_history, lambda program, events: spilled(program, events, None)])
def test_what_the_door_would_not_take_is_named(program: Program, read: Any) -> None:
    long = _said("e1", "deal/" + "é" * 600, stage="open")
    spoken = Event(
        id="e2", source="crm", type="field.accepted", subject="deal/1", time=T, data={"field": "amount", "value": 9}
    )
    told = sorted(str(problem).partition(": ")[2] for problem in read(program, [long, spoken]).problems)
    assert told == [
        "subject: 1205 bytes; at most 1024 are accepted",
        "type: 'field.accepted' is spoken by the rule layer only, not by 'crm'",
    ]


def test_several_processes_and_streamed_answers_say_the_same(program: Program) -> None:
    events = [
        Event(
            id=f"e{n}", source="crm", type="record.updated", subject=f"deal/{n % 97}",
            time=T + timedelta(hours=n * 7 % 900),
            data={"fields": {"stage": "open" if n % 3 else "won", "amount": n % 60, "account": "AB"[n % 2]}},
        )
        for n in range(2000)
    ]  # fmt: skip
    window = (T, T + timedelta(days=60))
    with duckdb_engine(fold_history(program, events).versions) as engine:
        expected = held_between(engine, program, *window)
    found = spilled(program, events, None, workers=2)
    with duckdb_engine(found.versions, memory=200) as engine:
        assert list(held_in_turn(engine, program, *window)) == expected
        assert held_between(engine, program, *window) == expected
    assert len(expected) > 200
    folder = found.spill.folder
    found.spill.close()
    assert not folder.exists()


def test_the_columns_that_a_question_adds_reach_every_process(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK.replace("  deal:\n", "  deal:\n    value: amount\n", 1))
    asked = valued(compile_rulebook(load(tmp_path / "rules.yaml")))
    events = [
        Event(
            id=f"e{n}", source="crm", type="record.updated", subject=f"deal/{n}", time=T, data={"fields": {"amount": n}}
        )
        for n in range(20)
    ]
    assert rows(spilled(asked, events, None, workers=2)) == rows(fold_history(asked, events))
    assert "amount" in fold_history(asked, events).versions["deal"].arrow().column_names


def test_what_cannot_be_written_down_is_named(program: Program) -> None:
    odd = Event(id="e1", source="crm", type="record.updated", subject="deal/1", time=T, data={"note": "\ud800"})
    with pytest.raises(EventError, match=r"event \('crm', 'e1'\): cannot be written down"):
        Spill(program).add(odd)


def test_a_large_file_gives_the_answer_of_a_small_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK)
    lines = [
        {
            "specversion": "1.0", "id": f"e{n}", "source": "crm", "type": "record.updated", "subject": f"deal/{n % 50}",
            "time": (T + timedelta(minutes=n)).isoformat(), "data": {"fields": {"stage": "open" if n % 7 else "won"}},
        }
        for n in range(3000)
    ]  # fmt: skip
    lines[10] = lines[9] | {"data": {"fields": {"stage": "won"}}}
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder = tmp_path / "tmp"
    folder.mkdir()
    script = (
        "import sys; from watchtower.flow import history; history.fold_history.__kwdefaults__['in_memory'] = "
        "int(sys.argv.pop(1)); from watchtower.cli.main import run; run()"
    )
    window = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-05-01T00:00:00Z", "--set-aside", "--json")
    answers = []
    for limit in ("1000000", "100"):
        command = (sys.executable, "-c", script, limit, "rules", "backtest", "rules.yaml", "events.jsonl", *window)
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, env=_environment(TMPDIR=str(folder))
        )
        answers.append((done.stdout, done.stderr))
    assert answers[0] == answers[1]
    assert len(json.loads(answers[0][0])["intervals"]) > 40
    assert "stands twice with different bodies" in answers[0][1]
    assert list(folder.iterdir()) == []


def _environment(**more: str) -> dict[str, str]:
    import os

    return dict(os.environ) | more
