"""The label of rules that read what AI may supply: each way by which a worker's word reaches a condition bears it."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook

BOOK = """
name: labels
timezone: Europe/Rome
objects:
  account:
    fields:
      segment: {type: enum, values: [smb, mid]}
      industry: {type: text, fill: enrichment}
      deals: {type: integer, rollup: {count: records, over: deal, via: account}}
      guessed: {type: integer, rollup: {count: records, over: deal, via: likely}}
      named: {type: integer, rollup: {count: records, over: deal, via: account, where: rival is not null}}
  deal:
    fields:
      account: {type: ref, to: account}
      likely: {type: ref, to: account, fill: enrichment}
      rival: {type: text, fill: enrichment}
      stage: {type: text}
      waits: {type: boolean, fill: enrichment}
      on_hold: {type: boolean}
      opened_at: {type: timestamp}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
signals:
  quiet: {object: deal, detector: stage_dwell, field: stage}
"""
PLAIN = (
    "stage = 'won'",
    "account.segment = 'smb'",
    "account.deals > 1",
    "changed_at(stage) <= now() - interval '1 day'",
    "business_elapsed(opened_at, 'office', paused_by => on_hold) >= interval '8 hours'",
)
INFORMED = (
    "rival = 'Acme'",
    "rival is not null or stage = 'won'",
    "source_of(rival) = 'ai'",
    "previous(rival) = 'Acme'",
    "changed_at(rival) <= now() - interval '1 day'",
    "account.industry = 'bolts'",
    "changed_at(account.industry) is null",
    "likely.segment = 'smb'",
    "changed_at(likely.segment) is null",
    "likely.deals > 1",
    "account.guessed > 1",
    "account.named > 1",
    "quiet.p_value < 0.01",
    "business_elapsed(opened_at, 'office', paused_by => waits) >= interval '8 hours'",
)


@pytest.mark.parametrize(("condition", "informed"), [(c, False) for c in PLAIN] + [(c, True) for c in INFORMED])
def test_a_rule_is_labelled_where_a_workers_word_can_reach_it(condition: str, informed: bool, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f'{BOOK}rules:\n  - {{id: it, object: deal, when: "{condition}"}}\n')
    assert compile_rulebook(load(path)).by_id["it"].ai_informed is informed
