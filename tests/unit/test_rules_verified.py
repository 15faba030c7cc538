"""`trust: verified` and `verified(x)`: rules that read what people and systems said, as if AI had never spoken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.contract import Event
from watchtower.errors import RulebookError
from watchtower.flow.examples import run_examples
from watchtower.rulebook import Rulebook, load
from watchtower.rules.compile import Program, compile_rule, compile_rulebook
from watchtower.rules.fold import FIELD_ACCEPTED, Record, build_folds
from watchtower.rules.readers import readers

START = datetime(2026, 3, 1, tzinfo=UTC)
BOOK = """
name: verified
timezone: UTC
objects:
  account:
    fields:
      employees: {type: integer, fill: enrichment}
      ranked: {type: integer, fill: enrichment, sources: [billing, crm, ai]}
      founded_at: {type: timestamp, fill: enrichment}
      paused: {type: boolean, fill: enrichment}
      name: {type: text}
  deal:
    fields:
      account: {type: ref, to: account}
      guessed: {type: ref, to: account, fill: enrichment}
      opened_at: {type: timestamp}
  partner:
    fields:
      big: {type: integer, rollup: {count: records, over: client, where: size > 5}}
  client:
    fields:
      partner: {type: ref, to: partner}
      size: {type: integer, fill: enrichment}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
signals:
  odd: {object: account, detector: cohort_outlier, field: employees}
rules:
  - id: asked
    object: OBJECT
    when: CONDITION
    trust: verified
"""


def program(tmp_path: Path, condition: str, *, on: str = "account", trust: str = "verified", more: str = "") -> Program:
    text = BOOK.replace("CONDITION", condition).replace("OBJECT", on).replace("trust: verified", f"trust: {trust}")
    (tmp_path / "rules.yaml").write_text(text + more)
    return compile_rulebook(load(tmp_path / "rules.yaml"))


def test_a_verified_rule_reads_no_fact_of_ai_and_says_so(tmp_path: Path) -> None:
    found = program(tmp_path, "employees > 10 and name is not null").by_id["asked"]
    assert [column.name for column in found.columns] == ["verified(employees)", "name"]
    assert not found.ai_informed
    assert program(tmp_path, "employees > 10", trust="any").by_id["asked"].ai_informed


def test_through_a_reference_too(tmp_path: Path) -> None:
    found = program(tmp_path, "account.employees > 10", on="deal")
    assert [column.name for column in found.by_id["asked"].columns] == ["account.verified(employees)"]
    assert not found.by_id["asked"].ai_informed
    assert readers(found)["account", "employees"][0] == "rule asked"


def test_any_rule_may_ask_for_one_verified_value(tmp_path: Path) -> None:
    mixed = program(tmp_path, "employees > 10 and verified(employees) is null and verified(name) <> 'x'", trust="any")
    assert [c.name for c in mixed.by_id["asked"].columns] == ["employees", "verified(employees)", "name"]
    assert mixed.by_id["asked"].ai_informed


@pytest.mark.parametrize(
    ("on", "condition", "word"),
    [
        ("account", "odd.p_value < 0.01", "odd.p_value is of a signal"),
        ("account", "changed_at(employees) <= now() - interval '1 day'", "verified(employees) is read as it is"),
        ("account", "previous(employees) = 3", "verified(employees) is read as it is"),
        ("account", "source_of(employees) = 'crm'", "verified(employees) is read as it is"),
        ("account", "business_elapsed(founded_at, 'office') > interval '1 hour'", "verified(founded_at) is read"),
        ("deal", "guessed.name = 'x'", "guessed may be filled by enrichment"),
        ("partner", "big > 1", "big is a rollup over records that enrichment may fill"),
        ("account", "verified(employees + 1) > 1", "verified takes a field"),
    ],
)
def test_what_cannot_be_read_without_ai_is_refused_at_its_place(
    tmp_path: Path, on: str, condition: str, word: str
) -> None:
    with pytest.raises(RulebookError, match="rules.yaml:31") as caught:
        program(tmp_path, condition, on=on)
    assert word in str(caught.value)


def test_a_rulebook_without_the_word_keeps_its_version(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BOOK.replace("CONDITION", "name = 'x'").replace("OBJECT", "account"))
    (tmp_path / "b.yaml").write_text((tmp_path / "a.yaml").read_text().replace("    trust: verified\n", ""))
    versions = [load(tmp_path / f"{name}.yaml").rulebook.version for name in "ab"]
    assert versions[0] != versions[1]
    (tmp_path / "d.yaml").write_text((tmp_path / "a.yaml").read_text().replace("trust: verified", "trust: any"))
    assert load(tmp_path / "d.yaml").rulebook.version == versions[1]


def test_an_example_speaks_of_verified_values_unless_it_says_otherwise(tmp_path: Path) -> None:
    examples = """    examples:
      - {hit: {employees: 11}, at: 2026-03-01T00:00:00Z}
      - {miss: {employees: 11, verified(employees): 9}, at: 2026-03-01T00:00:00Z}
      - {miss: {employees: 11, verified(employees): null}, at: 2026-03-01T00:00:00Z}
"""
    (tmp_path / "rules.yaml").write_text(
        BOOK.replace("CONDITION", "employees > 10").replace("OBJECT", "account") + examples
    )
    loaded = load(tmp_path / "rules.yaml")
    outcomes = run_examples(loaded, compile_rulebook(loaded))
    assert [outcome.fault for outcome in outcomes] == [None, None, None]
    assert [outcome.holds for outcome in outcomes] == [True, False, None]


# ---- the fold

FIELDS = Rulebook.model_validate({
    "objects": {"account": {"fields": {
        "employees": {"type": "integer", "fill": "enrichment"},
        "ranked": {"type": "integer", "fill": "enrichment", "sources": ["billing", "crm", "person", "ai"]},
    }}},
    "rules": [{
        "id": "r", "object": "account", "when": "employees > 1 and ranked > 1", "trust": "verified",
    }],
})  # fmt: skip


def _said(number: int, hour: int, source: str, field: str, value: int | None) -> Event:
    data: dict[str, Any] = {"fields": {field: value}}
    kind = "record.updated"
    if source == "ai":
        kind, source, data = FIELD_ACCEPTED, "watchtower", {"field": field, "value": value or 1, "by": "ai"}
    return Event(
        id=f"e{number}", source=source, type=kind, subject="account/A", time=START + timedelta(hours=hour), data=data
    )


def _folded(events: list[Event]) -> Record:
    compiled = Program(FIELDS, tuple(compile_rule(rule, FIELDS, {}) for rule in FIELDS.rules))
    record = Record()
    for _ in build_folds(compiled)["account"].versions(sorted(events, key=lambda event: event.time), record):
        pass
    return record


words = st.tuples(
    st.integers(0, 9),
    st.sampled_from(("billing", "crm", "person", "ai", "ai", "web")),
    st.sampled_from(("employees", "ranked")),
    st.none() | st.integers(1, 9),
)


@given(st.lists(words, max_size=20))
def test_a_verified_value_is_what_the_field_would_hold_had_ai_never_spoken(said: list[Any]) -> None:
    events = [_said(number, *word) for number, word in enumerate(said)]
    whole = _folded(events)
    without = _folded([event for event in events if event.type != FIELD_ACCEPTED])
    for field in ("employees", "ranked"):
        column = f"verified({field})"
        assert whole.state.get(column) == without.state.get(field) == without.state.get(column)
        if without.state.get(field) is not None:
            assert whole.who[column] == {key: without.who[field][key] for key in ("source", "id", "at", "by")}


def test_what_a_person_accepted_of_a_proposal_is_verified() -> None:
    accepted = Event(
        id="a", source="watchtower", type=FIELD_ACCEPTED, subject="account/A", time=START + timedelta(hours=2),
        data={"field": "employees", "value": 7, "by": "person"},
    )  # fmt: skip
    record = _folded([_said(1, 1, "crm", "ranked", 3), accepted])
    assert record.state["verified(employees)"] == 7
    assert record.who["verified(employees)"]["by"] == "person"
