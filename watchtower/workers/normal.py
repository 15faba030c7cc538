"""What the workers know about values, for people at the command line: normalisers, and their examples."""

from __future__ import annotations

from typing import Any

from watchtower.errors import InputError


def normaliser_kinds() -> dict[str, str]:
    """The kinds there are, and what each is for."""
    from enrichment.normalise import KINDS

    return {name: kind.about for name, kind in KINDS.items()}


def normalised(kind: str, raw: str, region: str) -> dict[str, Any]:
    """raw, value (None where there is none), parts, because. InputError: no such kind, or no such region."""
    from enrichment.normalise import KINDS, normalise
    from enrichment.normalise import country as countries

    if kind not in KINDS:
        raise InputError(f"KIND: {kind!r:.60} is no kind of value", remedy=f"kinds: {', '.join(KINDS)}")
    if region and region.upper() not in countries.known()[1]:
        raise InputError(f"--region: {region!r:.60} is no ISO 3166 code", remedy="write two letters, such as IT")
    found = normalise(kind, raw, region)
    return found.to_json() if found is not None else {"raw": raw, "value": None, "because": "it says nothing"}


def normaliser_examples(kind: str) -> dict[str, list[str]]:
    """Canonical values and raw forms that lead to them."""
    from enrichment.normalise.examples import examples

    return dict(examples(kind).accepted)
