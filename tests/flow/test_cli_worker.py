"""`watchtower up --no-worker` and `watchtower worker` beside it: asked by one process, answered by another."""

from __future__ import annotations

import json
import time
from pathlib import Path

from command_line import begin, ended, wt
from job_scene import BOOK, START, name_of
from llm_stub import model, text_of
from test_cli_up import ask, up

from watchtower.contract import format_time


def test_a_worker_beside_the_service_fills_what_the_service_asks_for(tmp_path: Path, free_port: int) -> None:
    data, book, events = tmp_path / "data", tmp_path / "book.yaml", tmp_path / "events.jsonl"
    book.write_text(BOOK)
    common = {"specversion": "1.0", "source": "crm", "subject": "account/A1", "time": format_time(START)}
    said = [
        common | {"id": "r1", "type": "record.updated", "data": {"fields": {}}},
        common | {"id": "d1", "type": "document.added", "data": {"document": "d1", "text": text_of(name_of(1))}},
    ]
    events.write_text("".join(json.dumps(event) + "\n" for event in said))
    wt("import", events, "--rulebook", book, "--data", data)
    stub_settings = {"WATCHTOWER_LLM_MODEL": "stub", "WATCHTOWER_LLM_API_KEY": "none"}
    with model(0.0) as stub, up(data, free_port, "--no-worker") as (_, url):
        worker = begin("worker", "--data", data, WATCHTOWER_LLM_BASE_URL=stub.url, **stub_settings)
        try:
            deadline = time.monotonic() + 60
            while True:
                chief = ask(f"{url}/records/account/A1")["fields"].get("chief", {}).get("value")
                if chief is not None or time.monotonic() > deadline or worker.poll() is not None:
                    break
                time.sleep(0.2)
        finally:
            worker.terminate()
            said_last = ended(worker, seconds=30)
        assert chief == f"Ann {name_of(1)}", said_last.err
        assert stub.calls.total() == 1


def test_a_worker_is_not_given_the_cores_address() -> None:
    refused = wt("worker", DATABASE_URL="postgresql://tower:secret@127.0.0.1:1/watchtower", code=1).err
    assert "WATCHTOWER_JOBS_URL: names no jobs database" in refused and "secret" not in refused
    unreachable = wt("worker", WATCHTOWER_JOBS_URL="postgresql://worker:secret@127.0.0.1:1/x", code=1).err
    assert "cannot be reached" in unreachable and "secret" not in unreachable
