"""`watchtower rules ...` from outside: exit codes, the JSON of the outer contract, and what it says of bad input."""

from __future__ import annotations

import io
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from command_line import RULEBOOK, inside, lead, stamp, write_events, wt

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
AT = "2026-03-05T09:00:00Z"
MARCH_2 = datetime(2026, 3, 2, 9, tzinfo=UTC)
MARCH_4 = datetime(2026, 3, 4, 9, tzinfo=UTC)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.yaml"
    path.write_text(RULEBOOK)
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """One lead that breaches, one whose stage nobody knows, one that falls due later."""
    return write_events(
        tmp_path / "events.jsonl",
        [
            lead("e1", "L-17", MARCH_2, stage="mql", mql_at="2026-03-02T09:00:00Z", contacted_at=None),
            lead("e2", "L-18", MARCH_2, mql_at="2026-03-02T09:00:00Z"),
            lead("e3", "L-19", MARCH_4, stage="mql", mql_at="2026-03-04T09:00:00Z"),
        ],
    )


def test_check_prints_a_version_and_no_fault_for_a_sound_rulebook(book: Path) -> None:
    answer = wt("rules", "check", book, "--json").json()
    assert answer["ok"] is True and answer["rules"] == 1 and answer["faults"] == []
    assert re.fullmatch(r"[0-9a-f]{12}", answer["version"])


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("stagee = 'mql'", "book.yaml:13:11: rule mql_uncontacted: lead has no field 'stagee'; did you mean 'stage'?"),
        ("note > 3", "book.yaml:13:11: rule mql_uncontacted: compares note (text) with a number 3"),
    ],
)
def test_a_rule_that_cannot_be_is_named_with_file_line_and_column(book: Path, when: str, says: str) -> None:
    book.write_text(re.sub(r"when: .*", f"when: {when}", RULEBOOK))
    assert says in wt("rules", "check", book, code=1).err
    faults = wt("rules", "check", book, "--json", code=1).json()["faults"]
    assert [(Path(f["file"]).name, f["line"], f["column"]) for f in faults] == [("book.yaml", 13, 11)]


def test_a_rulebook_with_a_fault_answers_no_question(
    book: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book.write_text(RULEBOOK.replace("stage = 'mql'", "stagee = 'mql'"))
    for command in (("test", book), ("eval", book, events, "--at", AT, "--json")):
        code, out, err = inside(capsys, "rules", *command)
        assert code == 1 and out == "" and "book.yaml:13:11" in err


def test_warnings_fail_a_check_only_when_it_is_strict(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book.write_text(RULEBOOK.partition("    examples:")[0])
    code, out, _ = inside(capsys, "rules", "check", book)
    assert code == 0 and "mql_uncontacted" in out
    code, out, _ = inside(capsys, "rules", "check", book, "--strict", "--json")
    assert code == 1 and json.loads(out)["ok"] is False and json.loads(out)["findings"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.yaml", "", "empty.yaml:1:1: is empty"),
        ("broken.yaml", "name: [", "broken.yaml:"),
        ("absent.yaml", None, "absent.yaml:1:1: there is no such file or folder"),
    ],
)
def test_what_is_no_rulebook_is_said(
    tmp_path: Path, name: str, content: str | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    code, _, err = inside(capsys, "rules", "check", tmp_path / name)
    assert code == 1 and says in err


def test_examples_pass_or_say_which_one_does_not(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = inside(capsys, "rules", "test", book, "--json")
    answer = json.loads(out)
    assert code == 0 and (answer["passed"], answer["failed"]) == (2, 0)
    assert all(TIME.fullmatch(example["at"]) for example in answer["examples"])
    book.write_text(RULEBOOK.replace("at: 2026-03-02T23:59:59Z", "at: 2026-03-03T00:00:00Z"))
    code, _, err = inside(capsys, "rules", "test", book)
    assert code == 1 and "mql_uncontacted, example 2: a miss is expected" in err


def test_eval_prints_the_contract_and_two_engines_agree(book: Path, events: Path, database_url: str) -> None:
    answer = wt(
        "rules", "eval", book, events, "--at", AT, "--engine", "duckdb,live", "--json", DATABASE_URL=database_url
    ).json()
    assert list(answer) == ["at", "version", "results"] and answer["at"] == "2026-03-05T09:00:00.000000Z"
    assert answer["results"] == [
        {"rule": "mql_uncontacted", "record": "lead/L-17", "state": "holds", "since": "2026-03-04T09:00:00.000000Z",
         "until": None, "due": None, "unknown": []},
        {"rule": "mql_uncontacted", "record": "lead/L-18", "state": "unknown", "since": "2026-03-04T09:00:00.000000Z",
         "until": None, "due": None, "unknown": ["stage"]},
        {"rule": "mql_uncontacted", "record": "lead/L-19", "state": "pending", "since": None,
         "until": None, "due": "2026-03-06T09:00:00.000000Z", "unknown": []},
    ]  # fmt: skip
    assert list(answer["results"][0]) == ["rule", "record", "state", "since", "until", "due", "unknown"]


def test_backtest_prints_the_contract_cut_to_the_window(book: Path, events: Path) -> None:
    window = ("--from", "2026-03-04T10:00:00Z", "--to", "2026-03-07T00:00:00+01:00")
    answer = wt("rules", "backtest", book, events, *window, "--json").json()
    assert list(answer) == ["from", "to", "version", "intervals"]
    assert (answer["from"], answer["to"]) == ("2026-03-04T10:00:00.000000Z", "2026-03-06T23:00:00.000000Z")
    assert answer["intervals"] == [
        {"rule": "mql_uncontacted", "record": "lead/L-17",
         "since": "2026-03-04T10:00:00.000000Z", "until": "2026-03-06T23:00:00.000000Z"},
        {"rule": "mql_uncontacted", "record": "lead/L-19",
         "since": "2026-03-06T09:00:00.000000Z", "until": "2026-03-06T23:00:00.000000Z"},
    ]  # fmt: skip


def test_explain_names_each_condition_the_value_and_the_event_behind_it(book: Path, events: Path) -> None:
    answer = wt(
        "rules", "explain", book, events, "--rule", "mql_uncontacted", "--record", "lead/L-17", "--at", AT, "--json"
    ).json()
    assert (answer["state"], answer["at"]) == ("holds", "2026-03-05T09:00:00.000000Z")
    assert [condition["value"] for condition in answer["conditions"]] == [True, True, True]
    read = answer["conditions"][0]["reads"][0]
    assert (read["field"], read["value"], read["source"], read["event"]) == ("stage", "mql", "crm", "e1")


def test_questions_that_cannot_be_answered_are_refused_in_words(
    book: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("rules", "eval", book, events, "--at")
    explain = ("rules", "explain", book, events, "--at", AT)
    window = ("rules", "backtest", book, events, "--from", AT, "--to")
    mapping = Path("examples/bpic2012/mapping.yaml").resolve()
    for arguments, wanted, says in (
        ((*asked, "2026-03-05T09:00:00"), 1, "--at: '2026-03-05T09:00:00' has no offset"),
        ((*asked, "yesterday"), 1, "--at: 'yesterday'"),
        ((*asked, AT, "--engine", "spork"), 1, "--engine: 'spork' is not known engines: "),
        ((*asked, AT, "--mapping", mapping), 1, "takes no mapping"),
        ((*asked, AT, "--frob"), 2, "No such option: --frob"),
        (("rules", "eval", book, events), 2, "Missing option '--at'"),
        ((*window, "2026-03-01T09:00:00Z"), 1, "is not before --to"),
        ((*window, AT), 1, "is not before --to"),
        ((*explain, "--rule", "nope", "--record", "lead/L-17"), 1, "rule 'nope' is not in the rulebook"),
        ((*explain, "--rule", "mql_uncontacted", "--record", "deal/D-1"), 1, "is about lead records"),
        (("rules", "frob"), 2, "No such command 'frob'"),
        (("frob",), 2, "No such command 'frob'"),
    ):
        code, out, err = inside(capsys, *arguments)
        assert (code, out) == (wanted, ""), arguments
        assert says in err


def test_an_absent_events_file_is_no_history(book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = inside(capsys, "rules", "eval", book, tmp_path / "absent.jsonl", "--at", AT)
    assert code == 1 and "absent.jsonl: there is no such file" in err


def test_in_an_empty_events_file_nothing_has_happened(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").touch()
    for asked, part in (
        (("eval", book, tmp_path / "empty.jsonl", "--at", AT), "results"),
        (("backtest", book, tmp_path / "empty.jsonl", "--from", "2026-01-01T00:00:00Z", "--to", AT), "intervals"),
    ):
        code, out, err = inside(capsys, "rules", *asked, "--json")
        assert (code, json.loads(out)[part]) == (0, [])
        assert "empty.jsonl: is empty: no event has happened" in err


@pytest.mark.parametrize("way", ["pipe", "-"])
def test_events_may_come_through_a_pipe(
    book: Path, events: Path, way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, given = events.read_bytes(), way
    if way == "pipe":
        pipe = events.with_name("pipe")
        os.mkfifo(pipe)
        Thread(target=pipe.write_bytes, args=(said,)).start()
        given = str(pipe)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(said)))
    code, out, _ = inside(capsys, "rules", "eval", book, given, "--at", AT, "--json")
    assert (code, [r["record"] for r in json.loads(out)["results"]]) == (0, ["lead/L-17", "lead/L-18", "lead/L-19"])


def test_an_event_without_time_zone_stops_an_answer_unless_it_is_set_aside(
    book: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = lead("e4", "L-20", MARCH_2, stage="mql") | {"time": "2026-03-02T09:00:00"}
    write_events(events, [lead("e1", "L-17", MARCH_2, stage="mql", mql_at="2026-03-02T09:00:00Z"), bad])
    code, out, err = inside(capsys, "rules", "eval", book, events, "--at", AT, "--json")
    assert code == 1 and out == "" and "events.jsonl:2: time: '2026-03-02T09:00:00' has no offset" in err
    code, out, err = inside(capsys, "rules", "eval", book, events, "--at", AT, "--json", "--set-aside")
    assert code == 0 and [r["record"] for r in json.loads(out)["results"]] == ["lead/L-17"]
    assert "set aside: events.jsonl:2" in err


@pytest.mark.parametrize(
    "command",
    ["", "demo", "up", "serve", "tick", "worker", "import", "enrich", "detect", "alerts", "rules", "eval", "models",
     "detect calibrate", "rules check", "rules test", "rules eval", "rules backtest", "rules explain", "eval rules",
     "eval detectors", "eval enrichment", "eval compare", "models list", "models pull"],
)  # fmt: skip
def test_every_command_teaches_its_use(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = inside(capsys, *command.split(), "--help")
    assert code == 0
    assert f"Usage: watchtower {command}".rstrip() in out
    assert "Options" in out and len(out.split("Options")[0].split()) > 8, "it says what the command does"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = inside(capsys, "--version")
    assert code == 0 and re.fullmatch(r"watchtower \d+\.\d+\.\d+\n", out)


def test_a_fault_of_the_program_itself_is_one_message_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("watchtower.cli.main", fromlist=["COMMANDS"]).COMMANDS, "rules", "rules:no_such")
    code, _, err = inside(capsys, "rules", "check", "x")
    assert code == 70 and "a fault in watchtower itself: AttributeError" in err and "WATCHTOWER_TRACEBACK=1" in err


def test_a_field_that_nothing_fills_is_a_finding_where_events_are_given(tmp_path: Path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(RULEBOOK)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    story = [lead("1", "L1", start, stage="mql", mql_at=stamp(start)), lead("2", "L2", start, stage="raw")]
    events = write_events(tmp_path / "events.jsonl", story)
    (finding,) = wt("rules", "check", book, "--events", events, "--json").json()["findings"]
    assert finding["message"] == "lead.contacted_at is read by mql_uncontacted, and none of 2 records has it"
    assert finding["line"] == RULEBOOK.splitlines().index("      contacted_at: {type: timestamp}") + 1
    assert wt("rules", "check", book, "--json").json()["findings"] == []


def test_a_field_that_hardly_any_record_has_is_a_finding_with_its_fill_rate(tmp_path: Path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(RULEBOOK)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    story = [lead(str(n), f"L{n}", start, stage="mql", mql_at=stamp(start)) for n in range(200)]
    for contacted, findings in ((1, ["1 of 200 records have it (0.5%)"]), (2, [])):
        more = [lead(f"c{n}", f"L{n}", start, contacted_at=stamp(start)) for n in range(contacted)]
        events = write_events(tmp_path / "events.jsonl", story + more)
        found = wt("rules", "check", book, "--events", events, "--json").json()["findings"]
        assert [finding["message"].split("and ")[1] for finding in found] == findings
