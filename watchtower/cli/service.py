"""The commands that stay: `up` (service, clock and workers in one process), `serve`, `worker`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Annotated

import structlog
import typer

from watchtower.api.server import claim
from watchtower.api.server import serve as serve_http
from watchtower.bootstrap import Tower, build, model_name
from watchtower.cli.output import console, errors
from watchtower.cli.tower import Data, RulebookOption, settings_of
from watchtower.errors import WatchtowerError
from watchtower.logs import configure
from watchtower.settings import Settings
from watchtower.store.locks import single_service_lock

log = structlog.get_logger(__name__)

TICK_AT_LEAST = 1.0
"""Seconds between two looks at the clock, at most: an event may meanwhile bring something that falls due sooner."""
AFTER_A_FAULT = 5.0
"""Seconds until a part that failed is tried again."""

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on (default: WATCHTOWER_HOST, 127.0.0.1).")]
Port = Annotated[int | None, typer.Option("--port", help="Port (default: WATCHTOWER_PORT, 8080; 0: any free one).")]
NoModel = Annotated[bool, typer.Option("--no-model", help="Do without a language model.")]
EnrichEvery = Annotated[int, typer.Option("--enrich-every", min=1, help="Minutes between enrichment runs.")]
DetectEvery = Annotated[int, typer.Option("--detect-every", min=1, help="Minutes between detector runs.")]


def repeat(work: Callable[[], float], stop: threading.Event, name: str) -> threading.Thread:
    """Run `work` until `stop`; it returns the seconds until it wants to run again. A fault is logged and retried."""

    def loop() -> None:
        while not stop.is_set():
            try:
                wait = work()
            except WatchtowerError as error:
                log.error("failed", part=name, because=error.message, remedy=error.remedy)
                wait = AFTER_A_FAULT
            except Exception as error:  # noqa: BLE001  (a clock that died without a word would be worse)
                log.error("failed", part=name, because=f"a fault in watchtower itself: {type(error).__name__}: {error}")
                wait = AFTER_A_FAULT
            stop.wait(wait)

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
    due = {"enrich": begun, "detect": begun}

    def work() -> float:
        if tower.clock() >= due["detect"]:
            for done in tower.detect():
                log.info("detected", signal=done.signal, raised=done.raised)
            due["detect"] = tower.clock() + detect_every
        if tower.clock() >= due["enrich"]:
            means = model_name(tower.settings) if use_model else ""
            if tower.requests(limit=1, means=means, write=False):
                with tower.worker(use_model=use_model) as worker:
                    run = tower.enrich(worker)
                log.info("enriched", records=run.requests, accepted=run.decided.accepted, model=means)
            due["enrich"] = tower.clock() + enrich_every
        return max((min(due.values()) - tower.clock()).total_seconds(), 1.0)

    return work


def up(
    data: Data = None,
    rulebook: RulebookOption = None,
    host: Host = None,
    port: Port = None,
    no_model: NoModel = False,
    enrich_every: EnrichEvery = 15,
    detect_every: DetectEvery = 24 * 60,
) -> None:
    """Service, clock and workers in one process, over the embedded database or DATABASE_URL.

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
        threads = [
            repeat(ticking(tower), stop, "clock"),
            repeat(
                working(
                    tower, enrich_every=timedelta(minutes=enrich_every), detect_every=timedelta(minutes=detect_every),
                    use_model=not no_model,
                ),
                stop,
                "workers",
            ),
        ]  # fmt: skip
        try:
            _serve(tower, settings, host, port)
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=10)


def serve(data: Data = None, rulebook: RulebookOption = None, host: Host = None, port: Port = None) -> None:
    """The API and the review pages alone."""
    settings = settings_of(data)
    _claim(settings, host, port)
    with build(settings, rulebook=rulebook) as tower:
        _serve(tower, settings, host, port)


def worker(
    data: Data = None,
    no_model: NoModel = False,
    enrich_every: EnrichEvery = 15,
    detect_every: DetectEvery = 24 * 60,
) -> None:
    """Enrichment and detection alone, until Ctrl-C."""
    settings = settings_of(data)
    configure(settings.log_format, verbose=True)
    stop = threading.Event()
    with build(settings) as tower:
        thread = repeat(
            working(
                tower, enrich_every=timedelta(minutes=enrich_every), detect_every=timedelta(minutes=detect_every),
                use_model=not no_model,
            ),
            stop,
            "workers",
        )  # fmt: skip
        console.print("working; Ctrl-C ends it")
        try:
            while thread.is_alive():
                thread.join(timeout=1)
        finally:
            stop.set()
            thread.join(timeout=10)


def _claim(settings: Settings, host: str | None, port: int | None) -> None:
    claim(host or settings.host, settings.port if port is None else port)


def _serve(tower: Tower, settings: Settings, host: str | None, port: int | None) -> None:
    book = tower.rulebook

    def ready(address: str) -> None:
        console.print(f"review page: [bold]{address}/[/]")
        console.print(f"rulebook {book.name} {book.version}, {len(book.rules)} rules; Ctrl-C ends it")

    serve_http(tower, host or settings.host, settings.port if port is None else port, ready=ready)
    errors.print("stopped")


__all__ = ["repeat", "serve", "ticking", "up", "worker", "working"]
