"""A family's weekly budget in a tower: what is held back is kept, counted and shown, and read by no rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import inside
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text
from tower_scene import Clock

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower, build, system_clock
from watchtower.contract import Signal, format_time
from watchtower.errors import RulebookError
from watchtower.flow import work
from watchtower.rulebook import load
from watchtower.settings import Settings

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
BOOK = """
name: budgets
timezone: Europe/Rome
objects:
  account:
    fields:
      owner: {type: text}
      size: {type: number}
signals:
  odd: {object: account, detector: cohort_outlier, parameters: {features: size}, family: risk}
  other: {object: account, detector: cohort_outlier, parameters: {features: size}, family: risk}
  free: {object: account, detector: cohort_outlier, parameters: {features: size}}
families:
  risk: {rate: 0.1, per_owner: 3}
rules:
  - {id: is_odd, object: account, when: odd.p_value <= 0.05, because: It is odd.}
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(MONDAY)


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "rules.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "rules.yaml", clock=clock) as built:
        built.take(
            [
                {"id": f"e{n}", "source": "crm", "type": "record.updated", "subject": f"account/A{n:02}",
                 "time": format_time(MONDAY - 30 * DAY), "data": {"fields": {"owner": f"o{n % 2}", "size": n}}}
                for n in range(20)
            ]
        )  # fmt: skip
        yield built
        assert list(map(str, built.replay().differences)) == []


def look(tower: Tower, signal: str, p_values: dict[int, float], tested: int | None = 20) -> work.Taken:
    """One run of a detector that raises these accounts."""
    [request] = tower._detections(frozenset([signal]))
    at = tower.clock()
    raised = [
        Signal(
            request=request.id, signal=signal, subject=f"account/A{n:02}", detector="cohort_outlier", version="2",
            p_value=p, strength=3.0, unit="deviations", direction="up", explanation="odd", began_at=at - DAY,
            window_from=at - DAY, window_to=at,
        )
        for n, p in p_values.items()
    ]  # fmt: skip
    with tower._write() as conn:
        asked = work.stored_detection(request)
        return work.take_signals(conn, tower._engine, asked, raised, at, tested=tested)


def rows(tower: Tower, sql: str) -> Sequence[tuple[Any, ...]]:
    with tower.database.read() as conn:
        return [tuple(row) for row in conn.execute(text(sql))]


def standing(tower: Tower, signal: str = "odd") -> list[str]:
    return [row[0] for row in rows(tower, f"select id from record where state ? '{signal}.raised_at' order by id")]


def test_what_the_budget_does_not_allow_is_kept_counted_and_shown_and_opens_nothing(tower: Tower) -> None:
    taken = look(tower, "odd", {1: 0.0001, 2: 0.04}, tested=20)
    assert taken == (2, 1), "40 tests of the family: the second would need p <= 0.005"
    assert standing(tower) == ["A01"]
    assert rows(tower, "select rule, record from alert") == [("is_odd", "A01")]
    [held] = tower.held()
    assert (held.name, held.subject, held.family, held.p_value) == ("odd", "account/A02", "risk", 0.04)
    assert held.because.startswith("p 0.04 is above 0.0025, the limit at which 0.1 of what family risk tells")
    assert rows(tower, "select type, record, data ->> 'because' from journal where type = 'signal.held'") == [
        ("signal.held", "A02", held.because)
    ]
    assert rows(tower, "select count(*) from signal") == [(2,)], "nothing is lost"


def test_a_signal_without_a_family_is_told_as_before(tower: Tower) -> None:
    assert look(tower, "free", dict.fromkeys(range(20), 0.05)) == (20, 0)
    assert rows(tower, "select distinct data ? 'decided' from signal") == [(False,)]


def test_the_signals_of_a_family_share_its_budget(tower: Tower, clock: Clock) -> None:
    """Four sure ones of the other make room: the fifth of 40 tests needs 5 x .1 / 40."""
    assert look(tower, "odd", {7: 0.012}) == (1, 1)
    assert look(tower, "other", dict.fromkeys((1, 2, 3, 4), 1e-6)) == (4, 0)
    clock.now += DAY
    assert look(tower, "odd", {7: 0.012}) == (1, 0)


def test_an_owner_is_told_three_a_week_and_those_that_stand_go_on(tower: Tower, clock: Clock) -> None:
    sure = dict.fromkeys((0, 2, 4, 6, 1), 1e-6)
    assert look(tower, "odd", sure) == (5, 1)
    assert standing(tower) == ["A00", "A01", "A02", "A04"], "o0 has three of its four"
    clock.now += DAY
    assert look(tower, "odd", sure) == (5, 1), "the next day changes nothing"
    assert standing(tower) == ["A00", "A01", "A02", "A04"]
    assert [held.because for held in tower.held()] == [
        "its owner has been told 3 of family risk this week, which is the most"
    ]
    clock.now += 7 * DAY
    assert look(tower, "odd", sure) == (5, 0), "a new week has room; what stands is not counted again"
    assert standing(tower) == ["A00", "A01", "A02", "A04", "A06"]
    assert tower.held() == []


def test_what_stood_when_the_week_began_is_not_decided_anew(tower: Tower, clock: Clock) -> None:
    look(tower, "odd", {1: 0.0001})
    clock.now += 7 * DAY
    assert look(tower, "odd", {1: 0.04, 2: 0.04}) == (2, 1)
    assert standing(tower) == ["A01"]
    clock.now += DAY
    look(tower, "odd", {2: 0.04})
    assert standing(tower) == [], "not raised again: it lapses, as ever"


def test_a_worker_that_says_it_tested_little_or_endlessly_is_bounded_by_what_there_is(
    tower: Tower, clock: Clock
) -> None:
    """Fewer than were raised, or more than there are records, is not believed."""
    assert look(tower, "odd", dict.fromkeys(range(1, 20, 2), 0.034), tested=0) == (10, 10)
    because = rows(tower, "select data -> 'decided' ->> 'because' from signal limit 1")[0][0]
    assert because.endswith("among 30 tests"), "10 raised, and 20 accounts for the signal that has not looked yet"
    clock.now += DAY
    look(tower, "other", {3: 0.02}, tested=10**30)
    because = rows(tower, "select data -> 'decided' ->> 'because' from signal where name = 'other'")[0][0]
    assert because.endswith("among 30 tests")


def test_the_record_says_what_is_held_back_and_why(tower: Tower) -> None:
    look(tower, "odd", {1: 0.0001, 2: 0.04})
    client = TestClient(create_app(tower), base_url="http://127.0.0.1:8000")
    [signal] = client.get("/records/account/A02").json()["signals"]
    assert signal["data"]["decided"]["state"] == "held"
    shown = " ".join(client.get("/review/account/A02").text.split())
    assert "<b>Held back</b> by the weekly budget of family risk: p 0.04 is above 0.0025" in shown
    assert "Held back" not in client.get("/review/account/A01").text


def test_held_signals_are_listed_at_the_command_line(
    tower: Tower, clock: Clock, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    clock.now = system_clock()
    look(tower, "odd", {1: 0.0001, 2: 0.04})
    code, out, _ = inside(capsys, "detect", "--held", "--json", "--data", tmp_path)
    [row] = json.loads(out)
    assert (code, row["signal"], row["record"], row["family"]) == (0, "odd", "account/A02", "risk")
    code, out, _ = inside(capsys, "detect", "--held", "--data", tmp_path)
    assert "account/A02" in out
    assert "1 signals held back this week" in out


def test_an_unknown_family_and_an_owner_that_is_no_field_are_faults(tmp_path: Path) -> None:
    file = tmp_path / "book.yaml"
    wrong = BOOK.replace("family: risk}", "family: risc}", 1).replace("per_owner: 3}", "per_owner: 3, owner: rep}")
    file.write_text(wrong)
    with pytest.raises(RulebookError) as found:
        load(file)
    said = str(found.value)
    assert "signal odd: unknown family 'risc'; did you mean 'risk'?" in said
    assert "signal other: family risk counts by 'rep', which account has not" in said
