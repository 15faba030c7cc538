"""What people decide in a tower comes out as labels, and the labels are cases that evals take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.acceptance import read_gate_cases
from evals.cases import read_cases
from watchtower.bootstrap import Tower
from watchtower.cli.evals_labels import labels_of
from watchtower.contract import Evidence, FieldRequest, Proposal, format_time
from watchtower.store import boards, queries

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BOOK = """
name: labels
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
      city: {type: text, fill: enrichment}
      motto: {type: text, fill: enrichment}
rules:
  - {id: lacks_city, object: account, when: "city = 'Turin'"}
  - {id: lacks_motto, object: account, when: "motto = 'x'"}
  - {id: named, object: account, when: name is not null}
acceptance:
  account.city: {accept_at: 0.9, review_at: 0.3}
  account.motto: {accept_at: 0.9, review_at: 0.3}
"""


class Unsure:
    """Reads the word after `in`, and is never sure."""

    def propose(self, requests: Iterable[FieldRequest]) -> Iterator[Proposal]:
        for request in requests:
            document = request.documents[0]
            at = document.text.index(" in ") + 4
            word = document.text[at:].split()[0].strip(".")
            quote = Evidence(document=document.id, quote=word, start=at, end=at + len(word))
            for spec in request.fields:
                yield Proposal(
                    request=request.id, field=spec.name, value=word, confidence=0.6, evidence=(quote,), method="m"
                )


def add(tower: Tower, name: str, text: str) -> None:
    """An account with a text about it."""
    for type_, data in (
        ("record.updated", {"fields": {"name": name}}),
        ("document.added", {"document": f"d-{name}", "kind": "web", "text": text}),
    ):
        event: dict[str, Any] = {
            "id": f"{name}-{type_}", "source": "crm", "type": type_, "subject": f"account/{name}",
            "time": format_time(START), "data": data,
        }  # fmt: skip
        assert tower.take([event])[0].status == "accepted", type_


def test_verdicts_of_people_come_out_as_labels_that_evals_take(tower: Tower, tmp_path: Path) -> None:
    add(tower, "Acme", "Acme works in Turin.")
    add(tower, "Bolt", "Bolt was shown in Milan.")
    add(tower, "Cord", "Cord sings in Rome.")
    tower.enrich(Unsure())
    with tower.database.read() as conn:
        waiting = {(p.record, p.field): p.id for p in queries.proposals(conn, status=("review",))}
    tower.decide(waiting["Acme", "city"], "accept", actor="ada", note="it says so")
    tower.decide(waiting["Bolt", "city"], "reject", actor="ada", note="a fair")
    tower.decide(waiting["Cord", "city"], "reject", actor="bob", note="a tour")
    tower.decide(waiting["Acme", "motto"], "reject", actor="ada", note="no motto")
    right = {
        "id": "fix", "source": "crm", "type": "record.updated", "subject": "account/Bolt",
        "time": format_time(START), "data": {"fields": {"city": "Bergamo"}},
    }  # fmt: skip
    tower.take([right])
    with tower.database.read() as conn:
        listed = {
            a.record: a.id for a in queries.alerts(conn, queries.AlertFilter(rule=("named",)), after=None, limit=9)
        }
    tower.act(listed["Acme"], "resolve", actor="ada", note="False alarm: a test account")
    tower.act(listed["Bolt"], "resolve", actor="bob", note="called them")

    with tower.database.read() as conn:
        labels = labels_of(conn)
    said = {(one.record, one.what): (one.verdict, one.by) for one in labels.verdicts}
    assert said == {
        ("account/Acme", "city"): ("accept", "ada"),
        ("account/Bolt", "city"): ("reject", "ada"),
        ("account/Cord", "city"): ("reject", "bob"),
        ("account/Acme", "motto"): ("reject", "ada"),
        ("account/Acme", "named"): ("false alarm", "ada"),
        ("account/Bolt", "named"): ("right", "bob"),
    }
    assert labels.left_out == {
        "account.motto is no field that evals ask for": 1,
        "rejected, and the right value is not known": 1,
    }
    made = {case.group: case.expected for case in labels.cases}
    assert made == {"account/Acme": {"city": "Turin"}, "account/Bolt": {"city": "Bergamo"}}
    assert {case.input.record["name"]: case.expected for case in labels.gate} == {
        "Acme": "accept", "Bolt": "refuse", "Cord": "refuse",
    }  # fmt: skip
    for name, lines in (("cases", labels.cases), ("gate", labels.gate)):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert len(read_cases(tmp_path / "cases.jsonl")) == 2
    gate = read_gate_cases(tmp_path / "gate.jsonl")
    assert {case.proposal().evidence[0].quote for case in gate} == {"Turin", "Milan", "Rome"}


@pytest.mark.parametrize("said", ["", "false_alarm", "done"])
def test_each_verdict_on_an_alert_arrives_as_a_label_and_what_is_taken_back_is_none(tower: Tower, said: str) -> None:
    add(tower, "Acme", "Acme works in Turin.")
    with tower.database.read() as conn:
        [alert] = queries.alerts(conn, queries.AlertFilter(rule=("named",)), after=None, limit=9)
    tower.act(alert.id, "resolve", actor="ada", verdict=said)
    with tower.database.read() as conn:
        [label] = labels_of(conn).verdicts
        counted = boards.tallies(conn)["named"]
    wrong = said == "false_alarm"
    assert (label.verdict, label.by) == ("false alarm" if wrong else "right", "ada")
    assert (counted.false_alarms, counted.judged) == (int(wrong), 1), "the rulebook browser counts the same"
    tower.act(alert.id, "reopen", actor="ada")
    tower.take([gone(tower)])
    with tower.database.read() as conn:
        row = queries.alert_by_id(conn, alert.id)
        assert row is not None and row.status == "resolved", "by the facts"
        assert labels_of(conn).verdicts == ()


def test_a_verdict_on_a_proposal_that_is_taken_back_is_no_label(tower: Tower) -> None:
    add(tower, "Acme", "Acme works in Turin.")
    tower.enrich(Unsure())
    with tower.database.read() as conn:
        waiting = {p.field: p.id for p in queries.proposals(conn, status=("review",))}
    for field, verdict in (("city", "accept"), ("motto", "reject")):
        tower.decide(waiting[field], verdict, actor="ada")  # type: ignore[arg-type]
        tower.withdraw(waiting[field], actor="ada")
    with tower.database.read() as conn:
        assert labels_of(conn).verdicts == ()


def gone(tower: Tower) -> dict[str, Any]:
    """Acme loses its name."""
    return {
        "id": "gone", "source": "crm", "type": "record.updated", "subject": "account/Acme",
        "time": format_time(tower.clock()), "data": {"fields": {"name": None}},
    }  # fmt: skip


def test_where_nobody_decided_anything_there_are_no_labels(tower: Tower) -> None:
    add(tower, "Acme", "Acme works in Turin.")
    tower.enrich(Unsure())
    with tower.database.read() as conn:
        labels = labels_of(conn)
    assert labels.verdicts == labels.cases == labels.gate == () and json.dumps(labels.left_out) == "{}"
