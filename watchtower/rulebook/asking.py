"""What asking language models may cost, and what may leave the machine for it.

enrichment:
  prices:
    gpt-5-mini: {input: 0.25, output: 2.00}      # money for a million tokens, in the rulebook's currency
  budget:
    run: {calls: 500, money: 2}
    day: {calls: 5000, tokens: 20000000, money: 10}
    record: {calls: 3, money: 0.02}
  leaving:
    account: {fields: [name, domain], documents: [description, web], providers: [azure], regions: [eu]}
  web:
    account: {domain: domain, pages: [/, /about], again: 90 days}
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from watchtower.rulebook.parts import Name, Part, Text, Texts

Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Price(Part):
    """Money for a million tokens, read and written."""

    input: Money
    output: Money
    batch: Annotated[float, Field(ge=0, le=1)] = 0.5
    """What a call costs in a provider's batch, as a share of this."""


class Spend(Part):
    """At most so much; what is left out has no limit."""

    calls: Count | None = None
    tokens: Count | None = None
    money: Money | None = None


class Budgets(Part):
    """What one run, one day (UTC) and one record's request may cost."""

    run: Spend = Spend()
    day: Spend = Spend()
    record: Spend = Spend()


class Leaving(Part):
    """What of an object may be told to a model that is not on this machine. Left out: everything may."""

    fields: Texts | None = None
    """The fields of a record that go down to workers beside its documents."""
    documents: Texts | None = None
    """The kinds of documents that a model elsewhere may read."""
    providers: Texts = []
    """openai, azure; empty: any."""
    regions: Texts = []
    """Where the endpoint stands, as WATCHTOWER_LLM_REGION has it; empty: anywhere."""
    description: Text = ""


class Web(Part):
    """The company's own pages that are fetched: those of its domain, and when they are read again."""

    domain: Name
    """The field that holds the domain."""
    pages: Annotated[list[str], Field(min_length=1, max_length=10)] = ["/"]
    again: str = "90 days"

    @field_validator("pages")
    @classmethod
    def _paths(cls, pages: list[str]) -> list[str]:
        for page in pages:
            if not re.fullmatch(r"/[A-Za-z0-9._~/-]{0,200}", page) or ".." in page:
                raise ValueError(f"pages: {page!r:.60} is no path such as /about")
        return pages

    @field_validator("again")
    @classmethod
    def _a_time(cls, again: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,3} days?", again):
            raise ValueError(f"again: {again!r:.40} is no time such as 90 days")
        return again


class Asking(Part):
    """The part `enrichment` of a rulebook."""

    prices: dict[str, Price] = {}
    budget: Budgets = Budgets()
    leaving: dict[Name, Leaving] = {}
    web: dict[Name, Web] = {}
