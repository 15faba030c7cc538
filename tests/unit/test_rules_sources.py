"""`sources:` on a field: who may set it, by rank, whatever the order in which events arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchtower.contract import Event, Evidence, Proposal, format_time
from watchtower.errors import RulebookError
from watchtower.rulebook import Acceptance, Rulebook, load
from watchtower.rules.acceptance import decide
from watchtower.rules.compile import Program, compile_rulebook
from watchtower.rules.fold import FIELD_ACCEPTED, ObjectFold, Record, build_folds
from watchtower.rules.lint import lint
from watchtower.rules.origin import Origin

SOURCES = ("billing", "crm", "person", "ai")
BOOK = Rulebook.model_validate({
    "objects": {"account": {"fields": {
        "employees": {"type": "integer", "sources": list(SOURCES)},
        "size": {"type": "integer", "sources": ["crm"]},
        "name": {"type": "text"},
    }}},
})  # fmt: skip
START = datetime(2026, 3, 1, tzinfo=UTC)


def fold() -> ObjectFold:
    return build_folds(Program(BOOK, ()))["account"]


def said(number: int, source: str, **fields: Any) -> Event:
    time = START + timedelta(hours=number)
    if source == "ai":
        ((field, value),) = fields.items()
        kind, source, data = FIELD_ACCEPTED, "watchtower", {"field": field, "value": value, "by": "ai"}
    else:
        kind, data = "record.updated", {"fields": fields}
    return Event(id=f"e{number}", source=source, type=kind, subject="account/A", time=time, data=data)


def folded(*events: Event) -> Record:
    record = Record()
    for _ in fold().versions(sorted(events, key=lambda event: event.time), record):
        pass
    return record


def test_a_lower_source_does_not_overwrite_a_higher_one_and_the_field_says_so() -> None:
    record = folded(said(0, "billing", employees=40), said(1, "crm", employees=50, name="Acme"))
    assert record.state == {"employees": 40, "name": "Acme"}
    assert record.who["employees"] == {
        "source": "billing", "id": "e0", "at": format_time(START), "by": "billing", "passed_over": "crm",
        "passed_over_event": "e1", "passed_over_at": format_time(START + timedelta(hours=1)),
    }  # fmt: skip


def test_a_lower_source_does_not_clear_what_a_higher_one_said() -> None:
    assert folded(said(0, "billing", employees=40), said(1, "crm", employees=None)).state == {"employees": 40}


def test_a_higher_source_overwrites_and_its_null_makes_room() -> None:
    events = [said(0, "crm", employees=50), said(1, "billing", employees=40), said(2, "billing", employees=None)]
    assert folded(*events[:2]).state == {"employees": 40}
    record = folded(*events, said(3, "crm", employees=55))
    assert record.state == {"employees": 55}
    assert record.who["employees"]["by"] == "crm" and "passed_over" not in record.who["employees"]


def test_a_source_that_is_not_listed_sets_the_other_fields_only() -> None:
    record = folded(said(0, "billing", size=3, name="Acme"))
    assert record.state == {"name": "Acme"} and record.who["size"]["passed_over"] == "billing"
    assert folded(said(0, "person:anna", employees=3)).state == {"employees": 3}


def test_without_sources_the_last_word_counts() -> None:
    assert folded(said(0, "billing", name="Acme"), said(1, "web", name="Acme Ltd")).state == {"name": "Acme Ltd"}


def oracle(events: list[Event]) -> dict[str, Any]:
    """Field by field, each event in order of time: the value stands beside the rank of who gave it."""
    state: dict[str, Any] = {}
    for field, ranked in (("employees", list(SOURCES)), ("size", ["crm"]), ("name", [])):
        held: tuple[int, Any] | None = None
        for event in sorted(events, key=lambda event: event.time):
            accepted = event.type == FIELD_ACCEPTED
            who = "ai" if accepted else "person" if event.source.startswith("person") else event.source
            fields = {event.data["field"]: event.data["value"]} if accepted else event.data["fields"]
            if field not in fields or (ranked and who not in ranked):
                continue
            rank = ranked.index(who) if ranked else 0
            if held is not None and held[0] < rank:
                continue
            held = None if fields[field] is None else (rank, fields[field])
        if held is not None:
            state[field] = held[1]
    return state


EVENT = st.tuples(
    st.sampled_from(["billing", "crm", "person:anna", "web", "ai"]),
    st.sampled_from(["employees", "employees", "size", "name"]),
    st.none() | st.integers(1, 9),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENT, max_size=9), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_record_as_a_slow_oracle(given_: list[Any], random: Any) -> None:
    events = [said(0, "crm", name="first")]
    for number, (source, field, value) in enumerate(given_, 1):
        if source == "ai" and (field != "employees" or value is None):
            continue  # acceptance never clears, and decides only on what it may fill
        events.append(said(number, source, **{field: str(value) if field == "name" and value else value}))
    expected = folded(*events)
    assert expected.state == oracle(events)
    # In batches as they arrive: late events have the record folded anew from all that is known, as the tower does.
    arrived: list[Event] = []
    random.shuffle(events)
    record = Record()
    for event in events:
        late = any(known.time > event.time for known in arrived)
        arrived.append(event)
        if late:
            record = folded(*arrived)
        else:
            fold().apply(record, event)
    if arrived and min(arrived, key=lambda event: event.time).type != FIELD_ACCEPTED:
        assert (folded(*arrived).state, folded(*arrived).who) == (expected.state, expected.who)
        assert folded(*arrived).state == record.state


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("[crm, billing, crm]", "sources: 'crm' stands twice"),
        ("[]", "sources: is empty"),
        ("[ai, crm]", "sources: 'ai' stands last"),
        ("[crm], rollup: {count: events, of: '*'}", "a rollup is computed; it has no sources"),
    ],
)
def test_sources_that_say_nothing_clear_are_refused(tmp_path: Path, sources: str, message: str) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(f"objects:\n  account:\n    fields:\n      n: {{type: integer, sources: {sources}}}\n")
    with pytest.raises(RulebookError) as caught:
        load(path)
    (fault,) = caught.value.faults
    assert message in fault.message and fault.line == 4


def test_a_proposal_for_a_field_that_ai_may_not_set_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(
        "objects:\n  account:\n    fields:\n      size: {type: integer, fill: enrichment, sources: [crm, person]}\n"
        "acceptance: {account.size: {}}\nrules: [{id: small, object: account, when: size < 9}]\n"
    )
    loaded = load(path)
    findings = [(fault.line, fault.message) for fault in lint(loaded, compile_rulebook(loaded))]
    assert (4, "account.size is filled by enrichment, and ai is not among its sources") in findings
    for sources, status in ((["crm", "person"], "refused"), (["crm", "ai"], "accepted")):
        decision = decide(
            Proposal(request="r", field="size", value=7, confidence=1.0, method="m",
                     evidence=(Evidence(document="d", start=0, end=7, quote="7 staff"),)),
            key="account.size", acceptance=Acceptance(), asked=frozenset({"size"}), documents={"d": "7 staff"},
            origins={"d": Origin("note", own=True)},
            field=loaded.rulebook.objects["account"].fields["size"].model_copy(update={"sources": sources}),
            held=None, held_by="",
        )  # fmt: skip
        assert (decision.status, decision.rule) == (status, "account.size")
        if status == "refused":
            assert decision.because == "ai is not among the sources of account.size (crm, person)"
