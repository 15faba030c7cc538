"""Calls to a language model through one worker, beside the ideal: records / slots x latency.

    python -m benchmarks.enrichment_throughput [--records 3200] [--slots 32] [--latency 0.2]

The endpoint is a local HTTP server in a process of its own that answers each call after `--latency` and nothing else.
Two ways in turn: the model alone (threads that call LangChain's client), and the whole worker (Procrastinate's jobs,
the ledger's commits around each call, the answers' commits) on the embedded database. The ideal is what a client
without any cost of its own would need.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.figures import arguments, figure
from enrichment import ChatModel, Endpoint, Limits, build_worker
from enrichment.schema import question, schema
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot
from watchtower.contract.batch import ENRICHMENT
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store.ledger import Ledger
from watchtower.workers import Bench, run_until_empty
from watchtower.workers.models import at_once

CHIEF = FieldSpec(name="chief", type="text", description="who leads the company")


def text_of(number: int) -> str:
    return f"Company {number} is led by Ann Number{number}."


async def _serve(told: Connection, latency: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
                # The latency counts from when the call has come in.
                ready = asyncio.get_running_loop().time() + latency
                number = re.findall(r"Company (\d+) is led", body["messages"][-1]["content"])[-1]
                chief = f"Ann Number{number}"
                said = json.dumps({"business": "works", "chief_quote": f"led by {chief}", "chief": chief})
                choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330}
                whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
                out = json.dumps(whole | {"choices": [choice], "usage": usage}).encode()
                await asyncio.sleep(ready - asyncio.get_running_loop().time())
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(out)
                )
                writer.write(out)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _endpoint_process(told: Connection, latency: float) -> None:
    asyncio.run(_serve(told, latency))


@contextmanager
def endpoint(latency: float) -> Iterator[Endpoint]:
    """The endpoint, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_endpoint_process, args=(theirs, latency), daemon=True)
    process.start()
    try:
        yield Endpoint(f"http://127.0.0.1:{ours.recv()}/v1", "none", "stub")
    finally:
        process.kill()
        process.join()


def model_alone(there: Endpoint, records: int, slots: int) -> float:
    """Seconds for so many calls of the model, in so many threads."""
    model, asked, shape = ChatModel(there), question([CHIEF]), schema([CHIEF])
    model.answer("Read.", asked, text_of(0), shape)
    numbers, turn = iter(range(records)), threading.Lock()

    def work() -> None:
        while True:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            said = model.answer("Read.", asked, text_of(number), shape)
            assert said["chief"] == f"Ann Number{number}"

    threads = [threading.Thread(target=work) for _ in range(slots)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def whole_worker(there: Endpoint, records: int, slots: int, folder: Path) -> tuple[float, float]:
    """(seconds from the first call's intent to the last answer, CPU seconds of this process) for so many requests."""
    from watchtower.bootstrap import build

    settings = Settings(data=folder, llm_model="stub", llm_base_url=there.base_url, llm_api_key=SecretStr("none"))
    with build(settings) as tower:
        ledger = Ledger(tower.desk.database)
        worker = build_worker(endpoint=there, ledger=ledger, limits=Limits(slots=slots))
        list(worker.propose([_request(records)]))  # loads the libraries
        tower.desk.ask_fields([_request(n) for n in range(records)], {}, ENRICHMENT)
        bench = Bench(tower.desk.database, lambda blob, read: worker, slots=at_once(slots))
        began, cpu = time.perf_counter(), time.process_time()
        run_until_empty(bench, tower.jobs_url, ENRICHMENT)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        assert worker.counts["proposed.model"] == records + 1, worker.counts
        return seconds, used


def _request(number: int) -> FieldRequest:
    record = RecordSnapshot(object="account", id=f"A{number}", fields={})
    document = Document(id="d", kind="description", text=text_of(number))
    return FieldRequest(id=f"rq_{number}", record=record, fields=(CHIEF,), documents=(document,))


def main() -> None:
    options = arguments(__doc__)
    options.add_argument("--records", type=int, default=3200)
    options.add_argument("--slots", type=int, default=32)
    options.add_argument("--latency", type=float, default=0.2, help="seconds")
    given: Any = options.parse_args()
    configure()
    ideal = given.records / given.slots * given.latency
    print(f"{given.records} records, {given.slots} slots, {given.latency * 1000:.0f} ms: ideal {ideal:.1f} s")
    with endpoint(given.latency) as there:
        seconds = model_alone(there, given.records, given.slots)
        print(
            f"the model alone    {seconds:6.1f} s, {ideal / seconds:.3f} of the ideal (load {os.getloadavg()[0]:.1f})"
        )
        figure("enrichment, the model alone", ideal / seconds, "of the ideal")
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu = whole_worker(there, given.records, given.slots, Path(folder))
        load, each = os.getloadavg()[0], cpu / given.records * 1000
        figure("enrichment, the whole worker", ideal / seconds, "of the ideal", aim=0.95)
        print(
            f"the whole worker   {seconds:6.1f} s, {ideal / seconds:.3f} of the ideal, {each:.1f} ms of CPU a record "
            f"(load {load:.1f})"
        )


if __name__ == "__main__":
    main()
