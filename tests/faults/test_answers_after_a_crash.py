"""What does not wait for the disk is lost whole, or not at all, when the database's server is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from job_scene import BOOK, Clock, prepared
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.errors import StoreError
from watchtower.settings import Settings
from watchtower.store import embedded, jobs

RECORDS = 24


def test_no_answer_is_lost_and_none_is_decided_on_twice_through_kills_of_the_server(own_folder: Path) -> None:
    (own_folder / "book.yaml").write_text(BOOK)
    with embedded.start(own_folder / "data") as server:
        settings = Settings(data=own_folder, database_url=SecretStr(server.url))
        with build(settings, rulebook=own_folder / "book.yaml", clock=Clock()) as tower:
            prepared(tower, RECORDS)
            assert tower.hand_down(detections=False) == RECORDS
            for pause in (0.0, 0.01, 0.1, 0.4):
                answer(tower, 6)
                tower.desk.collect()
                time.sleep(pause)
                os.kill(server.pid, signal.SIGQUIT)  # at once: what is not written yet is gone
                until = time.monotonic() + 60
                while not back(tower, server):
                    assert time.monotonic() < until, "the server did not come back"
                asked, decided = standing(tower)
                assert asked | decided == everything(tower), "a request has neither an answer nor one to come"
            while standing(tower)[0]:
                answer(tower, RECORDS)
                tower.desk.collect()
            with tower.database.read() as conn:
                said = conn.execute(text("select count(*) from journal where type = 'field.answered'")).scalar_one()
                kept = conn.execute(text("select count(*), count(distinct request) from proposal")).one()
            assert said == RECORDS and tuple(kept) == (RECORDS, RECORDS)


def answer(tower: Tower, many: int) -> None:
    with tower.desk.database.begin() as conn:
        open_ = conn.execute(text("select batch, request from asked where answered_at is null limit :n"), {"n": many})
        for batch, request in open_.all():
            proposal = {"request": request, "field": "chief", "value": "X", "confidence": 0.2, "method": "m"}
            jobs.answer(conn, batch, request, [json.dumps({"proposals": [proposal | {"evidence": []}]})])


def back(tower: Tower, server: embedded.EmbeddedServer) -> bool:
    server.revive()
    try:
        tower.database.check_ready()
        standing(tower)
    except StoreError:
        return False
    return True


def everything(tower: Tower) -> set[str]:
    with tower.database.read() as conn:
        return set(conn.execute(text("select id from request")).scalars())


def standing(tower: Tower) -> tuple[set[str], set[str]]:
    """The requests that stand in the jobs database, and those that are decided on."""
    with tower.desk.database.begin() as conn:
        asked = set(conn.execute(text("select request from asked")).scalars())
    with tower.database.read() as conn:
        return asked, set(conn.execute(text("select id from request where answered_at is not null")).scalars())
