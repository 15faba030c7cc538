"""The image, as somebody gets it: built, looked into, and walked through in containers, as the head of
docker-compose.yaml and the manifests of Kubernetes say.

    python tests/packaging/image_walk.py [--secret id=pip,src=FILE ...] [--no-build] [--keep]

Needs Docker with BuildKit and Compose 2.24 or later, a package index, and some minutes. On a machine that reaches no
image registry, `deploy/stand_in_images.sh` makes the base images first. Ends with 1 at the first thing that is amiss;
prints what it measured. What it starts is named `watchtower-walk`, is reached on free ports, and is gone afterwards.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
PROJECT = Path(__file__).parents[2]
NAME = "watchtower-walk"
IMAGE = "watchtower:local"
"""As docker-compose.yaml names it."""
USER = "10001"
CONFINED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
PATIENCE = 180.0
"""Seconds that a part has to get ready: as the startup probe of the manifests."""


def docker(*given: str, said: str | None = None, code: int = 0) -> str:
    """What it printed on standard output. AssertionError where it ends otherwise than with `code`."""
    done = subprocess.run(["docker", *given], cwd=PROJECT, capture_output=True, text=True, input=said, check=False)
    assert done.returncode == code, f"docker {' '.join(given[:6])}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def timed(what: str, work: Callable[[], T]) -> T:
    began = time.monotonic()
    result = work()
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)
    return result


def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def asked(port: int, path: str, key: str = "", body: Any = None) -> tuple[int, Any]:
    """(status, answer); 0 while nobody answers."""
    headers = {"content-type": "application/cloudevents+json"} | ({"authorization": f"Bearer {key}"} if key else {})
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", sent, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, None
    except OSError:
        return 0, None


def ready(port: int, path: str = "/readyz") -> Callable[[], bool]:
    return lambda: asked(port, path)[0] == 200


def key_in(text: str) -> str:
    [key] = re.findall(r"^wt_\S+$", text, re.MULTILINE)
    return str(key)


def exit_code(container: str) -> int:
    return int(docker("inspect", "--format={{.State.ExitCode}}", container))


# ---- the image


def inspected() -> None:
    [image] = json.loads(docker("image", "inspect", IMAGE))
    print(f"the image: {image['Size'] / 1e9:.2f} GB")
    config = image["Config"]
    assert (config["User"], list(config["Volumes"])) == (f"{USER}:{USER}", ["/data"]), config
    shell = ("run", "--rm", "--entrypoint=sh")
    mine = "id -u; id -g; find /venv -writable ! -type l; test -w /data && echo /data"
    assert docker(*shell, IMAGE, "-c", mine).split() == [USER, USER, "/data"]
    stray = r"""
        ls -A /data
        for one in /src /wheel /etc/pip.conf /run/secrets /tmp/* /root/.cache; do
            test ! -e "$one" || echo "$one"
        done
        find /venv -type d '(' -name tests -o -name .git -o -name .mypy_cache ')' -o ! -user root
        find / -xdev '(' -name .env -o -name master.key -o -name '*.whl' ')' |
            grep -v -e /ensurepip/ -e /python-wheels/ || true
    """
    left = docker(*shell, "--user=0", IMAGE, "-c", stray)
    assert not left, f"does not belong into the image:\n{left}"
    docker("run", "--rm", *CONFINED, "--entrypoint=python", IMAGE, "-m", "pip", "check")


def commands() -> None:
    """--version, demo, and MCP on standard input and output, each in a container of its own."""
    run = ("run", "--rm", "--interactive", *CONFINED)
    version = timed("--version", lambda: docker(*run, IMAGE, "--version"))
    assert re.fullmatch(r"watchtower \d+\.\d+\.\d+\S*\n", version), version
    told = timed("demo", lambda: docker(*run, IMAGE, "demo", "--no-serve", "--no-model", "--accounts", "40", "--json"))
    assert json.loads(told), told
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "walk", "version": "1"}},
    }  # fmt: skip
    answer = timed("mcp", lambda: docker(*run, IMAGE, "mcp", said=json.dumps(hello) + "\n"))
    assert json.loads(answer.splitlines()[0])["result"]["serverInfo"]["name"], answer


def alone() -> None:
    """`up` with the PostgreSQL within the image: refused without a key, stopped, killed, and there again."""
    port, name, held = free_port(), f"{NAME}-alone", f"--volume={NAME}-alone:/data"
    docker("volume", "create", f"{NAME}-alone")
    refusal = docker("run", "--rm", *CONFINED, held, IMAGE, code=1)
    assert "make one first" in refusal, refusal
    key = key_in(docker("run", "--rm", *CONFINED, held, IMAGE, "keys", "add", "--role", "admin", "--name", "YOU"))
    docker("run", "--detach", f"--name={name}", "--init", *CONFINED, held, f"--publish=127.0.0.1:{port}:8080", IMAGE)
    timed("up alone, until /readyz", lambda: until(ready(port), "alone"))
    opened = breach(port, key)
    timed("up alone, SIGTERM to its end", lambda: docker("stop", "--time=30", name))
    assert exit_code(name) == 0
    for harm in ("none", "kill"):
        docker("start", name)
        timed(f"up alone, again after {harm}", lambda: until(ready(port), "again"))
        assert standing(port, key) == {opened}
        docker("kill", name)


# ---- what everybody does with it


def breach(port: int, key: str) -> str:
    """Post a lead that waits too long; the id of the alert that stands for it, as soon as the clock has opened it."""
    then = datetime.fromtimestamp(time.time() - 3 * 86400, UTC).isoformat()
    event = {
        "specversion": "1.0", "id": "walk-1", "source": "crm", "type": "record.updated", "subject": "lead/L-17",
        "time": then, "data": {"fields": {"stage": "mql", "mql_at": then, "contacted_at": None}},
    }  # fmt: skip
    assert asked(port, "/events", body=event)[0] == asked(port, "/alerts")[0] == 401, "no key, no answer"
    status, said = asked(port, "/events", key, event)
    assert status in (200, 201, 202), (status, said)
    timed("an event, until its alert stands", lambda: until(lambda: standing(port, key), "the alert"))
    [found] = standing(port, key)
    return found


def standing(port: int, key: str) -> set[str]:
    status, page = asked(port, "/alerts?queue=attention-needed", key)
    assert status == 200, status
    return {one["id"] for one in page["items"] if (one["rule"], one["record"]) == ("mql_uncontacted", "lead/L-17")}


# ---- docker-compose.yaml


class Compose:
    """Its services, with an .env and a port of one's own."""

    def __init__(self, folder: Path) -> None:
        self.port, self.env = free_port(), folder / ".env"
        key = base64.b64encode(os.urandom(32)).decode()
        self.env.write_text(f"POSTGRES_PASSWORD={secrets.token_hex(24)}\nWATCHTOWER_MASTER_KEY={key}\n")
        mine = folder / "ports.yaml"
        mine.write_text(f'services: {{api: {{ports: !override ["127.0.0.1:{self.port}:8080"]}}}}\n')
        self._files = (
            "--project-name",
            NAME,
            "--env-file",
            str(self.env),
            "-f",
            "docker-compose.yaml",
            "-f",
            str(mine),
        )

    def __call__(self, *given: str, code: int = 0) -> str:
        return docker("compose", *self._files, *given, code=code)

    def states(self) -> dict[str, dict[str, Any]]:
        lines = self("ps", "--all", "--format", "json").splitlines()
        return {one["Service"]: one for one in map(json.loads, lines)}

    def healthy(self, *services: str) -> None:
        def all_are() -> bool:
            states = self.states()
            return all(states[one]["Health"] == "healthy" for one in services)

        until(all_are, f"health of {services}")


def composed(compose: Compose) -> dict[str, str]:
    """The head of the file, line by line; then what a stop, a kill and a start must keep. The roles' addresses."""
    compose("up", "--detach", "--no-build", "postgres")
    key = key_in(timed("compose: keys add", lambda: compose(
        "run", "--rm", "clock", "keys", "add", "--role", "admin", "--name", "YOU"
    )))  # fmt: skip
    compose("up", "--detach", "--no-build", "api", "clock")
    timed("compose: api, until /readyz", lambda: until(ready(compose.port), "api"))
    timed("compose: until healthy", lambda: compose.healthy("postgres", "api", "clock"))
    roles = json.loads(compose("run", "--rm", "clock", "database", "roles", "--json"))["roles"]
    urls = {one["name"]: one["url"] for one in roles}
    with compose.env.open("a") as more:
        more.write(f"WATCHTOWER_JOBS_URL={urls['worker']}\n")
    whole = ("--profile", "worker", "up", "--detach", "--no-build")
    compose(*whole)
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9108/metrics').status)"
    until(lambda: _quietly(compose, "exec", "worker", "python", "-c", metrics) == "200\n", "the worker's metrics")
    opened = breach(compose.port, key)
    confined(compose, urls["worker"])

    before = {name: one["ID"] for name, one in compose.states().items()}
    compose(*whole)
    assert {name: one["ID"] for name, one in compose.states().items()} == before, "a second `up` changes nothing"
    timed("compose: SIGTERM to the end of all", lambda: compose("--profile", "worker", "stop"))
    ends = {name: one["ExitCode"] for name, one in compose.states().items()}
    assert ends == {"postgres": 0, "api": 0, "clock": 0, "worker": 0}, ends
    for harm in ("stop", "kill"):
        timed(f"compose: again after {harm}, until `up` returns", lambda: compose(*whole))
        until(ready(compose.port), "again")
        assert standing(compose.port, key) == {opened}
        compose.healthy("postgres", "api", "clock")
        if harm == "stop":
            compose("--profile", "worker", "kill")
    return urls


def _quietly(compose: Compose, *given: str) -> str:
    try:
        return compose(*given)
    except AssertionError:
        return ""


def confined(compose: Compose, worker: str) -> None:
    """Nothing is written but /data and /tmp, and the worker's role reaches no core."""
    for service in ("api", "clock", "worker"):
        look = "id -u; touch /data/x /tmp/x && rm /data/x /tmp/x; (touch /x || touch /venv/x) && echo written; env"
        who, *env = compose("exec", service, "sh", "-c", look).splitlines()
        assert who == USER and "written" not in env, (service, who)
        if service == "worker":
            assert not [one for one in env if one.startswith(("DATABASE_URL=", "WATCHTOWER_MASTER_KEY="))]
    core = worker.replace("/watchtower_jobs", "/watchtower")
    refused = compose("exec", "worker", "python", "-c", f"import psycopg; psycopg.connect({core!r})", code=1)
    assert "permission denied for database" in refused, refused


# ---- deploy/kubernetes/watchtower.yaml


def pods(compose: Compose, urls: dict[str, str]) -> None:
    """Each Deployment's container as its manifest has it: user, root, capabilities, volumes, memory, probes."""
    documents = list(yaml.safe_load_all((PROJECT / "deploy/kubernetes/watchtower.yaml").read_text()))
    [config] = [one["data"] for one in documents if one["kind"] == "ConfigMap"]
    filled = dict(line.split("=", 1) for line in compose.env.read_text().splitlines())
    held = {
        "watchtower-core": {"DATABASE_URL": urls["tower"], "WATCHTOWER_MASTER_KEY": filled["WATCHTOWER_MASTER_KEY"]},
        "watchtower-worker": {"WATCHTOWER_JOBS_URL": urls["worker"]},
        "watchtower-receivers": {},
    }
    compose("--profile", "worker", "stop", "api", "clock", "worker")
    for document in documents:
        if document["kind"] == "Deployment":
            pod(document, config, held)


def pod(document: dict[str, Any], config: dict[str, str], secret: dict[str, dict[str, str]]) -> None:
    spec = document["spec"]["template"]["spec"]
    [container] = spec["containers"]
    whole, own, port = spec["securityContext"], container["securityContext"], free_port()
    env = {one["name"]: one["value"] for one in container.get("env", ())}
    for source in container["envFrom"]:
        env |= config if "configMapRef" in source else secret[source["secretRef"]["name"]]
    memory = container["resources"]["limits"]["memory"].removesuffix("i").lower()
    inside = container["ports"][0]["containerPort"]
    name = f"{NAME}-{container['name']}"
    run = ["run", "--detach", f"--name={name}", f"--network={NAME}_default", f"--publish=127.0.0.1:{port}:{inside}",
           f"--user={whole['runAsUser']}:{whole['runAsGroup']}", f"--memory={memory}",
           *(f"--cap-drop={one}" for one in own["capabilities"]["drop"]),
           *(f"--env={key}={value}" for key, value in env.items())]  # fmt: skip
    assert whole["runAsNonRoot"] and not own["allowPrivilegeEscalation"]
    run += ["--security-opt=no-new-privileges:true"] + ["--read-only"] * own["readOnlyRootFilesystem"]
    empty = {one["name"] for one in spec["volumes"] if "emptyDir" in one}
    for mount in container["volumeMounts"]:
        assert mount["name"] in empty
        # An emptyDir under fsGroup: root's, the group's to write, setgid.
        run.append(f"--tmpfs={mount['mountPath']}:uid=0,gid={whole['fsGroup']},mode=2777")
    docker(*run, IMAGE, *container["args"])
    probes = [container[one]["httpGet"]["path"] for one in container if one.endswith("Probe")]
    timed(f"pod {container['name']}, until its probes are content", lambda: until(
        lambda: all(ready(port, path)() for path in probes) and (probes or metrics(port)), name
    ))  # fmt: skip
    print(f"pod {container['name']}: {docker('stats', '--no-stream', '--format={{.MemUsage}}', name).strip()}")
    timed(f"pod {container['name']}, SIGTERM to its end", lambda: docker(
        "stop", f"--time={spec['terminationGracePeriodSeconds']}", name
    ))  # fmt: skip
    assert exit_code(name) == 0, docker("logs", name)


def metrics(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return b"process_resident_memory_bytes" in answer.read()
    except OSError:
        return False


# ---- all of it


@contextmanager
def cleared(keep: bool) -> Iterator[Compose]:
    """Compose's services in a folder of their own; nothing is left of them, nor of the other containers."""
    with tempfile.TemporaryDirectory(prefix="watchtower-walk-") as folder:
        compose = Compose(Path(folder))
        try:
            yield compose
        finally:
            if not keep:
                for name in ("alone", "api", "clock", "worker"):
                    subprocess.run(["docker", "rm", "--force", f"{NAME}-{name}"], capture_output=True, check=False)
                compose("--profile", "worker", "down", "--volumes")
                subprocess.run(["docker", "volume", "rm", f"{NAME}-alone"], capture_output=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secret", action="append", default=[], help="Of the build: id=pip,src=FILE; id=ca,src=FILE.")
    parser.add_argument("--no-build", action="store_true", help=f"Take {IMAGE} as it is.")
    parser.add_argument("--keep", action="store_true", help="Leave the containers there.")
    given = parser.parse_args()
    if not given.no_build:
        told = [f"--secret={one}" for one in given.secret]
        timed("built", lambda: docker("build", *told, f"--tag={IMAGE}", "."))
    with cleared(given.keep) as compose:
        inspected()
        commands()
        alone()
        pods(compose, composed(compose))
    print("all of it holds")


if __name__ == "__main__":
    main()
