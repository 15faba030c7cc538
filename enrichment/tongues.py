"""What texts in German, French, Spanish, Italian, Portuguese and Dutch state: seat, founding year and headcount.

`gegründet 1987`, `dont le siège se trouve à Nantes, en France`, `cuenta con 58 empleados`. Precision comes before
coverage: a sentence that names anybody else, a part, another time or a mere intention states nothing (`AGAINST`); a
bound (`über 250`, `plus de 250`) is no number; two numbers or years that differ are no answer. A city has to stand in
the gazetteer. Countries are known by their names in these languages (Unicode CLDR, through babel).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from enrichment.atlas import atlas, plain
from enrichment.stance import Sentences, telling

LANGUAGES = ("de", "fr", "es", "it", "pt", "nl")

YEAR = r"(?P<year>1[0-9]{3}|20[0-9]{2})(?![\d.,]?\d|[-–/]\d|er\b|s\b)"
NUMBER = r"(?P<number>\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+|\d{1,7})(?![\d.,'’]?\d|\s?[-–]\s?\d|\+)"
WHERE = r"(?:\s+(?:in|im|à|a|en|em|te|nel|nella|na|no)\s+(?:[A-ZÀ-Ý][\w'’-]*\s?){1,3})?"
MONTH = (
    r"(?:(?:\d{1,2}\.?\s+(?:de\s+|di\s+)?)?(?:jan|feb|fév|febr|mär|mar|maa|apr|avr|abr|mai|mag|may|mei|jun|juin|giu|jul|"
    r"juil|lug|aug|aoû|ago|sep|set|okt|oct|ott|out|nov|dez|déc|dic|dec|gen|ene)[a-zûéç]*\.?\s+(?:de(?:l)?\s+|d[ie]\s+)?)?"
)

FOUNDED: dict[str, tuple[str, ...]] = {
    "de": (
        rf"\b[Gg]egründet\s*:?\s+(?:wurde\s+[^.;,]{{1,60}}?\s+)?(?:im\s+(?:Jahre?\s+)?|in\s+)?{MONTH}{YEAR}",
        rf"\b(?:wurde|ist|seit\s+ihrer|seit\s+seiner)\b[^.;,]{{0,50}}?\b{YEAR}{WHERE}\s+(?:als\s+[^.;,]{{1,40}}\s+)?gegründet",
        rf"\bGründungsjahr\s*:?\s+{YEAR}",
        rf"\b(?:[Dd]er|[Uu]nserer|[Ii]hrer|[Ss]einer|[Dd]ie)\s+Gründung\s+(?:[^.;,\d]{{1,40}}\s+)?(?:im\s+Jahre?\s+|in\s+)?{MONTH}{YEAR}",
        rf"\b[Gg]egründet{WHERE}\s+im\s+Jahre?\s+{YEAR}",
    ),
    "fr": (
        rf"\b(?:[Ff]ondée?|[Cc]réée?|[Cc]onstituée?){WHERE}\s+(?:en|le)\s+{MONTH}{YEAR}",
        rf"\b[Dd]epuis\s+sa\s+(?:fondation|création)\s+en\s+{MONTH}{YEAR}",
        rf"\bAnnée\s+de\s+(?:fondation|création)\s*:\s*{YEAR}",
    ),
    "es": (
        rf"\b(?:[Ff]undad[ao]|[Cc]read[ao]|[Cc]onstituid[ao]|[Ss]e\s+(?:fundó|constituyó|creó)){WHERE}\s+"
        rf"(?:en|el)\s+(?:el\s+año\s+)?{MONTH}{YEAR}",
        rf"\bAño\s+de\s+fundación\s*:\s*{YEAR}",
        rf"\b[Dd]esde\s+su\s+(?:fundación|creación|constitución)\s+en\s+(?:el\s+año\s+)?{MONTH}{YEAR}",
    ),
    "it": (
        rf"\b(?:[Ff]ondat[ao]|[Cc]ostituit[ao]|[Nn]at[ao]){WHERE}\s+(?:nell?['’]?\s?(?:anno\s+)?|il\s+){MONTH}{YEAR}",
        rf"\bAnno\s+di\s+fondazione\s*:\s*{YEAR}",
    ),
    "pt": (
        rf"\b(?:[Ff]undad[ao]|[Cc]riad[ao]|[Cc]onstituíd[ao]){WHERE}\s+em\s+{MONTH}{YEAR}",
        rf"\bAno\s+de\s+fundação\s*:\s*{YEAR}",
        rf"\b[Dd]esde\s+(?:a\s+)?sua\s+(?:fundação|criação|constituição)\s+em\s+{MONTH}{YEAR}",
    ),
    "nl": (
        rf"\b[Oo]pgericht{WHERE}\s+(?:in|op)\s+(?:het\s+jaar\s+)?{MONTH}{YEAR}",
        rf"\b(?:in|werd|is)\b[^.;,]{{0,40}}?\b{YEAR}{WHERE}\s+opgericht",
        rf"\bOprichtingsjaar\s*:\s*{YEAR}",
        rf"\b[Ss]inds\s+(?:de|haar|zijn|onze)\s+oprichting\s+in\s+{MONTH}{YEAR}",
    ),
}
SEATED: dict[str, tuple[str, ...]] = {
    "de": (
        r"\bmit\s+(?:Haupt|Firmen|Unternehmens)?[Ss]itz\s+(?:in|im)\s+",
        r"\b(?:[Hh]auptsitz|[Ff]irmensitz|[Uu]nternehmenssitz|[Ss]itz|[Zz]entrale|[Hh]auptverwaltung)\s*(?:der\s+Gesellschaft\s*)?"
        r"(?::\s*|ist\s+(?:in\s+)?|(?:liegt|befindet\s+sich)\s+in\s+|in\s+)",
        r"\bin\s+(?=[A-ZÄÖÜ][\w-]+(?:\s+(?:am|an\s+der|im)?\s?[A-ZÄÖÜ][\w-]+)?\s+(?:ansässig\w*|beheimatet\w*|zu\s+Hause)\b)",
        r"\bverlegte?\b[^.;]{0,40}?\b(?:Haupt|Firmen)?[Ss]itz\s+(?:\d{4}\s+)?(?:von\s+[A-ZÄÖÜ][\w-]+\s+)?nach\s+",
    ),
    "fr": (
        r"\b(?:le\s+|son\s+|[Ss]on\s+|[Ll]e\s+)?(?:[Ss]iège(?:\s+social)?)\s*(?::\s*|(?:est|se\s+trouve|est\s+situé|se\s+situe)\s+"
        r"(?:à|au)\s+|(?:situé\s+)?à\s+)",
        r"\b(?:[Bb]asée?s?|[Éé]tablie?s?|[Ii]nstallée?s?|[Ii]mplantée?s?|[Dd]omiciliée?s?)\s+à\s+",
    ),
    "es": (
        r"\b(?:tiene\s+su|[Cc]on|[Ss]u)\s+(?:sede|domicilio)(?:\s+(?:central|social|principal))?\s+(?:está\s+)?en\s+",
        r"\b(?:[Ss]ede(?:\s+(?:central|social))?|[Dd]omicilio\s+social)\s*:\s*",
        r"\b(?:[Ss]ede(?:\s+(?:central|social|principal))?|[Oo]ficinas\s+centrales)(?:\s+de\s+[^.;,]{1,40}?)?\s+"
        r"(?:se\s+encuentran?|está(?:n)?(?:\s+(?:ubicad|situad)[ao]s?)?|se\s+ubica)\s+en\s+",
        r"\b(?:empresa|compañía|sociedad|firma)\s+(?:está\s+)?(?:radicad|afincad|ubicad)a\s+en\s+",
    ),
    "it": (
        r"\b(?:[Cc]on|[Hh]a|[Ll]a|propria)\s+(?:la\s+)?(?:propria\s+)?sede(?:\s+(?:legale|principale|centrale|operativa))?"
        r"(?:\s+e\s+operativa)?\s+(?:è\s+|si\s+trova\s+|è\s+situata\s+)?(?:a|ad|in)\s+",
        r"\b[Ss]ede(?:\s+(?:legale|principale))?(?:\s+e\s+operativa)?\s*:\s*",
        r"\b(?:[Qq]uartier\s+generale|[Hh]eadquarters?)(?:\s+(?:del|della|dell['’])\s?[^.;,]{1,30}?)?\s+"
        r"(?:si\s+trova\s+|è\s+(?:situato\s+)?)?(?:a|ad|in)\s+",
        r"\bha\s+trasferito\s+la\s+(?:propria\s+)?sede\s+(?:da\s+[A-ZÀ-Ý][\w'’-]+\s+)?a\s+",
    ),
    "pt": (
        r"\b(?:[Cc]om|tem|[Ss]ua|[Nn]ossa|[Aa])\s+(?:a\s+)?(?:sua\s+)?sede(?:\s+(?:social|central|principal))?"
        r"(?:\s+d[ao]\s+(?:empresa|companhia|sociedade|grupo))?\s+"
        r"(?:fica\s+|está\s+(?:localizada\s+|situada\s+)?|situa-se\s+|localiza-se\s+)?(?:em|no|na)\s+",
        r"\b[Ss]ede(?:\s+social)?\s*:\s*",
    ),
    "nl": (
        r"\b(?:is\s+)?gevestigd\s+(?:in|te)\s+",
        r"\b(?:[Mm]aatschappelijke\s+zetel|[Ss]tatutaire\s+zetel|[Hh]oofdzetel)\s*"
        r"(?::\s*|(?:(?:is|ligt|bevindt\s+zich)\s+)?(?:gevestigd\s+)?(?:in|te)\s+)",
        r"\b[Hh]oofdkantoor(?:\s+van\s+[^;,\n]{1,40}?)?\s*(?::\s*|(?:(?:is|staat|bevindt\s+zich)\s+)?(?:gevestigd\s+)?in\s+)",
    ),
}
STAFF: dict[str, tuple[str, ...]] = {
    "de": (
        rf"\b(?:beschäftigt|beschäftigen|hat|zählt|mit)\s+(?:rund\s+|etwa\s+|ca\.\s+|circa\s+|insgesamt\s+|derzeit\s+){{0,2}}{NUMBER}"
        r"\s+(?:Mitarbeiter(?:innen)?|Mitarbeitende|Beschäftigte|Angestellte|Personen|Menschen|Leute)\w*\b",
        rf"\bMitarbeiter(?:zahl)?\s*:\s*(?:rund\s+|ca\.\s+)?{NUMBER}\b",
    ),
    "fr": (
        rf"\b(?:[Ee]mploie|[Cc]ompte|avec)\s+(?:environ\s+|quelque\s+){{0,1}}{NUMBER}\s+(?:personnes|salariés|collaborateurs|employés)\b",
        rf"\b[Ee]ffectif\s*:\s*(?:environ\s+)?{NUMBER}\b",
    ),
    "es": (
        rf"\b(?:[Ee]mplea\s+a?|[Cc]uenta\s+con|[Tt]iene|con)\s*(?:unos\s+|unas\s+|cerca\s+de\s+)?{NUMBER}\s+"
        r"(?:empleados|trabajadores|personas\s+empleadas)\b",
        rf"\b[Ee]mplea\s+a\s+(?:unas\s+)?{NUMBER}\s+personas\b",
        rf"\bplantilla\s+de\s+(?:unos\s+|unas\s+)?{NUMBER}\b",
    ),
    "it": (
        rf"\b(?:[Oo]ccupa|[Ii]mpiega|dà\s+lavoro\s+a|[Cc]onta|[Hh]a|con)\s+(?:circa\s+)?{NUMBER}\s+"
        r"(?:dipendenti|addetti|collaboratori|lavoratori)\b",
        rf"\b(?:[Oo]ccupa|[Ii]mpiega|dà\s+lavoro\s+a)\s+(?:circa\s+)?{NUMBER}\s+persone\b",
        rf"\bDipendenti\s*:\s*(?:circa\s+)?{NUMBER}\b",
    ),
    "pt": (
        rf"\b(?:[Ee]mprega|[Cc]onta\s+com|[Tt]em|com)\s+(?:cerca\s+de\s+)?{NUMBER}\s+"
        r"(?:trabalhadores|colaboradores|funcionários|empregados)\b",
        rf"\b[Ee]mprega\s+(?:cerca\s+de\s+)?{NUMBER}\s+pessoas\b",
    ),
    "nl": (
        rf"\b(?:[Tt]elt|[Hh]eeft|met)\s+(?:ongeveer\s+|circa\s+|zo['’]n\s+)?{NUMBER}\s+(?:werknemers|medewerkers|personeelsleden)\b",
        rf"\b(?:[Ee]r\s+werken|[Bb]iedt\s+werk\s+aan)\s+(?:ongeveer\s+|circa\s+)?{NUMBER}\s+(?:mensen|personen|medewerkers)\b",
    ),
}
AGAINST: dict[str, str] = {
    "de": (
        r"Tochter\w*|Mutter\w*|Konzern\w*|Gruppe|Holding|Kunden?|Lieferant\w*|Niederlassung\w*|Filiale\w*|"
        r"Werke?s?\b|Standorte?|übernahm\w*|übernommen|kaufte|gekauft|erwarb|ehemals|ehemalige\w*|früher\w*|damals|"
        r"bis\s+\d{4}|plant|planen|geplant|soll|will|wird\s|könnte|angeblich|nicht|kein\w*|Stiftung|Vorgänger\w*|"
        r"Partner\w*|Gründer\w*|zweit\w*|regional\w*|Zweig\w*|wollte|hatte\w*|waren|einst|Wettbewerb\w*|Verein|"
        r"beliefert"
    ),
    "fr": (
        r"filiales?|maison[- ]mère|groupe|holding|cliente?s?|fournisseurs?|succursales?|usines?|rachet\w+|acquis\w*|"
        r"acqui\w+|ancien\w*|autrefois|jusqu['’]en|prévoit|projette|envisage|sera|serait|pourrait|pas|jamais|"
        r"aucun\w*|fondation\s+[A-Z]\w*|prédécesseur|partenaires?|fondateurs?|régional\w*|second\w*|avait|était|"
        r"comptait|employait|concurrent\w*|appartient|association"
    ),
    "es": (
        r"filial(?:es)?|matriz|grupo|holding|clientes?|proveedor\w*|sucursal\w*|fábricas?|plantas?|compró|"
        r"adquiri\w+|antigu\w+|hasta\s+\d{4}|planea|prevé|será|sería|podría|tendrá|no|nunca|ningún\w*|socios?|"
        r"fundador\w*|regional\w*|segund\w*|tenía|era|empleaba|competidor\w*|pertenece|absorb\w+|fusion\w+"
    ),
    "it": (
        r"controllat\w+|filiali?|casa\s+madre|gruppo|holding|clienti|fornitor\w+|stabiliment\w+|fabbric\w+|"
        r"acquis\w+|acquist\w+|ex\s|già\s|fino\s+al|prevede|sarà|sarebbe|potrebbe|avrà|non|mai|nessun\w*|"
        r"soci[oa]?\b|fondator\w+|regional\w+|second\w+|aveva|era|occupava|concorrent\w+|appartiene|nat[oa]\s+a\s|"
        r"incorporat\w+"
    ),
    "pt": (
        r"subsidiári\w+|filia\w+|matriz|grupo|holding|clientes?|fornecedor\w*|fábricas?|comprou|adquiri\w+|"
        r"antig\w+|até\s+\d{4}|planeja|planeia|prevê|será|seria|poderá|terá|não|nunca|nenhum\w*|sócios?|"
        r"fundador\w*|regiona\w+|segund\w+|tinha|era|empregava|concorrent\w+|pertence|incorpor\w+|fusão"
    ),
    "nl": (
        r"dochter\w*|moeder\w*|groep|concern|holding|klant\w*|leverancier\w*|filiaal|filialen|vestiging\w*|"
        r"fabriek\w*|overgenomen|kocht|nam\s|voormalig\w*|vroeger|tot\s+\d{4}|plant|wil|zal|zou|gaat|niet|geen|"
        r"nooit|partner\w*|oprichter\w*|regiona\w+|tweede|had|hadden|was\s+eens|telde|concurrent\w*|behoort|"
        r"stichting"
    ),
}
"""A sentence with one of these may speak of somebody else, of a part, of another time, or of what is not so."""
DEALINGS = re.compile(
    r"(?<!\w)(?:Kunden?|Lieferant\w*|Partner\w*|beliefert|clients|fournisseurs?|partenaires?|clientes?|proveedor\w*|socios?|"
    r"clienti|fornitor\w+|fornecedor\w*|klant\w*|leverancier\w*|partners?)(?!\w)",
    re.I,
)
"""Words of `AGAINST` that name whom a company deals with, not whose the sentence is."""
SELF: dict[str, str] = {
    "de": r"(?:Unternehmens|Firmen)gruppe|Unternehmen|Firma|Gesellschaft|[Ww]ir|[Uu]nser\w*|[Ss]ie|[Ee]s",
    "fr": r"entreprise|société|[Ee]lle|[Nn]ous|[Nn]otre|compagnie",
    "es": r"empresa|compañía|sociedad|[Nn]uestr[oa]|ella",
    "it": r"azienda|società|impresa|[Nn]ostr[oa]",
    "pt": r"empresa|companhia|sociedade|[Nn]oss[oa]",
    "nl": r"bedrijf|onderneming|vennootschap|[Ww]ij|[Oo]ns|[Oo]nze|[Hh]et|[Zz]ij|[Ee]r",
}
"""Words by which a sentence speaks of the company without its name."""
_OPENING = re.compile(r"^(?:(?:Der|Die|Le|La|L['’]|El|A|O|Het|De|Il|Lo|Su|Son|Sa|Sua)\s*)?$")
"""What may stand before a statement that opens its sentence: `Der` of `Der Hauptsitz befindet sich in ...`."""
BEYOND = re.compile(
    r"^(?:\s*\([A-Z]{2}\))?\s*(?:,\s*|\()?\s*(?:in|im|en|no|na|em|au|aux|à)?\s*(?:der\s+|den\s+|die\s+|la\s+|le\s+|les\s+|o\s+|os\s+|het\s+|de\s+|l['’])?"
    r"(?P<country>[A-ZÀ-Ý][\w-]+(?:\s+[A-ZÀ-Ý][\w-]+){0,2})"
)
"""After a city: `, Deutschland`, `, en France`, ` (Canada)`, ` (BO), Italia`: two letters alone are a province."""
_WORD = r"[A-ZÀ-Ý][\w'’-]*\w"
PLACE = re.compile(
    rf"(?P<city>{_WORD}(?:(?:\s+(?:am|an\s+der|de|di|da|do|del|della|la|le|sur|les|aan|den|bei))? {_WORD}){{0,3}})"
)


POSTCODE = r"(?:[A-Z]{1,2}-)?\d{4,5}(?:-\d{3})?(?:\s?[A-Z]{2}(?=\s))?\s+"
STREET = re.compile(rf"[^\n;:]{{3,70}}?[,\s]\s*{POSTCODE}")
"""Between `Siège social :` and its city: `14, rue des Tanneurs, 69002 `."""
BLOCK = re.compile(rf"^(?P<street>[^\n]{{0,60}}?\s\d{{1,4}}\s?[a-z]?)\n{POSTCODE}", re.M)
"""Street and number in a line, then a postcode: what follows is a city. Whose it is, stands in the line above."""


@dataclass(frozen=True)
class Told:
    """One statement: its half-open span in the text, and what it says."""

    start: int
    end: int
    value: int


@dataclass(frozen=True)
class SeatTold:
    """A city that the gazetteer knows, and the country, where it is named beside it."""

    start: int
    end: int
    city: str
    country: str | None


@lru_cache(maxsize=1)
def territories() -> dict[str, str]:
    """Countries by their names in these languages, as `plain` gives them; none that means another thing elsewhere."""
    from babel import Locale

    found: dict[str, set[str]] = {}
    for language in LANGUAGES:
        for code, name in Locale(language).territories.items():
            if len(code) == 2 and code.isalpha() and code in atlas().codes:
                found.setdefault(plain(name), set()).add(code)
    for name, code in _SHORT.items():
        found.setdefault(plain(name), set()).add(code)
    known = {name: next(iter(codes)) for name, codes in found.items() if len(codes) == 1}
    return {name: code for name, code in known.items() if atlas().countries.get(name, code) == code}


_SHORT: dict[str, str] = {
    "USA": "US", "EE.UU.": "US", "EUA": "US", "Großbritannien": "GB", "Grande-Bretagne": "GB", "Gran Bretaña": "GB",
    "Gran Bretagna": "GB", "Grã-Bretanha": "GB", "Groot-Brittannië": "GB", "Hollande": "NL", "Holanda": "NL",
    "Olanda": "NL",
}  # fmt: skip
"""What people write and CLDR does not."""


@lru_cache(maxsize=1)
def _cues() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    tables = {"founded": FOUNDED, "seated": SEATED, "staff": STAFF}
    return {
        kind: [(language, re.compile(cue)) for language, cues in table.items() for cue in cues]
        for kind, table in tables.items()
    }


@lru_cache(maxsize=1)
def _against() -> dict[str, re.Pattern[str]]:
    return {language: re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.I) for language, words in AGAINST.items()}


def _stated(kind: str, text: str, names: Sequence[str]) -> Iterator[re.Match[str]]:
    """Statements in sentences that are about the company, and speak of nothing else."""
    told = Sentences(text)
    for language, cue in _cues()[kind]:
        for match in cue.finditer(text):
            start, end = told.around(match.start())
            if start and text[start].islower():
                start = told.around(start - 2)[0]  # `Molini S.r.l. è stata fondata`: the form is no end
            sentence = text[start:end]
            own_words = sentence
            if kind == "seated" and _is_subject(sentence[: match.start() - start], text[match.end() : end], names):
                own_words = sentence[: match.end() - start] + DEALINGS.sub(" ", text[match.end() : end])
            for name in names:
                own_words = own_words.replace(name, " ")
            if _against()[language].search(own_words) or told.orders(match.start()):
                continue
            if _is_own(language, sentence, match.start() - start, names):
                yield match


def _is_subject(before: str, after: str, names: Sequence[str]) -> bool:
    """Whether the seat is that of the sentence's subject, and this the company: whom it deals with is told after that.

    `NAME mit Hauptsitz in Graz`; `Basée à Nantes, NAME`; `Con sede en Bilbao, atendemos`.
    """
    if _OPENING.match(before):
        return any(re.match(rf"[^,.;]{{2,60}},\s+(?:[AaOo]\s+)?{re.escape(name)}\b", after) for name in names) or (
            re.match(r"[^,.;]{2,60},\s+\w+[aei]mos\b", after) is not None
        )
    return any(_OPENING.match(before.removesuffix(", ").rstrip().removesuffix(name)) for name in names)


def _is_own(language: str, sentence: str, at: int, names: Sequence[str]) -> bool:
    """Whether the sentence names the company, or speaks of it without a name; a statement may open it."""
    said = set(plain(sentence).split())
    if any(word in said for name in names for word in telling(name)):
        return True
    return (
        not names
        or _OPENING.match(sentence[:at]) is not None
        or re.search(rf"(?<!\w)(?:{SELF[language]})(?!\w)", sentence) is not None
    )


def founded(text: str, latest: int, names: Sequence[str] = ()) -> Told | None:
    """The one founding year that the text states up to `latest`; None where it states none, or several."""
    found = [Told(m.start(), m.end("year"), int(m["year"])) for m in _stated("founded", text, names)]
    found = [Told(t.start, _reach(text, t), t.value) for t in found if t.value <= latest]
    return found[0] if len({one.value for one in found}) == 1 else None


def _reach(text: str, told: Told) -> int:
    """`wurde 1986 gegründet` ends with its verb: the quote must say what happened in that year."""
    after = re.match(rf"{WHERE}\s+(?:als\s+[^.;,]{{1,40}}\s+)?(?:gegründet|opgericht)", text[told.end :])
    return told.end + (after.end() if after else 0)


def staff(text: str, names: Sequence[str] = ()) -> Told | None:
    """The one number of employees that the text states; None where it states none, or several."""
    found = [Told(m.start(), m.end(), int(re.sub(r"\D", "", m["number"]))) for m in _stated("staff", text, names)]
    return found[0] if len({one.value for one in found}) == 1 else None


def seated(text: str, names: Sequence[str] = ()) -> SeatTold | None:
    """The one seat that the text states; None where it states none, or several."""
    found: list[SeatTold] = []
    for match in _stated("seated", text, names):
        street = STREET.match(text, match.end())
        told = _seat_at(text, match.start(), match.end())
        if told is None and street is not None:
            told = _seat_at(text, match.start(), street.end())
        found += [told] if told is not None else []
    found += _addressed(text, names)
    if len({plain(one.city) for one in found}) != 1 or len({one.country for one in found if one.country}) > 1:
        return None
    return max(found, key=lambda one: (one.country is not None, -one.start))


def _seat_at(text: str, start: int, end: int) -> SeatTold | None:
    """The seat whose city begins at `end`; None where no city that the gazetteer knows does."""
    known = atlas()
    place = PLACE.match(text, end)
    if place is None:
        return None
    words = place["city"].split(" ")
    cities = (" ".join(words[:n]) for n in range(len(words), 0, -1))
    city = next((one for one in cities if plain(one) in known.cities and country_called(one) is None), None)
    if city is None:
        return None
    code, after = _country_after(text, end + len(city))
    return SeatTold(start, after, city, code)


def _addressed(text: str, names: Sequence[str]) -> Iterator[SeatTold]:
    """Postal addresses right under a line that is the company's own name, as a page's imprint has them."""
    own = {plain(name) for name in names}
    for block in BLOCK.finditer(text):
        above = text[: block.start()].rstrip("\n").split("\n")[-2:]
        if plain(above[-1].strip()) not in own:
            continue
        heading = above[0] if len(above) > 1 else ""
        if any(words.search(f"{heading} {block['street']}") for words in _against().values()):
            continue
        told = _seat_at(text, block.start() - len(above[-1]) - 1, block.end())
        if told is not None:
            yield told


def _country_after(text: str, end: int) -> tuple[str | None, int]:
    """The country named just after a city, and where that ends."""
    beyond = BEYOND.match(text[end : end + 60])
    if beyond is None:
        return None, end
    words = beyond["country"].split()
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count])
        if (code := country_called(name)) is not None:
            return code, end + beyond.start("country") + len(name)
    return None, end


def country_called(name: str) -> str | None:
    """The code of a country by its English name, or that in one of these languages."""
    return territories().get(plain(name)) or atlas().country(name)


def names_country(code: str, quote: str) -> bool:
    """Whether the quote names the country in one of these languages, as words of their own."""
    words = re.findall(r"[\w'’.-]+", quote)
    runs = (" ".join(words[i : i + n]) for i in range(len(words)) for n in (1, 2, 3) if words[i][:1].isupper())
    return any(country_called(run.strip(".")) == code for run in runs)


_ENGLISH = frozenset(["the", "and", "of", "is", "with", "its", "was", "by", "for", "from", "that", "are"])
_OTHER = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "ist",
        "mit",
        "von",
        "für",
        "eine",
        "einer",
        "wurde",
        "le",
        "les",
        "des",
        "et",
        "est",
        "avec",
        "une",
        "dans",
        "pour",
        "du",
        "el",
        "los",
        "las",
        "y",
        "con",
        "una",
        "su",
        "por",
        "il",
        "gli",
        "che",
        "è",
        "per",
        "di",
        "della",
        "nel",
        "dei",
        "o",
        "os",
        "e",
        "em",
        "com",
        "uma",
        "na",
        "da",
        "do",
        "het",
        "een",
        "en",
        "van",
        "met",
        "op",
        "te",
        "de",
        "la",
    ]
)


def other_than_english(text: str) -> bool:
    """Whether small words of these languages stand in a text more often than English ones."""
    words = re.findall(r"\w+", text[:5000].lower())
    return sum(word in _OTHER for word in words) > sum(word in _ENGLISH for word in words)


FOUNDING_WORDS = re.compile(
    r"\b(?:gegründet|gründung\w*|fond(?:ée?|ation)|cré(?:ée?|ation)|constitu(?:ée?|id[ao]|ída|ído|yó|ción|ição)|fund(?:ad[ao]|ó|ación|ação)|"
    r"cre(?:ad[ao]|ó|ación)|criad[ao]|criação|fondat[ao]|fondazione|costituit[ao]|nat[ao]|opgericht|oprichting(?:sjaar)?)\b",
    re.I,
)
"""Words of beginning in these languages."""
