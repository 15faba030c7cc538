"""Company pages in six languages, drawn from sentences as companies write them, with planted truth and planted absence.

The sentences were written from how `Impressum`, `Chi siamo`, `Qui sommes-nous`, `Quiénes somos`, `Over ons` and
`Sobre nós` pages read, without looking at the patterns that enrichment reads by. Of each kind the sentences at even
places are of the tuning half and those at odd places of the half held out: the halves share names and lures' cities,
but not one sentence that states something. The held-out sentences are not to be read while patterns are mended.

{n} the company, {c} its city, {l} its country, {y} its founding year; of no meaning for the key: {o} another city,
{p} another country, {z} another year, {q} a person.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Half = Literal["tune", "held-out"]


@dataclass(frozen=True)
class Tongue:
    """Sentences of one language. `places`: city, country as the language names it, and its ISO code."""

    code: str
    forms: tuple[str, ...]
    places: tuple[tuple[str, str, str], ...]
    trades: tuple[str, ...]
    seats: tuple[str, ...]
    years: tuple[str, ...]
    lures: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """One text and its key: None is a field that the text does not state."""

    language: str
    name: str
    text: str
    city: str | None
    country: str | None
    """ISO code; None, too, where a city alone is stated."""
    implied: str | None
    """The country of the stated city: an answer that is not asked for, and not wrong."""
    founded_year: int | None


GERMAN = Tongue(
    "de",
    ("GmbH", "AG", "GmbH & Co. KG", "SE"),
    (
        ("Hamburg", "Deutschland", "DE"),
        ("Stuttgart", "Deutschland", "DE"),
        ("Graz", "Österreich", "AT"),
        ("Winterthur", "Schweiz", "CH"),
        ("Leipzig", "Deutschland", "DE"),
        ("Innsbruck", "Österreich", "AT"),
        ("Nürnberg", "Deutschland", "DE"),
        ("Luzern", "Schweiz", "CH"),
        ("Bielefeld", "Deutschland", "DE"),
    ),
    (
        "{n} entwickelt und fertigt Pumpen für die Lebensmittelindustrie.",
        "Als Familienunternehmen liefern wir Beschläge und Schließsysteme an den Fachhandel.",
        "Wir beraten mittelständische Betriebe bei der Einführung von ERP-Systemen.",
        "{n} ist Ihr Partner für Kühllogistik und temperaturgeführte Transporte.",
    ),
    (
        "Der Sitz der Gesellschaft ist {c}, {l}.",
        "Unsere Firmenzentrale steht in {c} ({l}).",
        "{n} mit Hauptsitz in {c} beliefert Kunden in aller Welt.",
        "Vom Stammsitz in {c} aus steuern wir sämtliche Aktivitäten der Gruppe.",
        "Angaben gemäß § 5 TMG:\n{n}\nIndustriestraße 14\n70565 {c}\n{l}",
        "Impressum\n{n}\nAm Alten Hafen 3\nD-20457 {c}\n{l}",
        "Die Unternehmensgruppe hat ihren Hauptsitz in {c}, {l}.",
        "Wir sind ein in {c} ansässiges Unternehmen.",
        "Das Unternehmen ist in {c} beheimatet.",
        "Sitz des Unternehmens: {c}",
    ),
    (
        "{n} wurde {y} gegründet.",
        "Die Gründung unseres Hauses erfolgte im Jahr {y}.",
        "Seit der Gründung im Jahre {y} sind wir inhabergeführt.",
        "Im Frühjahr {y} gründete {q} das Unternehmen.",
        "Gegründet {y}, zählt {n} heute zu den führenden Anbietern.",
        "Das {y} gegründete Unternehmen ist auf Sonderlösungen spezialisiert.",
        "Gründungsjahr: {y}",
        "Unsere Firmengeschichte beginnt {y}, als {q} den Betrieb gründete.",
    ),
    (
        "Der spätere Firmenchef {q} wurde {z} in {o} geboren.",
        "Seit {z} sind wir nach ISO 9001 zertifiziert.",
        "Zu unseren Kunden zählen Betriebe in {o} und {p}.",
        "Niederlassungen unterhalten wir in {o} und in weiteren Städten.",
        "{z} wurde in {o} ein neues Logistikzentrum eröffnet.",
        "Auf der Messe in {o} zeigten wir {z} unsere neue Baureihe.",
        "Unser Vertriebsbüro in {o} erreichen Sie werktags.",
        "{z} übernahm die Gruppe einen Mitbewerber aus {o}.",
    ),
)
FRENCH = Tongue(
    "fr",
    ("SAS", "SARL", "S.A.", "SA"),
    (
        ("Lyon", "France", "FR"),
        ("Nantes", "France", "FR"),
        ("Namur", "Belgique", "BE"),
        ("Lausanne", "Suisse", "CH"),
        ("Grenoble", "France", "FR"),
        ("Rennes", "France", "FR"),
        ("Liège", "Belgique", "BE"),
        ("Toulouse", "France", "FR"),
        ("Neuchâtel", "Suisse", "CH"),
    ),
    (
        "{n} conçoit et fabrique des équipements pour la boulangerie artisanale.",
        "Nous éditons des logiciels de gestion pour les cabinets comptables.",
        "Spécialiste de l'emballage carton, {n} accompagne les industriels de l'agroalimentaire.",
        "Notre métier : la maintenance des installations frigorifiques.",
    ),
    (
        "{n} a son siège social à {c}, en {l}.",
        "Le siège de l'entreprise se trouve à {c} ({l}).",
        "Basée à {c}, {n} travaille avec plus de deux cents partenaires.",
        "Implantée à {c}, notre société rayonne dans tout le pays.",
        "Mentions légales\n{n}\nSiège social : 14, rue des Tanneurs, 69002 {c}, {l}",
        "Éditeur du site : {n}, dont le siège social est situé 3 quai de la Fosse, 44000 {c}, {l}.",
        "Installés à {c}, nous intervenons chez tous nos clients.",
        "Notre siège est établi à {c}.",
        "Entreprise familiale dont le siège est à {c}, {n} mise sur la proximité.",
        "C'est depuis {c} que nos équipes dirigent l'ensemble du groupe, dont c'est le siège mondial.",
    ),
    (
        "{n} a été créée en {y}.",
        "L'entreprise a vu le jour en {y}.",
        "Fondée en {y} par {q}, la maison est restée indépendante.",
        "C'est en {y} que {q} fonde la société.",
        "Créée en {y}, notre société emploie des artisans qualifiés.",
        "Depuis sa création en {y}, {n} n'a cessé d'innover.",
        "Année de création : {y}",
        "Notre histoire commence en {y}, lorsque {q} crée l'entreprise.",
    ),
    (
        "Né en {z} à {o}, {q} a fait ses études d'ingénieur.",
        "Nous sommes certifiés ISO 9001 depuis {z}.",
        "Nos clients se trouvent à {o} et jusqu'en {p}.",
        "Une agence commerciale est ouverte à {o} depuis {z}.",
        "En {z}, le groupe a racheté un concurrent de {o}.",
        "Notre nouvel entrepôt de {o} a été inauguré en {z}.",
        "Retrouvez-nous au salon de {o}.",
        "Nos bureaux régionaux de {o} accueillent les visiteurs sur rendez-vous.",
    ),
)
ITALIAN = Tongue(
    "it",
    ("S.r.l.", "S.p.A.", "Srl", "SpA"),
    (
        ("Bologna", "Italia", "IT"),
        ("Torino", "Italia", "IT"),
        ("Lugano", "Svizzera", "CH"),
        ("Verona", "Italia", "IT"),
        ("Bergamo", "Italia", "IT"),
        ("Padova", "Italia", "IT"),
        ("Brescia", "Italia", "IT"),
        ("Firenze", "Italia", "IT"),
        ("Bellinzona", "Svizzera", "CH"),
    ),
    (
        "{n} progetta e produce macchine per il confezionamento di alimenti.",
        "Realizziamo arredi su misura per negozi e alberghi.",
        "Offriamo servizi di consulenza informatica alle piccole imprese.",
        "{n} distribuisce materiale elettrico e componenti per l'automazione.",
    ),
    (
        "{n} ha sede a {c}, in {l}.",
        "La sede centrale si trova a {c} ({l}).",
        "Con sede a {c}, la nostra azienda esporta in tutto il mondo.",
        "Il quartier generale del gruppo è a {c}.",
        "Dati societari\n{n}\nSede legale: Via Emilia 120, 40126 {c} (BO), {l}",
        "{n}\nSede legale e operativa: Corso Francia 8, 10138 {c}, {l}\nP. IVA 01234567890",
        "L'azienda, con sede legale in {c}, è guidata dalla seconda generazione.",
        "Siamo un'impresa di {c} con una lunga tradizione artigiana.",
        "Il nostro headquarter è situato a {c}, {l}.",
        "La direzione e gli uffici della società sono a {c}, dove ha sede l'azienda.",
    ),
    (
        "{n} è stata fondata nel {y}.",
        "L'azienda nasce nel {y} dall'intuizione di {q}.",
        "Fondata nel {y} da {q}, la società è ancora a conduzione familiare.",
        "La nostra storia inizia nel {y}, quando {q} fonda l'impresa.",
        "Nata nel {y}, {n} è oggi un punto di riferimento del settore.",
        "Correva l'anno {y} quando {q} diede vita all'azienda.",
        "Anno di fondazione: {y}",
        "Costituita nel {y}, la società conta due stabilimenti.",
    ),
    (
        "{q}, nato a {o} nel {z}, ha guidato la crescita.",
        "Dal {z} siamo certificati ISO 9001.",
        "Tra i nostri clienti figurano aziende di {o} e in {p}.",
        "Una filiale commerciale è attiva a {o}.",
        "Nel {z} abbiamo inaugurato il nuovo magazzino di {o}.",
        "Nel {z} il gruppo ha acquisito un concorrente di {o}.",
        "Saremo presenti alla fiera di {o}.",
        "Gli uffici vendite di {o} sono aperti dal lunedì al venerdì.",
    ),
)
SPANISH = Tongue(
    "es",
    ("S.L.", "S.A.", "SL", "S.A. de C.V."),
    (
        ("Valencia", "España", "ES"),
        ("Zaragoza", "España", "ES"),
        ("Bilbao", "España", "ES"),
        ("Guadalajara", "México", "MX"),
        ("Medellín", "Colombia", "CO"),
        ("Sevilla", "España", "ES"),
        ("Monterrey", "México", "MX"),
        ("Rosario", "Argentina", "AR"),
        ("Murcia", "España", "ES"),
    ),
    (
        "{n} diseña y fabrica maquinaria para el envasado de fruta.",
        "Somos especialistas en cerámica técnica para la industria química.",
        "Ayudamos a las empresas a digitalizar su contabilidad.",
        "{n} comercializa repuestos para vehículos industriales.",
    ),
    (
        "{n} tiene su sede en {c}, {l}.",
        "La sede central de la compañía se encuentra en {c} ({l}).",
        "Con sede en {c}, atendemos a clientes de todos los sectores.",
        "Nuestra casa matriz está ubicada en {c}.",
        "Aviso legal\nTitular: {n}\nDomicilio social: Calle Colón 22, 46004 {c}, {l}",
        "{n}, con domicilio social en Avenida de la Industria 5, 50018 {c}, {l}, CIF B12345678.",
        "La empresa está radicada en {c} desde sus orígenes.",
        "Nuestras oficinas centrales están en {c}, {l}.",
        "Somos una empresa con sede social en {c}.",
        "El grupo, cuya sede principal está en {c}, es de capital familiar.",
    ),
    (
        "{n} fue fundada en {y}.",
        "La empresa nació en {y} de la mano de {q}.",
        "Fundada en {y} por {q}, la compañía sigue en manos de la familia.",
        "En {y}, {q} fundó la compañía en un pequeño taller.",
        "Desde su fundación en {y}, {n} apuesta por la calidad.",
        "Constituida en {y}, la sociedad cuenta con dos plantas.",
        "Año de fundación: {y}",
        "Nuestra historia comienza en {y}, cuando {q} crea la empresa.",
    ),
    (
        "{q} nació en {o} en {z}.",
        "Contamos con la certificación ISO 9001 desde {z}.",
        "Nuestros clientes están en {o} y en {p}.",
        "Disponemos de una delegación en {o}.",
        "En {z} abrimos un nuevo almacén en {o}.",
        "En {z} el grupo adquirió un competidor de {o}.",
        "Visítenos en la feria de {o}.",
        "La oficina comercial de {o} atiende de lunes a viernes.",
    ),
)
DUTCH = Tongue(
    "nl",
    ("B.V.", "BV", "N.V.", "NV"),
    (
        ("Eindhoven", "Nederland", "NL"),
        ("Utrecht", "Nederland", "NL"),
        ("Gent", "België", "BE"),
        ("Groningen", "Nederland", "NL"),
        ("Leuven", "België", "BE"),
        ("Rotterdam", "Nederland", "NL"),
        ("Breda", "Nederland", "NL"),
        ("Hasselt", "België", "BE"),
        ("Arnhem", "Nederland", "NL"),
    ),
    (
        "{n} ontwikkelt en produceert verlichting voor kassen.",
        "Wij leveren verpakkingsmateriaal aan de groothandel.",
        "Ons bedrijf bouwt websites en webwinkels voor het mkb.",
        "{n} is specialist in koeltechniek en klimaatbeheersing.",
    ),
    (
        "Het hoofdkantoor van {n} staat in {c}, {l}.",
        "Ons bedrijf is gevestigd te {c} ({l}).",
        "{n}, gevestigd in {c}, levert aan klanten in heel Europa.",
        "Vanuit ons hoofdkantoor in {c} bedienen wij de hele markt.",
        "Contactgegevens\n{n}\nStationsweg 12\n5611 AB {c}\n{l}",
        "{n}\nStatutaire zetel: {c}\nKvK 12345678",
        "De maatschappelijke zetel bevindt zich in {c}, {l}.",
        "Wij zijn een familiebedrijf uit {c}.",
        "Het bedrijf heeft zijn hoofdzetel in {c}.",
        "De onderneming houdt kantoor in {c}, waar ook het hoofdkantoor zit.",
    ),
    (
        "{n} is opgericht in {y}.",
        "Het bedrijf werd in {y} opgericht door {q}.",
        "Sinds de oprichting in {y} zijn wij onafhankelijk gebleven.",
        "In {y} begon {q} het bedrijf, dat hij in een schuur oprichtte.",
        "Opgericht in {y}, is {n} uitgegroeid tot marktleider.",
        "Het in {y} opgerichte bedrijf heeft twee vestigingen.",
        "Oprichtingsjaar: {y}",
        "Ons verhaal begint in {y}, toen {q} de onderneming stichtte.",
    ),
    (
        "{q} werd in {z} geboren in {o}.",
        "Sinds {z} zijn wij ISO 9001-gecertificeerd.",
        "Onze klanten zitten in {o} en in {p}.",
        "Wij hebben een verkoopkantoor in {o}.",
        "In {z} openden wij een nieuw magazijn in {o}.",
        "In {z} nam de groep een concurrent uit {o} over.",
        "Bezoek onze stand op de beurs in {o}.",
        "Het filiaal in {o} is op zaterdag geopend.",
    ),
)
PORTUGUESE = Tongue(
    "pt",
    ("Lda.", "S.A.", "Ltda.", "SA"),
    (("Braga", "Portugal", "PT"), ("Coimbra", "Portugal", "PT"), ("Curitiba", "Brasil", "BR"),
     ("Porto Alegre", "Brasil", "BR"), ("Aveiro", "Portugal", "PT"), ("Campinas", "Brasil", "BR"),
     ("Setúbal", "Portugal", "PT"), ("Belo Horizonte", "Brasil", "BR"), ("Recife", "Brasil", "BR")),
    ("A {n} concebe e fabrica moldes para a indústria automóvel.",
     "Somos especialistas em cortiça e revestimentos naturais.",
     "Desenvolvemos software de gestão para clínicas.",
     "A {n} distribui equipamentos para a hotelaria."),
    ("A {n} tem sede em {c}, {l}.",
     "A sede da empresa fica em {c} ({l}).",
     "Com sede em {c}, trabalhamos com clientes de vários setores.",
     "Sediada em {c}, a {n} exporta metade da produção.",
     "Aviso legal\n{n}\nSede: Rua do Souto 18, 4700-329 {c}, {l}",
     "{n}, com sede social na Avenida Central 40, 3000-112 {c}, {l}, NIPC 501234567.",
     "A nossa sede está localizada em {c}, {l}.",
     "O grupo mantém a sua sede em {c}.",
     "A matriz da companhia está em {c}.",
     "Estamos sediados em {c}."),
    ("A {n} foi fundada em {y}.",
     "A empresa nasceu em {y} pelas mãos de {q}.",
     "Fundada em {y} por {q}, a empresa continua familiar.",
     "Em {y}, {q} fundou a empresa numa pequena oficina.",
     "Desde a sua fundação em {y}, a {n} aposta na qualidade.",
     "Constituída em {y}, a sociedade tem duas fábricas.",
     "Ano de fundação: {y}",
     "A nossa história começa em {y}, quando {q} criou a empresa."),
    ("{q} nasceu em {o} em {z}.",
     "Somos certificados pela ISO 9001 desde {z}.",
     "Os nossos clientes estão em {o} e em {p}.",
     "Temos uma filial em {o}.",
     "Em {z} abrimos um novo armazém em {o}.",
     "Em {z} o grupo comprou um concorrente de {o}.",
     "Visite-nos na feira de {o}.",
     "O escritório comercial de {o} funciona de segunda a sexta."),
)  # fmt: skip
TONGUES = (GERMAN, FRENCH, ITALIAN, SPANISH, DUTCH, PORTUGUESE)
ROOTS = ("Velmar", "Tornak", "Brisol", "Kestra", "Ondavik", "Lumeris", "Fardex", "Solvano", "Petrik", "Adelor")
PEOPLE = ("Anna Keller", "Luc Moreau", "Marta Vidal", "Pieter Smit", "Rui Teles", "Carla Bruni", "Jan Wolf")


def pages(tongue: Tongue, half: Half, count: int, seed: int = 7) -> Iterator[Page]:
    """`count` pages. Each field is stated in three of five, and every page has two lures."""
    chance = random.Random(f"{tongue.code}/{half}/{seed}")
    side = 0 if half == "tune" else 1
    seats, years, lures = tongue.seats[side::2], tongue.years[side::2], tongue.lures[side::2]
    for _ in range(count):
        city, country, code = chance.choice(tongue.places)
        other, foreign, _ = chance.choice([place for place in tongue.places if place[0] != city])
        name = f"{chance.choice(ROOTS)} {chance.choice(tongue.forms)}"
        founded = chance.randint(1890, 2016)
        seat = chance.choice(seats) if chance.random() < 0.6 else None
        year = chance.choice(years) if chance.random() < 0.6 else None
        told = [sentence for sentence in (seat, year) if sentence] + chance.sample(lures, 2)
        chance.shuffle(told)
        # An address or a labelled line stands by itself; sentences run on.
        blocks = [sentence for sentence in told if "\n" in sentence or not sentence.endswith(".")]
        running = [chance.choice(tongue.trades), *(sentence for sentence in told if sentence not in blocks)]
        text = "\n\n".join([" ".join(running), *blocks]).format(
            n=name, c=city, l=country, y=founded, o=other, p=foreign, z=chance.randint(1950, 2020),
            q=chance.choice(PEOPLE),
        )  # fmt: skip
        stated = seat is not None and "{l}" in seat
        yield Page(
            tongue.code, name, text, city if seat else None, code if stated else None, code if seat else None,
            founded if year else None,
        )  # fmt: skip
