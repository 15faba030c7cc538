"""What a single normaliser promises beyond its examples: public suffixes, regions, refusals that say what to do."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import idna
import pytest

from benchmarks.titles import labelled, told, tuning
from enrichment.normalise import normalise
from enrichment.normalise.domain import registrable
from enrichment.normalise.legal_forms import forms, joined
from enrichment.normalise.quantity import number, written

VECTOR = re.compile(r"^checkPublicSuffix\((null|'[^']*'), (null|'[^']*')\);")


def _vectors() -> list[tuple[str | None, str | None]]:
    """The public test vectors, as the package of the list ships them."""
    spec = importlib.util.find_spec("publicsuffixlist")
    assert spec is not None and spec.origin is not None
    return _read(Path(spec.origin).parent / "test_psl.txt")


def _read(path: Path) -> list[tuple[str | None, str | None]]:
    found = [VECTOR.match(line) for line in path.read_text("utf-8").splitlines()]
    pairs = [(match[1], match[2]) for match in found if match]
    return [tuple(None if text == "null" else text.strip("'") for text in pair) for pair in pairs]  # type: ignore[misc]


def _check(given: str | None, expected: str | None) -> None:
    if given is None:
        return
    assert registrable(given) == expected, given
    if given.startswith("."):
        return
    found = normalise("domain", given)
    assert found is not None
    in_ascii = None if expected is None else idna.encode(expected, uts46=True).decode()
    assert found.value == in_ascii, found


def test_the_public_suffix_vectors_that_the_package_ships_hold() -> None:
    vectors = _vectors()
    assert len(vectors) > 70
    for given, expected in vectors:
        _check(given, expected)


def test_the_public_suffix_vectors_beside_the_project_hold(shared_data: Path) -> None:
    vectors = _read(shared_data / "names" / "psl_test_psl.txt")
    assert len(vectors) > 70
    for given, expected in vectors:
        _check(given, expected)


def test_a_form_of_the_register_counts_in_its_own_country_only() -> None:
    abroad, home = normalise("legal_name", "Foo AJ", ""), normalise("legal_name", "Foo AJ", "GB")
    assert abroad is not None and home is not None
    assert "form" not in abroad.parts and "form" not in home.parts
    there = normalise("legal_name", "Foo Soc.Col.", "AR")
    assert there is not None and there.parts["form"] == "Soc.Col." and there.parts["elf"] == "6M8Y"


def test_a_legal_form_bears_its_code_of_iso_20275_where_the_country_is_known() -> None:
    found = normalise("legal_name", "Acme GmbH", "DE")
    assert found is not None and found.parts["elf"] == "2HBR"
    unknown = normalise("legal_name", "Acme GmbH")
    assert unknown is not None and "elf" not in unknown.parts


def test_most_registered_abbreviations_are_taken_off_a_name_in_their_own_country() -> None:
    """The register's own abbreviations, of at least three letters so that they are no initials."""
    tried = [(country, entry.text) for (country, key), entry in forms().registered.items() if 2 < len(key) < 12]
    taken = 0
    for country, text in tried:
        found = normalise("legal_name", f"Zyx {text}", country)
        taken += found is not None and found.parts.get("name") == "Zyx"
    assert len(tried) > 1000 and taken / len(tried) > 0.97, (taken, len(tried))


def test_the_table_of_forms_gives_each_spelling_once() -> None:
    assert all(form.text for form in forms().usual.values())
    assert forms().usual[joined("S.p.A.")].text == "S.p.A."


def test_a_legal_form_alone_is_no_company() -> None:
    for raw in ("GmbH", "Co., Ltd.", "S.p.A."):
        found = normalise("legal_name", raw)
        assert found is not None and "without a name" in found.because


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", "1234"), ("1.234", "1234"), ("1,23", "1.23"), ("1.234.567", "1234567"), ("1,234.5", "1234.5"),
        ("1.234,5", "1234.5"), ("1 234,50", "1234.5"), ("0.5", "0.5"), ("4,00,000", "400000"), ("1'000", "1000"),
    ],
)  # fmt: skip
def test_marks_of_thousands_and_decimals_are_told_apart(text: str, value: str) -> None:
    found = number(text)
    assert found is not None and written(found) == value


@pytest.mark.parametrize("text", ["1,2,3", "1.2.3", "1,234,5", "1.234.5", ",5,", "1,,2", "12,34,5"])
def test_marks_that_make_no_sense_are_no_number(text: str) -> None:
    assert number(text) is None


def test_a_phone_number_without_a_country_says_what_is_missing() -> None:
    found = normalise("phone", "030 1234567")
    assert found is not None and "name the region" in found.because


def test_a_sign_of_several_currencies_is_assumed_openly() -> None:
    alone, in_canada = normalise("money", "$5"), normalise("money", "$5", "CA")
    assert alone is not None and alone.value == "USD 5" and alone.parts["assumed"] == "yes"
    assert in_canada is not None and in_canada.value == "CAD 5" and "assumed" not in in_canada.parts


def test_a_state_that_is_a_country_code_needs_more_than_two_letters() -> None:
    found = normalise("address", "Springfield, IL")
    assert found is not None and "write the country out" in found.because
    german = normalise("address", "Hauptstr. 5, 10115 Berlin, DE")
    assert german is not None and german.parts["country"] == "DE"


def test_a_public_mailbox_is_marked_since_it_names_no_company() -> None:
    found = normalise("email", "Maria@GMAIL.com")
    assert found is not None and found.parts["free"] == "yes"
    desk = normalise("email", "info@acme.com")
    assert desk is not None and desk.parts["role"] == "yes"


def test_functions_of_titles_that_nothing_was_tuned_on_are_mostly_right(shared_data: Path) -> None:
    pairs = labelled(shared_data / "titles" / "onet_alternate_titles_mgmt_biz_it_sales.csv")
    held_out = [(function, told(title, "function")) for title, function in pairs if not tuning(title)]
    said = [(function, found) for function, found in held_out if found]
    assert len(said) / len(held_out) > 0.75
    assert sum(function == found for function, found in said) / len(said) > 0.75


def test_most_companies_of_a_list_lose_their_legal_form_and_keep_their_name(shared_data: Path) -> None:
    lines = (shared_data / "names" / "cleanco_companies_country.csv").read_text("utf-8-sig").splitlines()
    found = [normalise("legal_name", line.rpartition(";")[0]) for line in lines]
    with_form = [one for one in found if one is not None and "form" in one.parts]
    assert len(with_form) / len(lines) > 0.9
    assert all(one.parts["name"] in one.raw.replace(",", "") or one.parts["name"] in one.raw for one in with_form)
