"""Companies compared: names by the learnt weights, and what else is known of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from enrichment.atlas import plain
from enrichment.matching.model import Matcher, Prepared, key_of
from enrichment.matching.names import GENERIC, Name, compare, ready
from enrichment.matching.weights import Field, Weight, of_names
from enrichment.normalise import normalise

COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("name", "company", "company_name", "account_name", "legal_name", "organization", "organisation"),
    "domain": ("domain", "website", "url", "web", "homepage", "site", "company_domain", "email_domain"),
    "phone": ("phone", "telephone", "phone_number", "tel"),
    "country": ("country", "billing_country", "country_code", "hq_country"),
    "city": ("city", "billing_city", "hq_city", "town"),
    "postcode": ("postcode", "zip", "zipcode", "zip_code", "postal_code", "billing_postal_code"),
}
DOMAIN = Field("domain", m=0.85, u=1e-5)
PHONE = Field("phone", m=0.6, u=1e-5)
COUNTRY = Field("country", m=0.97, u=0.25)
CITY = Field("city", m=0.8, u=0.02)
POSTCODE = Field("postcode", m=0.7, u=0.001)
"""m and u by judgement, not learnt: no labelled pairs with these fields were at hand. Free mail does not count."""
SERIES = Weight("series number", "other", -4.0)
"""`Fund VII` and `Fund VIII` differ in one letter and are two companies."""
SKELETON = str.maketrans("", "", "aeiouyh")


@lru_cache(maxsize=1 << 14)
def value_of(kind: str, raw: str, region: str = "") -> str:
    """The canonical value of a text; empty where it has none."""
    found = normalise(kind, raw, region) if raw else None
    return found.value if found is not None and found.value is not None else ""


def prepare(fields: Mapping[str, str]) -> Prepared:
    """The values as they are compared: normalised once; what cannot be read counts as missing."""
    name = ready(fields.get("name", ""))
    country = value_of("country", fields.get("country", ""))
    domain = normalise("domain", fields["domain"]) if fields.get("domain") else None
    shown = domain.value if domain is not None and domain.value and "free" not in domain.parts else ""
    phone = fields.get("phone", "")
    return Prepared(
        text=fields.get("name", ""), whole=name.whole,
        values=(
            " ".join(name.words), shown or "", value_of("phone", phone, country), country,
            plain(fields.get("city", "")), plain(fields.get("postcode", "")).replace(" ", ""),
        ),
    )  # fmt: skip


def keys(record: Prepared) -> list[int]:
    """Two companies that share one of these are looked at: the domain, the telephone, and readings of the name."""
    words = record.values[0].split()
    found = [f"{kind}:{value}" for kind, value in zip("dp", record.values[1:3], strict=True) if value]
    if record.whole:
        own = [word for word in words if word not in GENERIC and len(word) > 2] or words
        found.append(f"w:{record.whole}")
        beside = words[1][:2] if len(words) > 1 and own[0] == words[0] else ""
        found.append(f"b:{record.whole[:7]}")
        # One letter wrong leaves the beginning or the end of the word as it was, or all but its vowels.
        found.append(f"a:{own[0][:4]}:{len(own[0]) // 3}:{beside}")
        found.append(f"z:{own[0][-4:]}:{len(own[0]) // 3}:{beside}")
        found.append(f"k:{own[0][0]}{own[0][1:].translate(SKELETON)[:6]}:{beside}")
        found += [f"r:{word}" for word in own[:3] if len(word) > 3]
        if len(own) > 1:
            found.append("t:" + ":".join(sorted(word[:4] for word in own[:2])))
    return [key_of(text) for text in dict.fromkeys(found)]


def weigh(a: Prepared, b: Prepared, namesakes: int, total: int) -> list[Weight]:
    """Every comparison with its bits. `namesakes` of `total` records bear the very name: a common name says less."""
    one, two = _name(a), _name(b)
    likeness = compare(one, two)
    found = of_names(likeness) if a.whole and b.whole else []
    if a.whole and a.whole == b.whole:
        found += common(namesakes, total)
    if likeness.numbers:
        found.append(SERIES)
    for field, left, right in zip(
        (DOMAIN, PHONE, COUNTRY, CITY, POSTCODE), a.values[1:], b.values[1:], strict=True
    ):  # fmt: skip
        weight = field.weigh(left, right)
        if weight is not None:
            found.append(weight)
    return found


def common(namesakes: int, total: int) -> list[Weight]:
    """What it takes away that more than two records bear the very name: one bit for each doubling."""
    if namesakes < 3:
        return []
    return [Weight("namesakes", f"{namesakes} of {total}", -math.log2(namesakes / 2))]


def _name(record: Prepared) -> Name:
    return Name(record.text, tuple(record.values[0].split()), record.whole, "")


COMPANY = Matcher("company", COLUMNS, ("name", "domain", "phone"), prepare, keys, weigh)
