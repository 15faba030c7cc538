"""Lifecycles, handoffs, budgets, cadences and expiry become ordinary rules, with stable ids and places of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from watchtower.errors import RulebookError
from watchtower.flow.examples import run_examples
from watchtower.rulebook import Loaded, from_content, load
from watchtower.rules.compile import compile_rulebook

OBJECTS = """
name: derived
timezone: Europe/Rome
objects:
  deal:
    fields:
      stage: {type: enum, values: [discovery, proposal, won, lost]}
      amount: {type: money}
      scope: {type: text}
      loss_reason: {type: text}
      discount: {type: number}
      approver: {type: text}
      delivery_owner: {type: text}
      proposed_at: {type: timestamp}
      reviewed_at: {type: timestamp}
      created_at: {type: timestamp}
      order: {type: text}
      industry: {type: text, fill: enrichment}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
"""
STATES = """
      discovery: {next: [proposal, lost], requires: [amount], at_most: 30 days}
      proposal: {next: [won, lost], enter: amount > 0, leave: {when: scope is not null, to: [won]}}
      won: {final: true}
      lost: {final: true, requires: [loss_reason]}
"""
LIFECYCLE = f"""
lifecycles:
  deal:
    object: deal
    owner: sales
    queue: deals
    starts: [discovery]
    states:{STATES}"""


def book(folder: Path, *parts: str) -> Loaded:
    path = folder / "book.yaml"
    path.write_text("\n".join((OBJECTS, *parts)), encoding="utf-8")
    return load(path)


def rules(loaded: Loaded) -> dict[str, Any]:
    return {rule.id: rule for rule in compile_rulebook(loaded).book.rules}


def faults(folder: Path, *parts: str) -> list[str]:
    with pytest.raises(RulebookError) as caught:
        compile_rulebook(book(folder, *parts))
    return [str(fault).rpartition("book.yaml:")[2] for fault in caught.value.faults]


def test_each_line_of_a_lifecycle_is_a_rule_with_a_stable_id(tmp_path: Path) -> None:
    found = rules(book(tmp_path, LIFECYCLE))
    assert {key: rule.when for key, rule in found.items()} == {
        "deal.discovery.incomplete": "stage = 'discovery' and (amount is null)",
        "deal.discovery.stuck": "stage = 'discovery' and changed_at(stage) <= now() - interval '30 days'",
        "deal.proposal.entered": "stage = 'proposal' and not (amount > 0)",
        "deal.proposal.left": (
            "previous(stage) is not null and previous(stage) = 'proposal' and stage in ('won') "
            "and not (scope is not null)"
        ),
        "deal.lost.incomplete": "stage = 'lost' and (loss_reason is null)",
        "deal.moves": (
            "(previous(stage) is null and stage not in ('discovery')) or (previous(stage) is not null and ("
            "(previous(stage) = 'discovery' and stage not in ('proposal', 'lost')) "
            "or (previous(stage) = 'proposal' and stage not in ('won', 'lost')) "
            "or (previous(stage) = 'won' and stage is not null) or (previous(stage) = 'lost' and stage is not null)))"
        ),
    }
    assert {rule.owner for rule in found.values()} == {"sales"}
    assert {rule.queue for rule in found.values()} == {"deals"}


def test_a_handoff_is_a_contract_of_rules(tmp_path: Path) -> None:
    found = rules(book(tmp_path, """
handoffs:
  to_delivery:
    object: deal
    from: sales
    to: delivery
    due: {when: stage = 'won', within: 2 days}
    requires: [scope, amount]
    criteria: amount > 0
    responsible: delivery_owner
    answer: 24 hours
    reoffer: {time: 8 hours, calendar: office, severity: low}
"""))  # fmt: skip
    offered = "to_delivery.status is not null and to_delivery.status"
    assert {key: (rule.when, rule.owner) for key, rule in found.items()} == {
        "to_delivery.due": ("(stage = 'won') and to_delivery.status is null", "sales"),
        "to_delivery.incomplete": (
            f"{offered} in ('offered', 'accepted') and (scope is null or amount is null)", "sales"),
        "to_delivery.unmet": (f"{offered} in ('offered', 'accepted') and not (amount > 0)", "sales"),
        "to_delivery.unowned": (f"{offered} = 'accepted' and delivery_owner is null", "delivery"),
        "to_delivery.limbo": (
            f"{offered} = 'offered' and to_delivery.offered_at <= now() - interval '24 hours'", "delivery"),
        "to_delivery.rejected": (
            f"{offered} = 'rejected' and business_elapsed(to_delivery.rejected_at, 'office') "
            ">= interval '8 hours'", "sales"),
    }  # fmt: skip
    assert found["to_delivery.due"].for_ == "2 days" and found["to_delivery.rejected"].severity == "low"


def test_the_tiers_of_a_budget_do_not_overlap(tmp_path: Path) -> None:
    found = rules(book(tmp_path, """
budgets:
  discount:
    object: deal
    field: discount
    approved_by: approver
    where: stage <> 'lost' or stage is null
    tiers: [{over: 20, approvers: [director, cfo]}, {over: 35.5, approvers: cfo, severity: critical}]
"""))  # fmt: skip
    assert {key: rule.when for key, rule in found.items()} == {
        "discount.over_20": (
            "(stage <> 'lost' or stage is null) and discount > 20 and discount <= 35.5 "
            "and (approver is null or approver not in ('director', 'cfo'))"
        ),
        "discount.over_35_5": (
            "(stage <> 'lost' or stage is null) and discount > 35.5 and (approver is null or approver not in ('cfo'))"
        ),
    }


def test_a_cadence_and_an_expiry_count_from_the_last_time(tmp_path: Path) -> None:
    found = rules(book(tmp_path, """
cadences:
  review: {object: deal, every: 7 days, done: reviewed_at, first: created_at, where: stage = 'proposal', owner: sales}
acceptance:
  deal.industry: {expires_after: 180 days, owner: ops}
"""))  # fmt: skip
    assert found["review.overdue"].when == (
        "(stage = 'proposal') and coalesce(reviewed_at, created_at) <= now() - interval '7 days'"
    )
    stale = found["deal.industry.stale"]
    assert stale.when == (
        "industry is not null and source_of(industry) = 'ai' and changed_at(industry) <= now() - interval '180 days'"
    )
    assert stale.owner == "ops"


def test_a_word_that_sql_keeps_for_itself_is_quoted(tmp_path: Path) -> None:
    found = rules(book(tmp_path, LIFECYCLE.replace("[amount]", "[order]")))
    assert found["deal.discovery.incomplete"].when == "stage = 'discovery' and (\"order\" is null)"


def test_a_duty_says_all_that_a_rule_says(tmp_path: Path) -> None:
    duty = """
      discovery:
        next: [proposal, lost]
        at_most:
          time: 30 days
          for: 1 hour
          severity: critical
          queue: urgent
          owner: director
          because: Too slow.
          then: Call.
          mode: shadow
          examples:
            - {hit: {stage: discovery, changed_at(stage): 2026-03-01T00:00:00Z}, at: 2026-04-01T00:00:00Z}
            - {miss: {stage: proposal, changed_at(stage): 2026-03-01T00:00:00Z}, at: 2026-04-01T00:00:00Z}
"""
    loaded = book(tmp_path, LIFECYCLE.replace(STATES, duty + STATES.split("\n", 2)[2]))
    rule = rules(loaded)["deal.discovery.stuck"]
    said = (rule.for_, rule.severity, rule.queue, rule.owner, rule.because, rule.then, rule.mode)
    assert said == ("1 hour", "critical", "urgent", "director", "Too slow.", "Call.", "shadow")
    outcomes = run_examples(loaded, compile_rulebook(loaded))
    assert [(outcome.kind, outcome.fault) for outcome in outcomes] == [("hit", None), ("miss", None)]


def test_a_failing_example_of_a_derived_rule_is_named_where_it_stands(tmp_path: Path) -> None:
    wrong = STATES.replace(
        "requires: [loss_reason]",
        "requires: {fields: [loss_reason], examples: [{hit: {stage: won}, at: 2026-04-01T00:00:00Z}]}",
    )
    loaded = book(tmp_path, LIFECYCLE.replace(STATES, wrong))
    (outcome,) = run_examples(loaded, compile_rulebook(loaded))
    assert outcome.fault is not None
    line = next(n for n, text in enumerate((tmp_path / "book.yaml").read_text().splitlines(), 1) if "hit:" in text)
    assert (outcome.fault.line, outcome.fault.message.partition(",")[0]) == (line, "rule deal.lost.incomplete")


def test_a_fault_in_a_criterion_is_named_at_its_own_line_and_column(tmp_path: Path) -> None:
    for old, new, column in (
        ("enter: amount > 0", "enter: amount > 0 and colour = 'red'", 62),
        ("when: scope is not null", "when: scope is not null and colour = 'red'", 100),
    ):
        (fault,) = faults(tmp_path, LIFECYCLE.replace(old, new))
        text = (tmp_path / "book.yaml").read_text().splitlines()
        line = next(n for n, row in enumerate(text, 1) if "colour" in row)
        assert fault.startswith(f"{line}:{text[line - 1].index('colour') + 1}: "), (fault, column)
        assert "deal has no field 'colour'" in fault


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (LIFECYCLE.replace("[won, lost]", "[won, gone]"), "proposal.next: 'gone' is not one of its states"),
        (LIFECYCLE.replace("      won: {final: true}\n", "").replace("[won", "[lost"),
         "deal.stage may be 'won', which is none of its states"),
        (LIFECYCLE.replace("[proposal, lost]", "[discovery]"), "a record does not move from discovery to itself"),
        (LIFECYCLE.replace("starts: [discovery]", "starts: [begin]"), "starts: 'begin' is not one of its states"),
        (LIFECYCLE.replace("{final: true}", "{final: true, at_most: 3 days}"), "a final state has no at_most"),
        (LIFECYCLE.replace("object: deal", "object: deal\n    field: amount"), "deal.amount is money, no enum"),
        (LIFECYCLE.replace("object: deal", "object: deal\n    field: stag"), "did you mean 'stage'?"),
        (LIFECYCLE.replace("object: deal", "object: dael"), "unknown object 'dael'; did you mean 'deal'?"),
        (LIFECYCLE.replace("30 days", "30 dayz"), "rule deal.discovery.stuck"),
        (LIFECYCLE.replace("at_most: 30 days", "at_most: {time: 1 day, paused_by: order}"), "name the calendar"),
        ("handoffs: {stage: {object: deal}}", "deal has a field of the same name"),
        ("handoffs: {h: {object: deal, answer: {time: 1 hour, calendar: night}}}", "unknown calendar 'night'"),
        ("budgets: {b: {object: deal, field: discount, approved_by: approver, "
         "tiers: [{over: 5, approvers: a}, {over: 5, approvers: b}]}}", "the limits rise from tier to tier"),
        ("cadences: {c: {object: deal, every: 7 days, done: reviewed, first: created_at}}", "no field 'reviewed'"),
        ("metrics: {m: {kind: share, object: deal}}", "a share says object, of; of is missing"),
        ("metrics: {m: {kind: velocity, lifecycle: dael}}", "unknown lifecycle 'dael'"),
        ("scorecards: {seller: {measures: {wins: 3}}}", "unknown metric 'wins'"),
    ],
)  # fmt: skip
def test_a_part_that_makes_no_sense_is_refused_with_the_reason(tmp_path: Path, part: str, message: str) -> None:
    found = faults(tmp_path, part)
    assert any(message in fault for fault in found), found


def test_a_rule_that_takes_the_id_of_a_derived_one_is_refused(tmp_path: Path) -> None:
    written = "rules: [{id: deal.discovery.stuck, object: deal, when: stage = 'won'}]"
    (fault,) = faults(tmp_path, LIFECYCLE, written)
    assert "the rule id 'deal.discovery.stuck' stands twice" in fault


def test_the_version_is_of_what_was_written_and_survives_its_own_content(tmp_path: Path) -> None:
    loaded = book(tmp_path, LIFECYCLE)
    again = from_content(loaded.rulebook.content())
    assert again.version == loaded.rulebook.version
    assert [rule.id for rule in again.rules] == [rule.id for rule in loaded.rulebook.rules]
    assert "rules" not in loaded.rulebook.content()
    longer = book(tmp_path, LIFECYCLE.replace("30 days", "31 days"))
    assert longer.rulebook.version != loaded.rulebook.version
