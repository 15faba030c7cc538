"""What the surroundings say: read once, frozen, passed on by the composition root.

Each setting is an environment variable named WATCHTOWER_ and the setting's name in capitals; the database's
address is DATABASE_URL, as everywhere else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from watchtower.errors import InputError

PREFIX = "WATCHTOWER_"
TRACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables: where traces go."""


def _default_data() -> Path:
    return user_data_path("watchtower", appauthor=False)


class Settings(BaseSettings):
    """Frozen. Secrets show as stars wherever the value is printed or logged."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    data: Path = Field(default_factory=_default_data)
    """The folder that holds everything of this tower: the embedded database, locks, snapshots."""
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "WATCHTOWER_DATABASE_URL")
    )
    """The core's database. None: the embedded PostgreSQL in `data`."""
    jobs_url: SecretStr | None = None
    """The jobs database. None: on the core's server, named after the core's database with `_jobs` behind."""
    master_key: SecretStr | None = None
    """The key of the keys of personal data: 32 bytes in base64. None: the file master.key in `data`."""
    host: str = "127.0.0.1"
    """The address that `up` and `serve` listen on. One that other machines reach asks for a key first."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port that they listen on; 0: any free one."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/@]+[^\s@]*$")
    """Where people reach the review pages: notifications link there. None: they bear no links."""
    requests_per_minute: int = Field(default=6_000, ge=0)
    """Requests that each key, or each address without one, may send in a minute; 0: any number."""
    llm_base_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    """An endpoint that speaks as OpenAI's does, with /v1 at its end. None: the embedded model, where it was pulled."""
    llm_api_key: SecretStr | None = None
    """The key of that endpoint."""
    llm_model: str | None = None
    """The model that it is asked for."""
    llm_provider: Literal["openai", "azure", "local"] = "openai"
    """openai: that of OpenAI, or any endpoint that speaks as it does. local: the same, for an endpoint that may be told
    what must not leave. azure: llm_base_url is the resource's address, llm_model the deployment's name."""
    llm_api_version: str = "2024-10-21"
    """The version of the interface, for azure."""
    llm_region: str = ""
    """Where the endpoint stands, as the rulebook's `enrichment.leaving` names it."""
    llm_fallback_model: str | None = None
    """Asked at the same endpoint where llm_model cannot be had."""
    llm_slots: int = Field(default=4, ge=1, le=256)
    """Calls at once of one worker process. The embedded model answers one at a time."""
    llm_requests_per_minute: int = Field(default=0, ge=0)
    """Calls that the provider allows one worker process in a minute; 0: no limit."""
    llm_tokens_per_minute: int = Field(default=0, ge=0)
    """Tokens that the provider allows one worker process in a minute; 0: no limit."""
    llm_calls_per_day: int = Field(default=50_000, ge=0)
    """Calls to language models that all workers of this tower may make in a day (UTC), in all."""
    gguf: Path | None = None
    """A model file of one's own, instead of a downloaded one."""
    models: Path = Field(default_factory=lambda: user_cache_path("watchtower", appauthor=False) / "models")
    """Downloaded models; shared by all data folders of one user."""
    spark_master: str = "local[*]"
    """Where `--engine spark` runs: this machine's cores, or a cluster's master."""
    log_format: Literal["console", "json"] = "console"
    """console for people, json for machines: one object a line."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where a process tells Prometheus what it counts, without a key: for `worker` and `deliver`, which serve nothing
    else. None: nowhere; `up` and `serve` have GET /metrics."""
    metrics_host: str = "127.0.0.1"
    """The address for metrics_port."""
    trace_content: bool = False
    """Whether traces (see OTEL_EXPORTER_OTLP_ENDPOINT) bear what language models were asked and said. Documents may
    tell of people: leave it off but for a look."""

    @field_validator("data", "models", "gguf")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # A relative folder would move with the working directory of whoever starts the next command.
        return None if path is None else path.expanduser().absolute()


ACCEPTED = {
    "data": "a folder",
    "database_url": "postgresql://USER:PASSWORD@HOST:PORT/NAME",
    "jobs_url": "postgresql://USER:PASSWORD@HOST:PORT/NAME",
    "llm_calls_per_day": "a whole number, 0 or more",
    "llm_requests_per_minute": "a whole number, 0 or more (0: no limit)",
    "llm_tokens_per_minute": "a whole number, 0 or more (0: no limit)",
    "llm_slots": "a whole number from 1 to 256",
    "public_url": "an address such as https://watchtower.example.com",
    "requests_per_minute": "a whole number, 0 or more",
    "llm_provider": "openai, azure or local",
    "host": "an address or host name",
    "port": "a whole number from 0 to 65535",
    "llm_base_url": "an address such as http://localhost:11434/v1",
    "gguf": "a file",
    "models": "a folder",
    "spark_master": "local[*], or a cluster's master",
    "log_format": "console or json",
    "metrics_port": "a whole number from 1 to 65535",
    "metrics_host": "an address or host name",
    "trace_content": "true or false",
}
SECRET = frozenset({"database_url", "jobs_url", "llm_api_key", "master_key"})


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process; an override (by the setting's name) goes before the environment.

    InputError names the variable, its value (stars for a secret) and what is accepted.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise InputError(
            f"settings: {', '.join(unknown)} unknown",
            remedy=f"Accepted are {', '.join(Settings.model_fields)}.",
        )
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            name = str(fault["loc"][0]) if fault["loc"] else "settings"
            setting = "database_url" if name.upper().endswith("DATABASE_URL") else name.removeprefix(PREFIX).lower()
            variable = variable_of(setting)
            value = "***" if setting in SECRET else repr(fault.get("input"))
            lines.append(f"{variable}: {value} is not accepted; accepted is {ACCEPTED.get(setting, fault['msg'])}")
        raise InputError("\n".join(lines), remedy="Set or unset the variable and start again.") from None


def tracing_wanted() -> bool:
    """Whether the environment names a receiver of traces."""
    return any(os.environ.get(name) for name in TRACES)


def read_secret(variable: str) -> str | None:
    """A secret that the rulebook names by its environment variable; None where it is not set."""
    return os.environ.get(variable) or None


def variable_of(setting: str) -> str:
    """The environment variable that sets it: `port` is WATCHTOWER_PORT."""
    return "DATABASE_URL" if setting == "database_url" else PREFIX + setting.upper()
