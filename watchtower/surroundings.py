"""What the environment says, setting by setting: for a person who asks what a process would run with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from watchtower.settings import ACCEPTED, PREFIX, SECRET, TRACES, Settings, variable_of

STARS = "***"
OTHERS = {
    "WATCHTOWER_TRACEBACK": "Set to 1: a fault of watchtower itself shows where it comes from.",
    "WATCHTOWER_MCP_KEY": "The key under which `watchtower mcp` acts: of role viewer to read, worker to propose.",
    TRACES[0]: "Where traces go: the OTLP/HTTP address of a collector, http://collector:4318. Unset: nowhere.",
}
"""Variables that are read where they are needed, and are no settings."""
_HIDDEN = {"WATCHTOWER_MCP_KEY", "WATCHTOWER_LOCAL_KEY"}


@dataclass(frozen=True)
class Described:
    """One variable. `origin` is environment or default; `fault`: its value is not accepted."""

    variable: str
    value: str
    origin: str
    default: str
    what: str
    accepted: str
    fault: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "variable": self.variable, "value": self.value, "from": self.origin, "default": self.default,
            "what": self.what, "accepted": self.accepted, "ok": not self.fault,
        }  # fmt: skip


def described(environ: Mapping[str, str] | None = None) -> list[Described]:
    """Every setting in its order, then the other variables that are read. A secret shows as stars."""
    given = os.environ if environ is None else environ
    wrong = _wrong(given)
    found = []
    for name, field in Settings.model_fields.items():
        variable = variable_of(name)
        raw = given.get(variable) or (given.get("WATCHTOWER_DATABASE_URL") if name == "database_url" else None)
        default = _default(field)
        value = default if not raw else STARS if name in SECRET else raw
        what = " ".join((field.description or "").split())
        found.append(
            Described(
                variable, value, "environment" if raw else "default", default, what,
                ACCEPTED.get(name, "text"), fault=name in wrong,
            )
        )  # fmt: skip
    for variable, what in OTHERS.items():
        raw = given.get(variable)
        value = (STARS if variable in _HIDDEN else raw) if raw else "none"
        found.append(Described(variable, value, "environment" if raw else "default", "none", what, "text"))
    return found


def strangers(environ: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """(variable, the one that is meant, or nothing) for each WATCHTOWER_ variable that nothing of ours reads."""
    given = os.environ if environ is None else environ
    ours = {variable_of(name) for name in Settings.model_fields} | set(OTHERS) | _HIDDEN | {"WATCHTOWER_DATABASE_URL"}
    unknown = sorted(name for name in given if name.upper().startswith(PREFIX) and name not in ours)
    return [(name, next(iter(get_close_matches(name.upper(), sorted(ours), n=1, cutoff=0.75)), "")) for name in unknown]


def _wrong(given: Mapping[str, str]) -> frozenset[str]:
    """The settings whose values are not accepted, each tried by itself."""
    wrong = set()
    for name in Settings.model_fields:
        raw = given.get(variable_of(name))
        if raw:
            try:
                Settings.model_validate({name: raw})
            except ValidationError as error:
                places = {str(part).upper() for fault in error.errors() for part in fault["loc"][:1]}
                if places & {name.upper(), variable_of(name)}:
                    wrong.add(name)
    return frozenset(wrong)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr):
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value) or "none"
