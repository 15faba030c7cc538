"""Telephone numbers as E.164, by the numbering plans that phonenumbers ships (ITU-T E.164, E.123).

A number without a country code is read in the region given; without one it is refused, not guessed.
"""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType, ValidationResult

from enrichment.normalise.outcome import Normalised, accepted, readable, refused

LABEL = re.compile(r"^\s*(?:tel(?:ephone|efon|\.)?|phone|ph|mob(?:ile|il)?|cell|fax|t|m|p)\s*[.:]\s*", re.I)
ABROAD = re.compile(r"^\s*\(?00\)?\s*(?=[1-9])")
SEVERAL = re.compile(r"\s(?:/|;|\||or|oder)\s", re.I)
ALLOWED = re.compile(r"[+\d\s().,/\-–;=:#a-z]+", re.I)
WRONG = {
    ValidationResult.TOO_SHORT: "too few digits",
    ValidationResult.TOO_LONG: "too many digits",
    ValidationResult.INVALID_LENGTH: "its country has no numbers of that length",
    ValidationResult.INVALID_COUNTRY_CODE: "no country has that code",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
}
KINDS = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.TOLL_FREE: "toll free",
    PhoneNumberType.VOIP: "voip",
}


def normalise(raw: str, region: str = "") -> Normalised | None:
    """`+493012345678`. Parts: country (ISO 3166), extension, kind (mobile, fixed, ... where the plan tells)."""
    text = readable(raw)
    if not isinstance(text, str):
        return text
    text = LABEL.sub("", text)
    if SEVERAL.search(text):
        return refused(raw, "more than one number")
    if not ALLOWED.fullmatch(text):
        return refused(raw, "no telephone number")
    text = ABROAD.sub("+", text)
    if not text.startswith(("+", "tel:", "(+")) and not region:
        return refused(raw, "no country code; write it with + or name the region")
    try:
        number = phonenumbers.parse(text.removeprefix("("), region.upper() or None)
    except NumberParseException as error:
        return refused(raw, str(error).partition(") ")[2].rstrip(".") or "no telephone number")
    country = phonenumbers.region_code_for_number(number)
    if country is None or not phonenumbers.is_valid_number_for_region(number, country):
        wrong = WRONG.get(phonenumbers.is_possible_number_with_reason(number), "no such number is assigned")
        return refused(raw, wrong)
    value = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    kind = KINDS.get(phonenumbers.number_type(number), "")
    return accepted(raw, value, country=country, extension=number.extension or "", kind=kind)
