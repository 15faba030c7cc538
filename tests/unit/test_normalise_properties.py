"""What holds of every normaliser, whatever the text: no exception, a value that is its own, the raw kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.normalise import KINDS, normalise
from enrichment.normalise.examples import examples
from enrichment.normalise.outcome import LONGEST, tidy

REGIONS = st.sampled_from(["", "US", "DE", "IT", "GB", "JP", "SE", "CA", "xx", "??"])
BITS = [
    "1,234.5", "1.234", "12", "$", "€", "USD", "m", "k", "+49", "(", ")", "-", "–", "/", "@", ".com", "acme",
    "http://", "www.", "GmbH", "& Co. KG", "Inc.", "Ltd", "S.p.A.", "PT", "ООО", "株式会社", "VP", "of", "Sales",
    "Sr.", "Dr.", "jr", "de la", "O'NEIL", "Rossi,", "March", "2026", "02.03.", "IL 62701", "Italy", "CA", "US",
    ",", "\n", "\u200b", "\u0301", "ß", "İ", "ﬁ", "™", "١٢", "xn--", "%", "?", "#", ">", "<", "to", "employees",
    "NAICS", "software", "é", "\ud800", "１２", "+", "e", "'", '"', "ext", "00", "Chief", "Officer", "and", "I",
    "II", "A.", "b.", "½", "²",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(BITS), max_size=8).map(" ".join),
    st.lists(st.sampled_from(BITS), max_size=6).map("".join),
)


@st.composite
def bent(draw: st.DrawFn, kind: str) -> str:
    """A raw form of the examples with one piece of it taken out, doubled or replaced."""
    shown = examples(kind)
    raws = [raw for values in shown.accepted.values() for raw in values] + shown.refused
    raw = draw(st.sampled_from(raws))
    at = draw(st.integers(0, len(raw)))
    end = draw(st.integers(at, min(len(raw), at + 4)))
    return raw[:at] + draw(st.sampled_from(["", " ", raw[at:end] * 2, *BITS])) + raw[end:]


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_makes_a_normaliser_fail_and_a_value_is_its_own(kind: str) -> None:
    @settings(max_examples=250, deadline=None)
    @given(raw=st.one_of(TEXTS, bent(kind)), region=REGIONS)
    def holds(raw: str, region: str) -> None:
        found = normalise(kind, raw, region)
        if found is None:
            return
        assert found.raw == raw
        assert (found.value is None) == bool(found.because)
        if found.value is None:
            assert not found.parts
            return
        again = normalise(kind, found.value, region)
        assert again is not None and again.value == found.value, (found, again)
        assert all(isinstance(part, str) and part for part in found.parts.values())

    holds()


@given(raw=st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_tidying_twice_changes_nothing(raw: str) -> None:
    assert tidy(tidy(raw)) == tidy(raw)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_text_is_refused_at_once(kind: str) -> None:
    for unit in ("1", "a ", "1,", "((", "GmbH ", "a.", "@", "- "):
        found = normalise(kind, unit * 500_000)
        assert found is None or (found.value is None and str(LONGEST) in found.because or "characters" in found.because)


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_text_that_is_read_costs_no_square_of_its_length(kind: str) -> None:
    for unit in ("1", "a ", "1,", "1 1.", "((", "Co ", "a.", "@", "- ", "a-", "of ", "(a", "'a"):
        normalise(kind, (unit * LONGEST)[:LONGEST])


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(KeyError, match="shoe_size"):
        normalise("shoe_size", "42")
