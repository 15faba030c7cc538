"""Nothing is proposed that the document does not say: quotes, offsets and values are checked by code."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from enrichment.grounding import Grounded, Refused, canonical, ground, intact, located, standing
from enrichment.text import compared, covered, sentences, visible
from watchtower.contract import Document, Evidence, FieldSpec

CITY = FieldSpec(name="city", type="text")
COUNTRY = FieldSpec(name="country", type="country")
YEAR = FieldSpec(name="founded_year", type="integer", minimum=1600, maximum=2030)
EMPLOYEES = FieldSpec(name="employees", type="integer", minimum=1)
TEXT = (
    "Acme makes cheese in Parma. It was founded in 1950 and is headquartered in Milan, Italy. "
    "It changed its name in 2004."
)


def document(text: str = TEXT) -> Document:
    return Document(id="d1", kind="description", text=text)


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=40))
def test_a_quote_that_is_not_in_the_text_is_always_refused(text: str, quote: str) -> None:
    alike, asked = (" ".join(compared(visible(one)).text.split()) for one in (text, quote))
    assume(asked not in alike or not asked)
    assert located(quote, document(text)) is None
    assert isinstance(ground(CITY, "Milan", quote, document(text)), Refused)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200), st.data())
def test_offsets_of_a_quote_are_always_exact(text: str, data: st.DataObject) -> None:
    shown = visible(text).text
    start = data.draw(st.integers(0, max(0, len(shown) - 1)))
    end = data.draw(st.integers(start, len(shown)))
    quote = shown[start:end]
    assume(quote.strip())
    found = located(quote, document(text))
    assert found is not None
    assert intact(found, document(text))
    assert visible(found.quote).text.split() == quote.split()


@settings(deadline=None, max_examples=300)
@given(st.text("ab \n\u00a0\u2003", max_size=40), st.lists(st.text("ab", min_size=1, max_size=3), max_size=4))
def test_words_are_found_where_a_pattern_finds_them(text: str, words: list[str]) -> None:
    match = re.search(r"\s+".join(re.escape(word) for word in words), text) if words else None
    assert standing(words, text) == (match.span() if match else None)


def test_a_quote_may_differ_in_blanks_only() -> None:
    text = "It is headquartered\n  in Milan, Italy."
    found = located("is headquartered in Milan", document(text))
    assert found is not None
    assert found.quote == "is headquartered\n  in Milan"
    assert located("is Headquartered in Milan", document(text)) is None


def test_invisible_characters_do_not_move_the_offsets() -> None:
    text = "It is head\u200bquartered in Mi\u00adlan, \U000e0041\U000e0042Italy."
    found = located("headquartered in Milan, Italy", document(text))
    assert found is not None
    assert intact(found, document(text))
    assert text[found.start : found.end] == found.quote


@pytest.mark.parametrize(
    ("spec", "value", "quote"),
    [
        (CITY, "Milan", "is headquartered in Milan, Italy"),
        (COUNTRY, "Italy", "is headquartered in Milan, Italy"),
        (COUNTRY, "IT", "is headquartered in Milan, Italy"),
        (YEAR, 1950, "founded in 1950"),
    ],
)
def test_a_value_that_follows_from_its_quote_is_grounded(spec: FieldSpec, value: object, quote: str) -> None:
    checked = ground(spec, value, quote, document())
    assert isinstance(checked, Grounded)
    assert intact(checked.evidence, document())


@pytest.mark.parametrize(
    ("spec", "value", "quote", "because"),
    [
        (CITY, "Rome", "is headquartered in Milan, Italy", "value_not_in_quote"),
        (CITY, "Mila", "is headquartered in Milan, Italy", "value_not_in_quote"),
        (CITY, "Rome", "is headquartered in Rome, Italy", "quote_not_in_document"),
        (CITY, "Italy", "is headquartered in Milan, Italy", "value_not_in_quote"),
        (CITY, "cheese", "makes cheese in Parma", "value_not_in_quote"),
        (YEAR, 2004, "changed its name in 2004", "value_not_in_quote"),
        (COUNTRY, "France", "is headquartered in Milan, Italy", "value_not_in_quote"),
        (COUNTRY, "Atlantis", "is headquartered in Milan, Italy", "value_not_allowed"),
        (YEAR, 1951, "founded in 1950", "value_not_in_quote"),
        (YEAR, 195, "founded in 1950", "value_not_allowed"),
        (YEAR, True, "founded in 1950", "value_not_allowed"),
        (YEAR, 1950, "", "no_quote"),
        (YEAR, 1950, None, "no_quote"),
        (YEAR, 1950, "   ", "no_quote"),
    ],
)
def test_an_ungrounded_answer_is_refused(spec: FieldSpec, value: object, quote: object, because: str) -> None:
    assert ground(spec, value, quote, document()) == Refused(because)


def test_a_number_follows_in_its_usual_spellings_and_no_other() -> None:
    text = "Acme has 3,200 employees, 13,200 shops and sold 1.5 million cheeses."
    assert isinstance(ground(EMPLOYEES, 3200, "3,200 employees", document(text)), Grounded)
    assert isinstance(ground(EMPLOYEES, 1_500_000, "1.5 million", document(text)), Grounded)
    assert ground(EMPLOYEES, 3200, "13,200 shops", document(text)) == Refused("value_not_in_quote")


def test_a_value_out_of_bounds_or_of_a_type_no_quote_can_prove_is_refused() -> None:
    assert canonical(EMPLOYEES, 0) is None
    assert canonical(FieldSpec(name="tier", type="enum", values=("a", "b")), "c") is None
    assert canonical(FieldSpec(name="ok", type="boolean"), True) is None
    assert canonical(FieldSpec(name="owner", type="ref"), "user/1") is None


def test_evidence_of_another_document_or_other_offsets_is_not_intact() -> None:
    good = Evidence(document="d1", quote="Acme", start=0, end=4)
    assert intact(good, document())
    assert not intact(Evidence(document="d2", quote="Acme", start=0, end=4), document())
    assert not intact(Evidence(document="d1", quote="Acme", start=1, end=5), document())
    assert not intact(Evidence(document="d1", quote="", start=3, end=3), document())


@settings(deadline=None)
@given(st.text(max_size=200))
def test_covering_personal_numbers_keeps_every_offset(text: str) -> None:
    assert len(covered(text)) == len(text)


def test_addresses_and_telephone_numbers_are_covered_and_figures_are_not() -> None:
    text = "Write to ann.lee@acme.example or call +39 02 1234 5678. Sales rose to 3,200,000 in 2021."
    shown = covered(text)
    assert "ann.lee" not in shown and "1234" not in shown
    assert "3,200,000 in 2021" in shown


@settings(deadline=None)
@given(st.text(max_size=300))
def test_sentences_cover_all_that_is_not_blank(text: str) -> None:
    spans = sentences(text)
    kept = "".join(text[a:b] for a, b in spans)
    assert "".join(kept.split()) == "".join(text.split())
    assert all(a < b for a, b in spans)
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))


def test_a_legal_form_does_not_end_a_sentence() -> None:
    text = "Acme Co., Ltd. was founded in 1950. It makes cheese."
    assert [text[a:b] for a, b in sentences(text)] == [
        "Acme Co., Ltd. was founded in 1950.",
        "It makes cheese.",
    ]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Acme’s seat is in Como – Italy.", "Acme's seat is in Como - Italy"),
        ("The firm moved to Zu\u0308rich last year.", "moved to Z\u00fcrich"),
        ("The firm moved to Z\u00fcrich last year.", "moved to Zu\u0308rich"),
        ("It is an of\ufb01ce in Parma.", "an office in Parma"),
        ("It sits in Par\u180bma\U0001d159.", "sits in Parma"),
    ],
)
def test_a_quote_is_found_after_unicode_normalisation_and_quotes_the_document_itself(text: str, quote: str) -> None:
    document = Document(id="d", kind="note", text=text)
    found = located(quote, document)
    assert found is not None
    assert intact(found, document)
    assert unicodedata.normalize("NFKC", found.quote)[-1] == unicodedata.normalize("NFKC", quote)[-1]


@given(st.text(max_size=60), st.integers(0, 59), st.integers(1, 60))
def test_any_visible_stretch_of_a_text_is_found_in_it_and_whatever_is_found_is_intact(
    text: str, start: int, length: int
) -> None:
    document = Document(id="d", kind="note", text=text)
    quote = unicodedata.normalize("NFKC", visible(text).text[start : start + length])
    found = located(quote, document)
    assert found is None or intact(found, document)
    if quote.strip() and unicodedata.normalize("NFKC", text) == text:
        assert found is not None


DOMAIN, EMAIL = FieldSpec(name="website", type="domain"), FieldSpec(name="mail", type="email")
PHONE, SIGNED = FieldSpec(name="phone", type="phone"), FieldSpec(name="signed_on", type="date")


@pytest.mark.parametrize(
    ("spec", "value", "quote", "settled"),
    [
        (DOMAIN, "https://www.Acme.com/about", "see https://www.acme.com/about-us.", "acme.com"),
        (EMAIL, "Info@Acme.com", "Mail: <info@acme.com>, or call", "info@acme.com"),
        (PHONE, "+49 (0)30 1234567", "Tel. +49 30 1234567, Berlin", "+49301234567"),
        (PHONE, "030 1234567", "call 030/1234567 today", "030 1234567"),
        (SIGNED, "March 2, 2026", "signed on 2 March 2026 in Rome", "2026-03-02"),
    ],
)
def test_a_value_is_normalised_before_it_is_looked_for_in_its_quote(
    spec: FieldSpec, value: str, quote: str, settled: str
) -> None:
    checked = ground(spec, value, quote, document(f"Some words. {quote} More."))
    assert isinstance(checked, Grounded) and checked.value == settled


@pytest.mark.parametrize(
    ("spec", "value", "quote"),
    [
        (DOMAIN, "acme.com", "see notacme.com or acme.com.evil.io"),
        (EMAIL, "info@acme.com", "xinfo@acme.com"),
        (PHONE, "+49301234567", "Tel. +49 30 12345678"),
        (PHONE, "+999123456", "Tel. +999 123456"),
        (SIGNED, "2026-03-02", "signed on 3 March 2026"),
        (SIGNED, "2026-04-03", "signed on 03/04/2026"),
    ],
)
def test_a_value_that_its_quote_does_not_say_stays_refused(spec: FieldSpec, value: str, quote: str) -> None:
    assert isinstance(ground(spec, value, quote, document(f"Some words. {quote} More.")), Refused)
