"""What every part of a rulebook is made of: frozen models without unknown keys, names, texts and examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from watchtower.contract import parse_time

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,120}$")]
Text = Annotated[str, Field(max_length=4000)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Texts = Annotated[list[Annotated[str, BeforeValidator(_as_text)]], BeforeValidator(_as_list)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Example(Part):
    """A record that hits the rule, or misses it, at a time."""

    hit: dict[str, Any] | None = None
    miss: dict[str, Any] | None = None
    at: str
    why: Text = ""

    @model_validator(mode="after")
    def _one(self) -> Example:
        if (self.hit is None) == (self.miss is None):
            raise ValueError("an example is either a hit or a miss")
        parse_time(self.at)
        return self
