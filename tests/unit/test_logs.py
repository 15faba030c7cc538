"""Logs: one JSON object a line, from whoever speaks; what opens something shows as stars."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from watchtower.logs import configure

SECRETS = (
    "postgresql://tower:hunter2hunter2@db/watchtower",
    "wt_" + "A1b2" * 8,
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "sk-" + "abcd1234" * 4,
    "Authorization: Bearer abcdefghijklmnop",
    "postgresql://db/x?user=a&password=hunter2hunter2",
)


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = [one for one in logging.getLogger().handlers if type(one).__name__ != "_ToStderr"]


def test_every_line_is_an_object_whoever_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", verbose=True)
    with structlog.contextvars.bound_contextvars(request="r-1"):
        structlog.get_logger("ours").info("decided", rule="mql_uncontacted")
        logging.getLogger("sqlalchemy.pool").warning("a connection of %s was lost", "db")
    configure("json", verbose=True)
    logging.getLogger("theirs").warning("once")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["decided", "a connection of db was lost", "once"]
    assert lines[0]["rule"] == "mql_uncontacted" and lines[0]["level"] == "info"
    assert [line.get("request") for line in lines] == ["r-1", "r-1", None]
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_opens_something_shows_as_stars(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(form, verbose=True)
    for secret in SECRETS:
        structlog.get_logger("ours").info(f"at {secret}", because=secret, deep={"in": [secret]})
        logging.getLogger("theirs").error("at %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            structlog.get_logger("ours").error("failed", exc_info=True)
    said = capsys.readouterr().err
    for secret in ("hunter2hunter2", "A1b2A1b2", "MfKQ9r8GKY", "abcd1234abcd", "abcdefghijklmnop"):
        assert secret not in said, secret
    assert said.count("***") >= 5 * len(SECRETS)
