"""An audit of the rulebook alone: each gap in a rulebook that has it, and none in one that has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.flow.audit.finding import Finding
from watchtower.flow.audit.page import html
from watchtower.flow.audit.review import Review, audit
from watchtower.rulebook import DEFAULT, load
from watchtower.rules.compile import compile_rulebook

SOUND = """
name: sound
roles: {seller: null, maker: null}
queues: {desk: {owner: seller}, floor: {owner: maker}}
objects:
  account:
    label: name
    fields:
      name: {type: text}
      size: {type: integer, fill: enrichment, description: People employed}
      renewal_at: {type: timestamp, description: When the contract ends}
      paid: {type: money, description: What it pays a year}
  deal:
    value: amount
    owner: owner
    fields:
      stage: {type: enum, values: [open, won, lost], description: How far it is}
      owner: {type: text}
      account: {type: ref, to: account}
      amount: {type: money, description: What it is worth a year}
      discount: {type: number, description: Off the list price in percent}
      approver: {type: enum, values: [boss], description: Who agreed to the discount}
      scope: {type: text, description: What was sold}
      loss_reason: {type: enum, values: [price, time], description: Why we lost it}
      forecast: {type: enum, values: [sure, maybe], description: Whether we count on it}
  job:
    owner: owner
    fields:
      owner: {type: text}
      stage: {type: enum, values: [begun, done], description: How far it is}
      report: {type: text, description: What was delivered}
  forecast_month:
    fields:
      opened_at: {type: timestamp, description: When the month was opened}
      reviewed_at: {type: timestamp, description: The last review}
acceptance: {account.size: {accept_at: 0.9}}
signals:
  odd: {object: deal, detector: stage_dwell, field: stage}
lifecycles:
  deal:
    object: deal
    owner: seller
    queue: desk
    starts: [open]
    states:
      open: {meaning: We talk., next: [won, lost], at_most: 30 days}
      won: {meaning: Signed., final: true, requires: [scope, amount]}
      lost: {meaning: "Not signed, and we know why.", final: true, requires: [loss_reason]}
  job:
    object: job
    owner: maker
    queue: floor
    starts: [begun]
    states:
      begun: {meaning: We build it., next: [done], at_most: 60 days}
      done: {meaning: It is delivered., final: true, enter: report is not null}
handoffs:
  to_makers:
    object: deal
    from: seller
    to: maker
    queue: floor
    accepted: They can build it.
    rejected: They cannot.
    requires: [scope]
    answer: 24 hours
    reoffer: 48 hours
budgets:
  discount:
    {object: deal, field: discount, approved_by: approver, owner: seller, tiers: [{over: 20, approvers: [boss]}]}
metrics:
  wins: {kind: conversion, lifecycle: deal, owner: seller, target: 0.3}
  pace: {kind: velocity, lifecycle: job, owner: maker, target: 30}
  kept: {kind: retention, object: account, value: paid, owner: seller, target: 1}
scorecards:
  seller: {measures: {wins: null, kept: null}}
  maker: {measures: {pace: null}}
cadences:
  weekly:
    {object: forecast_month, every: 7 days, done: reviewed_at, first: opened_at, owner: seller, agenda: [wins]}
rules:
  - {id: deal_unowned, object: deal, when: stage = 'open' and owner is null, owner: seller, because: x}
  - {id: job_unowned, object: job, when: stage = 'begun' and owner is null, owner: maker, queue: floor, because: x}
  - {id: too_small, object: deal, when: stage = 'open' and account.size < 20, owner: seller, because: x}
  - {id: renewal_near, object: account, when: renewal_at <= now() + interval '60 days', owner: seller, because: x}
  - {id: forecast_unsaid, object: deal, when: stage = 'open' and forecast is null, owner: seller, because: x}
  - {id: odd_deal, object: deal, when: odd.p_value is not null and odd.p_value < 0.05, owner: seller, because: x}
"""


def review(folder: Path, text: str) -> Review:
    path = folder / "book.yaml"
    path.write_text(text, encoding="utf-8")
    return audit(compile_rulebook(load(path)), None)


def finding(found: Review, title: str) -> Finding:
    (one,) = [one for one in found.findings if one.title == title]
    return one


def test_a_sound_rulebook_lacks_only_the_examples_of_its_rules(tmp_path: Path) -> None:
    found = review(tmp_path, SOUND)
    assert [(one.priority, one.title) for one in found.findings] == [("P1", "Proven rules: missing")]
    assert {c.part.key: c.status for c in found.components if c.status != "in place"} == {"proof": "missing"}
    assert found.unused.fields == () and found.seams == ()


@pytest.mark.parametrize(
    ("old", "new", "priority", "title"),
    [
        ("    answer: 24 hours\n", "", "P0", "The handoff to_makers lacks a time to answer"),
        ("    to: maker\n", "", "P0", "The handoff to_makers lacks who takes it"),
        ("    requires: [scope]\n", "", "P1", "The handoff to_makers lacks what must be there"),
        ("    reoffer: 48 hours\n", "", "P2", "The handoff to_makers lacks what follows a rejection"),
        ("roles: {seller: null, maker: null}\n", "", "P0", "Ownership: missing"),
        (", at_most: 30 days", "", "P2", "Time limits: 1 of 2 open states does not have a limit of time"),
        ("meaning: We talk., ", "", "P2", "Lifecycle: 1 of 5 states does not say what they mean"),
        (", requires: [loss_reason]", "", "P2", "Feedback: 1 of 3 final states does not ask what was learned"),
        ("  pace: {kind: velocity, lifecycle: job", "  pace: {kind: count, object: job", "P2",
         "Metrics: 1 of 2 lifecycles does not have their conversion or velocity measured"),
        (", kept: null", "", "P2", "1 metric that nobody looks at"),
        ("queue: floor, because", "queue: desk, because", "P2", ""),
        ("floor: {owner: maker}", "floor: {owner: maker}, attic: {owner: maker}", "P2", "1 queue that no rule fills"),
        ("maker: null}", "maker: null, idler: null}", "P2", "1 role that answers for nothing"),
        ("      forecast: {type: enum", "      mood: {type: text}\n      forecast: {type: enum", "P2",
         "1 field that nothing reads"),
        ("agenda: [wins]", "agenda: [talk]", "P2", "Cadences: 1 of 1 cadences does not look at a metric"),
        ("acceptance: {account.size: {accept_at: 0.9}}\n", "", "P1",
         "Facts that rules need: nothing decides on account.size"),
        ("      renewal_at:", "      scope: {type: integer, description: x}\n      renewal_at:", "P2",
         "Data definitions: 1 term of more than one type or unit"),
        ("won: {meaning: Signed., final", "won: {meaning: Signed., owner: maker, next: [open], final", "P1",
         "Work changes hands from maker to seller without a contract"),
    ],
)  # fmt: skip
def test_each_gap_is_found_with_its_priority(tmp_path: Path, old: str, new: str, priority: str, title: str) -> None:
    assert old in SOUND
    found = review(tmp_path, SOUND.replace(old, new))
    if title:
        one = finding(found, title)
        assert one.priority == priority and one.evidence and one.reason and one.do
    else:  # where it is told makes no gap
        assert len(found.findings) == 1


def test_what_stands_on_a_missing_foundation_is_blocked_by_it(tmp_path: Path) -> None:
    text = SOUND[: SOUND.index("lifecycles:")] + SOUND[SOUND.index("budgets:") :]
    text = text.replace("  wins: {kind: conversion, lifecycle: deal", "  wins: {kind: count, object: deal")
    found = review(
        tmp_path, text.replace("  pace: {kind: velocity, lifecycle: job", "  pace: {kind: count, object: job")
    )
    by_key = {component.part.key: component for component in found.components}
    assert by_key["handoffs"].status == "missing" and by_key["handoffs"].blocked_by == ("Lifecycle",)
    assert by_key["retention"].blocked_by == ("Lifecycle", "Handoffs") and by_key["approvals"].blocked_by == ()
    one = finding(found, "Lifecycle: missing")
    assert one.priority == "P0" and "Handoffs" in one.reason
    assert finding(found, "Handoffs: missing").reason == "Blocked by Lifecycle: build that first."
    assert found.maturity.stage == "ad hoc"


def test_the_stage_is_the_highest_whose_criteria_all_hold(tmp_path: Path) -> None:
    found = review(tmp_path, SOUND)
    assert (found.maturity.stage, found.maturity.next) == ("defined", "managed")
    said = {criterion.says: criterion.met for criterion in found.maturity.open}
    assert said == {
        "every rule has an example that hits and one that misses": False,
        "no handoff lies unanswered past its time": None,
    }, "what only events can tell is not known, and does not count"
    assert review(tmp_path, SOUND.replace("meaning: We talk., ", "")).maturity.stage == "ad hoc"


def test_the_shipped_rulebook_has_each_component() -> None:
    found = audit(compile_rulebook(load(DEFAULT)), None)
    assert {component.status for component in found.components} <= {"in place", "partial"}
    assert found.maturity.stage == "defined" and found.counts["P0"] == 0
    assert [c.name for c in found.contracts] == ["sales_to_delivery", "delivery_to_success"]
    assert "sales_to_delivery.limbo" in dict(found.contracts[0].fails)


def test_an_empty_rulebook_is_ad_hoc_and_says_what_to_begin_with(tmp_path: Path) -> None:
    found = review(tmp_path, "objects: {}\n")
    assert found.maturity.stage == "ad hoc" and found.findings[0].title == "Data definitions: missing"
    assert "Data definitions: missing" in html(found)


def test_what_a_rulebook_says_is_escaped_on_the_page(tmp_path: Path) -> None:
    page = html(review(tmp_path, SOUND.replace("name: sound", 'name: "<script>alert(1)</script>"')))
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
