"""Industries as divisions of ISIC Rev. 4, with NACE Rev. 2 (the same), NAICS 2022 and GICS beside them.

The table has the names of the divisions, those that professional networks and data vendors use, and codes. The broad
sectors of GICS (`Industrials`) are put at the division that most of their companies are in; the part `broad` says so.
A code is read with its scheme: `NAICS 5415`, `ISIC 6201`, `NACE J62.01`, `GICS 45103010`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from enrichment.atlas import plain
from enrichment.normalise.outcome import Normalised, accepted, readable, refused

CODE = re.compile(
    r"^(?P<scheme>isic|nace|naics|gics|ateco|wz|sic\s?\(?uk\)?)\s*(?:rev(?:ision)?\.?\s*[24]|20\d\d)?\s*[:#.\-]?\s*"
    r"(?:code)?\s*[:#]?\s*(?P<section>[a-u])?\s*(?P<code>\d[\d.\-]*)\b.*$",
    re.I,
)
BROAD = frozenset(
    {
        "basic materials", "communication services", "consumer cyclical", "consumer defensive",
        "consumer discretionary", "consumer staples", "energy", "financial services", "financials", "industrials",
        "manufacturing", "materials", "technology", "utilities",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Division:
    """One line of the table."""

    isic: str
    section: str
    naics: str
    gics: str
    label: str


@lru_cache(maxsize=1)
def known() -> tuple[dict[str, Division], dict[str, Division]]:
    """Names (plain) and two-digit codes to divisions."""
    names: dict[str, Division] = {}
    codes: dict[str, Division] = {}
    text = (files("enrichment.normalise") / "tables" / "industries.tsv").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        isic, section, naics, gics, label, others = line.split("\t")
        division = Division(isic, section, naics, gics.strip("-"), label)
        codes[isic] = division
        names[_bare(label)] = division
        for other in others.split(";"):
            names.setdefault(_bare(other), division)
    return names, codes


def _bare(text: str) -> str:
    words = plain(text.replace("&", " and ").replace("/", " ").replace("+", " and ")).split()
    while len(words) > 1 and words[-1] in ("industry", "sector", "industries"):
        words.pop()
    return " ".join(words)


def _by_code(scheme: str, code: str) -> Division | None:
    _, codes = known()
    digits = re.sub(r"\D", "", code)
    if scheme == "naics":
        ranked = sorted(codes.values(), key=lambda d: (-len(d.naics), d.isic))
        for division in ranked:
            if digits.startswith(division.naics) or (division.naics == "44-45" and digits[:2] in ("44", "45")):
                return division
        return next((d for d in codes.values() if len(digits) > 1 and d.naics.startswith(digits)), None)
    if scheme == "gics":
        return next(
            (d for d in codes.values() if len(digits) >= 4 and d.gics and d.gics[:6] == digits[:6]), None
        ) or next((d for d in codes.values() if d.gics and len(digits) >= 4 and d.gics[:4] == digits[:4]), None)
    return codes.get(digits[:2]) if len(digits) >= 2 else None


def normalise(raw: str, region: str = "") -> Normalised | None:
    """`ISIC 62`. Parts: isic, section, nace, naics, gics, label; broad (`yes` for a sector wider than a division)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    if match := CODE.match(text):
        division = _by_code(match["scheme"].lower().partition(" ")[0], match["code"])
        if division is None:
            return refused(raw, f"{match['scheme']} has no such code, or none that this table knows")
        return _accepted(raw, division, "")
    if re.fullmatch(r"[\d.\- ]+", text):
        return refused(raw, "a code of no named scheme; write NAICS, ISIC, NACE or GICS before it")
    bare = _bare(text)
    names = known()[0]
    division = names.get(bare)
    for part in re.split(r"\s*(?:>|\||::|;| - | – |:)\s*", text)[::-1] if division is None else ():
        if (division := names.get(_bare(part))) is not None:
            break
    if division is None:
        return refused(raw, "no industry of the table is so called")
    return _accepted(raw, division, "yes" if bare in BROAD else "")


def _accepted(raw: str, found: Division, broad: str) -> Normalised:
    return accepted(
        raw, f"ISIC {found.isic}", isic=found.isic, section=found.section, nace=found.isic, naics=found.naics,
        gics=found.gics, label=found.label, broad=broad,
    )  # fmt: skip
