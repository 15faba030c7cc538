"""MCP on streamable HTTP, by the official client against a real server: keys, roles, foreign pages, the cap."""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from command_line import begin
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from sqlalchemy import text
from test_mcp import call, refused

from watchtower.api.mcp_server import PATH, PROPOSES, READS, mcp_app
from watchtower.api.server import reachable, serve_app
from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.errors import InputError
from watchtower.settings import Settings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOOK = """
name: chiefs
timezone: UTC
objects:
  account:
    label: name
    fields:
      name: {type: text}
      domain: {type: domain}
      chief: {type: text, fill: enrichment}
rules:
  - {id: led_by_nobody, object: account, when: chief = 'Nobody'}
acceptance:
  account.chief: {accept_at: 0.71, review_at: 0.1}
"""
RIGHT: dict[str, Any] = {
    "record": "account/A1", "field": "chief", "value": "Ann Rossi", "document": "d1", "confidence": 1.0,
    "quote": "Rossi is led by Ann Rossi",
}  # fmt: skip
Script = Callable[[Client], Awaitable[None]]


@pytest.fixture
def tower(database_url: str, tmp_path: Path) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", personal=False) as built:
        common = {"specversion": "1.0", "source": "crm", "time": format_time(START), "subject": "account/A1"}
        sent = [
            {"id": "a", "type": "record.updated", "data": {"fields": {"name": "Rossi", "domain": "rossi.it"}}},
            {"id": "d", "type": "document.added", "data": {
                "document": "d1", "text": "Rossi is led by Ann Rossi.", "url": "https://rossi.it", "kind": "web"}},
        ]  # fmt: skip
        assert {v.status for v in built.take([common | one for one in sent])} == {"accepted"}
        yield built


@pytest.fixture
def keys(tower: Tower) -> dict[str, str]:
    roles = ("viewer", "operator", "admin", "worker", "source")
    return {role: tower.door.add(role, f"{role}-1", by="test")[1] for role in roles}


@pytest.fixture
def address(tower: Tower, keys: dict[str, str]) -> Iterator[str]:
    """The server, on a thread of this process and a socket of its own."""
    stop, known, found = threading.Event(), threading.Event(), list[str]()

    def ready(url: str) -> None:
        found.append(url)
        known.set()

    app = mcp_app(tower, hosts=reachable(tower, "127.0.0.1"), per_minute=0)
    thread = threading.Thread(
        target=serve_app, args=(app, "127.0.0.1", 0), kwargs={"ready": ready, "stop": stop}, daemon=True
    )
    thread.start()
    try:
        assert known.wait(30), "the server did not start within 30 s"
        yield found[0] + PATH
    finally:
        stop.set()
        thread.join(30)


def ask(address: str, secret: str, script: Script) -> None:
    async def main() -> None:
        with anyio.fail_after(60):
            async with httpx2.AsyncClient(headers={"authorization": f"Bearer {secret}"}, timeout=30) as http:
                async with Client(streamable_http_client(address, http_client=http)) as client:
                    await script(client)

    anyio.run(main)


def test_a_viewers_key_reads_and_only_an_operators_or_a_workers_proposes(
    tower: Tower, keys: dict[str, str], address: str
) -> None:
    async def reads(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {*READS, *PROPOSES}
        assert not [tool.name for tool in tools if "context" in tool.input_schema.get("properties", {})]
        assert [gap["record"] for gap in await call(client, "list_gaps")] == ["account/A1"]
        assert (await call(client, "get_record", record="account/A1"))["fields"]["name"]["value"] == "Rossi"
        assert "the role viewer; needed is operator" in await refused(client, "propose_field", **RIGHT)

    async def proposes(client: Client) -> None:
        assert (await call(client, "propose_field", **RIGHT))["status"] == "review", "1.0 counts for .7, .71 is asked"
        [proposal] = await call(client, "list_proposals")
        assert (proposal["confidence"], proposal["model"]) == (0.7, "mcp:operator-1/1")

    ask(address, keys["viewer"], reads)
    with tower.database.read() as conn:
        assert conn.execute(text("select count(*) from journal where type like 'field.%'")).scalar() == 0
    ask(address, keys["operator"], proposes)


def test_each_request_bears_its_key_and_a_revoked_one_opens_nothing(
    tower: Tower, keys: dict[str, str], address: str
) -> None:
    row, secret = tower.door.add("viewer", "leaving", by="test")

    async def leaves(client: Client) -> None:
        assert await call(client, "list_proposals") == []
        await anyio.to_thread.run_sync(lambda: tower.door.revoke(row.id, by="test"))
        await anyio.sleep(1.2)
        with pytest.raises(Exception):  # noqa: B017  (the client's own, of a 401)
            await client.call_tool("list_proposals", {})

    ask(address, secret, leaves)


def message(method: str = "tools/list") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}


def test_who_bears_no_right_key_or_comes_from_another_site_reaches_no_tool(keys: dict[str, str], address: str) -> None:
    plain = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}
    right = plain | {"authorization": f"Bearer {keys['operator']}"}
    host = address.removeprefix("http://").removesuffix(PATH)
    with httpx2.Client() as http:

        def status(headers: dict[str, str], **more: Any) -> int:
            return http.post(address, json=more.get("json", message()), headers=headers).status_code

        assert status(right) == 200
        assert status(right | {"origin": f"http://{host}"}) == 200
        assert status(plain) == 401
        assert status(plain | {"authorization": "Bearer wt_guessed"}) == 401
        assert status(plain | {"authorization": f"Bearer {keys['source']}"}) == 403
        assert status(right | {"origin": "https://evil.example"}) == 403
        assert status(right | {"origin": "null"}) == 403
        assert status(right | {"sec-fetch-site": "cross-site"}) == 403
        assert status(right | {"host": "evil.example"}) == 421
        assert status(right, json=message() | {"params": {"x": "y" * 1_100_000}}) == 413
        assert http.get(address, headers=plain).status_code == 401, "no stream either"


def test_an_address_beyond_this_machine_asks_for_keys_first(tower: Tower) -> None:
    with pytest.raises(InputError, match="no key is asked of them"):
        reachable(tower, "0.0.0.0")
    assert not reachable(tower, "127.0.0.1")
    tower.door.add("viewer", "v", by="test")
    assert reachable(tower, "0.0.0.0") == {"*"}


def test_the_command_serves_until_it_is_told_to_stop(tower: Tower, keys: dict[str, str]) -> None:
    assert tower.settings.database_url is not None
    url = tower.settings.database_url.get_secret_value()
    server = begin("mcp", "--http", "--port", 0, DATABASE_URL=url, WATCHTOWER_DATA=str(tower.settings.data))
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line.startswith("MCP: http://127.0.0.1:"), line + (server.stderr.read() if server.stderr else "")

        async def reads(client: Client) -> None:
            assert (await call(client, "get_rulebook"))["name"] == "chiefs"

        ask(line.removeprefix("MCP: ").partition(";")[0], keys["viewer"], reads)
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.communicate()
