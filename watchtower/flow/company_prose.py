"""Descriptions of invented companies: what a reader can find in them is known, and so is what he cannot.

Each says what the company does. Most say where it sits and since when, in many wordings, often beside other
places and other years. Some name only a subsidiary's country, or the year of a merger, or nothing: there the
right answer is none.
"""

from __future__ import annotations

from random import Random

from watchtower.flow.company_places import COUNTRIES
from watchtower.flow.company_trades import TRADES, Trade

_BOTH = (
    "The company was founded in {year} and is headquartered in {city}, {country}.",
    "Founded in {year}, it has its head office in {city}, {country}.",
    "It was established in {year} and is based in {city}, {country}.",
    "Since its foundation in {year} it has been run from {city}, {country}.",
    "{name} was incorporated in {year}; its headquarters are in {city}, {country}.",
)
_PLACE = (
    "The company is headquartered in {city}, {country}.",
    "{name} is based in {city}, {country}.",
    "Its head office is in {city}, {country}.",
    "{city}, {country}, is home to its management and its development.",
    "From its headquarters in {city}, {country}, it looks after all its markets.",
)
_CITY = ("Its headquarters are in {city}.", "The company is based in {city}.")
_COUNTRY = ("The company is headquartered in {country}.", "{name} is a company based in {country}.")
_YEAR = (
    "The company was founded in {year}.",
    "It was established in {year}.",
    "{name} has been in business since {year}.",
)
_ELSEWHERE = (
    "It also has sales offices in {city2}, {country2}, and {city3}, {country3}.",
    "A subsidiary in {city2}, {country2}, takes care of service.",
    "It runs a second site in {city2}, {country2}.",
    "Goods are shipped from a warehouse near {city2}, {country2}.",
    "Its products are sold in {country2}, {country3} and elsewhere.",
    "Its largest customer is headquartered in {city2}, {country2}.",
    "Until {year2} it was based in {city2}, {country2}.",
    "It belongs to a group whose head office is in {city2}, {country2}.",
)
_ANOTHER_YEAR = (
    "In {year2} it bought a smaller competitor.",
    "The name was changed in {year2} after a merger.",
    "A new site was opened in {year2}.",
    "Its foundation for apprentices was established in {year2}.",
    "Since {year2} it has published a sustainability report.",
)
_SHAPES: tuple[tuple[float, tuple[tuple[str, ...], ...], tuple[str, ...]], ...] = (
    (46, (_BOTH,), ("country", "city", "founded_year")),
    (18, (_PLACE, _YEAR), ("country", "city", "founded_year")),
    (10, (_PLACE,), ("country", "city")),
    (5, (_CITY, _YEAR), ("city", "founded_year")),
    (5, (_COUNTRY,), ("country",)),
    (4, (_YEAR,), ("founded_year",)),
    (12, (), ()),
)
"""Weight in percent, the sentences, and what they state."""


def describe(
    rng: Random, name: str, country: str, city: str, year: int, sector: str, employees: int | None
) -> tuple[str, tuple[str, ...]]:
    """A description, and the names of the facts it states (sector always: it says what the company does)."""
    trade = TRADES[sector]
    other, third = _others(rng, country)
    words = {
        "name": name,
        "city": city,
        "country": COUNTRIES[country].name,
        "year": str(year),
        "city2": rng.choice(COUNTRIES[other].cities),
        "country2": COUNTRIES[other].name,
        "city3": rng.choice(COUNTRIES[third].cities),
        "country3": COUNTRIES[third].name,
        "year2": str(rng.randint(min(year + 3, 2024), 2024)),
    }
    _, groups, stated = rng.choices(_SHAPES, [shape[0] for shape in _SHAPES])[0]
    told = [rng.choice(group).format(**words) for group in groups]
    if rng.random() < (0.6 if groups else 0.9):
        told.append(rng.choice(_ELSEWHERE).format(**words))
    if rng.random() < 0.4:
        told.append(rng.choice(_ANOTHER_YEAR).format(**words))
    if employees is not None:
        told.append(rng.choice(("It employs {n} people.", "It has {n} employees.")).format(n=employees))
        stated = (*stated, "employees")
    rng.shuffle(told)
    return " ".join([*_business(rng, name, trade), *told]), (*stated, "sector")


def _business(rng: Random, name: str, trade: Trade) -> list[str]:
    first, second, third = rng.sample(trade.offers, 3)
    does, serves = rng.choice(trade.does), rng.choice(trade.serves)
    opening = rng.choice((f"{name} {does}.", f"{name} {does} for {serves}.", f"{name} is a company that {does}."))
    offer = rng.choice(
        (
            f"It offers {first}, {second} and {third}.",
            f"Its range comprises {first} and {second}; {third} came later.",
            f"Most of its sales come from {first}, the rest from {second} and {third}.",
            f"Besides {first} it supplies {second}.",
        )
    )
    return [opening, offer] if serves in opening else [opening, offer, f"Its customers are {serves}."]


def _others(rng: Random, country: str) -> tuple[str, str]:
    first, second = rng.sample([code for code in COUNTRIES if code != country], 2)
    return first, second
