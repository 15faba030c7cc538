"""Live changes over a real socket: within a second, from where one left off, and the server still ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
from api_scene import NOW, Scene, add_event
from test_server import serving


def said(lines: Iterator[str]) -> tuple[str, dict[str, object]]:
    """The next event's type and data."""
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return kind, json.loads(line.removeprefix("data: "))
    raise AssertionError("the feed ended")


def decide(scene: Scene, number: int, kind: str = "alert.opened") -> None:
    with scene.database.begin() as conn:
        data = {"alert": f"a{number}", "rule": "mql_uncontacted"}
        add_event(conn, number, "lead", "L-1", type=kind, layer="decision", source="watchtower", time=NOW, data=data)


def test_a_decision_is_told_at_once_and_facts_are_not(scene: Scene) -> None:
    with serving(scene) as url, httpx.stream("GET", f"{url}/changes", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        time.sleep(0.3)
        with scene.database.begin() as conn:
            add_event(conn, 90, "lead", "L-1")
        decide(scene, 91)
        kind, data = said(lines)
        assert (kind, data["alert"], data["record"], data["actor"]) == ("alert.opened", "a91", "lead/L-1", None)


def test_who_comes_back_is_told_what_it_missed(scene: Scene) -> None:
    decide(scene, 92)
    decide(scene, 93, "alert.resolved")
    with serving(scene) as url:
        headers = {"last-event-id": "5"}
        with httpx.stream("GET", f"{url}/changes", timeout=10, headers=headers) as answer:
            lines = answer.iter_lines()
            assert said(lines)[1]["alert"] == "a93"
