"""What speaks to each kind of system: `SYSTEMS` is the table; a kind is one file here and one line in it.

What a kind can do stands in `watchtower.rulebook.kinds`, so that a rulebook is checked without it.
"""

from __future__ import annotations

from watchtower.connectors import attio, hubspot, salesforce
from watchtower.connectors.gong import Gong
from watchtower.connectors.outreach import Outreach
from watchtower.connectors.sql import Sql
from watchtower.connectors.stripe import Stripe
from watchtower.contract.system import Connect

SYSTEMS: dict[str, Connect] = {
    "hubspot": hubspot.connect,
    "stripe": Stripe,
    "outreach": Outreach,
    "gong": Gong,
    "sql": Sql,
    "salesforce": salesforce.connect,
    "attio": attio.connect,
}
