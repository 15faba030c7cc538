"""The provider's Batch API: the same calls, the same results, each paid for once."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from job_scene import BOOK, Clock, prepared
from llm_stub import completion, honest
from pydantic import SecretStr
from sqlalchemy import text

from watchtower.bootstrap import Tower, build
from watchtower.errors import InputError, ModelError
from watchtower.settings import Settings

PRICES = "enrichment: {prices: {stub: {input: 10, output: 100}}}\n"


class Provider(ThreadingHTTPServer):
    """Answers chats at once, and batches when it is `ready`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.chats: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, str] = {}
        self.ready, self.refuses, self.expires = False, False, 0


class Handler(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/chat/completions":
            self.server.chats.append(json.loads(body))
            self.send(completion(honest(json.loads(body))))
        elif self.server.refuses:
            self.send(b'{"error": {"message": "no batches here"}}', 404)
        elif self.path == "/v1/files":
            head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
            parts = email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts()
            [given] = [part for part in parts if part.get_filename()]
            name = f"file-{len(self.server.files)}"
            self.server.files[name] = given.get_content() if isinstance(given.get_content(), bytes) else b""
            self.send(json.dumps({"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "f",
                                  "purpose": "batch", "status": "processed"}).encode())  # fmt: skip
        else:
            asked = json.loads(body)
            assert asked["endpoint"] == "/v1/chat/completions"
            name = f"batch-{len(self.server.batches)}"
            self.server.batches[name] = asked["input_file_id"]
            self.send(self.batch(name))

    def do_GET(self) -> None:
        if self.path.startswith("/v1/batches/"):
            self.send(self.batch(self.path.rpartition("/")[2]))
        else:
            self.send(self.server.files[self.path.split("/")[3]])

    def batch(self, name: str) -> bytes:
        file = self.server.batches[name]
        whole = {"id": name, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": file,
                 "completion_window": "24h", "created_at": 1, "status": "in_progress"}  # fmt: skip
        if self.server.ready:
            lines = [json.loads(line) for line in self.server.files[file].splitlines()]
            out, expired = [], lines[: self.server.expires]
            for line in reversed(lines[self.server.expires :]):
                response = {"status_code": 200, "body": json.loads(completion(honest(line["body"])))}
                out.append({"id": "r", "custom_id": line["custom_id"], "response": response, "error": None})
            wrong = [
                {"custom_id": x["custom_id"], "response": None, "error": {"code": "batch_expired"}} for x in expired
            ]
            self.server.files[f"{name}-out"] = "\n".join(map(json.dumps, out)).encode()
            self.server.files[f"{name}-err"] = "\n".join(map(json.dumps, wrong)).encode()
            whole |= {"status": "completed", "output_file_id": f"{name}-out", "error_file_id": f"{name}-err"}
        return json.dumps(whole).encode()

    def send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, provider: Provider) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK + PRICES)
    settings = Settings(
        data=tmp_path, database_url=SecretStr(database_url), llm_model="stub",
        llm_base_url=f"http://127.0.0.1:{provider.server_port}/v1", llm_api_key=SecretStr("none"),
    )  # fmt: skip
    with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock()) as built:
        prepared(built, 4)
        yield built


def chiefs(tower: Tower) -> dict[str, str]:
    with tower.database.read() as conn:
        rows = conn.execute(text("select id, state ->> 'chief' as chief from record where state ? 'chief'"))
        return {row.id: row.chief for row in rows}


def proposals(tower: Tower) -> list[tuple[Any, ...]]:
    with tower.database.read() as conn:
        ask = "select id, record, field, value, evidence, confidence, model, prompt, status from proposal order by id"
        return [tuple(row) for row in conn.execute(text(ask))]


def test_calls_go_over_as_one_file_and_come_back_as_the_answers_of_the_same_calls(
    tower: Tower, provider: Provider
) -> None:
    first = tower.enrich_offline()
    assert (first.taken, first.handed, first.waiting, chiefs(tower)) == (0, 4, 1, {})
    again = tower.enrich_offline()
    assert (again.taken, again.handed, again.waiting) == (0, 0, 1), "what is under way is not handed over again"
    provider.ready = True
    last = tower.enrich_offline()
    assert (last.taken, last.handed, last.waiting, last.run.decided.accepted) == (4, 0, 0, 4)
    assert len(chiefs(tower)) == 4 and provider.chats == []
    assert tower.desk.spent().money == pytest.approx(4 * (100 * 5 + 20 * 50) / 1e6), "at half the price"


def message(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def test_both_ways_send_the_same_and_come_to_the_same(
    tower: Tower, provider: Provider, empty_url: str, tmp_path: Path
) -> None:
    tower.enrich_offline()
    provider.ready = True
    tower.enrich_offline()
    other = tmp_path / "other"
    other.mkdir()
    settings = tower.settings.model_copy(update={"data": other, "database_url": SecretStr(empty_url)})
    with build(settings, rulebook=tmp_path / "book.yaml", clock=Clock()) as second:
        prepared(second, 4)
        with second.worker() as worker:
            second.enrich(worker)
        assert chiefs(second) == chiefs(tower)
        assert proposals(second) == proposals(tower)
    [file] = [body for name, body in provider.files.items() if name == "file-0"]
    handed = [json.loads(line)["body"] for line in file.splitlines()]
    asked = [{key: value for key, value in body.items() if key != "stream"} for body in provider.chats]
    assert sorted(handed, key=message) == sorted(asked, key=message), "but for `stream`, which a batch does not have"


def test_what_a_batch_did_not_run_is_handed_over_again(tower: Tower, provider: Provider) -> None:
    tower.enrich_offline()
    provider.ready, provider.expires = True, 1
    second = tower.enrich_offline()
    assert (second.taken, second.run.decided.accepted, second.handed) == (3, 3, 1)
    provider.expires = 0
    assert tower.enrich_offline().run.decided.accepted == 1
    assert len(chiefs(tower)) == 4


def test_a_call_that_is_in_a_batch_is_not_made_at_once_as_well(tower: Tower, provider: Provider) -> None:
    tower.enrich_offline()
    with tower.worker() as worker:
        run = tower.enrich(worker, again=timedelta(0))
    assert (run.requests, run.proposals, provider.chats) == (4, 0, [])
    provider.ready = True
    assert tower.enrich_offline().run.decided.accepted == 4


def test_an_endpoint_without_batches_is_told_and_nothing_is_lost(tower: Tower, provider: Provider) -> None:
    provider.refuses = True
    with pytest.raises(ModelError, match="batches"):
        tower.enrich_offline()
    with tower.worker() as worker:
        assert tower.enrich(worker, again=timedelta(0)).decided.accepted == 4


def test_without_an_endpoint_the_option_is_refused_with_the_remedy(database_url: str, tmp_path: Path) -> None:
    with build(Settings(data=tmp_path, database_url=SecretStr(database_url)), clock=Clock()) as tower:
        with pytest.raises(InputError, match="no endpoint"):
            tower.enrich_offline()
