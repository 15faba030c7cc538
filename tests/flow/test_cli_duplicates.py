"""`watchtower duplicates` on the store: pairs found, reviewed, accepted, and taken apart, by commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import inside

BOOK = """
objects: {account: {fields: {name: {type: text}, country: {type: country}}}}
rules: [{id: unnamed, object: account, when: name is null}]
"""
NAMES = {"A1": "Meyer Hydraulik GmbH", "A2": "Meyer Hydraulik", "A3": "Bakery Rossi"}


def test_pairs_are_found_reviewed_accepted_and_taken_apart_by_commands(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    book, file, data = tmp_path / "rules.yaml", tmp_path / "events.jsonl", tmp_path / "data"
    book.write_text(BOOK)
    file.write_text("".join(
        json.dumps({"specversion": "1.0", "id": id_, "source": "crm", "type": "record.updated",
                    "subject": f"account/{id_}", "time": "2026-03-02T09:00:00Z", "data": {"fields": {"name": name}}})
        + "\n" for id_, name in NAMES.items()
    ))  # fmt: skip

    def say(*arguments: object, code: int = 0) -> str:
        ended, out, err = inside(capsys, *arguments, "--data", data)
        assert ended == code, err
        return out + err

    say("import", file, "--rulebook", book)
    assert json.loads(say("duplicates", "find", "--json")) == {"records": 3, "accepted": 0, "review": 1, "refused": 0}
    shown = say("duplicates", "review")
    assert "account/A2 goes" in shown and "Meyer Hydraulik GmbH" in shown and "bits" in shown
    [pair] = json.loads(say("duplicates", "review", "--json"))
    assert "account/A2 is account/A1 from now on" in say("duplicates", "accept", pair["id"], "--as", "anna")
    [merge] = json.loads(say("duplicates", "merged", "--json"))
    assert "A2" in say("duplicates", "merged") and merge["by"] == "person:anna"
    assert "undone" in say("duplicates", "undo", merge["id"], "--as", "ben")
    assert "account/A3 is A1" in say("duplicates", "merge", "account/A3", "A1", "--as", "anna")
    assert "nothing waits" in say("duplicates", "review")
    assert "are one already" in say("duplicates", "merge", "account/A1", "A3", "--as", "anna", code=1)
    say("replay", "--verify")


def test_a_file_is_still_compared_without_a_word_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("id,name\n1,Meyer Hydraulik GmbH\n2,Meyer Hydraulik\n")
    code, out, err = inside(capsys, "duplicates", "--object", "account", file, "--json")
    assert code == 0 and json.loads(out)["pairs"][0]["a"] == "1", err
