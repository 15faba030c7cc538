"""The settings: from the environment, overridden by name, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from watchtower.errors import InputError
from watchtower.settings import Settings, read_settings, variable_of


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


def test_without_any_variable_the_service_is_local_and_its_database_embedded() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8080, None)
    assert settings.data.is_absolute() and settings.data.name == "watchtower"


def test_variables_are_read_and_an_override_goes_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WATCHTOWER_DATA": "~/here",
        "WATCHTOWER_PORT": "9000",
        "DATABASE_URL": "postgresql://u:p@h/d",
        "WATCHTOWER_LLM_BASE_URL": "http://localhost:11434/v1",
        "WATCHTOWER_LLM_API_KEY": "k",
        "WATCHTOWER_LLM_MODEL": "m",
        "WATCHTOWER_LOG_FORMAT": "json",
    }.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(port=9001)
    assert settings.data == Path.home() / "here"
    assert settings.port == 9001 and settings.log_format == "json"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@h/d"
    assert (settings.llm_base_url, settings.llm_model) == ("http://localhost:11434/v1", "m")
    assert read_settings(database_url=None).database_url is None


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("WATCHTOWER_PORT", "")
    assert read_settings().database_url is None and read_settings().port == 8080


def test_secrets_are_not_shown() -> None:
    shown = repr(read_settings(database_url="postgresql://u:hidden@h/d", llm_api_key="hidden"))
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("WATCHTOWER_PORT", "eighty", "a whole number from 0 to 65535"),
        ("WATCHTOWER_PORT", "70000", "a whole number from 0 to 65535"),
        ("WATCHTOWER_LLM_BASE_URL", "localhost:11434", "an address such as http://"),
        ("WATCHTOWER_LOG_FORMAT", "xml", "console or json"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as refused:
        read_settings()
    assert f"{variable}: '{value}' is not accepted; accepted is {accepted}" in str(refused.value)


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(InputError, match="settings: prot unknown"):
        read_settings(prot=1)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        read_settings().port = 1  # type: ignore[misc]
