"""The words of each sector: what its companies do, offer, and for whom."""

from __future__ import annotations

from typing import NamedTuple


class Trade(NamedTuple):
    """The words of a sector."""

    last_name: tuple[str, ...]
    does: tuple[str, ...]
    offers: tuple[str, ...]
    serves: tuple[str, ...]


TRADES: dict[str, Trade] = {
    "Basic Materials": Trade(
        ("Minerals", "Resins", "Metals", "Chemie"),
        (
            "extracts and refines industrial minerals",
            "produces specialty chemicals and coatings",
            "casts and rolls aluminium alloys",
            "makes paper pulp and packaging board",
        ),
        (
            "titanium pigments",
            "copper cathodes",
            "polymer resins",
            "quarried limestone",
            "adhesives and sealants",
            "recycled aluminium billets",
            "industrial solvents",
        ),
        (
            "construction and automotive suppliers",
            "foundries and paint makers",
            "packaging mills",
            "manufacturers of plastics",
        ),
    ),
    "Communication Services": Trade(
        ("Media", "Telecom", "Broadcast", "Publishing"),
        (
            "operates fibre and mobile networks",
            "publishes newspapers and digital magazines",
            "produces television series and advertising films",
            "runs radio stations and an audio streaming platform",
        ),
        (
            "broadband access",
            "mobile subscriptions",
            "streaming channels",
            "outdoor advertising space",
            "podcasts",
            "film distribution rights",
            "wholesale voice traffic",
        ),
        (
            "households and small businesses",
            "advertisers and agencies",
            "broadcasters",
            "readers and listeners",
        ),
    ),
    "Consumer Cyclical": Trade(
        ("Mode", "Hotels", "Automotive", "Home"),
        (
            "designs and sells clothing and footwear",
            "runs hotels and travel agencies",
            "makes parts for passenger cars",
            "sells furniture through shops and online",
        ),
        (
            "leather shoes",
            "sportswear",
            "car seats and interior trims",
            "kitchen furniture",
            "package holidays",
            "jewellery",
            "bicycles",
        ),
        (
            "fashion retailers",
            "car makers",
            "tourists and business travellers",
            "families furnishing their homes",
        ),
    ),
    "Consumer Defensive": Trade(
        ("Foods", "Dairy", "Beverages", "Grocery"),
        (
            "makes pasta, sauces and baked goods",
            "runs supermarkets and neighbourhood grocery shops",
            "bottles mineral water and soft drinks",
            "processes milk into cheese and yoghurt",
        ),
        (
            "frozen vegetables",
            "olive oil",
            "breakfast cereals",
            "household detergents",
            "fruit juices",
            "cured meats",
            "baby food",
        ),
        ("supermarket chains", "restaurants and canteens", "wholesalers of food", "grocers"),
    ),
    "Energy": Trade(
        ("Petroleum", "Oilfield", "Energia", "Drilling"),
        (
            "explores for oil and natural gas",
            "refines crude oil into fuels and lubricants",
            "provides drilling services for offshore wells",
            "stores and ships liquefied natural gas",
        ),
        (
            "diesel and jet fuel",
            "seismic surveys",
            "drilling rigs",
            "pipeline inspection",
            "lubricants",
            "gas compression",
            "well completion tools",
        ),
        ("airlines and shipping lines", "oil producers", "refineries", "operators of petrol stations"),
    ),
    "Financial Services": Trade(
        ("Capital", "Assurance", "Credit", "Leasing"),
        (
            "insures households and small firms",
            "lends to businesses and leases equipment",
            "manages pension and investment funds",
            "operates a retail bank",
        ),
        (
            "mortgages",
            "life insurance policies",
            "factoring of invoices",
            "payment cards",
            "asset management mandates",
            "motor insurance",
            "savings accounts",
        ),
        (
            "savers and borrowers",
            "institutional investors",
            "self-employed professionals",
            "merchants who take cards",
        ),
    ),
    "Healthcare": Trade(
        ("Pharma", "Medical", "Diagnostics", "Clinics"),
        (
            "develops and makes generic medicines",
            "runs private clinics and laboratories",
            "makes implants and surgical instruments",
            "develops diagnostic tests for hospitals",
        ),
        (
            "blood tests",
            "orthopaedic implants",
            "vaccines",
            "hearing aids",
            "dental instruments",
            "oncology drugs",
            "patient monitors",
        ),
        ("hospitals and surgeons", "pharmacies", "patients with chronic diseases", "medical laboratories"),
    ),
    "Industrials": Trade(
        ("Engineering", "Logistics", "Machines", "Aerospace"),
        (
            "builds packaging machines and conveyors",
            "carries freight by road and rail",
            "plans and builds bridges and tunnels",
            "makes pumps, valves and compressors",
        ),
        (
            "robotic palletisers",
            "warehouse logistics",
            "hydraulic cylinders",
            "aircraft components",
            "machine tools",
            "elevators",
            "industrial cleaning",
        ),
        (
            "factories and shipyards",
            "shippers and forwarders",
            "public works authorities",
            "makers of machinery",
        ),
    ),
    "Real Estate": Trade(
        ("Immobilien", "Properties", "Estates", "Living"),
        (
            "develops residential buildings and lets them",
            "owns and manages office buildings",
            "lets warehouses and shopping centres",
            "brokers the sale and letting of homes",
        ),
        (
            "rental apartments",
            "office space",
            "student residences",
            "property management",
            "retail parks",
            "land for building",
            "tenancy services",
        ),
        (
            "tenants and home buyers",
            "retailers looking for shops",
            "owners of buildings",
            "investors in property",
        ),
    ),
    "Technology": Trade(
        ("Software", "Systems", "Semiconductor", "Data"),
        (
            "develops cloud software for planning and accounting",
            "designs semiconductors and sensors",
            "integrates enterprise IT systems",
            "builds cybersecurity and network monitoring tools",
        ),
        (
            "an analytics platform",
            "embedded software",
            "microcontrollers",
            "managed IT services",
            "a developer API",
            "data storage systems",
            "identity management",
        ),
        (
            "software teams",
            "electronics makers",
            "IT departments",
            "banks and insurers that run their own data centres",
        ),
    ),
    "Utilities": Trade(
        ("Power", "Water", "Grid", "Renewables"),
        (
            "generates and distributes electricity",
            "supplies drinking water and treats waste water",
            "operates gas distribution grids",
            "builds and runs wind and solar farms that feed the grid",
        ),
        (
            "electricity supply",
            "district heating",
            "sewage treatment",
            "metering services",
            "grid connections",
            "hydroelectric power",
            "natural gas supply to homes",
        ),
        (
            "municipalities",
            "households on regulated tariffs",
            "industrial consumers of power",
            "local grid operators",
        ),
    ),
}
SECTORS = tuple(TRADES)
