"""What systems say becomes events: once, by the master's word, with nothing personal beside the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from systems.scene import events, state
from tower_scene import Clock, tower_under

from watchtower.bootstrap import Tower
from watchtower.bootstrap.systems import Synced
from watchtower.contract.system import Asked, Change, Cursor, Gone, Merged, Pulled, Said, Seen
from watchtower.errors import Busy
from watchtower.flow.systems import taking
from watchtower.rulebook import load
from watchtower.store import systems as store

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: two
timezone: Europe/Rome
objects:
  account:
    fields:
      name: {type: text, sources: [crm, billing]}
      plan: {type: enum, values: [free, paid]}
      parent: {type: ref, to: account}
  contact:
    fields:
      account: {type: ref, to: account}
      email: {type: email, personal: true}
      seen: {type: integer, rollup: {count: events, of: activity.logged}}
rules:
  - {id: unpaid, object: account, when: plan = 'free'}
  - {id: of_nobody, object: contact, when: account.name = 'nobody'}
systems:
  crm:
    kind: hubspot
    owner: revops
    objects:
      account: {from: companies, master: true, fields: {name: name, parent: parent}}
      contact: {from: contacts, fields: {account: company, email: email}}
    activities: [note]
  billing:
    kind: salesforce
    owner: finance
    objects:
      account: {from: Account, id: Crm__c, fields: {plan: Plan__c, name: Name}}
"""


class Script:
    """A system that says these pages. `at` is the page to begin with; `began`: where each reading began."""

    def __init__(self, *pages: Sequence[Change], whole: tuple[str, ...] = (), there: Sequence[str] = ()) -> None:
        self.pages, self.whole, self.there = pages, whole, set(there)
        self.began: list[int] = []
        self.asked: list[str] = []

    def __call__(self, name: str, system: Any) -> Script:
        return self

    def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
        first = int(cursor.get("page", 0))
        self.began.append(first)
        for number in range(first, len(self.pages)):
            last = number + 1 == len(self.pages)
            yield Pulled(
                changes=tuple(self.pages[number]), cursor={"page": number + 1}, whole=self.whole if last else ()
            )

    def present(self, object: str, ids: Sequence[str]) -> set[str]:
        self.asked += ids
        return self.there & set(ids)

    def close(self) -> None: ...


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def seen(id_: str, minutes: float, object_: str = "companies", *, whole: bool = True, **properties: Any) -> Seen:
    return Seen(object=object_, id=id_, at=at(minutes), properties=properties, whole=whole)


def note(id_: str, minutes: float, text: str, *about: str) -> Said:
    return Said(object="notes", id=id_, at=at(minutes), happened=at(1), activity="note", text=text,
                about=tuple(("contacts", one) for one in about))  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock(at(600))


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    with tower_under(BOOK, database_url, tmp_path, clock) as built:
        yield built


def say(tower: Tower, *changes: Change, name: str = "crm") -> Synced:
    done = tower.sync(name, open_=Script(changes), full=True)
    assert not done.fault, done.fault
    return done


def test_the_same_page_twice_says_nothing_new_and_an_older_one_is_passed_over(tower: Tower) -> None:
    page = (seen("1", 1, name="Acme"), seen("2", 2, name="Bolt", parent="1"))
    assert say(tower, *page).took.events == 2
    assert say(tower, *page, *page).took.events == 0
    say(tower, seen("1", 5, name="Acme Inc"))
    assert say(tower, seen("1", 3, name="Acme Ltd")).took.events == 0
    assert state(tower, "account") == {"1": {"name": "Acme Inc"}, "2": {"name": "Bolt", "parent": "1"}}


def test_only_what_changed_is_said_and_null_only_where_there_was_a_value(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme", parent=None))
    say(tower, seen("1", 2, name="Acme", parent="9"))
    say(tower, seen("1", 3, name=None, parent="9"))
    assert [row[3]["fields"] for row in events(tower)] == [{"name": "Acme"}, {"parent": "9"}, {"name": None}]


def test_one_page_may_bring_an_object_several_times_in_any_order(tower: Tower) -> None:
    say(tower, seen("1", 3, name="C"), seen("1", 1, name="A"), seen("1", 2, name="B", parent="7"))
    assert state(tower, "account") == {"1": {"name": "C"}}
    assert [row[3]["fields"] for row in events(tower)] == [
        {"name": "A"}, {"name": "B", "parent": "7"}, {"name": "C", "parent": None},
    ]  # fmt: skip


def test_a_part_of_an_object_leaves_the_rest_alone(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme", parent="2"))
    say(tower, seen("1", 2, whole=False, parent="3"))
    assert state(tower, "account") == {"1": {"name": "Acme", "parent": "3"}}


def test_the_master_alone_deletes_and_what_it_deleted_no_other_system_brings_back(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme"))
    plan = seen("x", 2, "Account", Plan__c="free", Crm__c="1")
    say(tower, plan, name="billing")
    assert state(tower, "account") == {"1": {"name": "Acme", "plan": "free"}}
    say(tower, Gone(object="Account", id="x", at=at(3)), name="billing")
    assert state(tower, "account")["1"]["name"] == "Acme"
    say(tower, Gone(object="companies", id="1", at=at(4)))
    assert state(tower, "account") == {}
    say(tower, seen("y", 5, "Account", Plan__c="paid", Crm__c="1"), name="billing")
    assert state(tower, "account") == {}
    say(tower, seen("1", 6, name="Acme again"))
    assert state(tower, "account") == {"1": {"name": "Acme again"}}


def test_where_two_systems_feed_a_field_its_sources_rank_them(tower: Tower) -> None:
    say(tower, seen("x", 2, "Account", Name="By billing", Crm__c="1"), name="billing")
    assert state(tower, "account") == {"1": {"name": "By billing"}}
    say(tower, seen("1", 1, name="By the CRM"))
    say(tower, seen("x", 9, "Account", Name="By billing again", Crm__c="1"), name="billing")
    assert state(tower, "account") == {"1": {"name": "By the CRM"}}


def test_a_merge_names_the_record_it_went_into_and_its_contacts_follow_by_their_own_word(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme"), seen("2", 1, name="Akme"), seen("7", 1, "contacts", company="2"))
    say(tower, Merged(object="companies", id="2", into="1", at=at(2)), seen("7", 2, "contacts", company="1"))
    assert set(state(tower, "account")) == {"1"} and state(tower, "contact") == {"7": {"account": "1"}}
    assert [row[3] for row in events(tower, "record.merged")] == [{"into": "1"}]
    assert say(tower, Merged(object="companies", id="2", into="1", at=at(3))).took.events == 0


def test_contacts_of_a_merged_company_follow_though_their_system_says_nothing_of_them(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme"), seen("2", 1, name="Akme"), seen("7", 1, "contacts", company="2"))
    say(tower, Merged(object="companies", id="2", into="1", at=at(2)))
    assert state(tower, "contact") == {"7": {"account": "1"}}
    assert say(tower, seen("7", 3, "contacts", company="2")).took.events == 0, "the system said so before"


def test_a_note_counts_once_for_each_record_and_its_text_is_a_document_that_is_replaced(tower: Tower) -> None:
    say(tower, seen("7", 1, "contacts"), seen("8", 1, "contacts"))
    say(tower, note("n", 2, "first", "7"))
    say(tower, note("n", 3, "second", "7", "8"), note("n", 3, "second", "7", "8"))
    logged = events(tower, "activity.logged")
    assert sorted(row[2] for row in logged) == ["contact/7", "contact/8"]
    with tower.database.read() as conn:
        rows = conn.exec_driver_sql("select record, id, kind, text from document order by record").all()
    assert [(row[0], row[1], row[2]) for row in rows] == [("7", "crm:notes/n", "note"), ("8", "crm:notes/n", "note")]
    assert all(row[3].startswith("sealed:") for row in rows)


def test_a_value_that_is_not_allowed_is_set_aside_alone_and_goes_in_once_the_rulebook_allows_it(
    tower: Tower, tmp_path: Path
) -> None:
    say(tower, seen("1", 1, name="Acme"))
    odd = seen("x", 2, "Account", Plan__c="trial", Name="N", Crm__c="1")
    assert say(tower, odd, name="billing").took.refused == 1
    assert say(tower, odd, name="billing").took.refused == 0
    assert state(tower, "account") == {"1": {"name": "Acme"}}
    (tmp_path / "more.yaml").write_text(BOOK.replace("[free, paid]", "[free, paid, trial]"))
    tower.activate(load(tmp_path / "more.yaml"), by="test")
    assert tower.redrive()["accepted"] == 1
    assert state(tower, "account")["1"]["plan"] == "trial"


def test_nothing_personal_stands_beside_the_journal(tower: Tower) -> None:
    canary = "canary.person@example.com"
    say(tower, seen("7", 1, "contacts", email=canary))
    say(tower, seen("7", 2, "contacts", email=canary), note("n", 3, f"wrote to {canary}", "7"))
    with tower.database.read() as conn:
        for table in ("system_link", "system_state", "journal", "record", "version", "document", "deadletter"):
            for row in conn.exec_driver_sql(f"select to_jsonb({table})::text from {table}"):
                assert "canary" not in row[0], table
    assert [row[3]["fields"].keys() for row in events(tower, "record.updated")] == [{"email"}]


def test_a_round_that_is_broken_off_goes_on_from_its_last_page(tower: Tower) -> None:
    script = Script(*[[seen(str(n), n, name=f"N{n}")] for n in range(5)])
    for taken in (1, 2):
        tower.sync("crm", open_=script, enough=lambda: True)
        assert len(events(tower)) == taken
    tower.sync("crm", open_=script)
    assert script.began == [0, 1, 2] and len(events(tower)) == 5


def test_where_the_rulebook_maps_otherwise_all_is_read_again(tower: Tower, tmp_path: Path) -> None:
    script = Script([seen("1", 1, name="Acme", other="o")])
    tower.sync("crm", open_=script)
    tower.sync("crm", open_=script)
    (tmp_path / "more.yaml").write_text(BOOK.replace("{name: name, parent: parent}", "{name: other}"))
    tower.activate(load(tmp_path / "more.yaml"), by="test")
    tower.sync("crm", open_=script)
    assert script.began == [0, 1, 0] and state(tower, "account") == {"1": {"name": "o"}}


def test_what_a_whole_reading_does_not_bring_is_gone_unless_it_is_found_by_its_id(tower: Tower) -> None:
    say(tower, *(seen(str(n), 1, name=f"N{n}") for n in range(4)))
    script = Script([seen("0", 1, name="N0")], whole=("companies",), there=["2"])
    assert tower.sync("crm", open_=script, full=True).gone == 2
    assert sorted(script.asked) == ["1", "2", "3"] and set(state(tower, "account")) == {"0", "2"}


def test_two_that_read_one_system_at_once_do_not_move_its_cursor_past_each_other(tower: Tower) -> None:
    first = Script([seen("1", 1, name="A")], [seen("2", 1, name="B")])
    reading = iter(first.pull(Asked(objects={}), {}))

    class Slow(Script):
        def pull(self, asked: Asked, cursor: Cursor) -> Iterator[Pulled]:
            yield next(reading)
            tower.sync("crm", open_=Script([seen("9", 1, name="Z")]), full=True)
            yield next(reading)

    with pytest.raises(Busy, match="another process reads it, too"):
        tower.sync("crm", open_=Slow())
    assert set(state(tower, "account")) == {"1", "9"}


def test_a_page_goes_in_whole_with_its_cursor_or_not_at_all(tower: Tower) -> None:
    with pytest.raises(KeyboardInterrupt):
        with tower.database.begin() as conn:
            store.begin(conn, "crm", at(600), anew=False)
            pulled = Pulled(changes=(seen("1", 1, name="A"),), cursor={"page": 1})
            taking.take_page(conn, tower._engine, "crm", pulled, 0, at(600))
            raise KeyboardInterrupt
    assert events(tower) == []
    with tower.database.read() as conn:
        assert store.states(conn) == {}


def test_what_systems_said_is_the_same_in_a_replay(tower: Tower) -> None:
    say(tower, seen("1", 1, name="Acme"), seen("2", 1, name="Akme"), seen("7", 1, "contacts", company="2"))
    say(tower, seen("x", 2, "Account", Plan__c="free", Crm__c="1"), name="billing")
    say(tower, Merged(object="companies", id="2", into="1", at=at(3)), note("n", 3, "text", "7"))
    tower.tick()
    replayed = tower.replay()
    assert replayed.entries > 5 and replayed.different == 0, replayed.differences
