"""Running jobs: Procrastinate's worker, until the queue is empty or for good."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from watchtower.contract import EnrichmentWorker
from watchtower.contract.batch import DETECTION, ENRICHMENT, Labelled
from watchtower.errors import StoreError
from watchtower.settings import Settings
from watchtower.store import jobs
from watchtower.store.ledger import Ledger
from watchtower.workers.bench import Bench
from watchtower.workers.models import open_model, slots
from watchtower.workers.training import shelf_folder, stamp

log = structlog.get_logger(__name__)

GRACE = 5.0
"""Seconds that a worker who is asked to stop gives the request at hand. One that ends because no job waits any more
gives those under way the time that they need."""
A_WEEK = 7 * 24 * 3600.0
ATTEMPTS = 3
"""How often a job that fails is begun, at most."""
BATCH = 20
"""Requests in a job, as the tower cuts them."""
NOT_YET = 2.0
"""Seconds between two looks for a jobs database that the tower is yet to make."""
AGAIN = 5.0
"""Seconds until a worker that lost its database tries again."""


def run_until_empty(bench: Bench, url: str, queue: str) -> None:
    """Do the jobs of one queue, in this process, until there is none; then return. Raises what stopped a job."""
    _run(bench, url, [queue], wait=False)
    if bench.faults:
        raise bench.faults[0]


def run_for_good(settings: Settings, url: str, *, use_model: bool, stop: threading.Event | None = None) -> None:
    """Work for the tower behind this jobs database until Ctrl-C, SIGTERM or `stop`; wait where it is not there yet."""
    stopped = stop or threading.Event()
    database = None
    while database is None:
        try:
            database = jobs.open_as_worker(url)
        except jobs.NotYet as missing:
            log.warning("waiting", because=missing.message, remedy=missing.remedy)
            if stopped.wait(NOT_YET):
                return
    try:
        with open_model(settings, use_model=use_model, shelf=shelf_folder(settings)) as make:
            ledger = Ledger(database)
            known: dict[tuple[str | None, str], EnrichmentWorker] = {}
            turn = threading.Lock()

            def worker_for(blob: str | None, read: Callable[[str], bytes]) -> EnrichmentWorker:
                learnt = blob, stamp(settings)
                with turn:
                    if learnt not in known:
                        known.clear()
                        labelled = {} if blob is None else msgspec.json.decode(read(blob), type=Labelled)
                        known[learnt] = make(labelled, ledger)
                    return known[learnt]

            bench = Bench(database, worker_for, slots=slots(settings))
            while not stopped.is_set():
                try:
                    if _run(bench, url, [ENRICHMENT, DETECTION], wait=True, stop=stopped):
                        return
                    fault = "the connection to the jobs database was lost"
                except StoreError as error:
                    fault = error.message
                log.warning("trying again", because=fault, seconds=AGAIN)
                stopped.wait(AGAIN)
    finally:
        database.close()


def _run(bench: Bench, url: str, queues: Sequence[str], *, wait: bool, stop: threading.Event | None = None) -> bool:
    """Run Procrastinate's worker. True where it ended because it was asked to, or found no job any more."""
    import procrastinate
    from procrastinate.exceptions import ConnectorException

    connector = procrastinate.PsycopgConnector(conninfo=jobs.plain(url), min_size=1, max_size=3, timeout=10)
    app = procrastinate.App(connector=connector)
    retry = procrastinate.RetryStrategy(max_attempts=ATTEMPTS, wait=2)

    def task(name: str, work: Callable[[str, Callable[[], bool]], None]) -> None:
        @app.task(name=name, pass_context=True, retry=retry)
        async def run(context: Any, batch: str) -> None:
            try:
                await _in_thread(lambda: work(batch, context.should_abort))
            except Exception as error:
                bench.faults.append(error)
                raise

    task(ENRICHMENT, bench.fields)
    task(DETECTION, bench.detection)
    asked = threading.Event()

    async def watch(running: asyncio.Task[None]) -> None:
        while stop is not None and not running.done():
            if stop.is_set():
                asked.set()
                running.cancel()
                return
            await asyncio.sleep(0.2)

    async def main() -> None:
        async with app.open_async():
            running = asyncio.create_task(
                app.run_worker_async(
                    queues=list(queues), wait=wait, concurrency=_jobs(bench.slots), listen_notify=wait,
                    install_signal_handlers=False, shutdown_graceful_timeout=GRACE if wait else A_WEEK,
                )
            )  # fmt: skip
            watching = asyncio.create_task(watch(running))
            try:
                await running
            except asyncio.CancelledError:
                if not asked.is_set():
                    raise
            finally:
                watching.cancel()

    try:
        asyncio.run(main())
    except ConnectorException as error:
        raise StoreError(
            f"{bench.database.address}: the jobs database cannot be reached: {error.__cause__ or error}",
            remedy="See that the server runs and can be reached from here.",
        ) from error
    return asked.is_set() or not wait


def _jobs(slots: int) -> int:
    """Jobs at once: enough that while the last requests of one are answered, those of the next fill the slots."""
    return 1 if slots == 1 else 2 + 2 * slots // BATCH


async def _in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread that dies with the process: a model that thinks must not keep it from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  (it is raised again by whoever waits)
            error = fault
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name="job", daemon=True).start()
    await done
