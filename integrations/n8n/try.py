"""A real n8n and a real Watchtower: an alert goes there, an acknowledgement and an event come back.

    python integrations/n8n/try.py --n8n ~/.cache/watchtower-n8n --install     # once: some GB by npm
    python integrations/n8n/try.py --n8n ~/.cache/watchtower-n8n

Prints what it sees, step by step; exit code 1 where something did not come. n8n 2 needs Node 24 or newer: --install
takes it from npm (the package `node`) where the machine's own is older.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
N8N = "2.41.1"
NODE = 24
WORKFLOW = "watchtowerTry0001"
BOOK = """
name: tried
objects:
  lead:
    fields:
      stage: {type: enum, values: [raw, mql, sal]}
      mql_at: {type: timestamp}
      told: {type: integer, rollup: {count: "*", of: activity.logged}}
rules:
  - id: mql_uncontacted
    object: lead
    when: stage = 'mql' and mql_at <= now() - interval '48 hours'
    severity: high
    queue: attention-needed
    owner: sales_manager
    because: An MQL has waited 48 hours for a first contact.
"""


class Failed(Exception):
    """Something did not come."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n8n", type=Path, required=True, help="the folder in which n8n is, or is to be, installed")
    parser.add_argument("--install", action="store_true", help="install n8n, and Node where needed, there first")
    parser.add_argument("--seconds", type=float, default=90, help="how long to wait for each step")
    given = parser.parse_args()
    folder = given.n8n.expanduser().absolute()
    try:
        if given.install:
            install(folder)
        if not installed(folder):
            raise Failed(f"{folder}: n8n is not installed there; --install does it")
        with tempfile.TemporaryDirectory(prefix="watchtower-n8n-", ignore_cleanup_errors=True) as work:
            attempt(folder, Path(work), given.seconds)
    except Failed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return 1
    print("an alert went to n8n; an acknowledgement and an event came back")
    return 0


def installed(folder: Path) -> bool:
    """Whether an n8n can be started there."""
    return (folder / "node_modules" / "n8n" / "bin" / "n8n").exists()


def install(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "package.json").exists():
        (folder / "package.json").write_text('{"private": true}')
    node = run(["node", "--version"], folder, "node").strip()
    packages = [f"n8n@{N8N}"] if int(re.sub(r"\D.*", "", node[1:])) >= NODE else [f"node@{NODE}", f"n8n@{N8N}"]
    for package in packages:
        print(f"installing {package}")
        scripts = [] if package.startswith("node@") else ["--ignore-scripts"]
        run(["npm", "install", package, "--no-audit", "--no-fund", *scripts], folder, f"npm install {package}")
    # The one part of n8n that must be built here: where no ready-made one can be fetched, against Node's own headers.
    headers = {} if not Path("/usr/include/node").is_dir() else {"npm_config_nodedir": "/usr"}
    print("building sqlite3")
    run(["npm", "rebuild", "sqlite3"], folder, "npm rebuild sqlite3", headers)


def attempt(folder: Path, work: Path, seconds: float) -> None:
    """The whole way, once."""
    packed = run(["npm", "pack", "--silent", "--pack-destination", str(work)], HERE, "npm pack").split()[-1]
    nodes = work / "n8n" / ".n8n" / "nodes"
    nodes.mkdir(parents=True)
    (nodes / "package.json").write_text('{"private": true}')
    arguments = ["--no-audit", "--no-fund", "--legacy-peer-deps"]
    run(["npm", "install", str(work / packed), *arguments], nodes, "npm install of the packed nodes")
    print(f"{packed} is installed")
    (work / "book.yaml").write_text(BOOK)
    tower_port, n8n_port, broker = free_port(), free_port(), free_port()
    tower_url = f"http://127.0.0.1:{tower_port}"
    settings = {
        "WATCHTOWER_DATA": str(work / "tower"), "WATCHTOWER_PORT": str(tower_port),
        "WATCHTOWER_SUBSCRIBER_HOSTS": "127.0.0.1", "WATCHTOWER_MODELS": str(work / "models"),
    }  # fmt: skip
    with running(tower_command("up", "--rulebook", str(work / "book.yaml")), work / "tower.log", settings):
        wait("Watchtower", seconds, lambda: ask(f"{tower_url}/readyz"))
        operator, source = (key(work, settings, role, name) for role, name in
                            (("operator", "n8n-operator"), ("source", "n8n")))  # fmt: skip
        admin = key(work, settings, "admin", "trying")
        (work / "credentials.json").write_text(json.dumps([
            {"id": f"watchtower{role.title()}", "name": f"Watchtower {role}", "type": "watchtowerApi",
             "data": {"baseUrl": tower_url, "apiKey": secret}}
            for role, secret in (("operator", operator), ("source", source))
        ]))  # fmt: skip
        surroundings = {
            "N8N_USER_FOLDER": str(work / "n8n"), "N8N_PORT": str(n8n_port), "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_RUNNERS_BROKER_PORT": str(broker), "WEBHOOK_URL": f"http://127.0.0.1:{n8n_port}/",
            "N8N_DIAGNOSTICS_ENABLED": "false", "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false", "N8N_PERSONALIZATION_ENABLED": "false", "DB_SQLITE_POOL_SIZE": "2",
            "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "false", "N8N_ENCRYPTION_KEY": "only-for-trying",
        }  # fmt: skip
        n8n = [node(folder), str(folder / "node_modules" / "n8n" / "bin" / "n8n")]
        for what, arguments in (
            ("credentials", ["import:credentials", f"--input={work / 'credentials.json'}"]),
            ("workflow", ["import:workflow", f"--input={HERE / 'workflow.json'}"]),
            ("publishing", ["publish:workflow", f"--id={WORKFLOW}"]),
        ):
            run([*n8n, *arguments], work, f"n8n's {what}", surroundings)
            print(f"n8n: {what}: done")
        with running([*n8n, "start"], work / "n8n.log", surroundings):
            subscribed = wait("the subscription", seconds, lambda: ask(f"{tower_url}/subscriptions", admin))
            print(f"n8n has subscribed: {subscribed[0]['url']}")
            refused = status_of(subscribed[0]["url"], {"type": "alert.opened", "data": {"id": "forged"}})
            if refused != 401:
                raise Failed(f"a message that nobody signed was answered {refused}")
            print("a message that nobody signed is answered 401")
            cross(tower_url, admin, seconds)


def cross(tower: str, admin: str, seconds: float) -> None:
    """An event makes an alert; n8n acknowledges it and says so."""
    now = datetime.now(UTC)  # noqa: TID251
    long_ago = (now - timedelta(days=3)).isoformat()
    event = {
        "specversion": "1.0", "id": "e1", "source": "crm", "type": "record.updated", "subject": "lead/L-17",
        "time": long_ago, "data": {"fields": {"stage": "mql", "mql_at": long_ago}},
    }  # fmt: skip
    began = time.monotonic()
    ask(f"{tower}/events", admin, event)
    [alert] = wait("the alert", seconds, lambda: ask(f"{tower}/alerts", admin)["items"])
    print(f"alert {alert['id']} is open")

    def acknowledged() -> Any:
        found = ask(f"{tower}/alerts/{alert['id']}", admin)
        return found if found["status"] == "acknowledged" else None

    found = wait("the acknowledgement", seconds, acknowledged)
    act = found["actions"][-1]
    print(f"acknowledged by {act['actor']}: {act['note']} ({time.monotonic() - began:.1f} s after the event)")

    def logged() -> Any:
        record = ask(f"{tower}/records/lead/L-17", admin)
        return [one for one in record["timeline"]["items"] if one["source"] == "n8n"]

    [came] = wait("the event", seconds, logged)
    print(f"an event came back: {came['type']} from {came['source']}")


# ---- processes and requests


def node(folder: Path) -> str:
    own = folder / "node_modules" / "node" / "bin" / "node"
    return str(own) if own.exists() else shutil.which("node") or "node"


def tower_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "watchtower.cli.main", *arguments]


def key(work: Path, settings: Mapping[str, str], role: str, name: str) -> str:
    said = run(tower_command("keys", "add", "--role", role, "--name", name), work, f"the {role}'s key", settings)
    found = re.search(r"wt_[A-Za-z0-9_-]{20,}", said)
    if found is None:
        raise Failed(f"the {role}'s key: {said}")
    return found.group()


def run(command: list[str], folder: Path, what: str, more: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(more), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{what}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


@contextmanager
def running(command: list[str], log: Path, more: Mapping[str, str]) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=log.parent, env=environment(more), stdout=out, stderr=out)
    try:
        yield
    except Failed as failed:
        raise Failed(f"{failed}\n{log.name}:\n{log.read_text()[-3000:]}") from None
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def environment(more: Mapping[str, str] | None) -> dict[str, str]:
    project = str(HERE.parent.parent)
    path = os.pathsep.join(filter(None, (project, os.environ.get("PYTHONPATH", ""))))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WATCHTOWER_", "N8N_"))}
    return {**kept, "PYTHONPATH": path, **(more or {})}


def ask(url: str, secret: str = "", body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    if body is not None:
        headers["content-type"] = "application/json"
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def status_of(url: str, body: Any) -> int:
    try:
        ask(url, body=body)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def wait(what: str, seconds: float, look: Callable[[], Any]) -> Any:
    until = time.monotonic() + seconds
    last: object = "nothing"
    while time.monotonic() < until:
        try:
            if found := look():
                return found
        except OSError as error:
            last = error
        time.sleep(0.2)
    raise Failed(f"{what} did not come within {seconds:g} s ({last})")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
