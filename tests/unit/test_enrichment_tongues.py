"""Seat, founding year and headcount in six languages: what is stated is read, what might be another's is not."""

from __future__ import annotations

import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.company_pages import TONGUES, pages
from enrichment import build_worker
from enrichment.tongues import country_called, founded, other_than_english, seated, staff
from watchtower.contract import Document, FieldRequest, FieldSpec, RecordSnapshot

FIELDS = (
    FieldSpec(name="city", type="text"),
    FieldSpec(name="country", type="country"),
    FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030),
    FieldSpec(name="employees", type="integer", minimum=1),
)


def read(text: str, name: str) -> dict[str, object]:
    """What the whole worker proposes, checks and all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    document = Document(id="d", kind="description", text=text)
    record = RecordSnapshot(object="account", id="A", fields={"name": name})
    asked = FieldRequest(id="r", record=record, fields=FIELDS, documents=(document,))
    found = {one.field: one for one in build_worker().propose([asked])}
    assert all(one.evidence[0].quote in text and one.confidence < 0.9 for one in found.values())
    return {field: one.value for field, one in found.items()}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("Lindwurm", "Lindwurm wurde im März 1952 gegründet. Hauptsitz: Kassel, Deutschland.", (1952, "Kassel", "DE")),
        ("Brévent", "Fondée en 1961, l'entreprise Brévent a son siège à Annecy, en France.", (1961, "Annecy", "FR")),
        ("Alboraya", "Alboraya, fundada en 1974, tiene su sede en Valencia (España).", (1974, "Valencia", "ES")),
        ("Trebbia", "Trebbia S.r.l. è fondata nel 1948, con sede a Piacenza, in Italia.", (1948, "Piacenza", "IT")),
        ("Mondego", "A Mondego foi fundada em 1966 e tem sede em Coimbra, Portugal.", (1966, "Coimbra", "PT")),
        ("Polderzicht", "Polderzicht is opgericht in 1958 en gevestigd in Gouda, Nederland.", (1958, "Gouda", "NL")),
    ],
)  # fmt: skip
def test_year_city_and_country_are_read_in_six_languages(name: str, text: str, said: tuple[int, str, str]) -> None:
    found = read(text, name)
    assert (found["founded_year"], found["city"], found["country"]) == said


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Das Unternehmen beschäftigt rund 1.450 Mitarbeiterinnen und Mitarbeiter.", 1450),
        ("L'entreprise emploie 2 310 salariés.", 2310),
        ("La empresa cuenta con 58 empleados.", 58),
        ("L'azienda occupa 2.310 dipendenti.", 2310),
        ("A empresa emprega 910 pessoas.", 910),
        ("Er werken 77 mensen.", 77),
    ],
)
def test_a_number_of_people_is_read_with_its_marks_of_thousands(text: str, number: int) -> None:
    assert read(text, "")["employees"] == number


@pytest.mark.parametrize(
    "text",
    [
        "Acme kaufte 2012 die Weber GmbH, gegründet 1911, mit Sitz in Köln.",
        "Acme ist eine Tochter eines Konzerns mit Sitz in Zürich, der 40000 Mitarbeiter hat.",
        "Acme avait son siège à Lyon, en France, jusqu'en 2010.",
        "Acme employait 400 personnes.",
        "Acme tendrá su sede en Bilbao, España.",
        "Acme non è stata fondata nel 1990.",
        "Acme é cliente de uma empresa com sede em Lisboa, Portugal.",
        "Acme wil een hoofdkantoor in Rotterdam openen.",
        "Acme beschäftigt über 500 Mitarbeiter.",
        "Acme wurde 1990 gegründet. Acme wurde 1995 gegründet.",
        "Acme est basée à Lyon. Acme est basée à Nantes.",
    ],
)
def test_what_is_anothers_past_denied_bounded_or_contradicted_is_not_read(text: str) -> None:
    assert (founded(text, 2100, ["Acme"]), staff(text, ["Acme"]), seated(text, ["Acme"])) == (None, None, None)
    assert read(text, "Acme") == {}


@pytest.mark.parametrize(
    ("text", "seat"),
    [
        ("Impressum\nAcme GmbH\nHafenstraße 7\nD-24103 Kiel\nDeutschland", ("Kiel", "DE")),
        ("Contact\nAcme GmbH\nKerkstraat 9\n1017 GA Amsterdam\nNederland", ("Amsterdam", "NL")),
        ("Acme GmbH\nSiège social : 5 bis, rue Neuve, 33000 Bordeaux, France", ("Bordeaux", "FR")),
        ("Acme GmbH\nSede legale: Via Roma 12, 37121 Verona (VR), Italia", ("Verona", "IT")),
        ("Acme GmbH\nDomicilio social: Calle Mayor 3, 28013 Madrid, España", ("Madrid", "ES")),
        ("Acme GmbH mit Hauptsitz in Kassel beliefert Kunden in aller Welt.", ("Kassel", None)),
        ("Basée à Rouen, Acme GmbH travaille avec ses partenaires.", ("Rouen", None)),
        ("Com sede em Évora, trabalhamos com clientes de todo o país.", ("Évora", None)),
        ("Das Unternehmen ist in Rostock ansässig.", ("Rostock", None)),
        (
            "De maatschappelijke zetel van het bedrijf: Brugge. De maatschappelijke zetel ligt in Brugge.",
            ("Brugge", None),
        ),
    ],
)
def test_a_seat_is_read_from_an_imprint_and_from_a_sentence_whose_subject_is_the_company(
    text: str, seat: tuple[str, str | None]
) -> None:
    told = seated(text, ["Acme GmbH"])
    assert told is not None and (told.city, told.country) == seat


@pytest.mark.parametrize(
    "text",
    [
        "Impressum\nWeber KG\nHafenstraße 7\n24103 Kiel\nDeutschland",
        "Niederlassung Nord\nAcme GmbH\nHafenstraße 7\n24103 Kiel",
        "Acme GmbH\nHafenstraße 7\n24103 Kiel\n\nAcme GmbH\nKerkstraat 9\n1017 GA Amsterdam",
        "Unser Kunde mit Hauptsitz in Kassel lobt Acme GmbH.",
        "Basée à Rouen, la société Weber est cliente d'Acme GmbH.",
        "Com sede em Évora, o nosso cliente Weber trabalha com Acme GmbH.",
    ],
)
def test_an_address_of_another_of_a_branch_or_one_of_two_is_no_seat(text: str) -> None:
    assert seated(text, ["Acme GmbH"]) is None


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("Seit der Gründung im Jahr 1961 ist die Firma in Familienhand.", 1961),
        ("Sinds de oprichting in 1983 is het bedrijf zelfstandig.", 1983),
        ("Desde su creación en 1979, la empresa crece.", 1979),
        ("Desde a sua fundação em 1979, a empresa cresce.", 1979),
    ],
)
def test_a_year_is_read_from_the_noun_of_founding(text: str, year: int) -> None:
    assert read(text, "Acme")["founded_year"] == year


def test_the_halves_of_the_language_benchmark_share_no_sentence_and_lures_state_nothing() -> None:
    for tongue in TONGUES:
        for sentences in (tongue.seats, tongue.years):
            assert not set(sentences[0::2]) & set(sentences[1::2])
        assert len(list(pages(tongue, "tune", 60))) == 60
        drawn = list(pages(tongue, "held-out", 60))
        assert any(page.city is None for page in drawn) and any(page.city for page in drawn)
        for page in drawn:
            assert page.city is None or page.city in page.text
            assert page.founded_year is None or str(page.founded_year) in page.text


def test_a_sentence_about_somebody_else_alone_is_not_the_companys() -> None:
    assert founded("Weber Druck wurde 1911 gegründet.", 2100, ["Acme"]) is None
    assert founded("Weber Druck wurde 1911 gegründet.", 2100, ["Weber Druck"]) is not None


def test_a_country_is_known_by_its_name_in_these_languages_and_a_clashing_name_is_not() -> None:
    assert [country_called(n) for n in ("Allemagne", "Suiza", "Países Baixos", "Oostenrijk", "EE.UU.")] == [
        "DE", "CH", "NL", "AT", "US",
    ]  # fmt: skip
    assert country_called("Georgia") in (None, "GE")


def test_english_is_told_from_the_others() -> None:
    assert not other_than_english("The company is headquartered in Munich and makes pumps for the food industry.")
    assert other_than_english("Das Unternehmen mit Sitz in München baut Pumpen für die Industrie.")


@given(st.text(max_size=400))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    for found in (founded(text, 2100), staff(text), seated(text)):
        assert found is None or text[found.start : found.end]
