"""Traces and logs: one trace from the asking through the job to the model, over real OTLP; nothing personal in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import begin, ended
from job_scene import BOOK, START, name_of
from llm_stub import model, text_of
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchtower.contract import format_time

CANARIES = 1_000
BOOK_PERSONAL = BOOK.replace(
    "rules:", "      note: {type: text}\n  contact:\n    fields:\n      mail: {type: email, personal: true}\nrules:"
)


class Receiver(ThreadingHTTPServer):
    """What an OTLP/HTTP collector is to an exporter: it takes protobuf at /v1/traces."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.raw: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        found = []
        for body in self.raw:
            request = ExportTraceServiceRequest.FromString(body)
            found += [one for several in request.resource_spans for scope in several.scope_spans for one in scope.spans]
        return found


class _Takes(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
        self.server.raw.append(body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def canary(number: int) -> str:
    return f"kanarie{name_of(number).lower()}z"


def events(path: Path, count: int, per_event: int) -> Path:
    """Records and documents full of canaries: fields, ids, addresses, texts; some are refused for what they say."""
    lines = []
    numbers = iter(range(CANARIES))
    for record in range(count):
        words = [canary(next(numbers)) for _ in range(per_event)]
        common = {"specversion": "1.0", "source": "crm", "time": format_time(START)}
        account, contact = f"account/{words[0]}", f"contact/{words[1]}"
        text = f"{words[4]} {text_of(words[5].capitalize())}"
        lines += [
            common | {"id": f"r{record}", "type": "record.updated", "subject": account,
                      "data": {"fields": {"note": words[2]}}},
            common | {"id": f"c{record}", "type": "record.updated", "subject": contact,
                      "data": {"fields": {"mail": f"{words[3]}@example.com"}}},
            common | {"id": f"d{record}", "type": "document.added", "subject": account,
                      "data": {"document": "d1", "text": text}},
            common | {"id": f"x{record}", "type": words[6], "subject": f"{words[7]}/x", "data": {words[8]: words[9]}},
        ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def scene(tmp_path: Path, database_url: str) -> dict[str, str]:
    (tmp_path / "book.yaml").write_text(BOOK_PERSONAL)
    events(tmp_path / "events.jsonl", CANARIES // 10, 10)
    return {
        "DATABASE_URL": database_url, "WATCHTOWER_DATA": str(tmp_path), "WATCHTOWER_LOG_FORMAT": "json",
        "WATCHTOWER_LLM_MODEL": "stub", "WATCHTOWER_LLM_API_KEY": "none", "OTEL_BSP_SCHEDULE_DELAY": "200",
    }  # fmt: skip


def ran(scene: dict[str, str], *arguments: object, **more: str) -> str:
    """A command to its end; all that it said."""
    done = ended(begin(*arguments, **scene, **more))
    assert done.code in (0, 1), done.err
    return done.out + done.err


def test_of_a_thousand_canaries_none_is_in_a_trace_or_a_log(scene: dict[str, str], tmp_path: Path) -> None:
    with receiver() as collector, model(0.0) as stub:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "WATCHTOWER_LLM_BASE_URL": stub.url}
        ran(scene, "import", tmp_path / "events.jsonl", "--rulebook", tmp_path / "book.yaml", **tracing)
        said = ran(scene, "tick", **tracing)
        said += ran(scene, "enrich", "--limit", 30, **tracing)
        assert sum(stub.calls.values()) == 30
    spans, raw = collector.spans(), b"".join(collector.raw).decode("latin-1")
    assert {"events.take", "tick", "fields.ask", "job.fields", "llm.call"} <= {span.name for span in spans}
    for text in (raw, said):
        assert "kanarie" not in text.lower()

    [asking] = [span for span in spans if span.name == "fields.ask"]
    calls = [span for span in spans if span.name == "llm.call"]
    assert len(calls) == 30 and {call.trace_id for call in calls} == {asking.trace_id}, "one trace, across the job"
    for call in calls:
        known = attributes(call)
        assert known["openinference.span.kind"] == "LLM" and known["llm.model_name"] == "stub"
        assert (known["llm.token_count.prompt"], known["llm.token_count.completion"]) == (100, 20)
        assert known["watchtower.outcome"] == "answered"

    with receiver() as collector, model(0.0) as stub:
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "WATCHTOWER_LLM_BASE_URL": stub.url}
        calls = []
        while not calls:  # a process that ends waits five seconds for its spans to leave, and not for ever
            ran(scene, "enrich", "--limit", 1, WATCHTOWER_TRACE_CONTENT="true", **tracing)
            calls = [span for span in collector.spans() if span.name == "llm.call"]
            assert sum(stub.calls.values()) < 5, "no call of five is in a trace"
    call = calls[0]
    assert "is led by Ann Kanarie" in attributes(call)["llm.input_messages.1.message.content"], "it was asked for"


def test_a_receiver_that_is_away_holds_nothing_up(scene: dict[str, str], tmp_path: Path, free_port: int) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    process = begin("tick", "--json", **scene, **away)
    done = ended(process, seconds=60)
    assert done.code == 0 and json.loads(done.out)["opened"] == 0
