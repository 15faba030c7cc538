"""Findings about lifecycles and handoffs: each in a rulebook that has it, and none in one that has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.rulebook import load
from watchtower.rules.lint_flows import flows

SOUND = """
objects: {deal: {fields: {stage: {type: enum, values: [open, won, lost]}, scope: {type: text}}}}
lifecycles:
  deal:
    object: deal
    owner: sales
    starts: [open]
    states:
      open: {next: [won, lost]}
      won: {final: true}
      lost: {final: true, next: [open]}
handoffs:
  to_delivery: {object: deal, from: sales, to: delivery, requires: [scope], answer: 24 hours}
"""


def found(folder: Path, text: str) -> list[str]:
    path = folder / "book.yaml"
    path.write_text(text, encoding="utf-8")
    return [fault.message for fault in flows(load(path))]


def test_a_sound_lifecycle_and_a_whole_contract_have_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "findings"),
    [
        ("won: {final: true}", "won: {}", ["lifecycle deal: no one can leave won"]),
        ("[won, lost]}\n", "[lost]}\n", ["lifecycle deal: won cannot be reached"]),
        ("won: {final: true}", "won: {next: [open]}", []),
        (
            "final: true, next: [open]",
            "next: [open]",
            [],
        ),
        ("    owner: sales\n", "", [f"lifecycle deal: {state} has no owner" for state in ("open", "won", "lost")]),
        (", answer: 24 hours", "", ["handoff to_delivery: nobody notices one that is not answered"]),
        ("requires: [scope], ", "", ["handoff to_delivery asks for nothing, so nothing can be missing"]),
        ("from: sales, ", "", ["handoff to_delivery does not say from whom to whom"]),
    ],
)
def test_each_finding_is_named(tmp_path: Path, old: str, new: str, findings: list[str]) -> None:
    assert old in SOUND
    assert found(tmp_path, SOUND.replace(old, new)) == findings


def test_a_round_that_never_ends_is_named(tmp_path: Path) -> None:
    text = SOUND.replace("values: [open, won, lost]", "values: [open, won, lost, a, b]").replace(
        "starts: [open]", "starts: [open, a]"
    )
    text = text.replace("      won: {final", "      a: {next: [b]}\n      b: {next: [a]}\n      won: {final")
    assert found(tmp_path, text) == [f"lifecycle deal: from {state} no final state can be reached" for state in "ab"]
