"""Metrics over a history, against numbers counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import wt

from watchtower.contract import parse_event, parse_time
from watchtower.errors import RulebookError
from watchtower.flow.metrics import measure
from watchtower.rulebook import load

BOOK = """
name: metrics
objects:
  account: {fields: {arr: {type: money}}}
  deal:
    fields:
      stage: {type: enum, values: [open, offer, won, lost]}
      amount: {type: money}
      account: {type: ref, to: account}
      began_at: {type: timestamp}
      closed_at: {type: timestamp}
      asked_at: {type: timestamp}
      answered: {type: boolean}
lifecycles:
  deal:
    object: deal
    owner: sales
    states: {open: {next: [offer, lost]}, offer: {next: [won, lost]}, won: {final: true}, lost: {final: true}}
rules:
  - {id: unanswered, object: deal, when: answered is null and asked_at <= now() - interval '2 days'}
metrics:
  velocity: {kind: velocity, lifecycle: deal}
  conversion: {kind: conversion, lifecycle: deal}
  pipeline: {kind: sum, object: deal, value: amount, where: "stage in ('open', 'offer')"}
  deals: {kind: count, object: deal}
  of_accounts: {kind: share, object: deal, of: account.arr > 100, where: account is not null}
  cycle: {kind: duration, object: deal, start: began_at, end: closed_at, where: stage = 'won'}
  known: {kind: completeness, object: deal, fields: [amount, account]}
  kept: {kind: retention, object: account, value: arr}
  in_time: {kind: adherence, rules: [unanswered]}
scorecards:
  seller: {measures: {pipeline: 1000, known: null}}
"""
STORY: list[tuple[str, str, dict[str, Any]]] = [
    ("account/A", "2026-01-01", {"arr": 100}), ("account/B", "2026-01-01", {"arr": 50}),
    ("deal/1", "2026-01-02", {"stage": "open", "amount": 10, "account": "A", "began_at": "2026-01-02T00:00:00Z"}),
    ("deal/2", "2026-01-02", {"stage": "open", "amount": 20, "account": "B", "asked_at": "2026-01-10T00:00:00Z"}),
    ("deal/3", "2026-01-02", {"stage": "open", "asked_at": "2026-01-20T00:00:00Z"}),
    ("deal/1", "2026-01-12", {"stage": "offer"}), ("deal/2", "2026-01-16", {"stage": "offer"}),
    ("deal/3", "2026-01-22", {"stage": "lost", "answered": True}),
    ("deal/1", "2026-02-01", {"stage": "won", "closed_at": "2026-02-01T00:00:00Z"}),
    ("account/A", "2026-02-02", {"arr": 130}), ("account/B", "2026-02-03", {"arr": 20}),
    ("account/C", "2026-02-03", {"arr": 500}), ("deal/2", "2026-03-01", {"stage": "won"}),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    book, events = tmp_path / "book.yaml", tmp_path / "events.jsonl"
    book.write_text(BOOK)
    rows = [
        {"specversion": "1.0", "id": str(n), "source": "crm", "type": "record.updated", "subject": subject,
         "time": f"{day}T00:00:00Z", "data": {"fields": fields}}
        for n, (subject, day, fields) in enumerate(STORY)
    ]  # fmt: skip
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return book, events


def numbers(files: tuple[Path, Path], start: str, end: str) -> dict[tuple[str, str], tuple[float | None, int]]:
    events = [parse_event(json.loads(line)) for line in files[1].read_text().splitlines()]
    found = measure(load(files[0]), events, parse_time(f"{start}T00:00:00Z"), parse_time(f"{end}T00:00:00Z"))
    return {(m.metric, m.part): (m.value, m.n) for m in found}


def test_each_number_is_what_one_counts_by_hand(files: tuple[Path, Path]) -> None:
    found = numbers(files, "2026-01-05", "2026-02-10")
    assert found == {
        ("velocity", "open"): (14.0, 3),  # 10, 14 and 20 days
        ("velocity", "offer"): (20.0, 1),  # deal 2 has not left it yet
        ("conversion", "open -> offer"): (2 / 3, 3), ("conversion", "open -> lost"): (1 / 3, 3),
        ("conversion", "offer -> won"): (1.0, 1), ("conversion", "offer -> lost"): (0.0, 1),
        ("pipeline", ""): (20.0, 1), ("deals", ""): (3, 3),
        ("of_accounts", ""): (0.5, 2), ("cycle", ""): (30.0, 1),
        ("known", ""): (4 / 6, 6),
        ("kept", ""): (1.0, 2),  # 130 + 20 of 150; C came later
        ("in_time", ""): (0.5, 2),  # deal 2 waited for more than two days, deal 3 was answered on the second
    }  # fmt: skip


def test_a_period_without_a_case_has_no_number(files: tuple[Path, Path]) -> None:
    found = numbers(files, "2025-01-01", "2025-02-01")
    assert set(found.values()) <= {(None, 0), (0, 0)}


def test_a_share_says_how_much_its_number_of_cases_can_carry(files: tuple[Path, Path]) -> None:
    book, events = files
    period = ("--from", "2026-01-05T00:00:00Z", "--to", "2026-02-10T00:00:00Z")
    answer = wt("metrics", book, events, *period, "--json").json()
    (share,) = [m for m in answer["metrics"] if m["part"] == "open -> offer"]
    assert (round(share["low"], 3), round(share["high"], 3)) == (0.208, 0.939)  # Wilson, 2 of 3
    mine = wt("metrics", book, events, *period, "--role", "seller", "--json").json()
    assert [(m["metric"], m["target"]) for m in mine["metrics"]] == [("pipeline", 1000), ("known", None)]
    assert "has no scorecard" in wt("metrics", book, events, *period, "--role", "buyer", code=1).err


def test_a_condition_that_makes_no_sense_is_named_with_its_place(files: tuple[Path, Path]) -> None:
    files[0].write_text(BOOK.replace("of: account.arr > 100", "of: colour = 'red'"))
    with pytest.raises(RulebookError, match=r"book.yaml:\d+:\d+: metric of_accounts: deal has no field 'colour'"):
        measure(load(files[0]), [], parse_time("2026-01-01T00:00:00Z"), parse_time("2026-02-01T00:00:00Z"))
