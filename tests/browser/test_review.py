"""A review in a real browser: keys, without scripts, on a phone, in the dark, and when something fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from api_scene import Scene, add_alert

from watchtower.store import queries
from watchtower.store.database import Database

pytestmark = pytest.mark.browser

PAGES = (
    "/", "/review/alerts/a0001", "/review/lead/L-1", "/review/account/A-1", "/review/proposals",
    "/review/proposals?status=accepted", "/review/rules", "/review/health", "/review/pairs", "/review/nowhere",
    "/review/handoffs",
    "/review/metrics", "/review/silences", "/review/silences?rule=mql_uncontacted", "/review/rules?order=changed",
    "/review/why", "/review/why?rule=mql_uncontacted&record=lead/L-1&person=anna", "/review/alerts/a0002?person=anna",
    "/review/alerts/a0002?done=a0004",
)  # fmt: skip

CONTRAST = """() => {
  const rgb = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const linear = (v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, words = walker.currentNode.textContent.trim();
    if (!words || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = light(rgb(element.closest("svg") ? style.fill : style.color)), paper = light(ground(element));
    const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    if (ratio < 4.5) found.push([element.className, ratio.toFixed(2), words.slice(0, 30)].join(" | "));
  }
  return found;
}"""
"""The texts of a page whose contrast is below 4.5:1 (WCAG 2.2, 1.4.3), by its formula."""


def statuses(database: Database, *ids: str) -> list[str]:
    with database.read() as conn:
        found = [queries.alert_by_id(conn, one) for one in ids]
    return [row.status if row else "none" for row in found]


def test_a_queue_is_reviewed_with_the_keyboard(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    database = furnished()
    page = chromium.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto(address)
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/review/alerts/a0001"
    page.keyboard.press("a")
    page.wait_for_selector(".row.done[data-status=acknowledged]")
    page.wait_for_function("document.activeElement.getAttribute('href') === '/review/alerts/a0002'")
    page.keyboard.press("s")
    page.wait_for_selector(".row.done[data-status=snoozed]")
    page.wait_for_function("document.activeElement.getAttribute('href') === '/review/alerts/a0003'")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/alerts/a0003")
    page.keyboard.press("r")
    page.wait_for_selector(".head .state:has-text('resolved')")
    assert statuses(database, "a0001", "a0002", "a0003") == ["acknowledged", "snoozed", "resolved"]
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.fill("#note", "j a r s ?")
    assert not page.locator("#help").is_visible()
    assert faults == []
    page.close()


def test_proposals_are_decided_with_the_keyboard(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    furnished()
    page = chromium.new_page()
    page.goto(f"{address}/review/proposals")
    assert page.inner_text("mark") == "Brescia"
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.wait_for_selector(".row.done[data-status=rejected]")
    page.keyboard.press("u")
    page.wait_for_selector(".row[data-id=p2][data-status=review]")
    page.close()


def test_alerts_are_decided_one_after_the_other_on_their_own_pages(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(f"{address}/review/alerts/a0001")
    page.keyboard.press("r")
    page.wait_for_url("**/review/alerts/a0002?done=a0001")
    page.keyboard.press("f")
    page.wait_for_url("**/review/alerts/a0003?done=a0002")
    page.keyboard.press("u")
    page.wait_for_url("**/review/alerts/a0002")
    assert statuses(database, "a0001", "a0002") == ["resolved", "open"]
    page.get_by_role("button", name="Stay instead").click()
    page.get_by_role("button", name="Go on instead").wait_for()
    page.keyboard.press("a")
    page.wait_for_selector(".head .state:has-text('acknowledged')")
    assert page.url == f"{address}/review/alerts/a0002"
    page.close()


def test_a_silence_is_made_and_ended_in_the_browser(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    furnished()
    page = chromium.new_page()
    page.goto(f"{address}/review/alerts/a0001")
    page.get_by_role("link", name="of this rule").click()
    assert page.get_by_label("Rule").input_value() == "mql_uncontacted"
    page.get_by_label("Because").fill("the fair")
    page.get_by_role("button", name="Silence").click()
    page.get_by_text("2 standing alerts").wait_for()
    page.get_by_role("button", name="End now").click()
    page.get_by_text("Nothing is silenced").wait_for()
    page.close()


def test_a_refused_action_is_said_and_leaves_the_row(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(address)
    Scene(database).act("a0001", "resolve", actor="somebody else")
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.wait_for_selector("#notice:has-text('nothing of yours was written')")
    page.wait_for_selector(".row.gone >> nth=0")
    assert page.locator(".row").count() == 3
    assert page.locator(".row.gone").inner_text().count("Rossi Arredi") == 1
    page.close()


def test_the_pages_work_without_scripts(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    database = furnished()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    with page.expect_navigation():
        page.click(".row-acts button:text-is('Acknowledge') >> nth=0")
    assert page.url == f"{address}/"
    page.click("a.row-link >> nth=0")
    page.fill("#assignee", "bruno")
    page.click("button:text-is('Assign')")
    page.wait_for_selector(".facts:has-text('bruno')")
    assert page.locator(".facts").inner_text().count("bruno") == 1
    assert statuses(database, "a0001", "a0002") == ["acknowledged", "open"]
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_the_screen(
    chromium: Any, address: str, furnished: Callable[..., Database], width: int
) -> None:
    furnished(name="Rossi" + "arredi" * 30)
    page = chromium.new_page(viewport={"width": width, "height": 844})
    for path in PAGES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    chromium: Any, address: str, furnished: Callable[..., Database], scheme: str
) -> None:
    furnished()
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    for path in PAGES:
        page.goto(address + path)
        assert page.evaluate(CONTRAST) == [], path
    page.goto(address)
    page.keyboard.press("j")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    context.close()


def test_a_full_queue_is_paged_and_light(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    database = furnished()
    with database.begin() as conn:
        for number in range(1000, 1200):
            add_alert(conn, number, severity=("high", "medium")[number % 2], ai_informed=number % 5 == 0)
    page = chromium.new_page()
    seen: list[str] = []
    path: str | None = "/"
    while path is not None:
        answer = page.goto(address + path)
        assert len(answer.body()) < 150_000
        seen += page.eval_on_selector_all("a.row-link", "all => all.map(a => a.getAttribute('href'))")
        following = page.query_selector("a[rel=next]")
        path = following and following.get_attribute("href")
    assert len(seen) == len(set(seen)) == 203
    page.close()
