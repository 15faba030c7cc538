"""What is personal is nowhere in the clear, reads as it was while the key lives, and as (erased) when it is gone."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, inside
from pydantic import SecretStr
from tower_scene import Clock

from watchtower.bootstrap import Tower, build
from watchtower.contract import FieldRequest, Proposal, format_time
from watchtower.errors import InputError, RulebookError, StoreError
from watchtower.flow.apply import evaluate_records, rebuild_records
from watchtower.rulebook import load
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import Settings
from watchtower.store import audit, backup, deadletters, queries, rulebooks
from watchtower.store.rows import AlertFilter

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
CANARY = "Canary"
"""Stands in every personal value, and nowhere else."""
BOOK = """
name: people
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text}
  contact:
    label: name
    fields:
      account: {type: ref, to: account}
      name: {type: text, personal: true}
      email: {type: email, personal: true}
      status: {type: enum, values: [active, left]}
      industry: {type: text, fill: enrichment}
handoffs:
  welcome:
    object: contact
    from: sales
    to: success
    requires: [email, status]
rules:
  - {id: gone, object: contact, when: "status = 'left' and email is not null", owner: sales}
  - {id: moved, object: contact, owner: sales,
     when: "status = 'left' and changed_at(email) <= now() - interval '1 day'"}
  - {id: about, object: contact, when: industry = 'bolts', owner: sales}
acceptance:
  contact.industry: {accept_at: 0.9, review_at: 0.5}
"""


def event(id: str, at: datetime = START, *, subject: str = "contact/C-1", **fields: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id, "source": "crm", "type": "record.updated", "subject": subject,
        "time": format_time(at), "data": {"fields": fields},
    }  # fmt: skip


PERSON = event("p", name=f"{CANARY} Rossi", email=f"{CANARY}@example.com", status="active", account="A-1")
DOCUMENT = event("d") | {
    "type": "document.added",
    "data": {"document": "cv", "text": f"{CANARY} makes bolts.", "url": f"https://x.example/{CANARY}"},
}


def statuses(tower: Tower, *events: Any) -> list[str]:
    return [verdict.status for verdict in tower.take(events)]


def tables(tower: Tower) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with tower.database.read() as conn:
        names = conn.exec_driver_sql("select tablename from pg_tables where schemaname = 'public'").scalars().all()
        return {
            name: list(conn.exec_driver_sql(f"select t::text from {name} t order by 1").scalars())
            for name in names
        }  # fmt: skip


def with_canary(tower: Tower) -> set[str]:
    hexed = CANARY.encode().hex()
    return {name for name, rows in tables(tower).items() for row in rows if CANARY in row or hexed in row}


def read(tower: Tower, record: str = "C-1") -> dict[str, Any]:
    with tower.database.read() as conn:
        row = queries.record_by_id(conn, "contact", record)
    assert row is not None
    return row.state


def furnish(tower: Tower, clock: Clock) -> None:
    """The person wherever a person can get: fields, documents, alerts, refused handoffs, dead letters, quarantine."""
    clock.now = START
    assert statuses(tower, PERSON, DOCUMENT) == ["accepted", "accepted"]
    assert statuses(tower, event("q", name=f"{CANARY} Bianchi", status="left")) == ["accepted"]
    tower.cross("contact/C-1", handoff="welcome", actor="anna", fields={"email": None, "name": f"{CANARY} Verdi"})
    assert statuses(tower, event("bad", name=f"{CANARY} Neri", status="moon")) == ["refused"]
    assert statuses(tower, event("p", name=f"{CANARY} Other")) == ["conflict"]
    assert statuses(tower, event("later", START + timedelta(hours=1), name=f"{CANARY} Later")) == ["quarantined"]
    assert statuses(tower, event("lost", subject="nothing/1", mail=f"{CANARY}@example.com")) == ["refused"]
    clock.now = START + timedelta(minutes=1)
    tower.tick()


def test_personal_values_are_nowhere_in_the_clear_but_in_letters_and_read_as_they_were(
    tower: Tower, clock: Clock
) -> None:
    furnish(tower, clock)
    assert with_canary(tower) == {"deadletter"}
    assert read(tower) == read(tower) | {"name": f"{CANARY} Bianchi", "email": f"{CANARY}@example.com"}
    with tower.database.read() as conn:
        (doc,) = queries.documents(conn, "contact", "C-1")
        shown = queries.alerts(conn, AlertFilter(), after=None, limit=10)
        events = queries.timeline(conn, "contact", "C-1", before=None, limit=50)
    assert (doc.text, doc.url) == (f"{CANARY} makes bolts.", f"https://x.example/{CANARY}")
    assert [a.reads["email"] for a in shown if a.rule == "gone"] == [f"{CANARY}@example.com"]
    assert {"name": f"{CANARY} Bianchi", "status": "left"} in [e.data.get("fields") for e in events]


def test_after_an_erasure_no_table_holds_it_and_everything_else_is_as_it_was(tower: Tower, clock: Clock) -> None:
    furnish(tower, clock)
    statuses(tower, event("other", subject="contact/C-2", name="Anna Blu", status="active"))
    before = tables(tower)
    done = tower.erase("contact/C-1", because="asked on 3 March", by="anna")
    assert (done.entries, done.letters) == (4, 4)
    assert with_canary(tower) == set()
    after = tables(tower)
    for table in ("record", "version", "span", "alert", "action", "document", "link", "proposal"):
        assert after[table] == before[table]
    assert set(before["journal"]) < set(after["journal"]) and len(after["journal"]) == len(before["journal"]) + 1
    state = read(tower)
    assert (state["name"], state["email"], state["status"]) == ("(erased)", "(erased)", "left")
    assert read(tower, "C-2")["name"] == "Anna Blu"
    with tower.database.read() as conn:
        assert [doc.text for doc in queries.documents(conn, "contact", "C-1")] == ["(erased)"]
        last = queries.timeline(conn, "contact", "C-1", before=None, limit=1)[0]
        noted = audit.newest(conn, 1)[0]
    assert (last.type, last.data["because"], last.data["by"]) == ("tower.erased", "asked on 3 March", "anna")
    assert (noted.actor, noted.what, noted.about) == ("anna", "person.erase", "contact/C-1")


def test_folded_anew_from_the_journal_after_an_erasure_every_byte_is_the_same(tower: Tower, clock: Clock) -> None:
    furnish(tower, clock)
    tower.erase("contact/C-1", because="asked", by="anna")
    before = tables(tower)
    with tower.database.begin() as conn:
        known = rulebooks.records_after(conn, "", "", 1000)
        conn.exec_driver_sql("delete from version; delete from record")
        rebuild_records(conn, tower._engine, known)
        evaluate_records(conn, tower._engine, known)
    assert tables(tower) == before


def test_a_repeat_is_a_repeat_before_the_erasure_and_after_it(tower: Tower, clock: Clock) -> None:
    assert statuses(tower, PERSON, PERSON) == ["accepted", "duplicate"]
    assert statuses(tower, PERSON | {"data": {"fields": {"name": f"{CANARY} Else"}}}) == ["conflict"]
    tower.erase("contact/C-1", because="asked", by="anna")
    assert statuses(tower, PERSON) == ["duplicate"]
    assert with_canary(tower) == set()


def test_what_comes_about_an_erased_person_is_taken_without_what_is_personal(tower: Tower, clock: Clock) -> None:
    assert statuses(tower, PERSON) == ["accepted"]
    tower.erase("contact/C-1", because="asked", by="anna")
    assert tower.erase("contact/C-1", because="asked twice", by="anna").entries == 1
    clock.now = START + timedelta(hours=1)
    assert statuses(tower, event("n", clock.now, name=f"{CANARY} New", status="left"), DOCUMENT) == ["accepted"] * 2
    assert with_canary(tower) == set()
    assert (read(tower)["name"], read(tower)["status"]) == ("(erased)", "left")


def test_one_can_be_erased_before_anything_is_known_of_them(tower: Tower) -> None:
    tower.erase("contact/C-1", because="asked", by="anna")
    assert statuses(tower, PERSON) == ["accepted"]
    assert read(tower) == {"status": "active", "account": "A-1"}


def test_the_same_value_again_is_no_change_and_another_is(tower: Tower, clock: Clock) -> None:
    statuses(tower, event("a", email="a@x.example", status="left"))
    clock.now = START + timedelta(hours=5)
    statuses(tower, event("b", clock.now, email="a@x.example"))
    assert read(tower)["changed_at(email)"] == format_time(START)
    statuses(tower, event("c", clock.now, email="b@x.example"))
    assert read(tower)["changed_at(email)"] == format_time(clock.now)


def test_a_sender_cannot_bring_a_sealed_value_of_somebody_else(tower: Tower) -> None:
    statuses(tower, PERSON)
    with tower.database.read() as conn:
        token = conn.exec_driver_sql("select state ->> 'name' from record").scalar_one()
    assert token.startswith("sealed:1:")
    assert statuses(tower, event("f", subject="contact/C-2", name=token)) == ["refused"]


class Asks:
    """A worker that keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[FieldRequest] = []

    def propose(self, requests: list[FieldRequest]) -> list[Proposal]:
        self.seen += requests
        return []


def test_no_worker_sees_a_personal_field_or_a_sealed_document(tower: Tower) -> None:
    statuses(tower, PERSON, DOCUMENT, event("acc", subject="account/A-1", name="Acme"))
    worker = Asks()
    tower.enrich(worker, only=frozenset({"contact/C-1", "account/A-1"}))
    assert CANARY not in str(worker.seen) and "sealed:" not in str(worker.seen)
    assert tower.labelled() == {"industry": []} or "sealed:" not in str(tower.labelled())


def test_two_people_with_one_name_look_different_in_the_store(tower: Tower) -> None:
    statuses(tower, event("a", name="Anna"), event("b", subject="contact/C-2", name="Anna"))
    with tower.database.read() as conn:
        tokens = conn.exec_driver_sql("select state ->> 'name' from record").scalars().all()
    assert len(set(tokens)) == 2


def test_the_master_key_is_a_file_of_ones_own_and_a_missing_or_wrong_one_is_told(
    tower: Tower, database_url: str, tmp_path: Path
) -> None:
    statuses(tower, PERSON)
    file = tmp_path / "master.key"
    assert file.stat().st_mode & 0o777 == 0o600 and len(base64.b64decode(file.read_text())) == 32
    kept = file.read_text()
    file.unlink()
    assert read(tower)["name"] == "(sealed)"
    with pytest.raises(StoreError, match="master.key: is missing"):
        tower.take([event("x", subject="contact/C-9", name="Zoe")])
    file.write_text(base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(StoreError, match="is not the master key"):
        read(tower)
    file.write_text("short")
    with pytest.raises(InputError, match="is no key"):
        read(tower)
    file.unlink()
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url), master_key=SecretStr(kept))
    with build(settings, clock=tower.clock) as other:
        assert read(other)["name"] == f"{CANARY} Rossi"


def test_a_backup_brings_nobody_back_who_was_erased_since(
    tower: Tower, empty_url: str, tmp_path: Path, clock: Clock
) -> None:
    statuses(tower, PERSON)
    backup.back_up(tower.database, tmp_path / "before.zip", START)
    tower.erase("contact/C-1", because="asked", by="anna")
    settings = Settings(data=tmp_path, database_url=SecretStr(empty_url))
    from watchtower.store.database import connect

    database = connect(settings)
    erased = backup.forgotten(tmp_path / "erased.keys")
    backup.restore(database, tmp_path / "before.zip", START, erased=erased)
    database.close()
    with build(settings, clock=clock) as restored:
        assert read(restored)["name"] == "(erased)"


def test_erase_at_the_command_line(
    tower: Tower, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses(tower, PERSON)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path))

    def wt(*arguments: object) -> Ended:
        return Ended(*inside(capsys, "erase", *arguments))

    assert "marks nothing of 'account' as personal" in wt("account/A-1", "--because", "asked").err
    assert "says why" in wt("contact/C-1", "--because", " ").err
    assert wt("contact/C-1", "--because", "asked", "--json").json()["entries"] == 1
    assert read(tower)["name"] == "(erased)"


@pytest.mark.parametrize("field", ["{type: integer, personal: true}", "{type: text, personal: true, fill: enrichment}"])
def test_a_personal_field_that_could_not_be_sealed_is_a_fault(tmp_path: Path, field: str) -> None:
    (tmp_path / "r.yaml").write_text(BOOK.replace("{type: email, personal: true}", field))
    with pytest.raises(RulebookError, match="personal data are sealed"):
        load(tmp_path / "r.yaml")


# ---- retention


def keeping(length: str) -> str:
    return BOOK.replace("    label: name\n", f"    label: name\n    keep_personal: {length}\n")


def kept_for(tower: Tower, tmp_path: Path, length: str) -> None:
    (tmp_path / "kept.yaml").write_text(keeping(length))
    tower.activate(load(tmp_path / "kept.yaml"), by="ann")


def test_people_nobody_has_heard_of_for_long_are_erased_by_the_rulebooks_word(
    tower: Tower, clock: Clock, tmp_path: Path
) -> None:
    assert statuses(tower, PERSON, event("q", subject="contact/C-2", name=f"{CANARY} Due")) == ["accepted"] * 2
    assert tower.retain(90, by="test").people == {}, "a rulebook that says nothing keeps everybody"
    kept_for(tower, tmp_path, "730 days")
    clock.now = START + timedelta(days=729)
    assert statuses(tower, event("news", clock.now, status="left")) == ["accepted"]
    assert tower.retain(90, by="test").people == {}
    clock.now = START + timedelta(days=731)
    assert list(tower.retain(90, by="test", dry=True).people) == ["contact/C-2"]
    assert "Due" in str(read(tower, "C-2")), "to look is not to erase"
    assert list(tower.retain(90, by="test").people) == ["contact/C-2"]
    assert read(tower, "C-2")["name"] == "(erased)"
    assert CANARY in read(tower)["name"]
    assert tower.retain(90, by="test").people == {}
    with tower.database.read() as conn:
        whats = [(row.actor, row.what, row.about) for row in audit.newest(conn, 2)]
    assert whats == [("test", "retention", "90 days"), ("test", "person.erase", "contact/C-2")]
    assert list(map(str, tower.replay().differences)) == []


def test_what_is_over_goes_and_what_stands_stays(tower: Tower, clock: Clock, tmp_path: Path) -> None:
    furnish(tower, clock)
    folder = tmp_path / "snapshots"
    folder.mkdir(exist_ok=True)
    for name in ("contact-20260302T090000Z.parquet", "contact-20260601T090000Z.parquet"):
        (folder / name).write_bytes(b"")
    with tower.database.begin() as conn:
        letters = [letter.seq for letter in deadletters.letters(conn)]
        deadletters.discard(conn, letters[0], "read", START)
    clock.now = START + timedelta(days=89)
    assert not tower.retain(90, by="test").anything
    clock.now = START + timedelta(days=92)
    assert tower.retain(90, by="test", dry=True).counts() == tower.retain(90, by="test").counts()
    assert [path.name for path in folder.iterdir()] == ["contact-20260601T090000Z.parquet"]
    with tower.database.read() as conn:
        assert {letter.seq for letter in deadletters.letters(conn)} == set(letters[1:])
        assert deadletters.letters(conn, outcome="discarded") == []


@pytest.mark.parametrize(("length", "message"), [("soon", "not a length of time"), ("-3 days", "no time at all")])
def test_a_time_to_keep_that_is_none_is_refused(tmp_path: Path, length: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(keeping(length))
    with pytest.raises(RulebookError, match=message):
        compile_rulebook(load(tmp_path / "r.yaml"))


def test_an_object_without_personal_fields_keeps_nothing_personal(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(BOOK.replace("  account:\n", "  account:\n    keep_personal: 1 year\n", 1))
    with pytest.raises(RulebookError, match="none of its fields is personal"):
        load(tmp_path / "r.yaml")
