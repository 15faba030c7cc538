"""`watchtower mcp`: the tower for language models that speak the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from watchtower.api.mcp_server import PATH, mcp_app, mcp_server
from watchtower.api.mcp_tools import Tools
from watchtower.api.rate import Rate
from watchtower.api.server import reachable, serve_app
from watchtower.bootstrap import build
from watchtower.cli.output import console, errors
from watchtower.cli.tower import Data, settings_of
from watchtower.flow.door import Credential
from watchtower.logs import configure
from watchtower.settings import read_secret

KEY = "WATCHTOWER_MCP_KEY"
CALLS_PER_MINUTE = 240


PORT = 8090


def mcp(
    data: Data = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP at /mcp instead.")] = False,
    host: Annotated[str, typer.Option("--host", help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="With --http: the port (0: any free one).")] = PORT,
) -> None:
    """Serve MCP on standard input and output: a client starts this command. Read, and propose; nothing else.

    Tools read alerts with their explanations, records with the sources of their fields, gaps, the rulebook, metrics.
    One proposes a value for a field that is wanted: acceptance rules decide on it as on a worker's. Where the tower has
    keys, WATCHTOWER_MCP_KEY holds one: role viewer to read, role worker (or operator) to propose as well. Personal data
    are never read: this process holds no key of theirs.

    With --http many clients reach one process at http://HOST:PORT/mcp; each sends its own key as Authorization:
    Bearer KEY. Pages of other sites are refused (Origin), and so is an address beyond this machine while there are no
    keys.

    Example: WATCHTOWER_MCP_KEY=wt_... watchtower mcp
    Example: watchtower mcp --http --port 8090
    """
    settings = settings_of(data)
    with build(settings, personal=False) as tower:
        if http:
            configure(settings.log_format, verbose=True)
            app = mcp_app(tower, hosts=reachable(tower, host), per_minute=settings.requests_per_minute)
            serve_app(app, host, port, ready=lambda address: console.print(f"MCP: {address}{PATH}; Ctrl-C ends it"))
            errors.print("stopped")
            return
        secret = read_secret(KEY)

        def holder() -> Credential | None:
            return tower.door.holder(secret) if secret else None

        mcp_server(Tools(tower, holder, Rate(CALLS_PER_MINUTE))).run("stdio")
