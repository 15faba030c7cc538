"""Calls to a language model through one worker, beside the ideal (records / slots x latency) and beside bare clients.

    python -m benchmarks.enrichment_throughput [--records 3200] [--slots 32] [--latency 0.2] [--rounds 1]

The endpoint is a local HTTP server in a process of its own that answers each call after `--latency` and nothing else.
Four ways in turn, each in so many threads: openai's client alone, LangChain's ChatOpenAI alone (both as their
documentation has them, with the same schema), our model alone, and the whole worker (Procrastinate's jobs, the
ledger's commits around each call, the answers' commits) on the embedded database. The ideal is what a client without
any cost of its own would need. Processor time a call is what this process took, which a busy machine changes least.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.figures import arguments, figure
from benchmarks.llm_endpoint import endpoint, text_of
from enrichment import ChatModel, Endpoint, Limits, build_worker
from enrichment.model import fenced, shaped
from enrichment.schema import question, schema
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot
from watchtower.contract.batch import ENRICHMENT
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store.ledger import Ledger
from watchtower.workers import Bench, run_until_empty
from watchtower.workers.models import at_once

CHIEF = FieldSpec(name="chief", type="text", description="who leads the company")
Say = Callable[[int], Any]
"""Asks about one company; the object that the model says."""


def bare_openai(there: Endpoint) -> Say:
    """openai's client."""
    import httpx2
    from openai import OpenAI

    client = OpenAI(base_url=there.base_url, api_key=there.api_key, max_retries=0, http_client=httpx2.Client())
    wanted: Any = shaped(schema([CHIEF]))

    def say(number: int) -> Any:
        said = client.chat.completions.create(
            model=there.model, temperature=0, response_format=wanted,
            messages=[{"role": "system", "content": "Read."},
                      {"role": "user", "content": fenced(question([CHIEF]), text_of(number))}],
        )  # fmt: skip
        return json.loads(said.choices[0].message.content or "")

    return say


def bare_langchain(there: Endpoint) -> Say:
    """LangChain's client, with structured output."""
    import httpx2
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(
        base_url=there.base_url, api_key=SecretStr(there.api_key), model=there.model, temperature=0, max_retries=0,
        http_client=httpx2.Client(),
    ).with_structured_output(schema([CHIEF]), method="json_schema")  # fmt: skip

    def say(number: int) -> Any:
        return chat.invoke([("system", "Read."), ("user", fenced(question([CHIEF]), text_of(number)))])

    return say


def our_model(there: Endpoint) -> Say:
    """The model alone."""
    model, asked, shape = ChatModel(there), question([CHIEF]), schema([CHIEF])
    return lambda number: model.answer("Read.", asked, text_of(number), shape)


def alone(say: Say, records: int, slots: int) -> tuple[float, float]:
    """(seconds, processor seconds) for so many calls in so many threads."""
    say(0)
    numbers, turn = iter(range(records)), threading.Lock()

    def work() -> None:
        while True:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            assert say(number)["chief"] == f"Ann Number{number}"

    threads = [threading.Thread(target=work) for _ in range(slots)]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, time.process_time() - cpu


def whole_worker(there: Endpoint, records: int, slots: int, folder: Path) -> tuple[float, float]:
    """(seconds from the first call's intent to the last answer, processor seconds) for so many requests."""
    from watchtower.bootstrap import build

    settings = Settings(data=folder, llm_model="stub", llm_base_url=there.base_url, llm_api_key=SecretStr("none"))
    with build(settings) as tower:
        ledger = Ledger(tower.desk.database)
        worker = build_worker(endpoint=there, ledger=ledger, limits=Limits(slots=slots))
        list(worker.propose([request(records)]))  # loads the libraries
        tower.desk.ask_fields([request(n) for n in range(records)], {}, ENRICHMENT)
        bench = Bench(tower.desk.database, lambda blob, read: worker, slots=at_once(slots))
        began, cpu = time.perf_counter(), time.process_time()
        run_until_empty(bench, tower.jobs_url, ENRICHMENT)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        assert worker.counts["proposed.model"] == records + 1, worker.counts
        return seconds, used


def request(number: int) -> FieldRequest:
    """Who leads one company."""
    record = RecordSnapshot(object="account", id=f"A{number}", fields={})
    document = Document(id="d", kind="description", text=text_of(number))
    return FieldRequest(id=f"rq_{number}", record=record, fields=(CHIEF,), documents=(document,))


WAYS = {"openai alone": bare_openai, "LangChain alone": bare_langchain, "the model alone": our_model}


def main() -> None:
    options = arguments(__doc__)
    options.add_argument("--records", type=int, default=3200)
    options.add_argument("--slots", type=int, default=32)
    options.add_argument("--latency", type=float, default=0.2, help="seconds")
    options.add_argument("--rounds", type=int, default=1, help="all ways in turn so often; the best of each counts")
    given: Any = options.parse_args()
    configure()
    ideal = given.records / given.slots * given.latency
    print(f"{given.records} records, {given.slots} slots, {given.latency * 1000:.0f} ms: ideal {ideal:.1f} s")
    best: dict[str, tuple[float, float]] = {}
    with endpoint(given.latency) as running:
        there = Endpoint(f"{running.address}/bench/v1", "none", "stub")
        for _ in range(given.rounds):
            for name, way in WAYS.items():
                best[name] = told(name, alone(way(there), given.records, given.slots), given, best)
            with tempfile.TemporaryDirectory() as folder:
                worked = whole_worker(there, given.records, given.slots, Path(folder))
            best["the whole worker"] = told("the whole worker", worked, given, best)
    shares = {name: (ideal / seconds, cpu / given.records * 1000) for name, (seconds, cpu) in best.items()}
    bare, bare_cpu = shares["LangChain alone"]
    for name in ("the model alone", "the whole worker"):
        share, cpu = shares[name]
        figure(f"enrichment, {name}", share, "of the ideal", aim=0.95 if "whole" in name else None,
               peer="LangChain alone", of_peer=share / bare)  # fmt: skip
        figure(f"processor time, {name}", cpu, "ms a record", better="lower", peer="LangChain alone",
               of_peer=cpu / bare_cpu)  # fmt: skip


def told(name: str, took: tuple[float, float], given: Any, best: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Print one round; the better of it and what was before, in each of the two."""
    seconds, cpu = took
    ideal = given.records / given.slots * given.latency
    print(
        f"{name:<18} {seconds:6.1f} s, {ideal / seconds:.3f} of the ideal, {cpu / given.records * 1000:.2f} ms of "
        f"processor time a record (load {os.getloadavg()[0]:.1f})"
    )
    before = best.get(name, took)
    return min(seconds, before[0]), min(cpu, before[1])


if __name__ == "__main__":
    main()
