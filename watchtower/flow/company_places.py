"""Where the invented companies sit, what they are called, and which team serves them."""

from __future__ import annotations

from typing import NamedTuple


class Country(NamedTuple):
    name: str
    """As English prose writes it, with its article."""
    weight: float
    """Its share of accounts, in percent."""
    region: str
    legal: tuple[str, ...]
    cities: tuple[str, ...]


COUNTRIES: dict[str, Country] = {
    "IT": Country(
        "Italy",
        28,
        "southern_europe",
        ("S.r.l.", "S.p.A."),
        (
            "Milan",
            "Turin",
            "Bologna",
            "Verona",
            "Padova",
            "Bergamo",
            "Brescia",
            "Monza",
            "Naples",
            "Bari",
            "Modena",
        ),
    ),
    "ES": Country(
        "Spain",
        8,
        "southern_europe",
        ("S.L.", "S.A."),
        ("Madrid", "Barcelona", "Valencia", "Zaragoza", "Bilbao"),
    ),
    "PT": Country("Portugal", 3, "southern_europe", ("Lda.", "S.A."), ("Lisbon", "Porto", "Braga", "Coimbra")),
    "FR": Country(
        "France",
        9,
        "western_europe",
        ("SAS", "SA"),
        ("Paris", "Lyon", "Nantes", "Toulouse", "Lille", "Grenoble"),
    ),
    "BE": Country("Belgium", 2.5, "western_europe", ("NV", "SA"), ("Brussels", "Antwerp", "Gent", "Liège")),
    "NL": Country(
        "the Netherlands", 4, "western_europe", ("B.V.",), ("Amsterdam", "Rotterdam", "Utrecht", "Eindhoven")
    ),
    "IE": Country("Ireland", 1.5, "western_europe", ("Ltd",), ("Dublin", "Cork", "Galway")),
    "GB": Country(
        "the United Kingdom",
        6,
        "western_europe",
        ("Ltd", "plc"),
        ("London", "Manchester", "Leeds", "Bristol", "Glasgow"),
    ),
    "DE": Country(
        "Germany",
        11,
        "central_europe",
        ("GmbH", "AG"),
        ("Munich", "Hamburg", "Stuttgart", "Leipzig", "Dortmund", "Hannover"),
    ),
    "AT": Country("Austria", 3, "central_europe", ("GmbH",), ("Vienna", "Graz", "Linz", "Salzburg")),
    "CH": Country("Switzerland", 3, "central_europe", ("AG", "SA"), ("Basel", "Bern", "Lausanne", "Winterthur")),
    "PL": Country("Poland", 2.5, "central_europe", ("Sp. z o.o.",), ("Warsaw", "Wrocław", "Poznań", "Katowice")),
    "CZ": Country("the Czech Republic", 1.5, "central_europe", ("s.r.o.",), ("Prague", "Brno", "Ostrava")),
    "SE": Country("Sweden", 2, "northern_europe", ("AB",), ("Stockholm", "Uppsala", "Linköping")),
    "DK": Country("Denmark", 1.5, "northern_europe", ("A/S",), ("Copenhagen", "Aarhus", "Odense")),
    "NO": Country("Norway", 1.5, "northern_europe", ("AS",), ("Oslo", "Bergen", "Stavanger")),
    "FI": Country("Finland", 1.5, "northern_europe", ("Oy",), ("Helsinki", "Tampere", "Turku")),
    "US": Country(
        "the United States",
        4,
        "overseas",
        ("Inc.", "LLC"),
        ("Chicago", "Boston", "Denver", "Seattle", "Pittsburgh"),
    ),
    "CA": Country("Canada", 1.5, "overseas", ("Inc.",), ("Toronto", "Calgary", "Montréal")),
    "CN": Country("China", 1.2, "overseas", ("Co., Ltd.",), ("Shenzhen", "Hangzhou", "Qingdao")),
    "IN": Country("India", 1.2, "overseas", ("Pvt. Ltd.",), ("Pune", "Chennai", "Ahmedabad")),
    "BR": Country("Brazil", 1, "overseas", ("Ltda.",), ("Curitiba", "Campinas", "Recife")),
    "JP": Country("Japan", 0.8, "overseas", ("K.K.",), ("Osaka", "Nagoya", "Fukuoka")),
    "TR": Country("Turkey", 0.8, "overseas", ("A.Ş.",), ("Ankara", "Bursa", "Antalya")),
}
OUT_OF_ICP = frozenset({"CN", "IN", "BR", "JP", "TR"})
REGIONS = ("southern_europe", "western_europe", "central_europe", "northern_europe", "overseas")
MILAN_AREA = frozenset({"Milan", "Monza", "Bergamo", "Brescia"})

ROOTS = (
    "Albera",
    "Brivia",
    "Cardena",
    "Dorvan",
    "Elmira",
    "Fontal",
    "Gavello",
    "Hestra",
    "Ilvara",
    "Jorven",
    "Kestor",
    "Lumera",
    "Marvella",
    "Nordal",
    "Orsini",
    "Pellanda",
    "Quorra",
    "Rivalta",
    "Solvane",
    "Tessaro",
    "Ulmeri",
    "Vantor",
    "Welden",
    "Xandra",
    "Yverna",
    "Zanello",
    "Arcadio",
    "Belmonda",
    "Corvina",
    "Delmare",
)
"""Invented, and none the name of a place in COUNTRIES, so that a name does not give its country away."""
