"""Signing in with a key in a real browser: what it sends with its forms is enough, and its name is the key's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from api_scene import Scene
from sqlalchemy import text

from watchtower.api.server import serve
from watchtower.store.database import Database

pytestmark = pytest.mark.browser


def test_a_key_opens_the_pages_and_what_is_done_there_bears_its_name(
    chromium: Any, furnished: Callable[..., Database]
) -> None:
    scene = Scene(furnished())
    _, key = scene.door.add("operator", "Ann Lee", by="test")
    stop, known, found = threading.Event(), threading.Event(), list[str]()

    def ready(url: str) -> None:
        found.append(url)
        known.set()

    thread = threading.Thread(target=serve, args=(scene, "127.0.0.1", 0), kwargs={"ready": ready, "stop": stop})
    thread.start()
    try:
        assert known.wait(30)
        page = chromium.new_page()
        page.goto(f"{found[0]}/review/alerts/a0001")
        assert "/login?next=" in page.url
        page.get_by_label("Your key").fill("wt_wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/review/alerts/a0001")

        page.goto(found[0])
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.locator("#notice:not(:empty), .row.done").first.wait_for(state="attached")
        page.goto(f"{found[0]}/review/alerts/a0001")
        assert "Ann Lee" in page.inner_text("main")
        with scene.database.read() as conn:
            done = conn.execute(text("select actor, verb from action where verb <> 'opened'")).all()
        assert [tuple(row) for row in done] == [("Ann Lee", "acknowledge")]

        page.get_by_text("Ann Lee").first.click()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")
        page.goto(found[0])
        assert "/login" in page.url
        page.close()
    finally:
        stop.set()
        thread.join(30)
