"""Mapping files: what each key does to a row, and how a faulty one is named."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.connectors import Batch, load_mapping, open_source
from watchtower.connectors.repeats import Repeats
from watchtower.contract import event_json
from watchtower.errors import InputError

HEAD = "source: crm\nevents:\n"
ENTRY = "  - {subject: 'lead/{id}', time: at, type: lead.seen}\n"


def _mapping(folder: Path, text: str) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(text)
    return path


def _read(folder: Path, mapping: str, table: str) -> Batch:
    (folder / "t.csv").write_text(table)
    batches = list(open_source(folder / "t.csv", load_mapping(_mapping(folder, mapping))).batches())
    return Batch([e for b in batches for e in b.events], [r for b in batches for r in b.refused], 1.0)


def _fields(folder: Path, form: str, cell: str, more: str = "") -> Any:
    """What one cell becomes under this form; the reason where it is refused."""
    mapping = f"{HEAD}  - {{subject: 'lead/{{id}}', time: at, fields: {{x: {form}}}}}\n{more}"
    read = _read(folder, mapping, f'id,at,c\n1,2026-03-02T09:00:00Z,"{cell}"\n')
    return read.events[0].data["fields"] if read.events else read.refused[0].reason


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source: crm\n", "events: is missing"),
        ("events:\n" + ENTRY, "source: is missing"),
        ("source: watchtower\nevents:\n" + ENTRY, "is the source of decisions"),
        (HEAD + ENTRY + "tiemzone: UTC\n", "tiemzone: is not a key that is known here"),
        (HEAD + ENTRY + "timezone: Europe/Atlantis\n", "'Europe/Atlantis' is not an IANA name"),
        (HEAD + ENTRY + "timezone: ../../etc/passwd\n", "is not an IANA name"),
        (HEAD + "  - {subject: 'lead/{id}', type: a}\n", r"events\[0\].time: missing"),
        (HEAD + "  - {subject: 'lead/{id}', time: at}\n", r"events\[0\]: type: missing"),
        (HEAD + "  - {subject: '{id}', time: at, type: a}\n", "not of the form object/{column}"),
        (HEAD + "  - {subject: 'lead/17', time: at, type: a}\n", "not of the form object/{column}"),
        (HEAD + "  - {subject: 'lead/{id', time: at, type: a}\n", "brace"),
        (HEAD + "  - {subject: 'lead/{id}', time: {at: 2026-03-01T00:00:00}, type: a}\n", "has no offset"),
        (HEAD + "  - {subject: 'lead/{id}', time: {column: a, format: dmy}, type: a}\n", "format: 'dmy'"),
        (HEAD + "  - {subject: 'lead/{id}', time: at, type: {from: a}}\n", "needs `prefix` or `equals`"),
        (
            HEAD + "  - {subject: 'lead/{id}', time: at, fields: {n: {column: n, as: int}}}\n",
            "as: 'int' is not",
        ),
        (
            HEAD + "  - {subject: 'lead/{id}', time: at, type: a, fields: {n: n}}\n",
            "belong to a record.updated",
        ),
        (HEAD + "  - {subject: 'lead/{id}', time: at, type: a, id: fixed}\n", "names no {column}"),
        (HEAD + ENTRY + "csv: {delimiter: tab}\n", "csv.delimiter: 'tab'"),
        (HEAD + ENTRY + "csv: {encoding: klingon}\n", "'klingon' is not known"),
        (HEAD + ENTRY + "source: erp\n", r"mapping.yaml:4:1: the key 'source' stands twice"),
        ("source: &a crm\nrulebook: *a\nevents:\n" + ENTRY, "anchors and aliases .* are not accepted"),
        ("source: !!python/name:os.system x\nevents:\n" + ENTRY, "is not accepted; write the plain value"),
        ("source: [crm\n", r"mapping.yaml:\d+:\d+: "),
        ("[" * 500, "nested deeper than 40"),
        ("- a\n", "has no keys"),
        ("", "has no keys"),
        ("#" * (256 * 1024 + 1), "at most 262144"),
    ],
)
def test_a_faulty_mapping_names_the_file_and_the_key(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load_mapping(_mapping(tmp_path, text))
    assert "mapping.yaml" in str(caught.value)


def test_all_faults_of_a_mapping_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_mapping(_mapping(tmp_path, "sauce: crm\nevents:\n  - {subject: 'lead/{id}', wen: {}}\n"))
    assert all(word in str(caught.value) for word in ("sauce", "source", "events[0].wen"))


def test_a_missing_mapping_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_mapping(tmp_path / "none.yaml")


def test_the_rulebook_is_found_beside_the_mapping(tmp_path: Path) -> None:
    mapping = load_mapping(_mapping(tmp_path, HEAD + ENTRY + "rulebook: rules/main\n"))
    assert mapping.rulebook_path == tmp_path / "rules/main"


@pytest.mark.parametrize(
    ("form", "cell", "becomes"),
    [
        ("c", " Acme, Inc. ", " Acme, Inc. "),
        ("c", "007", "007"),
        ("{column: c, as: integer}", " 1200 ", 1200),
        ("{column: c, as: integer}", "-4", -4),
        ("{column: c, as: number}", "1234.50", 1234.5),
        ("{column: c, as: number}", "12", 12),
        ("{column: c, as: boolean}", "Yes", True),
        ("{column: c, as: boolean}", "0", False),
        ("{column: c, as: list}", "saas; emea;", ["saas", "emea"]),
        ("{column: c, as: date}", "2026-03-29", "2026-03-29"),
        ('{column: c, as: date, format: "%d.%m.%Y"}', "29.03.2026", "2026-03-29"),
        ("{column: c, as: timestamp}", "2026-03-02T10:00:00+01:00", "2026-03-02T09:00:00.000000Z"),
        (
            "{column: c, as: timestamp, format: epoch_milliseconds}",
            "1772442000001",
            "2026-03-02T09:00:00.001000Z",
        ),
        ("{column: c, values: {New: raw, Working: mql}}", "Working", "mql"),
        ("{value: 7}", "", 7),
    ],
)
def test_a_cell_becomes_the_declared_value(tmp_path: Path, form: str, cell: str, becomes: Any) -> None:
    fields = _fields(tmp_path, form, cell)
    assert fields == {"x": becomes}
    assert type(fields["x"]) is type(becomes)


@pytest.mark.parametrize(
    ("form", "cell", "says"),
    [
        ("{column: c, as: integer}", "12.5", "x: the column c: '12.5' is not an integer"),
        ("{column: c, as: integer}", "9" * 5000, "is not an integer"),
        ("{column: c, as: number}", "1,234.50", "is not a number such as 1234.5"),
        ("{column: c, as: number}", "nan", "is not a number"),
        ("{column: c, as: number}", "1e999", "is not a number"),
        ("{column: c, as: boolean}", "maybe", "is not true or false"),
        ("{column: c, as: timestamp}", "2026-03-02 10:00", "has no offset; give the mapping a `timezone`"),
        ("{column: c, as: timestamp}", "yesterday", "is not an ISO 8601 time"),
        ("{column: c, values: {New: raw}}", "Old", "'Old' is not one of New"),
    ],
)
def test_a_cell_that_is_not_what_was_declared_sets_its_row_aside(
    tmp_path: Path, form: str, cell: str, says: str
) -> None:
    assert says in _fields(tmp_path, form, cell)


@pytest.mark.parametrize(
    ("form", "becomes"),
    [("c", {}), ("{column: c, empty: clear}", {"x": None}), ("{column: c, as: integer}", {})],
)
def test_an_empty_cell_leaves_its_field_alone_or_clears_it(tmp_path: Path, form: str, becomes: Any) -> None:
    assert _fields(tmp_path, form, "") == becomes
    assert _fields(tmp_path, form, "   ") == becomes


def test_an_entry_may_clear_all_its_empty_fields(tmp_path: Path) -> None:
    mapping = HEAD + "  - {subject: 'lead/{id}', time: at, empty: clear, fields: {a: a, b: {column: b, empty: omit}}}\n"
    (event,) = _read(tmp_path, mapping, "id,at,a,b\n1,2026-03-02T09:00:00Z,,\n").events
    assert event.data == {"fields": {"a": None}}


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-03-02 10:00", "2026-03-02T09:00:00.000000Z"),
        ("2026-07-02 10:00", "2026-07-02T08:00:00.000000Z"),
        ("2026-10-25 02:30", "2026-10-25T01:30:00.000000Z"),  # comes twice: the second, as in PostgreSQL
        ("2026-03-02", "2026-03-01T23:00:00.000000Z"),
        ("2026-03-02 10:00+00:00", "2026-03-02T10:00:00.000000Z"),  # says its offset
    ],
)
def test_a_time_without_offset_is_read_in_the_timezone_of_the_mapping(tmp_path: Path, local: str, utc: str) -> None:
    read = _read(tmp_path, HEAD + ENTRY + "timezone: Europe/Rome\n", f"id,at\n1,{local}\n")
    assert event_json(read.events[0])["time"] == utc


@pytest.mark.parametrize(
    ("zone", "cell", "says"),
    [
        ("", "2026-03-02 10:00", "has no offset; give the mapping a `timezone`"),
        ("timezone: Europe/Rome\n", "2026-03-29 02:30", "does not occur in Europe/Rome"),
        ("timezone: Europe/Rome\n", "0001-01-01", "outside the years 1 to 9999"),
        ("timezone: Europe/Rome\n", "", "time: the column at: is empty"),
        ("timezone: Europe/Rome\n", "02/03/2026", "is not an ISO 8601 time"),
    ],
)
def test_a_time_that_cannot_be_placed_is_refused(tmp_path: Path, zone: str, cell: str, says: str) -> None:
    read = _read(tmp_path, HEAD + ENTRY + zone, f"id,at\n1,{cell}\n2,2026-03-02T09:00:00Z\n")
    assert [event.subject for event in read.events] == ["lead/2"]
    (refused,) = read.refused
    assert refused.place == "t.csv:2"
    assert says in refused.reason
    assert refused.raw["id"] == "1"


def test_one_time_may_stand_for_all_rows(tmp_path: Path) -> None:
    entry = "  - {subject: 'lead/{id}', fields: {n: n}}\n"
    mapping = "time: {at: 2026-03-01T00:00:00+01:00}\n" + HEAD + entry
    (event,) = _read(tmp_path, mapping, "id,n\n1,Acme\n").events
    assert event_json(event) == {
        "specversion": "1.0",
        "id": event.id,
        "source": "crm",
        "type": "record.updated",
        "subject": "lead/1",
        "time": "2026-02-28T23:00:00.000000Z",
        "data": {"fields": {"n": "Acme"}},
    }


def test_the_type_may_be_told_by_a_value_or_by_its_longest_prefix(tmp_path: Path) -> None:
    mapping = HEAD + (
        "  - {subject: 'lead/{id}', time: {at: 2026-03-01T00:00:00Z}, data: {w: what},\n"
        "     type: {from: what, equals: {won: deal.won}, prefix: {w: other, wo: worked, '#': skip}}}\n"
    )
    read = _read(tmp_path, mapping, "id,what\n1,won\n2,work\n3,w\n4,# note\n5,lost\n6,\n")
    assert [(event.subject, event.type) for event in read.events] == [
        ("lead/1", "deal.won"),
        ("lead/2", "worked"),
        ("lead/3", "other"),
    ]
    assert [(one.place, one.reason) for one in read.refused] == [
        ("t.csv:6", "type: what is 'lost'; the mapping knows w..., wo..., #..., won"),
        ("t.csv:7", "type: what is None; the mapping knows w..., wo..., #..., won"),
    ]


def test_a_row_gives_an_event_for_each_entry_that_applies_in_order(tmp_path: Path) -> None:
    mapping = HEAD + (
        "  - {subject: 'account/{acc}', time: t, when: {kind: [new, old], acc: {not: x}}, type: a}\n"
        "  - {subject: 'lead/{id}', time: t, when: {acc: {empty: false}, kind: {prefix: n}}, type: b}\n"
    )
    rows = "1,A,new\n2,x,new\n3,B,old\n4,,gone\n"
    read = _read(tmp_path, mapping, "id,acc,kind,t\n" + rows.replace("\n", ",2026-03-01T00:00:00Z\n"))
    assert [event.subject for event in read.events] == ["account/A", "lead/1", "lead/2", "account/B"]
    assert read.refused == []


def test_an_id_may_be_built_from_columns(tmp_path: Path) -> None:
    mapping = HEAD + "  - {subject: 'lead/{id}', time: t, type: a, id: 'v1-{id}-{n}'}\n"
    read = _read(tmp_path, mapping, "id,n,t\n1,7,2026-03-01T00:00:00Z\n2,,2026-03-01T00:00:00Z\n")
    assert [event.id for event in read.events] == ["v1-1-7"]
    assert read.refused[0].reason == "id: the column n is empty"


TABLE = "id,at,n\n1,2026-03-01T00:00:00Z,a\n1,2026-03-01T00:00:00Z,a\n1,2026-03-01T00:00:00Z,b\n"


def test_importing_a_file_twice_gives_the_same_ids_and_equal_rows_differ(tmp_path: Path) -> None:
    first, again = (_read(tmp_path, HEAD + ENTRY, TABLE).events for _ in range(2))
    assert first == again
    assert len({event.id for event in first}) == 3
    assert first[1].id == f"{first[0].id}.2"


def test_rows_keep_their_ids_where_the_file_grows_or_is_read_in_other_batches(tmp_path: Path) -> None:
    before = _read(tmp_path, HEAD + ENTRY, TABLE).events
    after = _read(tmp_path, HEAD + ENTRY, TABLE + "1,2026-03-01T00:00:00Z,a\n").events
    assert after[:3] == before
    assert after[3].id == f"{before[0].id}.3"
    source = open_source(tmp_path / "t.csv", load_mapping(tmp_path / "mapping.yaml"))
    assert [event for batch in source.batches(size=1) for event in batch.events] == after


def test_a_mapping_that_is_changed_later_keeps_the_ids_so_that_nothing_is_doubled(tmp_path: Path) -> None:
    before = _read(tmp_path, HEAD + ENTRY, TABLE).events
    after = _read(tmp_path, HEAD + ENTRY.replace("lead.seen", "lead.seen, data: {n: n}"), TABLE).events
    assert [event.id for event in after] == [event.id for event in before]
    assert after != before


@given(st.lists(st.lists(st.binary(min_size=1, max_size=1), max_size=40), max_size=30))
def test_repeats_are_counted_as_a_dictionary_would_count_them(chunks: list[list[bytes]]) -> None:
    repeats, counter = Repeats(), Counter[bytes]()
    for chunk in chunks:
        digests = [blake2b(row, digest_size=16).digest() for row in chunk]
        expected = []
        for digest in digests:
            counter[digest] += 1
            expected.append(counter[digest])
        assert repeats.number(digests) == expected


@pytest.mark.parametrize("record", ["", "x" * 1100, "a\0b"])
def test_a_record_id_that_no_event_may_bear_is_refused(tmp_path: Path, record: str) -> None:
    read = _read(tmp_path, HEAD + ENTRY, f"id,at\n{record},2026-03-01T00:00:00Z\n2,2026-03-01T00:00:00Z\n")
    assert [event.subject for event in read.events] == ["lead/2"]
    assert len(read.refused) == 1
