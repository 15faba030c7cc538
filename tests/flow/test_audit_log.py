"""The audit log: one row for each thing done, none for what was refused, and a chain that shows a hand in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import inside
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text
from test_tower_decisions import BOOK, DAY, START, TEXT, Clock, Says, say, tell

from watchtower.api.app import ROUTES, create_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.store import audit

SAME = {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"}
FORM = SAME | {"content-type": "application/x-www-form-urlencoded"}
QUIET = {"/silences", "/silences/{silence_id}/end", "/review/silences", "/review/silences/{silence_id}/end"}
MERGES = {
    "/pairs/{pair_id}/accept", "/pairs/{pair_id}/reject", "/merges/{merge_id}/undo",
    "/review/pairs/{pair_id}/{verdict}", "/review/merges/{merge_id}/undo",
}  # fmt: skip
"""Held against the log in tests/api/test_merges.py."""
NOT_AUDITED = {
    "/events": "the journal is its log: each event stands there with its source",
    "/hooks/{name}": "events stand in the journal; what is done to a task acts as the routes above do",
    "/slack/interactions": "it acts as the routes above do, and leaves their rows (tests/api/test_silences.py)",
    "/review/advance": "it sets a cookie in the browser and nothing here",
    "/review/confirm": "it moves a record as /handoffs does, and leaves its row (tests/api/test_confirm.py)",
    "/review/reviewer": "it sets a cookie in the browser and nothing here",
}


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    clock = Clock()
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", clock=clock) as built:
        for name in ("L1", "L2"):
            say(built, f"lead/{name}", stage="mql", mql_at=format_time(START))
        say(built, "account/A1", zone=None)
        tell(built, "account/A1", START, "document.added", {"document": "d1", "text": TEXT})
        built.enrich(Says(confidence=0.6))
        say(built, "account/A2", zone=None)
        tell(built, "account/A2", START, "document.added", {"document": "d1", "text": TEXT})
        built.enrich(Says(confidence=0.6))
        clock.now = START + 3 * DAY
        built.tick()
        yield built


def rows(tower: Tower) -> list[audit.Row]:
    with tower.database.read() as conn:
        return audit.newest(conn, 1000)


def column(tower: Tower, statement: str) -> list[Any]:
    with tower.database.read() as conn:
        return list(conn.execute(text(statement)).scalars())


def test_one_row_for_each_thing_done_over_http_under_its_name_and_key(tower: Tower) -> None:
    row, key = tower.door.add("operator", "Ann", by="root")
    assert [(one.actor, one.what, one.about, one.key) for one in rows(tower)[:1]] == [("root", "key.add", row.id, "")]
    alerts = column(tower, "select id from alert where rule = 'waiting' order by record")
    proposals = column(tower, "select id from proposal where status = 'review' order by record")
    assert len(alerts) == len(proposals) == 2
    later = format_time(START + 9 * DAY)
    taken_back = "/proposals/{proposal_id}/withdraw"
    done = [
        ("/alerts/{alert_id}/acknowledge", f"/alerts/{alerts[0]}/acknowledge", {}, "alert.acknowledge", alerts[0]),
        ("/alerts/{alert_id}/snooze", f"/alerts/{alerts[0]}/snooze", {"until": later}, "alert.snooze", alerts[0]),
        ("/alerts/{alert_id}/assign", f"/alerts/{alerts[0]}/assign", {"assignee": "Bea"}, "alert.assign", alerts[0]),
        ("/alerts/{alert_id}/comment", f"/alerts/{alerts[0]}/comment", {"note": "hm"}, "alert.comment", alerts[0]),
        ("/alerts/{alert_id}/resolve", f"/alerts/{alerts[0]}/resolve", {}, "alert.resolve", alerts[0]),
        ("/alerts/{alert_id}/reopen", f"/alerts/{alerts[0]}/reopen", {}, "alert.reopen", alerts[0]),
        ("/proposals/{proposal_id}/accept", f"/proposals/{proposals[0]}/accept", {}, "proposal.accept", proposals[0]),
        ("/proposals/{proposal_id}/reject", f"/proposals/{proposals[1]}/reject", {}, "proposal.reject", proposals[1]),
        (
            taken_back,
            f"/proposals/{proposals[1]}/withdraw",
            {},
            "proposal.withdraw",
            proposals[1],
        ),
        ("/proposals/{proposal_id}/reject", f"/proposals/{proposals[1]}/reject", {}, "proposal.reject", proposals[1]),
        ("/handoffs", "/handoffs", {"record": "lead/L2", "fields": {"stage": "sql"}}, "handoff.moved", "lead/L2"),
    ]
    pages: list[tuple[str, str, dict[str, str], str, str]] = [
        ("/login", "/login", {"key": key}, "session.begin", row.id),
        (
            "/review/alerts/{alert_id}/{verb}",
            f"/review/alerts/{alerts[1]}/comment",
            {"note": "x"},
            "alert.comment",
            alerts[1],
        ),
        ("/review/proposals/{proposal_id}/{verdict}", f"/review/proposals/{proposals[1]}/accept", {}, "", ""),
        ("/review/bulk", "/review/bulk", {"verb": "acknowledge", "pick": alerts[0]}, "alert.acknowledge", alerts[0]),
        ("/logout", "/logout", {}, "session.end", row.id),
    ]
    bearer = {"authorization": f"Bearer {key}"}
    with TestClient(create_app(tower), base_url="http://127.0.0.1:8000", follow_redirects=False) as client:
        for _, path, body, what, about in done:
            before = len(rows(tower))
            answer = client.post(path, json=body, headers=bearer)
            assert answer.status_code in (200, 201), (path, answer.text)
            assert len(rows(tower)) == before + 1, path
            last = rows(tower)[0]
            assert (last.actor, last.key, last.what, last.about, last.at) == ("Ann", row.id, what, about, tower.clock())
            refused = client.post(path, json=body | {"actor": "Bea"}, headers=bearer)
            assert refused.status_code == 403 and len(rows(tower)) == before + 1
        asked = {"rule": "waiting", "until": later, "because": "the fair"}
        made = client.post("/silences", json=asked, headers=bearer).json()["id"]
        assert (rows(tower)[0].actor, rows(tower)[0].what, rows(tower)[0].about) == ("Ann", "silence.add", made)
        client.post(f"/silences/{made}/end", headers=bearer)
        assert (rows(tower)[0].actor, rows(tower)[0].what, rows(tower)[0].about) == ("Ann", "silence.end", made)
        subscribed = client.post("/subscriptions", json={"url": "https://hooks.zapier.com/h/1"}, headers=bearer).json()
        made = subscribed["id"]
        assert (rows(tower)[0].actor, rows(tower)[0].what, rows(tower)[0].about) == ("Ann", "subscription.add", made)
        assert client.delete(f"/subscriptions/{made}", headers=bearer).status_code == 204
        assert (rows(tower)[0].actor, rows(tower)[0].what, rows(tower)[0].about) == ("Ann", "subscription.end", made)
        for _, path, form, what, about in pages:
            before = len(rows(tower))
            answer = client.post(path, data=form, headers=SAME)
            if not what:  # this one was rejected already
                assert answer.status_code == 400 and len(rows(tower)) == before
                continue
            assert answer.status_code == 303, (path, answer.text)
            assert len(rows(tower)) == before + 1, path
            last = rows(tower)[0]
            assert (last.actor, last.what, last.about) == ("Ann", what, about)
        quiet = {"rule": "waiting", "length": "1h", "because": "the fair"}
        client.post("/login", data={"key": key}, headers=SAME)
        assert client.post("/review/silences", data=quiet, headers=SAME).status_code == 303
        made = rows(tower)[0].about
        assert (rows(tower)[0].actor, rows(tower)[0].what) == ("Ann", "silence.add")
        assert client.post(f"/review/silences/{made}/end", data={}, headers=FORM).status_code == 303
        assert (rows(tower)[0].actor, rows(tower)[0].what, rows(tower)[0].about) == ("Ann", "silence.end", made)

    routes = {route.path for build_ in ROUTES for route in build_(tower).routes if "POST" in route.methods}  # type: ignore[attr-defined]
    seen = {path for path, *_ in done} | {path for path, *_ in pages} | QUIET | MERGES | {"/subscriptions"}
    assert routes == seen | NOT_AUDITED.keys(), "a route that changes something is held against the log here"
    with tower.database.read() as conn:
        count, faults, last_hash = audit.verify(conn)
    assert (count, faults, last_hash) == (len(rows(tower)), [], rows(tower)[0].hash.hex())


def test_a_rulebook_in_force_and_keys_stand_there_too(tower: Tower) -> None:
    made, _ = tower.door.add("viewer", "Bea", by="root")
    tower.door.revoke(made.id, by="root")
    assert [(row.what, row.actor) for row in rows(tower)] == [
        ("key.revoke", "root"), ("key.add", "root"), ("rulebook.activate", "command line"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hand", "told"),
    [
        ("update audit set actor = 'Bea' where seq = 2", "row 2"),
        ("update audit set at = at - interval '1 microsecond' where seq = 2", "row 2"),
        ('update audit set data = \'{"note": "other"}\' where seq = 2', "row 2"),
        ("update audit set about = 'k_other', hash = sha256('x') where seq = 2", "row 2"),
        ("delete from audit where seq = 2", "row 2: is missing"),
        ("delete from audit where seq = 1", "row 1: is missing"),
        ("delete from audit where seq = 3", "is not in the log any more"),
        ("update audit set seq = 9 where seq = 3", "row 3: is missing"),
    ],
)
def test_a_hand_in_the_log_shows(
    tower: Tower, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hand: str, told: str
) -> None:
    for name in ("Bea", "Cleo"):
        tower.door.add("viewer", name, by="root")
    monkeypatch.setenv("DATABASE_URL", tower.database.url)
    noted = rows(tower)[0].hash.hex()
    code, out, err = inside(capsys, "audit-log", "verify", "--holds", noted, "--data", tower.settings.data)
    assert (code, err) == (0, "") and f"3 rows, last hash {noted}; the noted one is row 3" in out
    with tower.database.begin() as conn:
        conn.execute(text(hand))
    code, out, err = inside(capsys, "audit-log", "verify", "--holds", noted, "--data", tower.settings.data)
    assert code == 1 and told in err


def test_rows_written_at_once_make_one_chain(tower: Tower) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: tower.door.add("viewer", f"V{n}", by="root"), range(24)))
    with tower.database.read() as conn:
        count, faults, _ = audit.verify(conn)
    assert (count, faults) == (25, [])
    assert [row.seq for row in rows(tower)] == list(range(25, 0, -1))
    assert timedelta(0) == rows(tower)[0].at - tower.clock()
