"""`watchtower up`: it answers, its clock opens alerts by itself, it ends when told to, and starts again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from command_line import RULEBOOK, begin, ended, lead, wt


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/cloudevents+json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def open_records(url: str) -> list[str]:
    return [item["record"] for item in ask(f"{url}/alerts?status=open")["items"]]


@contextmanager
def up(data: Path, port: int, *more: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service, once it says that it answers."""
    process = begin("up", "--data", data, "--port", port, "--no-model", *more)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line, (line, process.stderr and process.stderr.read())
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_up_takes_events_opens_alerts_by_its_clock_and_ends_on_a_signal(tmp_path: Path, free_port: int) -> None:
    data, book = tmp_path / "data", tmp_path / "book.yaml"
    book.write_text(RULEBOOK)
    with up(data, free_port, "--rulebook", book) as (process, url):
        now = datetime.now(UTC)  # noqa: TID251
        due = now + timedelta(seconds=2.5)
        event = lead("u1", "U-1", now, stage="mql", mql_at=(due - timedelta(hours=48)).isoformat())
        assert [v["status"] for v in ask(f"{url}/events", event)["verdicts"]] == ["accepted"]
        assert [v["status"] for v in ask(f"{url}/events", event)["verdicts"]] == ["duplicate"]
        if datetime.now(UTC) < due:  # noqa: TID251
            assert open_records(url) == []
        while not open_records(url):
            late = datetime.now(UTC) - due  # noqa: TID251
            assert late < timedelta(seconds=8), "the clock opened nothing"
            time.sleep(0.1)
        assert open_records(url) == ["lead/U-1"]
        alert = ask(f"{url}/alerts")["items"][0]
        assert datetime.fromisoformat(alert["since"]) == due

        second = wt("up", "--data", data, "--port", "0", code=3).err
        assert f"a watchtower service runs here already (process {process.pid})" in second
        taken = wt("up", "--data", tmp_path / "other", "--port", free_port, code=3).err
        assert f"port {free_port} of 127.0.0.1 is taken" in taken
        assert not (tmp_path / "other" / "postgres").exists(), "a taken port is said before a database is made"
        assert open_records(url) == ["lead/U-1"], "those that could not start did no harm"

        process.send_signal(signal.SIGINT)
        assert ended(process, seconds=30).code in (0, 130)

    with up(data, free_port) as (process, url):
        assert open_records(url) == ["lead/U-1"], "the next start goes on under the same rulebook"
        process.send_signal(signal.SIGTERM)
        stopped = ended(process, seconds=30)
        assert stopped.code == 0 and "stopped" in stopped.err
    listed = wt("alerts", "--data", data, "--json").json()
    assert [alert["record"] for alert in listed] == ["lead/U-1"]


def test_up_whose_port_is_taken_ends_at_once_and_works_once_it_is_free(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        for command in ("up", "serve", "demo"):
            said = wt(command, "--data", tmp_path / command, "--port", port, code=3).err
            assert f"port {port} of 127.0.0.1 is taken by another process" in said and "--port" in said


def test_a_port_that_is_none_is_refused() -> None:
    assert "99999" in wt("up", "--port", "99999", code=1).err


def test_up_that_others_would_reach_without_a_key_is_refused_before_it_decides_anything(tmp_path: Path) -> None:
    said = wt("up", "--data", tmp_path, "--host", "0.0.0.0", "--port", "0", "--no-model", code=1).err
    assert "no key is asked of them" in said and "keys add" in said
    assert "detected" not in said, "neither clock nor detectors have begun"
