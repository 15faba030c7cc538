"""Findings about single rules and fields: each in a rulebook that has the fault, and none in one that has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.rules.lint import lint
from watchtower.rules.readers import readers

SOUND = """
objects:
  account:
    label: name
    fields:
      name: {type: text}
      size: {type: integer, fill: enrichment}
      open_deals: {type: integer, rollup: {count: records, over: deal, where: stage = 'open'}}
  deal:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [open, won]}
      opened_at: {type: timestamp}
      held: {type: boolean}
      amount: {type: money}
      phone: {type: phone, personal: true, read_by: sales}
calendars: {office: {days: [mon], hours: ["09:00", "18:00"]}}
acceptance: {account.size: {accept_at: 0.9}}
queues: {inbox: {}}
roles: {sales: {}}
metrics: {volume: {kind: sum, object: deal, value: amount}}
rules:
  - id: late
    object: deal
    when: business_elapsed(opened_at, 'office', paused_by => held) >= interval '8 hours' and account.size > 5
    owner: sales
    because: It waits.
    examples: [{hit: {stage: open}, at: 2026-03-01T00:00:00Z}, {miss: {stage: won}, at: 2026-03-01T00:00:00Z}]
  - id: many
    object: account
    when: open_deals > 9
    owner: sales
    because: They are many.
    examples: [{hit: {open_deals: 10}, at: 2026-03-01T00:00:00Z}, {miss: {open_deals: 1}, at: 2026-03-01T00:00:00Z}]
"""


def found(folder: Path, text: str) -> list[tuple[int, str]]:
    path = folder / "book.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = load(path)
    return [(fault.line, fault.message) for fault in lint(loaded, compile_rulebook(loaded))]


def test_a_sound_rulebook_has_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("    owner: sales\n    because: It waits.", "    because: It waits.", "- id: late", "rule late has no owner"),
        ("    because: It waits.\n", "", "- id: late", "rule late says no because"),
        ("{hit: {stage: open}, at: 2026-03-01T00:00:00Z}, ", "", "- id: late", "rule late has no example that hits"),
        (", {miss: {stage: won}, at: 2026-03-01T00:00:00Z}", "", "- id: late", "rule late has no example that misses"),
        ("queues: {inbox: {}}", "queues: {desk: {}}", "- id: late", "rule late: the queue 'inbox' is not among queues"),
        ("roles: {sales: {}}", "roles: {support: {}}", "- id: late", "rule late: the owner 'sales' is not among roles"),
        ("acceptance: {account.size: {accept_at: 0.9}}\n", "", "size: {type",
         "account.size is filled by enrichment, and no acceptance rule decides on it"),
        (" and account.size > 5", " and phone is null", "when: business",
         "rule late reads phone, which is personal data"),
        (", read_by: sales", "", "phone: {type",
         "deal.phone is read by nobody: no rule, metric, rollup or signal needs it"),
        (" and account.size > 5", "", "size: {type",
         "account.size is read by nobody: no rule, metric, rollup or signal needs it"),
        ("    label: name\n", "", "name: {type",
         "account.name is read by nobody: no rule, metric, rollup or signal needs it"),
        ("metrics: {volume: {kind: sum, object: deal, value: amount}}\n", "", "amount: {type",
         "deal.amount is read by nobody: no rule, metric, rollup or signal needs it"),
        ("value: amount", "value: amuont", "metrics:",
         "metric volume: deal has no field 'amuont'; did you mean 'amount'?"),
        (", paused_by => held", "", "held: {type",
         "deal.held is read by nobody: no rule, metric, rollup or signal needs it"),
    ],
)  # fmt: skip
def test_each_finding_is_named_with_its_place(tmp_path: Path, old: str, new: str, place: str, message: str) -> None:
    assert old in SOUND
    text = SOUND.replace(old, new)
    findings = found(tmp_path, text)
    lines = {line for line, said in findings if said == message}
    starts = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().startswith(place)]
    assert starts and lines and min(abs(line - start) for line in lines for start in starts) <= 4, findings


def test_rollups_over_records_cannot_go_round_in_a_circle(tmp_path: Path) -> None:
    text = SOUND.replace("stage = 'open'}}", "account.open_deals > 1}}")
    path = tmp_path / "book.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Exception, match="a rollup over records reads only their own fields"):
        compile_rulebook(load(path))


def test_readers_name_everybody_who_reads_a_field(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(SOUND, encoding="utf-8")
    assert readers(compile_rulebook(load(path))) == {
        ("account", "name"): ("object account",),
        ("account", "size"): ("rule late",),
        ("account", "open_deals"): ("rule many",),
        ("deal", "account"): ("rule late", "rollup account.open_deals"),
        ("deal", "stage"): ("rollup account.open_deals",),
        ("deal", "opened_at"): ("rule late",),
        ("deal", "held"): ("rule late",),
        ("deal", "amount"): ("metric volume",),
        ("deal", "phone"): (),
    }
