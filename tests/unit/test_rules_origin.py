"""Whose word counts alone: a record's own domain and our own people, and no look-alike of them."""

from __future__ import annotations

import pytest

from watchtower.contract import Document, Evidence, Proposal
from watchtower.rulebook import Acceptance
from watchtower.rulebook.model import FieldModel
from watchtower.rules.acceptance import Decision, decide
from watchtower.rules.origin import Origin, origin

OWN = ["Acme.example"]


def of(url: str, kind: str = "web", domains: list[str] = OWN) -> Origin:
    return origin(Document(id="d", kind=kind, text="x", url=url), domains)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.example/about", "http://www.acme.example", "https://jobs.acme.example:8443/a?b#c",
        "HTTPS://ACME.EXAMPLE./", "mailto:ann@acme.example", " https://acme.example ",
    ],
)  # fmt: skip
def test_a_page_under_the_records_own_domain_counts_alone(url: str) -> None:
    assert of(url) == Origin("acme.example", own=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://notacme.example/", "https://acme.example.attacker.test/", "https://acme.example@attacker.test/",
        "https://attacker.test/https://acme.example", "https://attacker.test#acme.example", "//acme.example/",
        "https://аcme.example/", "ftp://acme.example/", "javascript:acme.example", "acme.example", "https://[::1",
        "mailto:acme.example", "https://attacker.test\\@acme.example/", "file://acme.example/etc",
        "mailto:ann@acme.example@attacker.test",
    ],
)  # fmt: skip
def test_an_address_that_only_looks_like_it_does_not(url: str) -> None:
    assert not of(url).own


def test_what_our_own_people_wrote_counts_alone_and_a_mail_without_an_address_does_not() -> None:
    assert of("", "description").own and of("", "note").own and of("", "call").own
    assert not of("", "email").own and not of("", "web").own


def test_a_domain_without_a_dot_owns_nothing() -> None:
    assert not of("https://acme.example/", domains=["example"]).own
    assert not of("https://acme.example/", domains=[""]).own


CHIEF = FieldModel(type="text")
TEXTS = {"a": "Acme is led by Ann.", "b": "The head of Acme is Ann.", "c": "Ann sings."}


def judged(origins: dict[str, Origin], *documents: str) -> Decision:
    """Ann is proposed with the whole text of each document as its quote."""
    evidence = tuple(Evidence(document=d, quote=TEXTS[d], start=0, end=len(TEXTS[d])) for d in documents)
    return decide(
        Proposal(request="r", field="chief", value="Ann", confidence=1.0, evidence=evidence, method="model"),
        key="account.chief", field=CHIEF, acceptance=Acceptance(), asked=frozenset({"chief"}), documents=TEXTS,
        origins=origins, held=None, held_by="",
    )  # fmt: skip


def test_one_foreign_source_goes_to_a_person_and_the_reason_names_it() -> None:
    found = judged({"a": Origin("attacker.test", own=False)}, "a")
    assert found.status == "review" and "attacker.test" in found.because


def test_two_pages_of_one_party_are_one_source() -> None:
    one, other = of("https://a.attacker.test/"), of("https://b.attacker.test/")
    assert judged({"a": one, "b": other}, "a", "b").status == "review"


def test_two_independent_sources_are_enough() -> None:
    assert judged({"a": of("https://one.test"), "b": of("https://two.test")}, "a", "b").status == "accepted"


def test_an_own_page_that_does_not_say_it_lends_nothing_to_a_foreign_one() -> None:
    texts = dict(TEXTS, c="Acme makes cheese.")
    evidence = tuple(Evidence(document=d, quote=texts[d], start=0, end=len(texts[d])) for d in ("a", "c"))
    found = decide(
        Proposal(request="r", field="chief", value="Ann", confidence=1.0, evidence=evidence, method="model"),
        key="account.chief", field=CHIEF, acceptance=Acceptance(), asked=frozenset({"chief"}), documents=texts,
        origins={"a": of("https://attacker.test"), "c": of("https://acme.example")}, held=None, held_by="",
    )  # fmt: skip
    assert found.status == "review"
