"""An audit with events: against what one counts by hand, and at the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import inside, wt

from watchtower.contract import Event, parse_event, parse_time
from watchtower.flow.audit.observe import Observed, Stay, observe, with_everything
from watchtower.flow.audit.page import html
from watchtower.flow.audit.review import Review, audit
from watchtower.flow.company import generate
from watchtower.flow.history import fold_history
from watchtower.rulebook import DEFAULT, load
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.spans import micros

BOOK = """
name: flows
objects:
  deal:
    owner: owner
    fields:
      stage: {type: enum, values: [open, offer, won, lost]}
      owner: {type: text}
      scope: {type: text}
      price: {type: enum, values: [low, high]}
      mood: {type: text}
lifecycles:
  deal:
    object: deal
    owner: seller
    starts: [open]
    states:
      open: {next: [offer, lost]}
      offer: {next: [won, lost], requires: {fields: [scope], for: 24 hours}, enter: price = 'low'}
      won: {final: true}
      lost: {final: true}
handoffs:
  over: {object: deal, from: seller, to: maker, requires: [scope], answer: {time: 24 hours, severity: high}}
"""
STORY: list[tuple[str, str, dict[str, Any]]] = [
    ("1", "01T00", {"stage": "open", "owner": "ada", "price": "low", "mood": "fine"}),
    ("1", "02T00", {"stage": "offer"}), ("1", "02T12", {"scope": "all"}),  # in time
    ("1", "05T00", {"stage": "open"}), ("1", "06T00", {"stage": "offer"}), ("1", "07T00", {"stage": "won"}),
    ("2", "01T00", {"stage": "open", "price": "low", "mood": "fine"}), ("2", "01T06", {"owner": "bo"}),
    ("2", "02T00", {"stage": "offer"}), ("2", "03T12", {"scope": "all"}),  # twelve hours too late
    ("2", "04T00", {"price": "high"}), ("2", "05T00", {"price": "low"}), ("2", "08T00", {"stage": "lost"}),
    ("3", "09T00", {"stage": "offer", "owner": "ada", "scope": "all", "price": "high", "mood": "sour"}),
    ("4", "10T00", {"stage": "offer", "owner": "ada", "price": "low"}),  # its day is not over
]  # fmt: skip
HANDED = [("1", "07T00", "offered"), ("1", "07T06", "rejected"), ("1", "07T12", "offered"), ("1", "07T18", "accepted"),
          ("2", "08T00", "offered")]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    told = [("record.updated", f"deal/{who}", at, {"fields": fields}) for who, at, fields in STORY]
    told += [(f"handoff.{what}", f"deal/{who}", at, {"handoff": "over", "fields": {}}) for who, at, what in HANDED]
    return [
        {"specversion": "1.0", "id": str(n), "source": "crm", "type": kind, "subject": subject,
         "time": f"2026-01-{at}:00:00Z", "data": data}
        for n, (kind, subject, at, data) in enumerate(told)
    ]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    book, events = tmp_path / "book.yaml", tmp_path / "events.jsonl"
    book.write_text(BOOK)
    events.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return book, events


def look(book: Path, events: list[Event], at: str | None = None) -> tuple[Review, Observed]:
    loaded, kept = load(book), list[Event]()
    program = compile_rulebook(loaded)
    history = fold_history(with_everything(program), events, keep=kept)
    seen = observe(loaded, program, history, kept, parse_time(at) if at else None)
    return audit(program, seen), seen


def test_what_was_seen_is_what_one_counts_by_hand(files: tuple[Path, Path]) -> None:
    review, seen = look(files[0], [parse_event(row) for row in rows()])
    day = lambda text: micros(parse_time(f"2026-01-{text}:00:00Z"))  # noqa: E731
    assert [(s.record, s.state, s.owner, s.as_asked) for s in seen.stays["deal"] if s.state == "offer"] == [
        ("1", "offer", "ada", True), ("2", "offer", "bo", False), ("1", "offer", "ada", True),
        ("3", "offer", "ada", False), ("4", "offer", "ada", None),
    ]  # fmt: skip
    assert seen.stays["deal"][1] == Stay("2", "open", day("01T00"), day("02T00"), "offer", "bo")
    assert (seen.records["deal"], seen.filled["deal", "scope"], seen.filled["deal", "mood"]) == (4, 3, 3)
    assert {key: dict(found) for key, found in seen.returns.items() if found} == {("deal", "price"): {"2": 1}}
    (contract,) = review.contracts
    assert contract.offers is not None and contract.offers.to_json() == {
        "offered": 3, "accepted": 1, "rejected": 1, "waiting": 1, "late": 1, "limbo": ["deal/2"], "offered_again": 1,
        "median_answer_hours": 6.0,
    }  # fmt: skip
    assert dict(contract.fails) == {"over.incomplete": 0, "over.limbo": 1}
    redone = {(one.kind, one.where): (one.times, one.of, one.allowed, one.owners) for one in review.redone}
    assert redone == {
        ("back", "deal: offer to open"): (1, 3, False, (("ada", 1),)),
        ("again", "deal.open"): (1, 3, True, (("ada", 1),)), ("again", "deal.offer"): (1, 5, True, (("ada", 1),)),
        ("value", "deal.price"): (1, 4, True, (("bo", 1),)), ("handoff", "over"): (1, 3, True, (("ada", 1),)),
    }  # fmt: skip
    (limbo,) = [one for one in review.findings if "not answered" in one.title]
    assert limbo.priority == "P0" and limbo.records == ("deal/2",)
    assert [(f.field, f.filled, f.records) for f in review.unused.fields] == [("mood", 3, 4)]


def test_a_personal_owner_is_shown_by_number(files: tuple[Path, Path]) -> None:
    files[0].write_text(BOOK.replace("owner: {type: text}", "owner: {type: text, personal: true}"))
    review, seen = look(files[0], [parse_event(row) for row in rows()])
    assert {stay.owner for stay in seen.stays["deal"]} == {"person 1", "person 2"}
    assert "ada" not in html(review) and "ada" not in json.dumps(review.to_json())


def test_only_what_was_known_by_then_counts(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    answer = wt("audit", *files, "--at", "2026-01-08T12:00:00Z", "--json").json()
    assert answer["events"]["at"] == "2026-01-08T12:00:00.000000Z" and answer["events"]["records"] == {"deal": 2}
    assert answer["handoffs"][0]["observed"]["limbo"] == []
    later = json.loads(inside(capsys, "audit", *files, "--json")[1])
    assert later["handoffs"][0]["observed"]["limbo"] == ["deal/2"]


def test_the_page_and_the_json_are_written_and_the_same_each_time(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    code, said, _ = inside(capsys, "audit", *files, "--out", first)
    assert code == 0 and "ad hoc" in said and str(first / "audit.html") in said
    assert inside(capsys, "audit", *files, "--out", second)[0] == 0
    for name in ("audit.html", "audit.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    page = (first / "audit.html").read_text()
    assert "1 offer of over not answered within 24 hours" in page
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--at", "2026-01-01T00:00:00Z"), "--at is about events, and none are given"),
        (("--mapping", "m.yaml"), "--mapping is about events, and none are given"),
        (("EVENTS", "--at", "yesterday"), "--at: 'yesterday' is not an ISO 8601 time"),
        (("EVENTS", "--at", "2020-01-01T00:00:00Z"), "no event on an object of this rulebook was read up to 2020"),
        (("EVENTS", "--out", "EVENTS"), "is a file"),
        (("nowhere.jsonl",), "nowhere.jsonl"),
    ],
)
def test_wrong_input_is_named(
    files: tuple[Path, Path], arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [files[1] if argument == "EVENTS" else argument for argument in arguments]
    code, _, told = inside(capsys, "audit", files[0], *given)
    assert code == 1 and says in told


def test_a_bad_event_stops_the_audit_unless_it_is_set_aside(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = rows()[0] | {"id": "bad", "data": {"fields": {"stage": "sold"}}}
    files[1].write_text(files[1].read_text() + json.dumps(bad) + "\n")
    code, _, told = inside(capsys, "audit", *files)
    assert code == 1 and "1 of 21 events cannot be read" in told and "sold" in told
    assert inside(capsys, "audit", *files, "--set-aside")[0] == 0


def test_a_generated_company_whose_people_work_alike_is_not_accused() -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC)
    year = generate(7, accounts=120, start=end - timedelta(days=365), end=end)
    review, _ = look(DEFAULT, year.events)
    assert sum(use.compared for use in review.uses) >= 3 and not any(use.differs for use in review.uses)
    assert review.maturity.stage == "defined"
    assert [c.offers.offered > 0 for c in review.contracts if c.offers] == [True, False]
    assert any(one.title == "account.country is missing where 2 rules read it" for one in review.findings)
    assert "Five reps" in html(review)


def test_at_a_real_bank_people_use_the_states_of_an_application_differently(
    project: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = project / "examples/bpic2012/audit"
    log = shared_data / "process/bpic2012_loan.parquet"
    code, said, _ = inside(
        capsys, "audit", example / "rulebook.yaml", log, "--mapping", example / "mapping.yaml", "--json"
    )  # fmt: skip
    assert code == 0
    uses = {use["state"]: use for use in json.loads(said)["five_reps"]}
    assert uses["submitted"]["abstains"] and uses["finalized"]["differs"] and len(uses["finalized"]["reps"]) == 40
