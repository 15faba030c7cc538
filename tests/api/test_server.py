"""The service in a process of its own, over a real socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from api_scene import Scene

from watchtower.api.server import claim, serve
from watchtower.errors import Busy, InputError, StoreError
from watchtower.store.database import Database

PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
from api_scene import Scene
from watchtower.api.server import serve
from watchtower.store.database import open_database
serve(Scene(open_database({url!r})), port={port}, ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@contextmanager
def serving(scene: Scene, port: int = 0) -> Iterator[str]:
    """The address of the scene, served from a thread of this process."""
    stop, known, found = threading.Event(), threading.Event(), []

    def ready(url: str) -> None:
        found.append(url)
        known.set()

    thread = threading.Thread(target=serve, args=(scene, "127.0.0.1", port), kwargs={"ready": ready, "stop": stop})
    thread.start()
    try:
        assert known.wait(30), "the server did not start within 30 s"
        yield found[0]
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_the_service_answers_over_a_real_socket(scene: Scene) -> None:
    event = {
        "specversion": "1.0", "id": "e1", "source": "crm", "type": "record.updated", "subject": "lead/L-9",
        "time": "2026-03-02T09:00:00Z", "data": {},
    }  # fmt: skip
    with serving(scene) as url:
        answer = httpx.post(
            f"{url}/events",
            content=json.dumps(event),
            headers={"content-type": "application/cloudevents+json"},
        )
        assert (answer.status_code, answer.json()["verdicts"][0]["status"]) == (200, "accepted")
        assert httpx.get(f"{url}/alerts?status=open").json()["items"][0]["id"] == "a0001"
        assert "Rossi Arredi" in httpx.get(url).text
        assert httpx.post(f"{url}/events", content=b"x" * 1_000_001).status_code == 413
        assert httpx.get(f"{url}/healthz", headers={"host": "evil.example"}).status_code == 421
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as raw:
            raw.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: zz\r\n\r\n")
            assert b" 400 " in raw.recv(1000)[:20]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def test_many_clients_are_answered_at_once(scene: Scene) -> None:
    with serving(scene) as url:
        answers: list[int] = []

        def ask() -> None:
            with httpx.Client() as client:
                answers.extend(client.get(f"{url}/records/lead/L-1", timeout=60).status_code for _ in range(5))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == [200] * 80


def test_a_port_that_is_taken_is_said_so(free_port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port)),
        pytest.raises(Busy, match=f"port {free_port}.*taken"),
    ):
        claim("127.0.0.1", free_port)
    assert claim("127.0.0.1", free_port) == free_port


def test_a_second_service_does_not_share_the_port_of_the_first(scene: Scene, free_port: int) -> None:
    with serving(scene, free_port), pytest.raises(Busy):
        serve(scene, "127.0.0.1", free_port)


@pytest.mark.parametrize(
    ("host", "port", "kind"),
    [("127.0.0.1", 70000, InputError), ("no such host", 8000, InputError), ("192.0.2.1", 8000, StoreError)],
)
def test_an_address_that_cannot_be_had_is_named(host: str, port: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(port) if port > 65535 else host):
        claim(host, port)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_service_cleanly(
    scene: Scene, scene_database: Database, free_port: int, sent: signal.Signals
) -> None:
    url = scene_database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    program = PROGRAM.format(folder=str(Path(__file__).parent), url=url, port=free_port)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        assert address == f"http://127.0.0.1:{free_port}", address or process.stderr.read()
        assert httpx.get(f"{address}/healthz").status_code == 200
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), err.strip()) == (0, "ended", "")
