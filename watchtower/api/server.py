"""One process that serves the tower over HTTP: granian, embedded in the event loop of this thread."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from watchtower.api.app import create_app
from watchtower.api.guard import ANY_HOST
from watchtower.api.port import TowerPort
from watchtower.errors import Busy, InputError, StoreError

HEADER_TIMEOUT_MS = 10_000
"""How long a client may take over its headers: a slow one must not hold a connection for ever."""
START_TIMEOUT = 15.0
STOP_TIMEOUT = 5.0
SETTLE = 0.5
_LOOK_EVERY = 0.1


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def claim(host: str, port: int) -> int:
    """The port to listen on: `port`, or a free one for 0. Busy where another process listens there.

    The server itself shares its port (SO_REUSEPORT), so a second one beside it would start without a word and
    take half of the requests. Binding without sharing tells.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port: {port} is not between 0 and 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise InputError(f"host: {host!r} is not an address or a name of this machine") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                raise Busy(
                    f"port {port} of {host} is taken by another process",
                    remedy="choose another with --port, or stop the one that has it",
                ) from None
            raise StoreError(
                f"{host} port {port}: cannot listen there ({fault.strerror})",
                remedy="ports below 1024 need privileges; the address must be one of this machine",
            ) from None
        found: int = probe.getsockname()[1]
        return found


def serve(
    tower: TowerPort,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    hosts: Collection[str] = (),
    per_minute: int = 0,
    ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until Ctrl-C, SIGTERM or `stop`; then return. Busy, StoreError, InputError: it cannot start.

    `ready` is told the address once requests are answered; `port` 0 takes a free one. `hosts` are further
    names in a Host header; where other machines reach us, any is let in unless some are given.
    """
    app = create_app(tower, hosts=reachable(tower, host, hosts), per_minute=per_minute)
    serve_app(app, host, port, ready=ready, stop=stop, let_go=app.state.feed.close)


def reachable(tower: TowerPort, host: str, hosts: Collection[str] = ()) -> Collection[str]:
    """The names under which a service on `host` may be reached. InputError where other machines reach it and no key
    is asked of them."""
    if not is_loopback(host) and not tower.door.locked():
        raise InputError(
            f"host: {host} is reached by other machines, and no key is asked of them",
            remedy="make one first (watchtower keys add --role admin --name YOU), or stay on 127.0.0.1",
        )
    return hosts or (() if is_loopback(host) else {ANY_HOST})


def serve_app(
    app: Any,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    let_go: Callable[[], None] | None = None,
) -> None:
    """Serve an ASGI application; see `serve`. `let_go` ends what would keep the server from stopping."""
    port = claim(host, port)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        log_enabled=False,
    )
    asyncio.run(_run(server, let_go, host, port, ready, stop or threading.Event()))


async def _run(
    server: Any,
    let_go: Callable[[], None] | None,
    host: str,
    port: int,
    ready: Callable[[str], None] | None,
    stop: threading.Event,
) -> None:
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
    before = _native_threads()
    serving = asyncio.create_task(server.serve())
    await _listening(serving, host, port)
    own = _native_threads() - before
    if ready is not None:
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{port}")
    while not stop.is_set() and not serving.done():
        await asyncio.sleep(_LOOK_EVERY)
    asked = stop.is_set()
    if let_go is not None:
        let_go()  # or the server would wait for those who watch, for ever
    server.stop()
    await serving
    await _gone(own)
    if not asked:
        raise StoreError("the HTTP server ended by itself", remedy="start it again; the log may say more")


def _native_threads() -> set[int]:
    """The threads of this process that Python did not start; empty where the system does not list them."""
    tasks = Path("/proc/self/task")
    listed = {int(task.name) for task in tasks.iterdir()} if tasks.is_dir() else set()
    return listed - {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}


async def _gone(threads: set[int]) -> None:
    """Wait until the server's own threads have ended: it says that it stopped a moment before they do.

    One that reaches for Python while the interpreter shuts down makes the process abort.
    """
    if not threads:
        await asyncio.sleep(SETTLE)
        return
    for _ in range(int(STOP_TIMEOUT / _LOOK_EVERY)):
        if not threads & _native_threads():
            return
        await asyncio.sleep(_LOOK_EVERY)


async def _listening(serving: asyncio.Task[None], host: str, port: int) -> None:
    """Wait until a connection is taken: binding and answering are two things."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    for _ in range(int(START_TIMEOUT / _LOOK_EVERY)):
        if serving.done():
            break
        try:
            _, writer = await asyncio.open_connection(target, port)
        except OSError:
            await asyncio.sleep(_LOOK_EVERY)
            continue
        writer.close()
        return
    raise StoreError(f"the HTTP server did not start on {host} port {port} within {START_TIMEOUT:g} s")
