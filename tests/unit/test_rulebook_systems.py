"""`systems:` of a rulebook: what loads, what is refused and where, and the rules that follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.errors import RulebookError
from watchtower.flow.examples import run_examples
from watchtower.rulebook import Loaded, from_content, load
from watchtower.rulebook.kinds import KINDS
from watchtower.rulebook.systems import master_of
from watchtower.rules.compile import compile_rulebook
from watchtower.settings import credential, lacking, read_credentials

BOOK = """
objects:
  account:
    fields:
      name: {type: text}
      industry: {type: enum, values: [software, retail], fill: enrichment}
      plan: {type: text}
      deals: {type: integer, rollup: {count: records, over: contact}}
  contact:
    fields:
      account: {type: ref, to: account}
      email: {type: email, personal: true}
roles: {revops: RevOps, finance: Finance}
calendars:
  office: {days: [mon, tue, wed, thu, fri], hours: ["09:00", "18:00"]}
rules:
  - {id: bare, object: account, when: industry is null and plan is null}
systems:
  crm:
    kind: hubspot
    owner: revops
    every: 5 minutes
    objects:
      account:
        from: companies
        master: true
        fields:
          name: name
          industry: {from: industry, values: {COMPUTER_SOFTWARE: software, RETAIL: retail}}
      contact:
        from: contacts
        fields: {account: associations.companies, email: email}
    activities: [note]
    write: {account: [industry]}
  other:
    kind: salesforce
    owner: finance
    calendar: office
    objects:
      account: {from: Account, fields: {plan: Plan__c}}
"""


def loaded(tmp_path: Path, old: str = "", new: str = "") -> Loaded:
    assert old in BOOK
    path = tmp_path / "book.yaml"
    path.write_text(BOOK.replace(old, new, 1) if old else BOOK)
    return load(path)


def test_a_rulebook_names_its_systems_and_loads_from_its_own_content_again(tmp_path: Path) -> None:
    book = loaded(tmp_path).rulebook
    again = from_content(book.content())
    assert again == book and again.version == book.version
    assert (master_of(book, "account"), master_of(book, "contact")) == ("crm", "crm")
    assert book.systems["crm"].objects["account"].fields["industry"].theirs["software"] == "COMPUTER_SOFTWARE"


def test_each_system_is_watched_by_two_rules_of_its_owner_whose_examples_hold(tmp_path: Path) -> None:
    book = loaded(tmp_path)
    found = {rule.id: rule for rule in book.rulebook.rules if rule.object == "system"}
    assert sorted(found) == [
        "system.crm.failing", "system.crm.silent", "system.other.failing", "system.other.silent",
    ]  # fmt: skip
    assert {rule.owner for rule in found.values()} == {"revops", "finance"}
    assert "interval '20 minutes'" in found["system.crm.silent"].when
    assert "business_elapsed(last_event_at, 'office')" in found["system.other.silent"].when
    assert found["system.crm.failing"].inhibits == ["system.crm.silent"]
    outcomes = [one for one in run_examples(book, compile_rulebook(book)) if one.rule.startswith("system.")]
    assert len(outcomes) == 8 and all(one.fault is None for one in outcomes)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: hubspot", "kind: hubspt", "systems.crm.kind: 'hubspt' is not one of hubspot, salesforce"),
        ("owner: revops", "owner: revop", "the owner 'revop' is not among roles; did you mean 'revops'?"),
        ("every: 5 minutes", "every: often", "systems.crm.every: 'often' is no time such as '5 minutes'"),
        ("name: name\n", "nme: name\n", "system crm: account has no field 'nme'; did you mean 'name'?"),
        ("name: name\n", "deals: deals\n", "account.deals is computed; no system fills it"),
        ("      contact:\n        from", "      contcts:\n        from", "unknown object 'contcts'"),
        ("RETAIL: retail", "RETAIL: shops", "'shops' is not a value of account.industry"),
        ("activities: [note]", "activities: [letter]", "'letter' cannot be read from hubspot; accepted is note"),
        ("calendar: office", "calendar: offce", "unknown calendar 'offce'; did you mean 'office'?"),
        ("        master: true\n", "", "account comes from crm and other, and none is its master"),
        ("account: {from: Account,", "account: {from: Account, master: true,", "the master of account is crm already"),
        ("plan: Plan__c", "name: Name", "account.name comes from crm and other, and nothing ranks them"),
        ("plan: {type: text}", "plan: {type: text, sources: [crm]}", "account.plan is not taken from it"),
        ("write: {account: [industry]}", "write: {account: [name]}", "account.name is not filled by enrichment"),
        ("write: {account: [industry]}", "write: {account: [plan]}", "account.plan is not mapped to any property"),
        ("write: {account: [industry]}", "write: {deal: [x]}", "write: 'deal' is none of its objects"),
        ("from: contacts\n", "from: contacts\n        id: email\n", "'email' is personal, and ids are not sealed"),
        ("from: contacts\n", "from: companies\n", "'companies' is account already"),
        ("  other:", "  person:", "system person: others speak under this name"),
        ("from: companies\n", "form: companies\n", "systems.crm.objects.account.form: unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(RulebookError) as caught:
        loaded(tmp_path, old, new)
    named = [fault for fault in caught.value.faults if says in str(fault)]
    assert named, caught.value
    line = BOOK.splitlines().index("systems:") + 1
    assert named[0].file.endswith("book.yaml") and (named[0].line > line and named[0].column > 1)


def test_a_write_to_an_object_that_another_system_is_the_master_of_is_refused(tmp_path: Path) -> None:
    old = "account: {from: Account, fields: {plan: Plan__c}}"
    new = "account: {from: Account, fields: {plan: Plan__c}}\n    write: {account: [plan]}"
    with pytest.raises(RulebookError, match="the master of account is crm; nothing is written to it from here"):
        loaded(tmp_path, old, new)


def test_two_systems_may_feed_one_field_where_its_sources_rank_them(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    text = BOOK.replace("name: {type: text}", "name: {type: text, sources: [crm, other, person]}")
    path.write_text(text.replace("plan: Plan__c", "plan: Plan__c, name: Name"))
    assert load(path).rulebook.objects["account"].fields["name"].sources[:2] == ["crm", "other"]


def test_credentials_come_from_the_environment_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["salesforce"]
    for end in ("URL", "TOKEN", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(credential("crm", end), raising=False)
    monkeypatch.setenv("WATCHTOWER_CRM_URL", "https://x.my.salesforce.com")
    monkeypatch.setenv("WATCHTOWER_CRM_CLIENT_ID", "i")
    assert read_credentials("crm", kind) is None
    monkeypatch.setenv("WATCHTOWER_CRM_CLIENT_SECRET", "s")
    assert read_credentials("crm", kind) == {
        "URL": "https://x.my.salesforce.com",
        "CLIENT_ID": "i",
        "CLIENT_SECRET": "s",
    }
    assert lacking("crm", kind).startswith("WATCHTOWER_CRM_URL and WATCHTOWER_CRM_TOKEN, or WATCHTOWER_CRM_URL and")
