"""`watchtower config`: what a process would run with, and what is wrong with it, without starting anything."""

from __future__ import annotations

import json

import pytest
from command_line import inside

from watchtower.settings import ACCEPTED, Settings, variable_of
from watchtower.surroundings import described, strangers


def test_every_setting_says_what_it_does_and_what_it_accepts() -> None:
    found = {one.variable: one for one in described({})}
    for name in Settings.model_fields:
        one = found[variable_of(name)]
        assert len(one.what) > 10, f"{name} has no docstring"
        assert one.origin == "default" and one.value == one.default and not one.fault
    free = {"llm_api_version", "llm_region", "llm_model", "llm_fallback_model", "llm_api_key", "master_key"}
    assert set(Settings.model_fields) - set(ACCEPTED) <= free


def test_a_value_comes_from_the_environment_and_a_secret_shows_as_stars() -> None:
    given = {
        "DATABASE_URL": "postgresql://u:hidden@h/d", "WATCHTOWER_LLM_API_KEY": "hidden",
        "WATCHTOWER_MCP_KEY": "wt_hidden", "WATCHTOWER_PORT": "9000", "WATCHTOWER_HOST": "",
    }  # fmt: skip
    found = {one.variable: one for one in described(given)}
    assert (found["WATCHTOWER_PORT"].value, found["WATCHTOWER_PORT"].origin) == ("9000", "environment")
    assert found["WATCHTOWER_HOST"].origin == "default", "an empty variable is as good as none"
    assert found["DATABASE_URL"].value == "***" and found["DATABASE_URL"].origin == "environment"
    assert "hidden" not in json.dumps([one.to_json() for one in found.values()])


def test_each_wrong_value_is_named_at_once() -> None:
    given = {"WATCHTOWER_PORT": "eighty", "WATCHTOWER_LOG_FORMAT": "xml", "WATCHTOWER_METRICS_PORT": "0"}
    assert [one.variable for one in described(given) if one.fault] == [
        "WATCHTOWER_PORT", "WATCHTOWER_LOG_FORMAT", "WATCHTOWER_METRICS_PORT",
    ]  # fmt: skip


def test_a_misspelt_variable_is_pointed_at() -> None:
    given = {"WATCHTOWER_LLM_BASEURL": "x", "watchtower_port": "1", "WATCHTOWER_ZZZZ": "1", "WATCHTOWER_PORT": "1"}
    assert strangers(given) == [
        ("WATCHTOWER_LLM_BASEURL", "WATCHTOWER_LLM_BASE_URL"),
        ("WATCHTOWER_ZZZZ", ""),
        ("watchtower_port", "WATCHTOWER_PORT"),
    ]


def test_the_command_exits_1_over_a_wrong_value_or_a_misspelt_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)
    code, out, _ = inside(capsys, "config", "--json")
    assert code == 0 and {one["from"] for one in json.loads(out)["settings"]} == {"default"}
    monkeypatch.setenv("WATCHTOWER_PORT", "eighty")
    monkeypatch.setenv("WATCHTOWER_REQUESTS_PER_MINTE", "5")
    code, out, err = inside(capsys, "config")
    assert code == 1 and "WATCHTOWER_PORT" in out
    assert "WATCHTOWER_PORT: eighty is not accepted; accepted is a whole number from 0 to 65535" in err
    assert "is WATCHTOWER_REQUESTS_PER_MINUTE meant?" in err
