"""Credentials of connected systems, from the environment."""

from __future__ import annotations

from watchtower.rulebook.kinds import Kind, variable
from watchtower.settings import read_secret


def read_credentials(system: str, kind: Kind) -> dict[str, str] | None:
    """A connected system's credentials and address, by the ends of their variables' names; None where some lack."""
    ends = {end for several in kind.needs for end in several} | set(kind.may)
    found = {end: value for end in sorted(ends) if (value := read_secret(variable(system, end)))}
    whole = not kind.needs or any(all(end in found for end in several) for several in kind.needs)
    return found if whole else None


def lacking(system: str, kind: Kind) -> str:
    """What to set for a system's credentials, in words: `WATCHTOWER_CRM_TOKEN`, or one set of several."""
    return ", or ".join(" and ".join(variable(system, end) for end in several) for several in kind.needs)
