"""Cases: what is read, what is refused and where, what counts as the same, what masking takes away."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.adapters import TUNE_ROWS, chosen, load_cases, masked
from evals.cases import content_hash, read_cases, suite_hash
from evals.fields import FIELDS, folded, same, stated
from evals.masking import mask_name, name_forms
from evals.places import country_code
from watchtower.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "evals" / "cases" / "enrichment"
FIRMOGRAPHICS = ROOT.parent / "shared" / "data" / "firmographics" / "firmographics_1500.jsonl"

needs_firmographics = pytest.mark.skipif(
    not FIRMOGRAPHICS.exists(), reason="the firmographics are not beside the project (../shared/data)"
)


def line(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "id": "c1",
        "suite": "s",
        "provenance": "this test",
        "split": "test",
        "input": {"record": {"name": "Vellaro"}, "documents": [{"text": "Vellaro sits in Modena."}]},
        "expected": {"city": "Modena"},
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def test_the_cases_that_ship_are_many_hard_and_tagged() -> None:
    cases = read_cases(OWN)
    assert len(cases) >= 300
    tags = Counter(tag for case in cases for tag in case.tags)
    wanted = "contradiction, stale, several companies, language, subsidiary, injection, abstain, numbers, place, format"
    assert all(tags[tag] >= 15 for tag in wanted.split(", ")), tags
    assert sum(1 for case in cases if case.must_pass) >= 100
    splits = Counter(case.split for case in cases)
    assert min(splits["tune"], splits["heldout"]) >= 25 and splits["test"] >= 100
    assert all(case.provenance for case in cases)


def test_every_label_of_the_cases_that_ship_shows_the_words_it_was_read_from() -> None:
    """Reading them has checked that the words stand in the text and that the value follows."""
    for case in read_cases(OWN):
        known = {name for name, value in case.expected.items() if value is not None}
        assert set(case.quotes) == known, case.id


def test_no_two_cases_that_ship_have_nearly_the_same_text() -> None:
    """What is made by filling in a template says the same thing many times."""
    shapes: dict[str, str] = {}
    for case in read_cases(OWN):
        text = " ".join(document.text for document in case.input.documents)
        for name in sorted({str(case.input.record["name"]), *map(str, case.expected.values())}, key=len, reverse=True):
            text = text.replace(name, "_")
        shape = folded(re.sub(r"\d+", "9", text))
        if len(shape) > 40:
            assert shapes.setdefault(shape, case.cluster) == case.cluster, case.id


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": ...}, r"cases.jsonl:2: .*`id`"),
        ({"colour": "red"}, r"cases.jsonl:2: .*`colour`"),
        ({"split": "train"}, r"cases.jsonl:2: .*\$\.split"),
        (
            {"input": {"record": {}, "documents": [{"text": 4}]}},
            r"cases.jsonl:2: .*documents\[0\]\.text",
        ),
        ({"input": {"record": {}, "documents": []}}, "cases.jsonl:2: input.documents: case c2 shows no text"),
        ({"expected": {}}, "cases.jsonl:2: expected: case c2 asks for no field"),
        ({"expected": {"colour": "red"}}, "cases.jsonl:2: expected.colour: unknown field"),
        ({"expected": {"country": "Atlantis"}}, "expected.country: 'Atlantis' is no country"),
        ({"expected": {"sector": "Farming"}}, "expected.sector: 'Farming' is no enum"),
        ({"expected": {"city": None}, "also": {"city": ["Modena"]}}, "also.city: needs a value"),
        ({"quotes": {"city": "sits in Pisa"}}, "quotes.city: 'sits in Pisa' stands in no text"),
        ({"quotes": {"city": "Vellaro sits"}}, "quotes.city: 'Vellaro sits' does not spell out 'Modena'"),
        ({"expected": {"city": None}, "quotes": {"city": "sits"}}, "quotes.city: needs a value in expected.city"),
        ({"inferred": ["city"]}, "inferred: city has no quote"),
        ({"id": "c1"}, "cases.jsonl:2: id: 'c1' stands already at cases.jsonl:1"),
    ],
)
def test_a_wrong_case_is_refused_by_file_line_and_key(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = written(tmp_path, line(), line(**({"id": "c2"} | changes)))
    with pytest.raises(InputError, match=says):
        read_cases(path)


def test_a_file_that_is_not_there_or_empty_or_no_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_cases(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="holds no cases"):
        load_cases(written(tmp_path))
    (tmp_path / "cases.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match="cases.jsonl:1"):
        load_cases(tmp_path / "cases.jsonl")


def test_the_suite_hash_follows_the_label_but_not_the_order_of_keys(tmp_path: Path) -> None:
    one = read_cases(written(tmp_path, line()))
    turned = read_cases(written(tmp_path, dict(reversed(line().items()))))
    other = read_cases(written(tmp_path, line(expected={"city": None})))
    assert suite_hash(one) == suite_hash(turned) != suite_hash(other)


@given(st.dictionaries(st.text(), st.integers() | st.none() | st.text(), max_size=5))
def test_a_content_hash_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert content_hash(value) == content_hash(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("field", "value", "gold", "is_same"),
    [
        ("country", "Italy", "IT", True),
        ("country", "it", "IT", True),
        ("country", "the Netherlands", "NL", True),
        ("country", "Turkey", "TR", True),
        ("country", "Italian", "IT", False),
        ("country", 39, "IT", False),
        ("city", "St. Louis", "Saint Louis", True),
        ("city", "MALMÖ", "Malmö", True),
        ("city", "Malmo", "Malmö", True),
        ("city", "Stockholm", "Malmö", False),
        ("city", "", "Malmö", False),
        ("founded_year", "1974", 1974, True),
        ("founded_year", 1974.0, 1974, True),
        ("founded_year", True, 1, False),
        ("founded_year", "1974?", 1974, False),
        ("employees", "12,500", 12500, True),
        ("sector", "technology", "Technology", True),
    ],
)
def test_values_are_the_same_when_they_say_the_same(field: str, value: Any, gold: Any, is_same: bool) -> None:
    assert same(FIELDS[field], value, gold) is is_same


def test_any_of_several_right_answers_will_do() -> None:
    assert same(FIELDS["city"], "Munich", "München", "Munich")


@pytest.mark.parametrize(
    ("field", "value", "text", "is_stated"),
    [
        ("city", "Modena", "It sits in Modena, Italy.", True),
        ("city", "Mode", "It sits in Modena, Italy.", False),
        ("country", "CN", "Shenzhen, the People's Republic of China.", True),
        ("country", "US", "It sits in Austin, Texas.", False),
        ("employees", 12500, "It has 12,500 people.", True),
        ("founded_year", 1974, "Founded in 1974.", True),
        ("founded_year", 1974, "Part 19741.", False),
        ("sector", "Energy", "Energy for all.", False),
        ("city", None, "None of it.", False),
    ],
)
def test_a_value_is_stated_when_its_words_stand_in_the_text(field: str, value: Any, text: str, is_stated: bool) -> None:
    assert stated(FIELDS[field], value, (text,)) is is_stated


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "Crocs, Inc.",
            "Crocs, Inc. sells shoes. Crocs is old.",
            "The company sells shoes. The company is old.",
        ),
        ("The Coca-Cola Company", "Coca-Cola cans.", "The company cans."),
        ("ZTE Corporation", "ZTE phones", "The company phones"),
        ("Gotion High-Tech Co.,Ltd.", "Gotion High-Tech Co., Ltd. makes cells.", "The company makes cells."),
        ("Bursa Cimento A.S.", "Bursa Cimento sits in Bursa.", "The company sits in Bursa."),
        ("Casa Ltd", "Casablanca", "Casablanca"),
        (
            "Hite Holdings",
            "It was formerly known as Jinro Ltd and changed its name.",
            "It was formerly known as another name and changed its name.",
        ),
    ],
)
def test_masking_takes_the_name_and_leaves_the_place(name: str, text: str, expected: str) -> None:
    assert mask_name(text, name) == expected


def test_name_forms_come_longest_first() -> None:
    forms = name_forms("ComfortDelGro Corporation Limited")
    assert list(forms) == sorted(forms, key=lambda form: (-len(form), form))
    assert {"ComfortDelGro Corporation Limited", "ComfortDelGro"} <= set(forms)


@needs_firmographics
def test_every_country_of_the_firmographics_has_a_code_and_rows_are_split_by_order() -> None:
    cases = load_cases(FIRMOGRAPHICS)
    assert len(cases) == 1500
    assert all(country_code(str(case.expected["country"])) for case in cases)
    assert [case.split for case in cases] == ["tune"] * TUNE_ROWS + ["heldout"] * 500
    by_odd_name = {case.expected["country"] for case in cases}
    assert {"TR", "RU", "MO", "CZ", "MK"} <= by_odd_name


@needs_firmographics
def test_masking_the_firmographics_leaves_no_full_name_and_keeps_nearly_every_city() -> None:
    cases = chosen(load_cases(FIRMOGRAPHICS), limit=None, seed=0)
    after = [masked(case) for case in cases]
    leaks = [
        case.id
        for case, other in zip(cases, after, strict=True)
        if folded(str(case.input.record["name"])) in folded(other.input.documents[0].text)
    ]
    assert leaks == []
    assert all("name" not in case.input.record and "domain" not in case.input.record for case in after)
    lost = sum(a.states("city") and not b.states("city") for a, b in zip(cases, after, strict=True))
    assert lost <= 5


@needs_firmographics
def test_a_sample_is_seeded_and_of_rows_held_out() -> None:
    cases = load_cases(FIRMOGRAPHICS)
    one, again, other = ([case.id for case in chosen(cases, limit=100, seed=seed)] for seed in (1, 1, 2))
    assert one == again != other
    assert {case.split for case in chosen(cases, limit=100, seed=1)} == {"heldout"}
    assert {case.split for case in chosen(cases, limit=9, seed=1, splits=("tune",))} == {"tune"}
    with pytest.raises(InputError, match="limit: 0 is below 1"):
        chosen(cases, limit=0, seed=1)


def test_a_plain_csv_file_is_cases_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(
        "id,name,text,city,employees,tags,split\n"
        'a,Vellaro,"Vellaro sits in Modena, with 1,312 people.",Modena,"1,312",plain short,heldout\n'
        "b,Bluewick,Nothing is said.,,,,\n"
    )
    first, second = load_cases(path)
    assert first.expected == {"city": "Modena", "employees": 1312} and first.tags == ("plain", "short")
    assert first.input.record == {"name": "Vellaro"} and (first.split, second.split) == ("heldout", "test")
    assert second.expected == {"city": None, "employees": None} and second.provenance == "cases.csv:3"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,city\na,Rome\n", "cases.csv:1: has no column text"),
        ("id,text\na,b\n", "cases.csv:1: has no column any of country"),
        ("text,employees\nx,many\n", "cases.csv:2: employees: 'many' is no whole number"),
        ("text,city\nx\n", "cases.csv:2: has not 2 cells"),
        ("text,city,split\nx,Rome,train\n", "cases.csv:2: Invalid enum value 'train'"),
        ("id,text,city\na,x,Rome\na,y,Rome\n", "cases.csv:3: id: 'a' stands there already"),
        ("text,country\nx,Atlantis\n", "expected.country: 'Atlantis' is no country"),
    ],
)
def test_a_wrong_csv_file_is_refused_by_line_and_column(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(says)):
        load_cases(path)
