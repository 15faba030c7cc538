"""What is known of a class before anybody has labelled a record: its name, and a description in words.

Where a customer has no labelled records, a text is compared with the descriptions; where there are some, the
comparison is one voice among several. The descriptions below are of the eleven sectors that most market data are
sorted by; `enrichment.trades` has what each of their industries does. They were written from what the sectors mean,
and looked at against rows 0 to 999 of firmographics_1500 only (the tuning part).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enrichment.trades import TRADES

SECTORS: dict[str, str] = {
    "Basic Materials": (
        "specialty chemicals fertilizers agricultural inputs pesticides steel iron ore aluminum copper gold silver "
        "precious metals mining exploration mineral deposits zinc nickel lithium uranium coking coal lumber wood "
        "products paper pulp cement building materials aggregates concrete resins coatings pigments dyes industrial "
        "gases polymers plastics raw materials rubber titanium dioxide rare earth project property drilling claims "
        "hectares polyethylene alloys smelting metal fiberboard plywood"
    ),
    "Communication Services": (
        "telecommunications services wireless mobile network broadband internet telephone fixed line cable satellite "
        "television broadcasting radio stations publishing newspapers magazines books advertising agencies marketing "
        "services entertainment film production music streaming video games online game developer social media "
        "internet content search portal online platform news media outdoor advertising voice data subscribers"
    ),
    "Consumer Cyclical": (
        "automobiles vehicles cars motorcycles auto parts automotive components dealerships apparel clothing garments "
        "footwear shoes fashion luxury goods jewelry watches textiles yarn fabrics furniture home furnishings fixtures "
        "appliances household kitchen home improvement retail stores department stores e-commerce internet retail "
        "specialty retail restaurants hotels resorts casinos gambling lodging travel agency tours leisure sporting "
        "goods toys recreational vehicles residential construction homebuilding packaging containers bottles cans "
        "cartons personal services wedding fitness"
    ),
    "Consumer Defensive": (
        "packaged foods beverages beer wine spirits soft drinks water dairy milk cheese meat poultry pork eggs seafood "
        "fish farming agricultural products palm oil plantations sugar rice flour noodles edible oil bakery "
        "confectionery chocolate snacks grocery supermarkets convenience stores discount stores household personal "
        "care products cosmetics detergents soap diapers tobacco cigarettes education training schools universities "
        "colleges tutoring feed seeds fruit vegetables tea coffee"
    ),
    "Energy": (
        "oil gas petroleum crude natural gas exploration production drilling wells refinery refining marketing fuels "
        "gasoline diesel pipelines midstream LNG LPG oilfield services equipment offshore rigs thermal coal uranium "
        "barrels working interest seismic tankers petrochemicals"
    ),
    "Financial Services": (
        "bank banking deposits loans credit cards mortgage insurance life property casualty reinsurance insurance "
        "broker asset management wealth funds investment firm private equity venture capital securities brokerage "
        "capital markets stock exchange financial data leasing consumer finance lending shell company blank check "
        "acquisition merger closed-end fund payments trust"
    ),
    "Healthcare": (
        "pharmaceutical drugs biotechnology clinical stage trials therapies treatment patients diseases cancer "
        "oncology vaccines antibodies gene therapy medical devices surgical instruments implants diagnostics "
        "laboratory testing imaging hospitals clinics medical care nursing homes health insurance plans health "
        "information services medical distribution pharmacies generic medicines traditional Chinese medicine dental "
        "veterinary cannabis"
    ),
    "Industrials": (
        "aerospace defense aircraft airlines airports industrial machinery machines pumps valves bearings tools "
        "construction engineering infrastructure contractors electrical equipment cables motors transformers "
        "generators trucks trailers heavy equipment farm machinery railroads trains shipping marine ports vessels "
        "logistics freight trucking integrated conglomerates security services staffing employment consulting "
        "services rental leasing business services waste management environmental pollution control printing office "
        "supplies building products industrial distribution elevators compressors metal fabrication welding automation"
    ),
    "Real Estate": (
        "real estate development properties residential commercial office buildings apartments land leasing rental "
        "REIT trust shopping malls retail industrial warehouses hotel healthcare facilities property management real "
        "estate services brokerage tenants investment properties villas townships housing square feet"
    ),
    "Technology": (
        "software application infrastructure cloud SaaS platform information technology IT services consulting system "
        "integration semiconductors integrated circuits chips wafers equipment electronic components printed circuit "
        "boards connectors sensors LED displays computer hardware servers storage consumer electronics smartphones "
        "communication equipment networking antennas optical scientific technical instruments solar modules "
        "photovoltaic data analytics cybersecurity artificial intelligence enterprise distribution of electronics"
    ),
    "Utilities": (
        "electricity power generation transmission distribution utility regulated electric gas distribution water "
        "supply wastewater sewage renewable energy wind farms solar power plants hydroelectric hydropower thermal "
        "power stations nuclear heat district heating independent power producers megawatts customers natural gas "
        "distribution pipelines city gas"
    ),
}

INDUSTRIES: dict[str, str] = {name: text for known in TRADES.values() for name, text in known.items()}
WRITTEN: tuple[Mapping[str, str], ...] = (SECTORS, INDUSTRIES)
"""The descriptions that ship, a mapping per scheme of classes."""
MOST = 0.75
"""The share of labels that a scheme has to know to be the one that labelled records follow."""


def descriptions(labels: Sequence[str], *, every: bool = True) -> tuple[str, ...] | None:
    """A description for each label, its name included; None where no scheme that ships knows all of them.

    With `every` false a scheme that knows MOST of them will do; the others are described by their names alone.
    """
    for scheme in WRITTEN:
        known = sum(label in scheme for label in labels)
        if known == len(labels) or (not every and known >= MOST * len(labels)):
            return tuple(f"{label} {scheme.get(label, '')}".strip() for label in labels)
    return None


@dataclass(frozen=True)
class Trade:
    """A finer class of the label at place `label`, in words. Of a label without finer classes: the label itself."""

    label: int
    name: str
    text: str


def trades(labels: Sequence[str], *, every: bool = True) -> tuple[Trade, ...]:
    """The finer classes of these labels, described; empty where no scheme knows them (see `descriptions`)."""
    if all(label in TRADES for label in labels):
        return tuple(
            Trade(place, name, f"{name} {text}")
            for place, label in enumerate(labels)
            for name, text in TRADES[label].items()
        )
    known = [place for place, label in enumerate(labels) if label in INDUSTRIES]
    if len(known) == len(labels) or (not every and len(known) >= MOST * len(labels)):
        return tuple(Trade(place, labels[place], f"{labels[place]} {INDUSTRIES[labels[place]]}") for place in known)
    return ()
