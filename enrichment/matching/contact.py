"""Contacts compared: e-mail, telephone, the parts of a name, and the company's domain."""

from __future__ import annotations

from collections.abc import Mapping

from rapidfuzz.distance import JaroWinkler

from enrichment.atlas import plain
from enrichment.matching.company import SKELETON, common, value_of
from enrichment.matching.model import Matcher, Prepared, key_of
from enrichment.matching.weights import Field, Weight
from enrichment.normalise import normalise

COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("name", "full_name", "contact_name", "person"),
    "given": ("first_name", "given_name", "firstname", "given"),
    "family": ("last_name", "family_name", "lastname", "surname", "family"),
    "email": ("email", "email_address", "mail", "work_email"),
    "phone": ("phone", "mobile", "telephone", "phone_number"),
    "domain": ("domain", "company_domain", "website"),
    "company": ("company", "account", "account_name", "company_name"),
    "country": ("country", "country_code"),
}
EMAIL = Field("e-mail", m=0.7, u=1e-6)
PHONE = Field("phone", m=0.5, u=1e-5)
WORKPLACE = Field("company", m=0.8, u=0.02)
"""m and u by judgement, as for companies."""
FAMILY = ((1.0, "same", 8.0), (0.93, "alike", 4.5), (0.0, "other", -6.0))
GIVEN = (
    (1.0, "same", 5.0),
    (0.99, "short form", 4.0),
    (0.98, "initial", 2.0),
    (0.9, "alike", 3.0),
    (0.0, "other", -12.0),
)
"""From which likeness on, what it is called, and bits."""
SHORT_FORMS: dict[str, str] = {
    short: long
    for long, several in {
        "alexander": "alex sandro sascha", "andrew": "andy drew", "anthony": "tony", "benjamin": "ben",
        "catherine": "cathy kate katie", "charles": "charlie chuck", "christopher": "chris", "daniel": "dan danny",
        "david": "dave", "deborah": "debbie deb", "edward": "ed eddie ted", "elizabeth": "liz beth lisa betty",
        "francesco": "franco", "frederick": "fred", "giuseppe": "beppe peppe", "gregory": "greg",
        "jacob": "jake", "james": "jim jimmy", "jennifer": "jen jenny", "jeffrey": "jeff", "johannes": "hans",
        "john": "jack johnny", "jonathan": "jon", "joseph": "joe", "joshua": "josh", "kenneth": "ken",
        "lawrence": "larry", "margaret": "maggie meg peggy", "matthew": "matt", "michael": "mike mick mickey",
        "nicholas": "nick", "pamela": "pam", "patricia": "pat patty trish", "peter": "pete", "philip": "phil",
        "rebecca": "becky", "richard": "rick dick rich", "robert": "bob rob bobby", "ronald": "ron",
        "samuel": "sam", "stephen": "steve", "steven": "steve", "susan": "sue susie", "theodore": "theo",
        "thomas": "tom tommy", "timothy": "tim", "victoria": "vicky", "vincent": "vince", "william": "bill will billy",
    }.items()
    for short in several.split()
}  # fmt: skip


def prepare(fields: Mapping[str, str]) -> Prepared:
    """values: given, family, e-mail, telephone, company (its domain, else its name's key)."""
    text = fields.get("name") or f"{fields.get('given', '')} {fields.get('family', '')}".strip()
    person = normalise("person", text) if text else None
    parts = person.parts if person is not None else {}
    mail = normalise("email", fields["email"]) if fields.get("email") else None
    address = mail.value if mail is not None and mail.value else ""
    at_work = mail is not None and mail.value is not None and "free" not in mail.parts
    company = value_of("domain", fields.get("domain", "")) or (
        mail.parts["domain"] if mail is not None and at_work else ""
    )
    if not company and fields.get("company"):
        named = normalise("legal_name", fields["company"])
        company = named.parts.get("key", "") if named is not None else ""
    desk = mail is not None and "role" in mail.parts
    given, family = plain(parts.get("given", "")), plain(parts.get("family", ""))
    phone = value_of("phone", fields.get("phone", ""), value_of("country", fields.get("country", "")))
    return Prepared(
        text=text or address, whole=f"{given}{family}".replace(" ", ""),
        values=(given, family, "" if desk else address, phone, company),
    )  # fmt: skip


def keys(record: Prepared) -> list[int]:
    """The e-mail, the telephone, the family name with an initial at one company, and the whole name."""
    given, family, email, phone, company = record.values
    found = [f"{kind}:{value}" for kind, value in (("e", email), ("p", phone)) if value]
    if family:
        found.append(f"n:{record.whole}")
        found.append(f"f:{family[:1]}{family[1:].translate(SKELETON)}:{given[:1]}")
        if company:
            found.append(f"c:{company}:{family[:2]}")
    return [key_of(text) for text in dict.fromkeys(found)]


def weigh(a: Prepared, b: Prepared, namesakes: int, total: int) -> list[Weight]:
    """Every comparison with its bits; a name that many bear says less (see company.weigh)."""
    found: list[Weight] = []
    for at, (comparison, levels) in enumerate((("given name", GIVEN), ("family name", FAMILY))):
        if a.values[at] and b.values[at]:
            score = (
                _given(a.values[at], b.values[at]) if at == 0 else JaroWinkler.similarity(a.values[at], b.values[at])
            )
            outcome, bits = next((name, bits) for floor, name, bits in levels if score >= floor)
            found.append(Weight(comparison, outcome, bits))
    if a.whole and a.whole == b.whole:
        found += common(namesakes, total)
    for field, left, right in zip((EMAIL, PHONE, WORKPLACE), a.values[2:], b.values[2:], strict=True):
        if (weight := field.weigh(left, right)) is not None:
            found.append(weight)
    return found


def _given(a: str, b: str) -> float:
    """1: the same; 0.99: the short form of the other; 0.98: its initial; else how alike they are spelt."""
    if a == b:
        return 1.0
    if SHORT_FORMS.get(a, a) == SHORT_FORMS.get(b, b):
        return 0.99
    if a[0] == b[0] and min(len(a), len(b)) == 1:
        return 0.98
    return min(float(JaroWinkler.similarity(a, b)), 0.97)


CONTACT = Matcher("contact", COLUMNS, ("name", "given", "family", "email", "phone"), prepare, keys, weigh)
