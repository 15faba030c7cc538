"""One run names every fault of a rulebook: those of the form hide none of those of meaning, nor one rule another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.errors import RulebookError
from watchtower.rules.compile import read_program

BOOK = """\
name: faulty
timezone: Europe/Rome
objects:
  account:
    fields:
      employees: {type: integer}
  lead:
    fields:
      account: {type: ref, to: account}
      stage: {type: enum, values: [raw, mql]}
      mql_at: {type: timestamp}
rules:
  - {id: sound, object: lead, when: stage = 'mql' and account.employees > 3}
"""


def faults(folder: Path, text: str) -> list[tuple[int, int, str]]:
    (folder / "book.yaml").write_text(text)
    with pytest.raises(RulebookError) as error:
        read_program(folder / "book.yaml")
    return [(fault.line, fault.column, fault.message) for fault in error.value.faults]


def said(found: list[tuple[int, int, str]], *expected: tuple[int, str]) -> None:
    assert [line for line, _, _ in found] == [line for line, _ in expected], found
    for (_, _, message), (_, words) in zip(found, expected, strict=True):
        assert words in message


def test_faults_of_form_of_reference_and_of_meaning_are_named_together(tmp_path: Path) -> None:
    text = BOOK.replace("Europe/Rome", "Europe/Atlantis") + (
        "  - {id: a, object: leed, when: 1 = 1}\n"
        "  - {id: b, object: lead, when: stage is null, severity: hgih, colour: red}\n"
        "  - {id: c, object: lead, when: stge is null}\n"
        "  - {id: d, object: lead, when: stage is null, inhibits: [nobody]}\n"
        "  - {id: e, object: lead, when: stage is null, for: 2 parsecs}\n"
    )
    said(
        faults(tmp_path, text),
        (2, "'Europe/Atlantis' is not an IANA name"),
        (14, "unknown object 'leed'"),
        (15, "'hgih'"),
        (15, "colour: unknown key"),
        (16, "no field 'stge'"),
        (17, "the unknown rule 'nobody'"),
        (18, "'2 parsecs'"),
    )


def test_every_fault_of_one_condition_is_named_where_it_stands(tmp_path: Path) -> None:
    when = "stge = 'mql' and (foo(1) or mql_at = now()) and not stage = 'sql'"
    found = faults(tmp_path, BOOK + f"  - {{id: a, object: lead, when: {when}}}\n")
    line = f"  - {{id: a, object: lead, when: {when}}}"
    assert [column for _, column, _ in found] == [
        line.index(w) + 1 for w in ("stge", "foo", "mql_at =", "stage = 'sql'")
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("{type: integer}", "{type: intiger}", 6, "'intiger'"),
        ("{type: ref, to: account}", "{type: ref, to: acount}", 9, "unknown object 'acount'"),
        ("values: [raw, mql]", "values: [raw, mql], colour: red", 10, "colour: unknown key"),
    ],
)
def test_what_follows_from_a_fault_is_no_fault_of_its_own(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    """The rule that reads the faulty field is not blamed; another's fault still is."""
    text = BOOK.replace(old, new) + "  - {id: other, object: account, when: size > 3}\n"
    said(faults(tmp_path, text), (line, words), (14, "no field 'size'"))


def test_a_rule_that_waits_for_a_faulty_one_is_not_blamed(tmp_path: Path) -> None:
    text = BOOK + (
        "  - {id: a, object: lead, when: stage is null, severity: hgih}\n"
        "  - {id: b, object: lead, when: stage is null, inhibits: [a]}\n"
        "  - {id: c, object: lead, when: stge is null}\n"
    )
    said(faults(tmp_path, text), (14, "'hgih'"), (16, "no field 'stge'"))


@pytest.mark.parametrize("text", ["rules: []\n", "objects: 7\n", "objects: {lead: 3}\nrules: 7\n", "rules: [3]\n"])
def test_where_little_is_left_what_was_found_is_said(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text)
