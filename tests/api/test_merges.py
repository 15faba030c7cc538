"""Pairs and merges over HTTP, and by commands: what waits, what is decided, where an id went."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tower_scene import Clock, tower_under

from watchtower.api.app import create_app
from watchtower.bootstrap import Tower
from watchtower.store import audit

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
objects:
  account: {label: name, fields: {name: {type: text}, country: {type: country}}}
  deal: {fields: {account: {type: ref, to: account}, amount: {type: money}}}
rules:
  - {id: named, object: deal, when: "account.name = 'Meyer Hydraulik'"}
"""


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    clock = Clock(START)
    with tower_under(BOOK, database_url, tmp_path, clock) as built:
        fields = {"A1": {"name": "Meyer Hydraulik GmbH", "country": "DE"}, "A2": {"name": "Meyer Hydraulik"}}
        built.take([
            {"specversion": "1.0", "id": id_, "source": "crm", "type": "record.updated", "subject": f"account/{id_}",
             "time": "2026-03-02T09:00:00Z", "data": {"fields": values}}
            for id_, values in fields.items()
        ])  # fmt: skip
        built.find_pairs("account")
        clock.now = START + timedelta(hours=1)
        yield built


@pytest.fixture
def http(tower: Tower) -> Iterator[TestClient]:
    with TestClient(create_app(tower), base_url="http://127.0.0.1:8000") as opened:
        yield opened


def ok(response: Any) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def test_a_pair_is_shown_with_its_weights_accepted_and_the_old_id_says_where_it_went(
    http: TestClient, tower: Tower
) -> None:
    [pair] = ok(http.get("/pairs"))["items"]
    assert (pair["record"], pair["into"], pair["status"]) == ("A2", "A1", "review")
    assert pair["compared"]["name"] == ["Meyer Hydraulik", "Meyer Hydraulik GmbH"]
    assert abs(sum(weight["bits"] for weight in pair["weights"]) - pair["bits"]) < 0.01
    done = ok(http.post(f"/pairs/{pair['id']}/accept", json={"actor": "anna", "note": "same register number"}))
    assert (done["status"], done["decided_by"]) == ("accepted", "person:anna")
    gone, stays = ok(http.get("/records/account/A2")), ok(http.get("/records/account/A1"))
    assert (gone["merged_into"], stays["merged_from"], stays["merged_into"]) == ("account/A1", ["A2"], None)
    [merge] = ok(http.get("/merges"))["items"]
    assert (merge["record"], merge["into"], merge["pair"]) == ("A2", "A1", pair["id"])
    undone = ok(http.post(f"/merges/{merge['id']}/undo", json={"actor": "ben"}))
    assert undone["undone_by"] == "person:ben"
    assert ok(http.get("/records/account/A2"))["merged_into"] is None and ok(http.get("/merges"))["items"] == []
    assert http.post(f"/merges/{merge['id']}/undo").status_code == 400
    assert logged(tower) == [("ben", "record.unmerge", merge["id"]), ("anna", "pair.accept", pair["id"])]


def logged(tower: Tower) -> list[tuple[str, str, str]]:
    """The audit's rows on pairs and merges, the latest first."""
    with tower.database.read() as conn:
        found = audit.newest(conn, 100)
    return [(row.actor, row.what, row.about) for row in found if row.what.startswith(("pair.", "record."))]


def test_a_rejected_pair_stays_two_and_what_is_not_there_is_said(http: TestClient, tower: Tower) -> None:
    [pair] = ok(http.get("/pairs?record=account/A1"))["items"]
    assert ok(http.post(f"/pairs/{pair['id']}/reject", json={}))["status"] == "rejected"
    assert ok(http.get("/pairs"))["items"] == [] and len(ok(http.get("/pairs?status=rejected"))["items"]) == 1
    assert [(what, about) for _, what, about in logged(tower)] == [("pair.reject", pair["id"])]
    refused = http.post(f"/pairs/{pair['id']}/accept", json={"into": "A1"})
    assert refused.status_code == 400 and "is rejected already" in refused.text
    assert http.post("/pairs/mp_none/accept").status_code == 404
    assert http.post("/merges/mg_none/undo").status_code == 404


def test_a_source_that_merged_its_own_records_is_believed_as_to_where_the_id_went(
    http: TestClient, tower: Tower
) -> None:
    tower.take([{"specversion": "1.0", "id": "m", "source": "crm", "type": "record.merged", "subject": "account/A2",
                 "time": "2026-03-02T09:30:00Z", "data": {"into": "A1"}}])  # fmt: skip
    assert ok(http.get("/records/account/A2"))["merged_into"] == "account/A1"


def test_the_page_shows_both_side_by_side_and_its_forms_decide(http: TestClient, tower: Tower) -> None:
    [pair] = tower.pairs()
    shown = http.get("/review/pairs").text
    assert "Meyer Hydraulik GmbH" in shown and "One: A1 stays" in shown and f"{pair.bits:+.1f} bits" in shown
    form = {"next": "/review/pairs", "into": "A2"}
    headers = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert http.post(f"/review/pairs/{pair.id}/accept", data=form, headers=headers).status_code == 200
    [done] = tower.merged()
    assert (done.record, done.survivor) == ("A1", "A2")
    assert logged(tower)[0] == ("operator", "pair.accept", pair.id)
    assert "Take apart" in (after := http.get("/review/pairs").text) and "No pair waits" in after
    http.post(f"/review/merges/{done.id}/undo", data={"next": "/review/pairs"}, headers=headers)
    assert logged(tower)[0] == ("operator", "record.unmerge", done.id)
    assert tower.merged() == [] and "taken apart" in http.get("/review/pairs").text
