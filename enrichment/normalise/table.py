"""The table of normalisers: one line a kind. A new kind is one file, one line here, and one file of examples."""

from __future__ import annotations

from dataclasses import dataclass

from enrichment.normalise import (
    address,
    country,
    currency,
    dates,
    domain,
    email,
    headcount,
    industry,
    legal_name,
    money,
    person,
    phone,
    region,
    revenue,
    title,
    url,
)
from enrichment.normalise.outcome import Normalised, Reader, settled


@dataclass(frozen=True)
class Kind:
    """`normalise(raw, region)`: the region is an ISO 3166 code that settles what a text alone leaves open, or empty."""

    name: str
    normalise: Reader
    about: str


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "legal_name", settled(legal_name.normalise), "company names: name, legal form (ISO 20275), key to compare"
        ),
        Kind("domain", domain.normalise, "registrable domains, by the Public Suffix List"),
        Kind("url", url.normalise, "addresses of web pages (RFC 3986)"),
        Kind("email", email.normalise, "e-mail addresses"),
        Kind("phone", phone.normalise, "telephone numbers (E.164)"),
        Kind("country", country.normalise, "countries (ISO 3166)"),
        Kind("region", region.normalise, "states and provinces (ISO 3166-2)"),
        Kind("address", address.normalise, "postal addresses: street, city, region, postcode, country"),
        Kind("currency", currency.normalise, "currencies (ISO 4217)"),
        Kind("money", money.normalise, "amounts of money"),
        Kind("headcount", headcount.normalise, "numbers and bands of employees"),
        Kind("revenue", revenue.normalise, "revenue, as an amount or a band"),
        Kind("industry", industry.normalise, "industries: ISIC, NACE, NAICS, GICS"),
        Kind("title", settled(title.normalise), "job titles: seniority and function"),
        Kind("date", dates.normalise, "days of the calendar (ISO 8601)"),
        Kind("person", settled(person.normalise), "names of people"),
    )
}


def normalise(kind: str, raw: str, region: str = "") -> Normalised | None:
    """The canonical value of a text, or why there is none; None where the text says nothing. KeyError: no such kind."""
    return KINDS[kind].normalise(raw, region)
