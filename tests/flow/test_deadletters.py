"""What cannot be taken is kept whole, goes through the one door again, and waits where its time has not come."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, inside
from tower_scene import Clock

from watchtower.bootstrap import Tower
from watchtower.contract import format_time
from watchtower.rulebook import load
from watchtower.store import audit, deadletters
from watchtower.store.deadletters import CAP, DeadLetter, StoredLetter, add_deadletters

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOOK = """
name: letters
timezone: UTC
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql]}
rules:
  - {id: is_mql, object: lead, when: stage = 'mql', owner: sales}
"""


def event(id: str, at: datetime = START, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id, "source": "crm", "type": "record.updated", "subject": f"lead/{id}",
        "time": format_time(at), "data": {"fields": {"stage": "mql"}},
    } | more  # fmt: skip


def listed(tower: Tower, outcome: str = "open", reason: str = "") -> list[StoredLetter]:
    with tower.database.read() as conn:
        found = deadletters.letters(conn, outcome=outcome, reason=reason)
        return [letter for one in found if (letter := deadletters.letter(conn, one.seq)) is not None]


def take(tower: Tower, *events: Any, source: str | None = None) -> list[str]:
    return [verdict.status for verdict in tower.take(events, source=source)]


def records(tower: Tower) -> list[str]:
    with tower.database.read() as conn:
        return list(conn.exec_driver_sql("select id from record order by id").scalars())


def test_what_is_refused_is_kept_as_it_came_with_who_said_it_and_why(tower: Tower) -> None:
    unread = event("a", time="2026-03-02", extra={"attribute": [1, 2.5, None]}, note="\ud83d \x00 è")
    unknown = event("b", subject="rocket/b")
    assert take(tower, unread, unknown, source="crm") == ["refused", "refused"]
    second, first = listed(tower)
    assert first.body == unread and second.body == unknown
    assert (first.credential, first.source, first.event, first.type) == ("crm", "crm", "a", "record.updated")
    assert "has no offset" in first.reason and "no object 'rocket'" in second.reason
    assert [letter.seq for letter in listed(tower, reason="NO OBJECT")] == [second.seq]


def test_the_same_poison_again_is_the_same_letter_and_counts(tower: Tower) -> None:
    for _ in range(3):
        take(tower, event("b", subject="rocket/b"), event("b", subject="rocket/b"))
    (only,) = listed(tower)
    assert only.attempts == 6


def test_another_body_under_a_key_that_is_taken_stands_among_the_dead_letters(tower: Tower) -> None:
    assert take(tower, event("a"), event("a", data={"fields": {}})) == ["accepted", "conflict"]
    (only,) = listed(tower)
    assert "came before with another body" in only.reason


def test_a_letter_is_redriven_once_and_twice_adds_nothing(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    moon = event("b", subject="rocket/b", data={"fields": {"stage": "moon"}})
    take(tower, event("a", subject="rocket/a"), moon, event("c"))
    (tmp_path / "rules.yaml").write_text(BOOK.replace("rules:", "  rocket:\n    fields: {name: {type: text}}\nrules:"))
    tower.activate(load(tmp_path / "rules.yaml"), by="anna")
    clock.now += HOUR
    assert tower.redrive() == {"accepted": 2}
    assert records(tower) == ["a", "b", "c"]
    closed = listed(tower, "redriven")
    assert [(letter.redriven_at, letter.because, letter.attempts) for letter in closed] == [
        (clock.now, "accepted", 2)
    ] * 2
    with tower.database.read() as conn:
        noted = audit.newest(conn, 1)[0]
    assert (noted.what, noted.data) == ("deadletters.redrive", {"accepted": 2})
    before = counts(tower)
    assert tower.redrive() == tower.redrive([letter.seq for letter in closed]) == {}
    assert counts(tower) == before


def test_what_is_refused_again_stays_with_the_new_reason(tower: Tower, tmp_path: Path) -> None:
    take(tower, event("a", subject="rocket/a"))
    (tmp_path / "rules.yaml").write_text(BOOK.replace("lead", "rocket").replace("mql", "moon"))
    tower.activate(load(tmp_path / "rules.yaml"), by="anna")
    assert tower.redrive() == {"refused": 1}
    (only,) = listed(tower)
    assert "'mql' is not one of" in only.reason and only.attempts == 2


def test_a_letter_is_redriven_under_the_source_it_came_with(tower: Tower) -> None:
    assert take(tower, event("a", source="billing"), source="crm") == ["refused"]
    assert tower.redrive() == {"refused": 1}
    assert "'billing' is not the credential's 'crm'" in listed(tower)[0].reason
    assert records(tower) == []


def test_an_event_that_came_meanwhile_by_itself_closes_its_letter_as_a_duplicate(tower: Tower) -> None:
    """Its sender was refused, the rulebook was mended, and the sender tried again before anybody redrove."""
    take(tower, event("a"))
    with tower.database.begin() as conn:
        add_deadletters(conn, [DeadLetter(origin="api", reason="once refused", body=event("a"))], START)
    assert tower.redrive() == {"duplicate": 1}
    assert listed(tower) == [] and records(tower) == ["a"]


def test_an_event_of_the_future_is_taken_by_the_clock_when_its_time_has_come(tower: Tower, clock: Clock) -> None:
    assert take(tower, event("a", START + HOUR), event("a", START + HOUR)) == ["quarantined", "quarantined"]
    assert records(tower) == [] and listed(tower) == []
    assert tower.next_instant() == START + HOUR
    clock.now = START + HOUR - timedelta(microseconds=1)
    tower.tick()
    assert records(tower) == []
    clock.now = START + HOUR
    assert tower.tick().opened == 1
    assert records(tower) == ["a"] and tower.next_instant() is None
    assert [letter.because for letter in listed(tower, "redriven")] == ["accepted"]
    assert take(tower, event("a", START + HOUR)) == ["duplicate"]


def test_of_two_that_wait_under_one_key_the_second_is_a_conflict_when_its_time_has_come(
    tower: Tower, clock: Clock
) -> None:
    other = event("a", START + HOUR, data={"fields": {}})
    assert take(tower, event("a", START + HOUR), other) == ["quarantined", "quarantined"]
    clock.now = START + HOUR
    tower.tick()
    (only,) = listed(tower)
    assert only.body == other and "another body" in only.reason


def test_what_lies_more_than_a_year_ahead_means_nothing_and_is_refused(tower: Tower) -> None:
    assert take(tower, event("a", datetime(9999, 12, 31, tzinfo=UTC))) == ["refused"]
    assert "more than a year ahead" in listed(tower)[0].reason


def test_a_flaw_is_told_at_once_though_the_event_lies_ahead(tower: Tower) -> None:
    assert take(tower, event("a", START + HOUR, data={"fields": {"stage": "moon"}})) == ["refused"]


def test_a_body_that_is_too_large_is_cut_says_its_size_and_cannot_be_redriven(tower: Tower) -> None:
    with tower.database.begin() as conn:
        add_deadletters(conn, [DeadLetter(origin="import", reason="too large", body={"text": "x" * CAP})], START)
    (only,) = listed(tower)
    assert (len(only.raw), only.size, only.redrivable) == (CAP, CAP + len('{"text":""}'), False)
    assert tower.redrive() == {}


def counts(tower: Tower) -> list[int]:
    with tower.database.read() as conn:
        tables = ("journal", "record", "version", "span", "alert", "action", "deadletter")
        return [conn.exec_driver_sql(f"select count(*) from {table}").scalar_one() for table in tables]


def test_the_command_line_lists_shows_redrives_and_discards(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.yaml").write_text(BOOK)
    lines = [json.dumps(event("a", time="2026-03-02")), json.dumps(event("b")), "{broken"]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path / "data"))

    def wt(*arguments: object) -> Ended:
        return Ended(*inside(capsys, "deadletters", *arguments))

    assert inside(capsys, "import", tmp_path / "events.jsonl", "--rulebook", tmp_path / "rules.yaml")[0] == 1
    found = wt("list", "--json").json()
    assert [(one["redrivable"], one["origin"]) for one in found["letters"]] == [
        (False, "events.jsonl:3"), (True, "events.jsonl:1"),
    ]  # fmt: skip
    broken, undated = (one["n"] for one in found["letters"])
    assert wt("show", undated, "--json").json()["body"]["time"] == "2026-03-02"
    assert "{broken" in wt("show", broken).out
    refused = wt("redrive", "--all", "--json")
    assert (refused.code, refused.json()["refused"], refused.json()["open"]) == (1, 1, 2)
    assert "cannot go through the door" in wt("redrive", broken).err
    assert "say why" in wt("discard", broken, "--because", " ").err
    assert "is discarded" in wt("discard", broken, "--because", "half a line").out
    assert "closed already" in wt("discard", broken, "--because", "half a line").out
    assert wt("list", "--outcome", "discarded", "--json").json()["letters"][0]["because"] == "half a line"
    assert "does not exist" in wt("show", 999).err and "--all" in wt("redrive").err
