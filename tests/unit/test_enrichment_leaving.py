"""What leaves the machine: only to whom the rulebook names, and nothing that says how to reach or charge a person."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from enrichment.calls import Caller, Lane
from enrichment.model import fenced
from enrichment.text import covered
from enrichment.worker import Worker
from prompts import load
from watchtower.contract import Document, FieldRequest, FieldSpec, MayLeave, RecordSnapshot

CHIEF = FieldSpec(name="chief", type="text")
TEXT = "Acme is led by Ann Lee."


class Says:
    name = "stub"

    def __init__(self) -> None:
        self.read: list[str] = []

    def answer(self, instructions: str, question: str, document: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        self.read.append(document)
        return {"business": "cheese", "chief": "Ann Lee", "chief_quote": "led by Ann Lee"}


@pytest.mark.parametrize(
    ("leave", "provider", "region", "read"),
    [
        (None, "openai", "", True),
        (MayLeave(), "openai", "", True),
        (MayLeave(documents=("note",)), "openai", "", True),
        (MayLeave(documents=("web",)), "openai", "", False),
        (MayLeave(documents=()), "openai", "", False),
        (MayLeave(documents=(), providers=("azure",), regions=("eu",)), "local", "", True),
        (MayLeave(providers=("azure",)), "openai", "", False),
        (MayLeave(providers=("azure",)), "azure", "", True),
        (MayLeave(regions=("eu",)), "azure", "us", False),
        (MayLeave(regions=("eu",)), "azure", "", False),
        (MayLeave(regions=("eu",)), "azure", "eu", True),
    ],
)
def test_a_document_is_told_only_to_whom_the_rulebook_names(
    leave: MayLeave | None, provider: str, region: str, read: bool
) -> None:
    model = Says()
    worker = Worker(Caller([Lane(model, provider, region)]), {}, load("extract.v1"))
    record = RecordSnapshot(object="account", id="A", fields={})
    document = Document(id="d", kind="note", text=TEXT)
    request = FieldRequest(id="r", record=record, fields=(CHIEF,), documents=(document,), may_leave=leave)
    said = list(worker.propose([request]))
    assert (len(model.read), len(said)) == ((1, 1) if read else (0, 0))
    assert worker.counts["call.withheld"] == (0 if read else 1)


def canary(dice: random.Random) -> str:
    """A mail address, a telephone, card or account number, as people write them."""
    digits = "".join(dice.choices("0123456789", k=16))
    word = "".join(dice.choices("abcdefghijklmnop", k=8))
    groups = [digits[n : n + 4] for n in range(0, 16, 4)]
    return dice.choice([
        f"{word}.{word[:3]}@{word[3:]}.example",
        f"{word}+x@mail.{word}.co.uk",
        f"+39 0{digits[:1]} {digits[1:5]} {digits[5:9]}",
        f"+1 ({digits[:3]}) {digits[3:6]}-{digits[6:10]}",
        f"0{digits[:3]}/{digits[3:7]}-{digits[7:11]}",
        " ".join(groups),
        "-".join(groups),
        f"DE{digits[:2]} {' '.join(groups)} 00",
        f"GB{digits[:2]}WEST{digits[2:16]}",
        f"IT{digits[:2]}X{digits[2:12]}{digits[:12]}",
        f"FR{digits[:2]} {' '.join(groups)} ABCD 123",
    ])  # fmt: skip


def test_of_a_thousand_canaries_none_is_in_what_a_model_is_told() -> None:
    dice = random.Random(11)
    leaked = []
    for _ in range(1000):
        secret = canary(dice)
        sent = fenced("- chief: text", f"Acme is led by Ann Lee. Reach her: {secret}, or write. Founded in 1950.")
        if secret in sent or secret.replace(" ", "") in sent.replace(" ", ""):
            leaked.append(secret)
        assert "Founded in 1950" in sent
    assert leaked == []


def test_years_figures_and_names_are_not_covered() -> None:
    text = "Founded in 1950, 12,500 people, EUR 1,234,567 in 2024, NYSE: ACME, ISO 9001, EMEA 2025 PLAN."
    assert covered(text) == text
