"""Duplicates found among many records: the same pairs as by comparing all with all where keys reach, each once."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from command_line import inside
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.duplicates import rows
from enrichment.matching import MATCHERS, Finder
from enrichment.matching.find import MOST_SHARED
from enrichment.matching.model import PRIOR
from enrichment.matching.read import FileError, records

Captured = pytest.CaptureFixture[str]
ACCOUNT, CONTACT = MATCHERS["account"], MATCHERS["contact"]
ACCOUNTS = [
    ("1", {"name": "Acme GmbH", "domain": "acme.de", "country": "Germany"}),
    ("2", {"name": "ACME Gesellschaft mbH", "domain": "https://www.acme.de/kontakt", "country": "DE"}),
    ("3", {"name": "Acme Software Inc", "domain": "acmesoft.com", "country": "US"}),
    ("4", {"name": "Globex Corporation"}),
    ("5", {"name": "Globexx Corp."}),
    ("6", {"name": "Blackstone Real Estate Partners V L.P."}),
    ("7", {"name": "Blackstone Real Estate Partners VI L.P."}),
    ("8", {"name": "", "domain": ""}),
]
PEOPLE = [
    ("1", {"name": "Bob Smith", "email": "bob.smith@acme.com"}),
    ("2", {"name": "SMITH, Robert", "email": "r.smith@acme.com"}),
    ("3", {"given": "Anna", "family": "Rossi", "phone": "+39 02 12345678"}),
    ("4", {"name": "A. Rossi", "phone": "0039 02 12345678"}),
    ("5", {"name": "Paul Smith", "email": "info@acme.com"}),
    ("6", {"name": "Carla Bianchi", "email": "info@acme.com"}),
]


def told(finder: Finder, given_rows: list[tuple[str, dict[str, str]]]) -> set[tuple[str, str]]:
    return {(pair.a, pair.b) for pair in finder.pairs(given_rows)}


def test_one_company_written_twice_is_found_and_a_namesake_elsewhere_is_not() -> None:
    assert told(Finder(ACCOUNT), ACCOUNTS) == {("1", "2"), ("4", "5")}


def test_a_short_form_of_a_given_name_and_an_initial_are_found_a_shared_mailbox_is_not() -> None:
    assert told(Finder(CONTACT), PEOPLE) == {("1", "2"), ("3", "4")}


def test_the_weights_of_a_pair_add_up_to_its_bits_and_the_prior_is_among_them() -> None:
    for pair in Finder(ACCOUNT, floor=0.0).pairs(ACCOUNTS):
        assert sum(weight.bits for weight in pair.weights) == pytest.approx(pair.bits)
        assert pair.weights[0] == PRIOR
        assert (pair.probability > 0.5) == (pair.bits > 0)


def test_series_of_one_name_stay_apart() -> None:
    pairs = list(Finder(ACCOUNT, floor=0.0).pairs(ACCOUNTS))
    funds = next(pair for pair in pairs if (pair.a, pair.b) == ("6", "7"))
    assert funds.probability < 0.5 and "series number" in {weight.comparison for weight in funds.weights}


def test_a_name_that_many_bear_says_less() -> None:
    few = list(Finder(ACCOUNT).pairs([(str(n), {"name": "Global Trading"}) for n in range(2)]))
    many = list(Finder(ACCOUNT).pairs([(str(n), {"name": "Global Trading"}) for n in range(30)]))
    assert many == [] or max(pair.bits for pair in many) < few[0].bits - 3


def test_a_key_that_too_many_share_is_passed_over_and_counted() -> None:
    finder = Finder(ACCOUNT, floor=0.0)
    assert list(finder.pairs([(str(n), {"name": "Acme"}) for n in range(MOST_SHARED + 1)])) == []
    assert finder.counts.passed_over > 0


def test_pairs_are_those_of_comparing_all_with_all_wherever_two_records_share_a_key() -> None:
    """The oracle: every pair weighed in plain Python, without DuckDB, gate or batches."""
    made = list(rows(400, 11))
    ready = [(id_, ACCOUNT.prepare(fields)) for id_, fields in made]
    keys = {id_: set(ACCOUNT.keys(one)) for id_, one in ready}
    bear: dict[str, int] = {}
    for _, one in ready:
        bear[one.whole] = bear.get(one.whole, 0) + 1
    expected = {
        (a, b)
        for (a, one), (b, two) in combinations(ready, 2)
        if keys[a] & keys[b]
        and PRIOR.bits + sum(w.bits for w in ACCOUNT.weigh(one, two, bear[one.whole], len(made))) >= 0
    }
    found = told(Finder(ACCOUNT), made)
    assert expected and found <= expected
    assert len(found) >= 0.98 * len(expected), sorted(expected - found)


def test_most_planted_duplicates_are_found_with_few_others() -> None:
    made = list(rows(3000, 5))
    found = told(Finder(ACCOUNT), made)
    planted = {(f"C-{id_[2:]}", id_) for id_, _ in made if id_.startswith("D-")}
    assert len(found & planted) / len(planted) > 0.85
    assert len(found & planted) / len(found) > 0.95


def test_two_processes_and_one_find_the_same() -> None:
    made = list(rows(800, 2))
    assert list(Finder(ACCOUNT, workers=2).pairs(made)) == list(Finder(ACCOUNT).pairs(made))


def test_the_likeliest_come_first_and_at_most_so_many() -> None:
    made = list(rows(800, 2))
    everything = list(Finder(ACCOUNT).pairs(made))
    assert [pair.bits for pair in everything] == sorted((pair.bits for pair in everything), reverse=True)
    assert list(Finder(ACCOUNT).pairs(made, 5)) == everything[:5]


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["name", "domain", "phone", "country"]), st.text(max_size=20)), max_size=6)
)
def test_no_records_make_the_finder_fail(given_rows: list[dict[str, str]]) -> None:
    numbered = [(str(n), row) for n, row in enumerate(given_rows)]
    for matcher in (ACCOUNT, CONTACT):
        for pair in Finder(matcher, floor=0.0).pairs(numbered):
            assert pair.a != pair.b


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_file_is_read_by_the_usual_names_of_its_columns(tmp_path: Path, capsys: Captured) -> None:
    file = _write(
        tmp_path / "a.csv",
        "Account ID,Company Name,Website",
        "7,Acme GmbH,acme.de",
        "8,ACME Gesellschaft mbH,www.acme.de",
    )
    code, out, _ = inside(capsys, "duplicates", file, "--json")
    said = json.loads(out)
    assert code == 0 and said["columns"] == {"name": "Company Name", "domain": "Website", "id": "Account ID"}
    assert said["records"] == 2 and [(p["a"], p["b"]) for p in said["pairs"]] == [("7", "8")]
    pair = said["pairs"][0]
    assert sum(w["bits"] for w in pair["weights"]) == pytest.approx(pair["bits"], abs=0.1)
    assert {"domain", "prior"} <= {w["comparison"] for w in pair["weights"]}


def test_the_records_of_a_file_of_events_are_as_their_last_events_left_them(tmp_path: Path) -> None:
    def event(n: int, subject: str, day: int, fields: dict[str, object], type_: str = "record.updated") -> str:
        return json.dumps({
            "specversion": "1.0", "id": f"e{n}", "source": "crm", "type": type_, "subject": subject,
            "time": f"2026-03-{day:02}T09:00:00Z", "data": {"fields": fields} if fields else {},
        })  # fmt: skip

    file = _write(
        tmp_path / "e.jsonl",
        event(1, "account/A1", 3, {"name": "Acme GmbH", "domain": "acme.de"}),
        event(2, "account/A1", 1, {"name": "Older"}),
        event(3, "account/A1", 4, {"domain": None}),
        event(4, "account/A2", 1, {"name": "Gone"}),
        event(5, "account/A2", 2, {}, "record.deleted"),
        event(6, "contact/C1", 1, {"name": "Maria Rossi"}),
    )
    with records(file, ACCOUNT, "account") as opened:
        assert list(opened.rows) == [("A1", {"name": "Acme GmbH"})]


def test_a_file_without_a_column_to_go_by_names_what_is_there(tmp_path: Path, capsys: Captured) -> None:
    file = _write(tmp_path / "a.csv", "colour,size", "red,4")
    code, _, err = inside(capsys, "duplicates", file)
    assert code == 1 and "no column names a company; it has: colour, size" in err and "--column name=COLUMN" in err
    code, out, _ = inside(capsys, "duplicates", file, "--column", "name=colour", "--json")
    assert code == 0 and json.loads(out)["records"] == 1


def test_faults_of_the_call_name_the_thing_and_the_remedy(tmp_path: Path, capsys: Captured) -> None:
    file = _write(tmp_path / "a.csv", "name", "Acme")
    for arguments, part in (
        ((file, "--object", "ship"), "no matcher for 'ship'"),
        ((file, "--column", "name"), "is not FIELD=COLUMN"),
        ((file, "--column", "name=nothing"), "has no column 'nothing'"),
        ((file, "--column", "shoe=name"), "'shoe' is no field of a company"),
        ((tmp_path / "none.csv",), "there is no such file"),
        ((_write(tmp_path / "a.xlsx", "x"),), "is no .csv"),
    ):
        code, _, err = inside(capsys, "duplicates", *arguments)
        assert code == 1 and part in err, err


def test_a_broken_file_is_refused_and_not_read_in_part(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.jsonl", '{"name": "Acme"}', '{"name": ')
    with pytest.raises(FileError, match=r"a\.jsonl|row"), records(file, ACCOUNT, "account") as opened:
        list(opened.rows)
