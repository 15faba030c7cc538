"""`watchtower mcp`: the tower for language models that speak the Model Context Protocol."""

from __future__ import annotations

from watchtower.api.mcp_server import mcp_server
from watchtower.api.mcp_tools import Tools
from watchtower.api.rate import Rate
from watchtower.bootstrap import build
from watchtower.cli.tower import Data, settings_of
from watchtower.flow.door import Credential
from watchtower.settings import read_secret

KEY = "WATCHTOWER_MCP_KEY"
CALLS_PER_MINUTE = 240


def mcp(data: Data = None) -> None:
    """Serve MCP on standard input and output: a client starts this command. Read, and propose; nothing else.

    Tools read alerts with their explanations, records with the sources of their fields, gaps, the rulebook, metrics.
    One proposes a value for a field that is wanted: acceptance rules decide on it as on a worker's. Where the tower has
    keys, WATCHTOWER_MCP_KEY holds one: role viewer to read, role worker to propose as well. Personal data are never
    read: this process holds no key of theirs.

    Example: WATCHTOWER_MCP_KEY=wt_... watchtower mcp
    """
    settings = settings_of(data)
    with build(settings, personal=False) as tower:
        secret = read_secret(KEY)

        def holder() -> Credential | None:
            return tower.door.holder(secret) if secret else None

        mcp_server(Tools(tower, holder, Rate(CALLS_PER_MINUTE))).run("stdio")
