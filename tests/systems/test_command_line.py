"""`watchtower sync`, `systems` and `doctor` as people have them, and a sync that is killed again and again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psycopg
import pytest
from command_line import begin, inside, wt
from systems import fake_hubspot
from systems.scene import HUBSPOT, OBJECTS, START
from systems.vendor import Faults, Vendor, served
from systems.words_hubspot import HubSpotWords

TOKEN = "WATCHTOWER_CRM_TOKEN"


def test_who_follows_the_page_on_hubspot_has_its_accounts_and_deals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """docs/howto/connect-hubspot.md, from the first command to the last, with the rulebook that ships."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path / "data"))
    vendor = Vendor(START)
    vendor.create("companies", "11", name="Acme", domain="acme.example", numberofemployees="120")
    vendor.create("contacts", "21", email="ann@acme.example", hs_buying_role="CHAMPION")
    vendor.create("deals", "31", dealname="Acme 2026", dealstage="contractsent", amount="12000")
    vendor.create("notes", "41", hs_note_body="<p>They want it.</p>", hs_timestamp=str(fake_hubspot.ms(START)))
    for thing, id_ in (("contacts", "21"), ("deals", "31")):
        vendor.link(thing, id_, "companies", "11")
    vendor.link("notes", "41", "deals", "31")
    with served(fake_hubspot.app(vendor)) as url:
        monkeypatch.setenv("WATCHTOWER_HUBSPOT_URL", url)
        for arguments in (("rules", "init", tmp_path / "mine", "--system", "hubspot"),
                          ("rules", "check", tmp_path / "mine"), ("rules", "activate", tmp_path / "mine")):  # fmt: skip
            code, out, err = inside(capsys, *arguments)
            assert code == 0, out + err
        monkeypatch.setenv("WATCHTOWER_HUBSPOT_TOKEN", fake_hubspot.TOKEN)
        code, out, err = inside(capsys, "sync", "hubspot", "--json")
        assert code == 0, out + err
    with psycopg.connect(database_url) as conn:
        found = dict(conn.execute("select object || '/' || id, state from record where object <> 'system'").fetchall())
    assert found["account/11"]["employees"] == 120 and found["contact/21"]["account"] == "11"
    deal = found["opportunity/31"]
    assert (deal["account"], deal["stage"], float(deal["amount"])) == ("11", "negotiation", 12000)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WATCHTOWER_DATA", str(tmp_path / "data"))
    monkeypatch.delenv(TOKEN, raising=False)
    path = tmp_path / "rules.yaml"
    path.write_text(OBJECTS + HUBSPOT)
    return path


def test_people_read_a_system_see_how_it_stands_and_are_told_what_is_missing(
    rules: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = inside(capsys, "sync", "--rulebook", rules)
    assert code == 1 and f"Set {TOKEN}, or WATCHTOWER_CRM_CLIENT_ID and" in err
    code, out, _ = inside(capsys, "doctor", "--json")
    (found,) = [one for one in json.loads(out)["findings"] if one["name"] == "systems"]
    assert code == 1 and found["state"] == "wrong" and TOKEN in found["remedy"]
    vendor = Vendor(START)
    HubSpotWords(vendor).create("account", "A1", {"name": "Acme"})
    with served(fake_hubspot.app(vendor)) as url:
        monkeypatch.setenv("WATCHTOWER_CRM_URL", url)
        monkeypatch.setenv(TOKEN, "wrong")
        code, out, err = inside(capsys, "sync", "crm")
        assert code == 1 and "answered 401" in err and "make a new one" in err
        monkeypatch.setenv(TOKEN, fake_hubspot.TOKEN)
        code, out, err = inside(capsys, "sync", "crm", "--json")
        assert (code, json.loads(out)["systems"][0]["events"]) == (0, 1), err
        code, out, _ = inside(capsys, "sync", "crm")
        assert code == 0 and "1 changes read, 0 events new" in out
    code, out, _ = inside(capsys, "systems", "--json")
    (standing,) = json.loads(out)["systems"]
    assert standing["kind"] == "hubspot" and standing["owner"] == "revops" and standing["records"] == {"companies": 1}
    assert standing["succeeded_at"] and standing["failed_at"] and not standing["failing"]
    assert standing["cursor_age_seconds"] >= 0
    code, out, _ = inside(capsys, "sync", "--list")
    assert code == 0 and "crm" in out and "revops" in out and "over since" in out
    code, out, _ = inside(capsys, "doctor", "--json")
    (found,) = [one for one in json.loads(out)["findings"] if one["name"] == "systems"]
    assert found["state"] == "ok" and "crm" in found["says"]
    code, _, err = inside(capsys, "sync", "other")
    assert code == 1 and "systems: crm" in err


def test_a_sync_that_is_killed_again_and_again_ends_with_all_of_it_once(rules: Path, database_url: str) -> None:
    vendor = Vendor(START)
    words = HubSpotWords(vendor)
    for number in range(900):
        words.create("account", f"A{number}", {"name": f"Company {number}"})
    vendor.faults = Faults(delayed=1.0)

    def taken() -> int:
        with psycopg.connect(database_url) as conn:
            found = conn.execute("select count(*) from journal where layer = 'core'").fetchone()
            return found[0] if found else 0

    with served(fake_hubspot.app(vendor)) as url:
        env = {
            "DATABASE_URL": database_url, "WATCHTOWER_DATA": str(rules.parent / "data"), TOKEN: fake_hubspot.TOKEN,
            "WATCHTOWER_CRM_URL": url,
        }  # fmt: skip
        for _ in range(2):
            before, process = taken(), begin("sync", "--rulebook", rules, **env)
            deadline = time.monotonic() + 60
            while taken() == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert before < taken()
        left = 900 - taken()
        done = wt("sync", "--json", **env).json()["systems"][0]
    assert done["events"] == left and taken() == 900
    with psycopg.connect(database_url) as conn:
        counted = conn.execute("select count(distinct record), count(*) from journal where layer = 'core'").fetchone()
    assert counted == (900, 900)
