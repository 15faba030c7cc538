"""The commands that stay: `up` (all in one process), and its parts alone: `serve`, `worker`, `deliver`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Annotated

import structlog
import typer

from watchtower.api.server import claim, reachable
from watchtower.api.server import serve as serve_http
from watchtower.bootstrap import Tower, build
from watchtower.cli.output import console, errors, print_json
from watchtower.cli.tower import AsJson, Data, RulebookOption, asked_to_stop, settings_of
from watchtower.errors import InputError, WatchtowerError
from watchtower.logs import configure
from watchtower.metered import beat, forget
from watchtower.rulebook.asking import due_after
from watchtower.settings import Settings, read_settings
from watchtower.store import embedded
from watchtower.store.jobs import beside
from watchtower.store.locks import single_service_lock
from watchtower.workers import model_name, run_for_good, slots

log = structlog.get_logger(__name__)

TICK_AT_LEAST = 1.0
"""Seconds between two looks at the clock, at most: an event may meanwhile bring something that falls due sooner."""
AFTER_A_FAULT = 5.0
"""Seconds until a part that failed is tried again."""
GRACE = 10.0
"""Seconds that the parts of `up` have, all together, to end the transaction at hand when they are told to stop."""
KEPT_DAYS = 90
"""Days that operations keep what is over."""
PAGES = 10
"""Records whose pages are read before each enrichment run."""
SYNC_LOOK = 5.0
"""Seconds between two looks for a system whose time to be read has come."""
LOOK_EVERY = 2.0
"""Seconds between two looks for what worker processes have answered."""

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on (default: WATCHTOWER_HOST, 127.0.0.1).")]
Port = Annotated[int | None, typer.Option("--port", help="Port (default: WATCHTOWER_PORT, 8080; 0: any free one).")]
NoModel = Annotated[bool, typer.Option("--no-model", help="Do without a language model.")]
EnrichEvery = Annotated[int, typer.Option("--enrich-every", min=1, help="Minutes between enrichment runs.")]
DetectEvery = Annotated[int, typer.Option("--detect-every", min=1, help="Minutes between detector runs.")]


def repeat(work: Callable[[], float], stop: threading.Event, name: str) -> threading.Thread:
    """Run `work` until `stop`; it returns the seconds until it wants to run again. A fault is logged and retried."""

    def loop() -> None:
        while not stop.is_set():
            beat(name)
            try:
                wait = work()
            except WatchtowerError as error:
                log.error("failed", part=name, because=error.message, remedy=error.remedy)
                wait = AFTER_A_FAULT
            except Exception as error:  # noqa: BLE001  (a clock that died without a word would be worse)
                log.error("failed", part=name, because=f"a fault in watchtower itself: {type(error).__name__}: {error}")
                wait = AFTER_A_FAULT
            stop.wait(wait)
        forget(name)

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    return thread


def ticking(tower: Tower) -> Callable[[], float]:
    """One tick, and the seconds until the next thing falls due (at most TICK_AT_LEAST)."""

    def work() -> float:
        done = tower.tick()
        if done.opened or done.resolved or done.corrected:
            log.info("ticked", opened=done.opened, resolved=done.resolved, corrected=done.corrected)
        due = tower.next_instant()
        if due is None:
            return TICK_AT_LEAST
        return min(max((due - tower.clock()).total_seconds(), 0.05), TICK_AT_LEAST)

    return work


def working(tower: Tower, *, enrich_every: timedelta, detect_every: timedelta, use_model: bool) -> Callable[[], float]:
    """Enrichment and detection, each when it is due; the worker is opened only where there is something to ask."""
    begun = tower.clock()
    scheduled = bool(tower.rulebook.enrichment.schedule)
    due = {"enrich": _next_enrichment(tower, enrich_every) if scheduled else begun, "detect": begun}

    def work() -> float:
        if tower.clock() >= due["detect"]:
            for done in tower.detect():
                log.info("detected", signal=done.signal, raised=done.raised, held=done.held)
            due["detect"] = tower.clock() + detect_every
        if tower.clock() >= due["enrich"]:
            _read_pages(tower)
            means = model_name(tower.settings) if use_model else ""
            if tower.requests(limit=1, means=means, write=False):
                with tower.worker(use_model=use_model) as worker:
                    run = tower.enrich(worker, slots=slots(tower.settings))
                log.info("enriched", records=run.requests, accepted=run.decided.accepted, model=means)
            else:
                tower.beat("enrichment")
            due["enrich"] = _next_enrichment(tower, enrich_every)
        return max((min(due.values()) - tower.clock()).total_seconds(), 1.0)

    return work


def _next_enrichment(tower: Tower, every: timedelta) -> datetime:
    """When the rulebook's schedule says; else after so long."""
    book, now = tower.rulebook, tower.clock()
    return due_after(book.enrichment.schedule, book.zone, now) if book.enrichment.schedule else now + every


def letting_go(tower: Tower) -> Callable[[], float]:
    """Once a day: whom the rulebook keeps no longer, and what is over."""

    def work() -> float:
        done = tower.retain(KEPT_DAYS, by="retention")
        if done.anything:
            log.info("let go", **done.counts())
        return 24 * 3600.0

    return work


def _read_pages(tower: Tower) -> None:
    """The own pages of a few records that starve, where the rulebook names pages."""
    if tower.rulebook.enrichment.web and (wanted := tower.wanted_pages(limit=PAGES)):
        done = tower.fetch(wanted)
        log.info("pages read", records=done.records, pages=done.pages, unread=len(done.unread))


def desk_work(tower: Tower, *, enrich_every: timedelta, detect_every: timedelta) -> Callable[[], float]:
    """What the tower does for worker processes: take up what they answered, hand down what is due."""
    begun = tower.clock()
    scheduled = bool(tower.rulebook.enrichment.schedule)
    due = {"enrich": _next_enrichment(tower, enrich_every) if scheduled else begun, "detect": begun}

    def work() -> float:
        tally = tower.take_up()
        if tally.answers:
            log.info("taken up", answers=tally.answers, accepted=tally.decided.accepted, faults=len(tally.faults))
        now = tower.clock()
        if now >= min(due.values()):
            if now >= due["enrich"]:
                _read_pages(tower)
            handed = tower.hand_down(fields=now >= due["enrich"], detections=now >= due["detect"])
            log.info("handed down", requests=handed)
            if now >= due["enrich"]:
                due["enrich"] = _next_enrichment(tower, enrich_every)
            if now >= due["detect"]:
                due["detect"] = now + detect_every
        return LOOK_EVERY

    return work


def syncing(tower: Tower, stop: threading.Event) -> Callable[[], float]:
    """Connected systems, each when its time has come."""

    def work() -> float:
        for name in tower.due_systems(tower.clock()):
            done = tower.sync(name, enough=stop.is_set)
            if done.fault:
                log.error("not read", system=name, because=done.fault, remedy=done.remedy)
            elif done.took.said or done.wrote:
                log.info("read", system=name, changes=done.took.said, events=done.took.events, written=done.wrote)
        return SYNC_LOOK

    return work


def up(
    data: Data = None,
    rulebook: RulebookOption = None,
    host: Host = None,
    port: Port = None,
    no_model: NoModel = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Leave enrichment and detection to `watchtower worker` processes.")
    ] = False,
    enrich_every: EnrichEvery = 15,
    detect_every: DetectEvery = 24 * 60,
) -> None:
    """Service, clock, workers, connected systems and notifications in one process.

    Over the embedded database, or DATABASE_URL.

    Example: watchtower up --rulebook rulebook/ --port 8080
    """
    settings = settings_of(data)
    configure(settings.log_format, verbose=True)
    stop = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(single_service_lock(settings.data))
        # A port that is taken is said at once, before a database is made and workers begin.
        _claim(settings, host, port)
        tower = stack.enter_context(build(settings, rulebook=rulebook))
        # So is a door without a key, before a clock decides and messages leave.
        reachable(tower, host or settings.host)
        every = {"enrich_every": timedelta(minutes=enrich_every), "detect_every": timedelta(minutes=detect_every)}
        work = desk_work(tower, **every) if no_worker else working(tower, **every, use_model=not no_model)
        threads = [
            repeat(ticking(tower), stop, "clock"),
            repeat(work, stop, "workers"),
            repeat(letting_go(tower), stop, "retention"),
            repeat(syncing(tower, stop), stop, "systems"),
            repeat(stack.enter_context(tower.courier()).look, stop, "outbox"),
        ]
        try:
            _serve(tower, settings, host, port)
        finally:
            stop.set()
            deadline = time.monotonic() + GRACE
            for thread in threads:
                thread.join(timeout=max(deadline - time.monotonic(), 0.1))


def tick_on(settings: Settings, *, workers: bool) -> None:
    """The clock alone (`tick --stay`), until it is asked to stop; with what the tower does for worker processes."""
    configure(settings.log_format, verbose=True)
    with build(settings) as tower, asked_to_stop() as stop:
        threads = [repeat(ticking(tower), stop, "clock")]
        if workers:
            every = {"enrich_every": timedelta(minutes=15), "detect_every": timedelta(days=1)}
            threads.append(repeat(desk_work(tower, **every), stop, "workers"))
        console.print("ticking; Ctrl-C ends it")
        stop.wait()
        for thread in threads:
            thread.join(timeout=10)


def serve(data: Data = None, rulebook: RulebookOption = None, host: Host = None, port: Port = None) -> None:
    """The API and the review pages alone.

    Example: watchtower serve --port 8081
    """
    settings = settings_of(data)
    _claim(settings, host, port)
    with build(settings, rulebook=rulebook) as tower:
        _serve(tower, settings, host, port)


def worker(
    data: Data = None,
    jobs: Annotated[
        str | None,
        typer.Option("--jobs", metavar="URL", help="The jobs database (better: WATCHTOWER_JOBS_URL; see there)."),
    ] = None,
    no_model: NoModel = False,
) -> None:
    """Enrichment and detection for a tower that runs `watchtower up --no-worker`, until Ctrl-C.

    It needs the jobs database and the settings of its model, and nothing else: no address, password or table of
    the core. Several may run, on one machine or many. Without WATCHTOWER_JOBS_URL it looks beside the embedded
    database of the data folder.

    Example: WATCHTOWER_JOBS_URL=postgresql://worker:...@db/watchtower_jobs watchtower worker
    """
    settings = read_settings(**{k: v for k, v in (("data", data), ("jobs_url", jobs)) if v is not None})
    configure(settings.log_format, verbose=True)
    with ExitStack() as stack:
        if settings.jobs_url is not None:
            url = settings.jobs_url.get_secret_value()
        elif settings.database_url is not None:
            raise InputError(
                "WATCHTOWER_JOBS_URL: names no jobs database",
                remedy="A worker is not given the core's address: unset DATABASE_URL and set WATCHTOWER_JOBS_URL.",
            )
        else:
            url = beside(stack.enter_context(embedded.start(settings.data)).url)
        tell_prometheus(settings)
        console.print("working; Ctrl-C ends it")
        with asked_to_stop() as stop:
            run_for_good(settings, url, use_model=not no_model, stop=stop)
        errors.print("stopped")


def deliver(
    data: Data = None,
    once: Annotated[bool, typer.Option("--once", help="Deliver what is due now, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Carry notifications to their receivers, until Ctrl-C. `watchtower up` does this by itself.

    Each receiver's secret is read from the environment variable that the rulebook names.

    Example: OPS_WEBHOOK_SECRET=whsec_... watchtower deliver
    """
    settings = settings_of(data)
    configure(settings.log_format, verbose=True)
    stop = threading.Event()
    with build(settings) as tower, tower.courier() as courier:
        if once:
            done = courier.deliver()
            if as_json:
                print_json({"delivered": done.delivered, "failed": done.failed, "dead": done.dead})
            else:
                console.print(f"{done.delivered} delivered, {done.failed} failed, {done.dead} given up")
            return
        tell_prometheus(settings)
        names = ", ".join(tower.rulebook.receivers) or "none"
        thread = repeat(courier.look, stop, "outbox")
        console.print(f"delivering to: {names}; Ctrl-C ends it")
        try:
            while thread.is_alive():
                thread.join(timeout=1)
        finally:
            stop.set()
            thread.join(timeout=15)


def tell_prometheus(settings: Settings) -> None:
    """Serve what this process counts at WATCHTOWER_METRICS_PORT, where that is set. Busy where the port is taken."""
    if settings.metrics_port is None:
        return
    from prometheus_client import start_http_server

    claim(settings.metrics_host, settings.metrics_port)
    start_http_server(settings.metrics_port, addr=settings.metrics_host)


def _claim(settings: Settings, host: str | None, port: int | None) -> None:
    claim(host or settings.host, settings.port if port is None else port)


def _serve(tower: Tower, settings: Settings, host: str | None, port: int | None) -> None:
    book = tower.rulebook

    def ready(address: str) -> None:
        console.print(f"review page: [bold]{address}/[/]")
        console.print(f"rulebook {book.name} {book.version}, {len(book.rules)} rules; Ctrl-C ends it")

    serve_http(
        tower, host or settings.host, settings.port if port is None else port, ready=ready,
        per_minute=settings.requests_per_minute,
    )  # fmt: skip
    errors.print("stopped")


__all__ = ["deliver", "repeat", "serve", "tick_on", "ticking", "up", "worker", "working"]
