"""The journal against a dictionary: what is new, what is a repeat, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from watchtower.contract import Event
from watchtower.store.database import Database
from watchtower.store.journal import _COPY_FROM, _LOCK, append, events_of, last_seq, tail
from watchtower.store.journal_rows import KEY_LIMIT, SUBJECT_LIMIT, body_hash

T = datetime(2026, 3, 2, 9, tzinfo=UTC)


def event(id: str = "e1", *, source: str = "crm", subject: str = "lead/L-1", at: datetime = T, **data: Any) -> Event:
    return Event(id=id, source=source, type="record.updated", subject=subject, time=at, data=data)


def verdicts(database: Database, *events: Event) -> list[str]:
    with database.begin() as conn:
        return [one.verdict for one in append(conn, events, layer="core", received_at=T)]


def test_events_are_numbered_in_the_order_given(database: Database) -> None:
    given = [event(f"e{n}", at=T - timedelta(hours=n), n=n) for n in range(50)]
    with database.begin() as conn:
        appended = append(conn, given, layer="core", received_at=T)
    assert [one.verdict for one in appended] == ["new"] * 50
    seqs = [one.seq for one in appended]
    assert seqs == sorted(seqs, key=lambda seq: seq or 0)
    with database.read() as conn:
        assert [one.id for _, one, _ in tail(conn, 0, 100)] == [one.id for one in given]
        assert last_seq(conn) == seqs[-1]


def test_the_same_event_again_answers_with_the_first_number(database: Database) -> None:
    with database.begin() as conn:
        first = append(conn, [event(a=1)], layer="core", received_at=T)
    with database.begin() as conn:
        again = append(conn, [event("e2"), event(a=1)], layer="core", received_at=T + timedelta(days=1))
    assert [one.verdict for one in again] == ["new", "duplicate"]
    assert again[1].seq == first[0].seq


def test_the_order_of_keys_makes_no_other_body(database: Database) -> None:
    assert verdicts(database, event(a=1, b={"x": 1, "y": 2}), event(b={"y": 2, "x": 1}, a=1)) == [
        "new",
        "duplicate",
    ]


@pytest.mark.parametrize(
    "other",
    [event(a=2), event(a=1, subject="lead/L-2"), event(a=1, at=T + timedelta(microseconds=1)), event(a="1")],
    ids=["data", "subject", "time", "type of a value"],
)
def test_another_body_under_the_same_id_is_a_conflict_and_writes_nothing(database: Database, other: Event) -> None:
    assert verdicts(database, event(a=1)) == ["new"]
    with database.begin() as conn:
        found = append(conn, [other], layer="core", received_at=T)[0]
        assert found.verdict == "conflict" and "'e1' of source 'crm'" in found.because
        assert [one for _, one, _ in tail(conn, 0, 10)] == [event(a=1)]


def test_the_same_id_of_two_sources_is_two_events(database: Database) -> None:
    assert verdicts(database, event(source="crm"), event(source="billing")) == ["new", "new"]


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (event("x", note="a\x00b"), "data.note: holds a NUL character"),
        (event("x", fields={"a\x00b": 1}), "NUL character"),
        (event("x", tags=["ok", "\ud83d"]), "data.tags[1]: holds half of a surrogate pair"),
        (event("x\x00y"), "source and id: 'crmx\\x00y' holds a NUL character"),
        (event("x\udc00"), "holds half of a surrogate pair"),
        (event("x", amount=float("nan"), other=None), "data.amount: nan is not a JSON number"),
        (event("x", amount=float("-inf")), "data.amount: -inf is not a JSON number"),
        (event("ü" * KEY_LIMIT), f"bytes; at most {KEY_LIMIT} are accepted"),
        (event("x", subject="lead/" + "9" * SUBJECT_LIMIT), f"subject: {SUBJECT_LIMIT + 5} bytes"),
        (event("x", what=object()), "cannot be written as JSON"),
        (event("x", text="a" * (17 << 20)), "at most 16777216 are accepted"),
    ],
)
def test_what_no_database_can_keep_is_refused_and_the_rest_goes_in(database: Database, bad: Event, place: str) -> None:
    with database.begin() as conn:
        found = append(conn, [event("e1"), bad, event("e2")], layer="core", received_at=T)
    assert [one.verdict for one in found] == ["new", "refused", "new"]
    assert place in found[1].because and found[1].seq is None


def test_text_that_only_looks_like_a_nul_is_kept(database: Database) -> None:
    kept = event(path="C:\\u0000", empty=None, emoji="\U0001f600")
    assert verdicts(database, kept) == ["new"]
    with database.read() as conn:
        assert tail(conn, 0, 1)[0][1] == kept


def test_the_deepest_and_the_longest_that_is_accepted_goes_in(database: Database) -> None:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    shallow = json.loads("[" * 200 + "]" * 200)
    longest = event("i" * (KEY_LIMIT - 3), subject="lead/" + "\U0001f600" * ((SUBJECT_LIMIT - 5) // 4))
    assert verdicts(database, event("deep", n=nested), event("fine", n=shallow), longest) == [
        "refused",
        "new",
        "new",
    ]


def test_events_of_records_come_by_record_time_and_arrival(database: Database) -> None:
    late = event("late", subject="lead/L-2", at=T - timedelta(days=1), n=3)
    given = [event("a", subject="lead/L-2", n=1), event("b", subject="lead/L-2", n=2), event("c"), late]
    assert verdicts(database, *given, event("d", subject="account/L-2")) == ["new"] * 5
    with database.read() as conn:
        found = list(events_of(conn, "lead", ["L-2", "L-1", "missing"]))
        many = list(events_of(conn, "lead", ["L-2", "L-1", *map(str, range(600))]))
    assert [one.id for _, one, _ in found] == ["c", "late", "a", "b"]
    assert found == many
    assert found[1][1] == late and found[1][2] == "core"


def test_an_append_waits_for_the_one_before_so_that_no_number_appears_late(database: Database) -> None:
    with database.begin() as first:
        append(first, [event("e1")], layer="core", received_at=T)
        with pytest.raises(Exception, match="held a lock for too long"), database.begin() as second:
            second.execute(text("set local lock_timeout = '100ms'"))
            append(second, [event("e2")], layer="core", received_at=T)


def test_the_lock_of_appends_is_held_until_the_end_whatever_was_rolled_back_within(database: Database) -> None:
    def waited_for(conn: Connection) -> bool:
        with database.begin() as other:
            held = other.execute(text("select not pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar_one()
        append(conn, [event(f"e{waited.append(held) or len(waited)}")], layer="core", received_at=T)
        return bool(held)

    waited: list[bool] = []
    for _ in range(2):  # the second transaction has the connection of the first
        with database.begin() as conn:
            assert not waited_for(conn)
            assert waited_for(conn)
        with database.begin() as conn:
            with pytest.raises(ZeroDivisionError), conn.begin_nested():
                assert not waited_for(conn)
                raise ZeroDivisionError
            assert not waited_for(conn)
            assert waited_for(conn)


def test_a_large_batch_is_kept_to_the_letter_like_a_small_one(database: Database) -> None:
    odd = [
        "\\",
        "\\N",
        "\\.",
        "\t",
        "a\tb\nc\rd",
        "\\t",
        "\\\\n",
        "Società \U0001f600",
        "'",
        '"',
        "\x01",
        "\x7f",
        "\u2028",
    ]
    given = [
        event(f"e{n}{odd[n % len(odd)]}", source=f"s{odd[n % 7]}", subject=f"lead/{odd[n % 11]}", v=odd[n % 5], n=n)
        for n in range(_COPY_FROM + 50)
    ]
    with database.begin() as conn:
        found = append(conn, given, layer="core", received_at=T)
    assert [one.verdict for one in found] == ["new"] * len(given)
    with database.read() as conn:
        kept = tail(conn, 0, 10_000)
        hashes = conn.execute(text("select body_hash from journal order by seq")).scalars().all()
    assert [one for _, one, _ in kept] == given and [seq for seq, _, _ in kept] == [one.seq for one in found]
    assert [bytes(one) for one in hashes] == [body_hash(one) for one in given]


def test_large_batches_of_one_transaction_do_not_meet(database: Database) -> None:
    first = [event(f"a{n}", n=n) for n in range(_COPY_FROM)]
    second = [event(f"a{n}", n=n % 1100) for n in range(_COPY_FROM + 200)] + [event("bad", note="\x00")]
    with database.begin() as conn:
        append(conn, first, layer="core", received_at=T)
        found = append(conn, second, layer="decision", received_at=T)
        layers = [layer for _, _, layer in tail(conn, 0, 10_000)]
    assert [one.verdict for one in found] == ["duplicate"] * 1000 + ["new"] * 200 + ["refused"]
    assert layers == ["core"] * 1000 + ["decision"] * 200


def test_a_body_hash_is_the_same_in_every_release() -> None:
    known = event(fields={"stage": "mql", "amount": 12.5, "name": "Società", "none": None, "on": True})
    assert body_hash(known).hex() == "8c47744e7378ceb9fcc2cc1301380a8e"


_bodies = st.sampled_from([{"a": 1}, {"a": 2}, {"a": None}, {"bad": "\x00"}])
_batches = st.lists(
    st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("xyz"), _bodies), max_size=6),
    min_size=1,
    max_size=4,
)


@given(batches=_batches)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_journal_answers_like_a_dictionary(database: Database, batches: list[Any]) -> None:
    model: dict[tuple[str, str], tuple[int | None, dict[str, Any]]] = {}
    with database.begin() as conn:
        conn.execute(text("truncate journal"))
        before = last_seq(conn)
    for batch in batches:
        with database.begin() as conn:
            events = [event(id, source=source, **body) for source, id, body in batch]
            answers = append(conn, events, layer="core", received_at=T)
        for (source, id, body), answer in zip(batch, answers, strict=True):
            if "bad" in body:
                expected: tuple[str, int | None] = ("refused", None)
            elif (source, id) not in model:
                assert answer.seq is not None and answer.seq > before
                before = answer.seq
                model[source, id] = (answer.seq, body)
                expected = ("new", answer.seq)
            else:
                seq, first = model[source, id]
                expected = ("duplicate" if first == body else "conflict", seq)
            assert (answer.verdict, answer.seq) == expected
    with database.read() as conn:
        kept = {(one.source, one.id): (seq, one.data) for seq, one, _ in tail(conn, 0, 1_000)}
    assert kept == model
