"""The usage plot: zoomed by mouse and by buttons, and there without scripts, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_scene import NOW, add_event
from sqlalchemy import insert

from watchtower.contract import format_time
from watchtower.store import schema
from watchtower.store.database import Database

pytestmark = pytest.mark.browser

DAYS = 200
PAGE = "/review/account/A-1"


@pytest.fixture
def used(furnished: Callable[..., Database]) -> Database:
    """An account that used something every day, less of late, as a detector says."""
    database = furnished()
    with database.begin() as conn:
        for ago in range(DAYS):
            data = {"metric": "logins", "value": 3 if ago < 60 else 30}
            at = NOW - timedelta(days=ago)
            add_event(conn, 1000 + ago, "account", "A-1", type="usage.recorded", source="p", data=data, time=at)
        found = {"began_at": format_time(NOW - timedelta(days=60)), "explanation": "It fell."}
        row = {"id": "s9", "name": "falling", "object": "account", "record": "A-1", "raised_at": NOW, "data": found}
        conn.execute(insert(schema.signal).values(row))
    return database


def shown(page: Any) -> float:
    """How many days the plot shows."""
    first, last = map(int, page.locator("figure.zoom").get_attribute("data-shown").split(","))
    return (last - first) / 86_400


def test_a_plot_is_zoomed_by_dragging_and_by_its_buttons(chromium: Any, address: str, used: Database) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 2000})
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto(address + PAGE)
    page.wait_for_selector(".drawing canvas")
    assert shown(page) == DAYS - 1
    page.get_by_role("button", name="logins: 30 days").focus()
    page.keyboard.press("Enter")
    assert shown(page) == 30
    page.get_by_role("button", name="logins: All").click()
    box = page.locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    page.mouse.up()
    assert 0.45 * DAYS < shown(page) < 0.55 * DAYS
    page.mouse.dblclick(box["x"] + box["width"] / 2, middle)
    page.wait_for_function(f"document.querySelector('figure.zoom').dataset.shown.split(',').every(Number) && {DAYS}")
    assert faults == [], "the policy lets all of it in"
    page.close()


def test_without_scripts_the_picture_and_the_numbers_are_there(chromium: Any, address: str, used: Database) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + PAGE)
    picture = page.get_by_role("img", name="logins from")
    assert picture.is_visible()
    told = picture.get_attribute("aria-label")
    assert told.startswith("logins from 23 Aug 2025 to 10 Mar 2026: usually 30.0, of late 3.0; falling says")
    page.get_by_text("The numbers").click()
    assert page.locator("details tbody tr").count() == 60
    context.close()
