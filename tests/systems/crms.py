"""Each CRM's fake, served; what opens a connector to it; and the company's changes in its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from systems import fake_attio, fake_hubspot, fake_salesforce
from systems.scene import ATTIO, HUBSPOT, SALESFORCE
from systems.vendor import Vendor, served
from systems.words_attio import AttioWords
from systems.words_hubspot import HubSpotWords
from systems.words_salesforce import SalesforceWords

from watchtower.bootstrap.systems import Open
from watchtower.connectors.attio import Attio
from watchtower.connectors.http import Http
from watchtower.connectors.hubspot import HubSpot
from watchtower.connectors.salesforce import Salesforce

SIZE = 5
"""Objects on a page: small, so that there are many."""


@dataclass(frozen=True)
class Crm:
    """One CRM under test. `url`: where its fake is; `notes`: what it calls that."""

    url: str
    words: Any
    open: Open
    notes: str


def quick(url: str, token: str) -> Http:
    """HTTP without pauses: the fakes ask for none."""
    return Http(url, {"authorization": f"Bearer {token}"}, sleep=lambda seconds: None, in_all=20)


@contextmanager
def hubspot(vendor: Vendor) -> Iterator[Crm]:
    with served(fake_hubspot.app(vendor)) as url:
        open_: Open = lambda name, system: HubSpot(quick(url, fake_hubspot.TOKEN), size=SIZE)  # noqa: E731
        yield Crm(url, HubSpotWords(vendor), open_, "notes")


@contextmanager
def salesforce(vendor: Vendor) -> Iterator[Crm]:
    with served(fake_salesforce.app(fake_salesforce.Org(vendor))) as url:
        open_: Open = lambda name, system: Salesforce(quick(url, fake_salesforce.TOKEN), size=SIZE)  # noqa: E731
        yield Crm(url, SalesforceWords(vendor), open_, "Task")


@contextmanager
def attio(vendor: Vendor) -> Iterator[Crm]:
    with served(fake_attio.app(vendor)) as url:
        open_: Open = lambda name, system: Attio(quick(url, fake_attio.TOKEN), size=SIZE)  # noqa: E731
        yield Crm(url, AttioWords(vendor), open_, "notes")


Serve = Callable[[Vendor], AbstractContextManager[Crm]]
CRMS: dict[str, tuple[str, Serve]] = {
    "hubspot": (HUBSPOT, hubspot),
    "salesforce": (SALESFORCE, salesforce),
    "attio": (ATTIO, attio),
}
"""By kind: its part of the rulebook, and its fake."""
