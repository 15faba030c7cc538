"""Two hundred alerts on a Monday morning: all at once, and taken back; whose they are, who has them, when it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from api_scene import NOW, Scene, add_alert, add_record
from sqlalchemy import text
from test_many import told

from watchtower.store.database import Database

pytestmark = pytest.mark.browser


@pytest.fixture
def monday(furnished: Callable[..., Database]) -> Database:
    """A hundred alerts of medium severity beside the three that are there."""
    database = furnished()
    with database.begin() as conn:
        for number in range(1000, 1100):
            add_alert(conn, number, severity="medium", owner=("ann", "bruno")[number % 2])
    return database


def standing(database: Database, where: str = "true") -> Counter[str]:
    with database.read() as conn:
        return Counter(row[0] for row in conn.execute(text(f"select status from alert where {where}")))


def test_all_on_the_page_are_picked_done_and_taken_back_with_three_keys(
    chromium: Any, address: str, monday: Database
) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/?severity=medium")
    page.keyboard.press("Shift+X")
    page.wait_for_selector("#bulk >> text=40 picked")
    page.keyboard.press("a")
    page.wait_for_selector(".did:has-text('40 alerts acknowledged.')")
    assert "severity=medium" in page.url, "who decides in a filtered queue stays in it"
    assert standing(monday, "id >= 'a1000'") == {"acknowledged": 40, "open": 60}
    page.keyboard.press("u")
    page.wait_for_selector(".did:has-text('40 alerts open again.')")
    assert standing(monday, "id >= 'a1000'") == {"open": 100}
    page.keyboard.press("Shift+X")
    page.wait_for_selector("#bulk >> text=40 picked")
    page.keyboard.press("Shift+X")
    page.wait_for_selector("#bulk", state="hidden")
    page.close()


def test_what_is_on_other_pages_is_done_too_where_one_says_so(chromium: Any, address: str, monday: Database) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/?severity=medium")
    page.get_by_label("Pick all on this page").check()
    page.get_by_label("all 100, other pages too").check()
    page.fill("#bulk-note", "the fair")
    with monday.begin() as conn:  # it was not there when the page was made
        add_alert(conn, 2000, severity="medium", opened_at=NOW + timedelta(seconds=1))
    page.get_by_label("all 100, other pages too").press("f")
    page.wait_for_selector(".did:has-text('100 alerts resolved.')")
    assert standing(monday, "id >= 'a1000'") == {"resolved": 100, "open": 1}
    page.close()


def test_many_go_to_a_colleague_at_once_and_are_found_under_the_name(
    chromium: Any, address: str, monday: Database
) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/?severity=medium")
    boxes = page.locator(".row > .pick")
    boxes.nth(1).click()
    boxes.nth(5).click(modifiers=["Shift"])
    page.wait_for_selector("#bulk >> text=5 picked")
    page.fill("#bulk-assignee", "Zoe")
    page.get_by_role("button", name="Assign").click()
    page.wait_for_selector(".did:has-text('5 alerts assigned.')")
    page.get_by_role("navigation", name="Owner").get_by_role("link", name="Zoe").click()
    page.wait_for_selector("h1 + p:has-text('5 open')")
    assert page.locator(".row").count() == 5
    page.close()


def test_undo_leaves_alone_what_others_did_since(chromium: Any, address: str, monday: Database) -> None:
    page = chromium.new_page()
    page.goto(f"{address}/?severity=medium")
    page.locator(".row > .pick").nth(0).check()
    page.locator(".row > .pick").nth(1).check()
    page.keyboard.press("a")
    page.wait_for_selector(".did:has-text('2 alerts acknowledged.')")
    with monday.read() as conn:
        first = conn.execute(text("select min(id) from alert where status = 'acknowledged'")).scalar_one()
    Scene(monday).act(first, "resolve", actor="anna")
    page.keyboard.press("u")
    page.wait_for_selector(".did:has-text('1 alert open again.')")
    assert standing(monday, f"id = '{first}'") == {"resolved": 1}
    page.close()


def test_without_scripts_many_are_done_and_taken_back_too(chromium: Any, address: str, monday: Database) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/?severity=medium")
    assert not page.get_by_label("Pick all on this page").is_visible(), "it would do nothing"
    for place in range(3):
        page.locator(".row > .pick").nth(place).check()
    page.locator("#bulk").get_by_role("button", name="Snooze 1 day").click()
    page.wait_for_selector(".did:has-text('3 alerts snoozed.')")
    page.locator(".did").get_by_role("button", name="Undo").click()
    page.wait_for_selector(".did:has-text('3 alerts open again.')")
    assert standing(monday, "id >= 'a1000'") == {"open": 100}
    context.close()


def test_a_false_alarm_is_said_in_the_queue_itself(chromium: Any, address: str, monday: Database) -> None:
    page = chromium.new_page()
    page.goto(address)
    page.keyboard.press("j")
    page.keyboard.press("f")
    page.wait_for_selector(".row.done[data-status=resolved][data-id=a0001]")
    page.close()


def test_a_row_says_whose_record_it_is_and_leads_to_all_of_its_rule(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    with database.begin() as conn:
        add_record(conn, "lead", "L-9", {"company": "A new plant", "account": "A-1", "stage": "mql"}, {})
        add_alert(conn, 9, record="L-9", severity="critical")
    page = chromium.new_page()
    page.goto(f"{address}/?queue=attention-needed")
    row = page.locator(".row[data-id=a0009]")
    assert row.locator(".row-head").inner_text().split("\n")[1:] == ["A new plant", "lead of Rossi Arredi"]
    row.get_by_role("link", name="mql_uncontacted").click()
    page.wait_for_url("**/?queue=attention-needed&rule=mql_uncontacted")
    page.goto(f"{address}/review/alerts/a0009")
    page.locator(".facts").get_by_role("link", name="Rossi Arredi").click()
    page.wait_for_url("**/review/account/A-1")
    page.close()


def test_times_are_those_of_the_readers_zone_and_exact_on_hover(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    furnished()
    moment = "2026-03-02T09:00:00.000000Z"
    for zone, script, words in (
        ("Asia/Kolkata", True, "02 Mar 2026, 14:30 GMT+5:30"),
        ("Asia/Kolkata", False, "02 Mar 2026, 09:00 UTC"),
    ):
        context = chromium.new_context(timezone_id=zone, java_script_enabled=script)
        page = context.new_page()
        page.goto(f"{address}/review/alerts/a0001")
        time = page.locator(f"time[data-exact][datetime='{moment}']").first
        assert time.inner_text() == words
        if script:
            assert time.get_attribute("title") == f"{words} ({moment})"
            assert "GMT+5:30 (" in str(page.locator("time:not([data-exact])").first.get_attribute("title"))
        context.close()


def test_the_link_to_an_alert_is_copied(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    furnished()
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/review/alerts/a0001?queue=attention-needed")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector("#notice:has-text('The link is copied.')")
    assert page.evaluate("navigator.clipboard.readText()") == f"{address}/review/alerts/a0001"
    context.close()


def test_a_note_half_written_in_the_bar_outlives_a_change_of_the_queue(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-watching]")
    page.locator(".row > .pick").first.check()
    page.locator("#bulk-note").press_sequentially("asked at")
    with database.begin() as conn:
        add_alert(conn, 7, severity="critical", because="It has just happened.")
    told(database, 70, "alert.opened", "a0007")
    page.wait_for_selector(".row:has-text('It has just happened.')")
    page.keyboard.type(" noon")
    assert page.input_value("#bulk-note") == "asked at noon"
    page.close()


def test_words_for_readers_alone_make_no_page_wider_than_a_phone(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    furnished()
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{address}/review/health")
    page.evaluate(
        """() => { const box = document.createElement("div"); box.className = "wide";
        const cells = "<th>column</th>".repeat(7) + '<td>0<span class="sr">overdue</span></td>';
        box.innerHTML = `<table><tr>${cells}</tr></table>`;
        document.querySelector("main").append(box); }"""
    )
    assert page.evaluate("document.querySelector('main > .wide:last-child').scrollWidth") > 700
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_on_a_phone_a_long_name_does_not_run_under_its_box(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    furnished(name="Wollgarnspinnereimaschinenbaugesellschaft " * 8)
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    boxes = (
        page.locator(".row >> nth=0")
        .locator(".pick, .row-link")
        .evaluate_all("all => all.map(one => one.getBoundingClientRect()).map(({ left, right }) => [left, right])")
    )
    assert boxes[1][1] <= boxes[0][0], boxes
    page.close()


def test_on_a_phone_the_bar_for_many_takes_one_line(chromium: Any, address: str, monday: Database) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(address)
    page.locator(".row > .pick").first.check()
    box = page.locator("#bulk").bounding_box()
    assert box is not None and box["height"] < 80
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_a_sentence_from_the_right_has_its_mark_at_its_end(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    database = furnished()
    with database.begin() as conn:
        add_alert(conn, 9, severity="critical", because="لم يتصل به أحد منذ 48 ساعة!")
    page = chromium.new_page()
    for path, place in (("/", ".row[data-id=a0009] .because"), ("/review/alerts/a0009", ".lead")):
        page.goto(address + path)
        first, last = page.locator(place).evaluate(
            """(one) => { const text = one.firstChild, end = text.length, at = (from) => {
              const range = document.createRange(); range.setStart(text, from); range.setEnd(text, from + 1);
              return range.getBoundingClientRect().left; }; return [at(0), at(end - 1)]; }"""
        )
        assert last < first, path
    page.close()


def test_counts_of_a_full_queue_are_grouped(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    with furnished().begin() as conn:
        copied = ", ".join(f"alert.{name}" for name in ("rule", "rulebook", "object", "record", "since", "opened_at"))
        more = "status, severity, queue, owner, because, ai_informed, causes, reads"
        names = copied.replace("alert.", "")
        conn.execute(
            text(
                f"insert into alert (id, {names}, {more}) select 'm' || g, {copied}, {more} "
                "from alert, generate_series(1, 12000) g where id = 'a0001'"
            )
        )
    page = chromium.new_page()
    page.goto(address)
    while page.locator("h1 + p").inner_text() != "12,003 open":  # counts of a moment ago are shown meanwhile
        page.wait_for_timeout(200)
        page.reload()
    page.locator(".row > .pick").first.check()
    assert page.get_by_label("the first 200 of 12,003, other pages too").is_visible()
    page.close()


def test_an_empty_queue_says_why_it_is_empty(chromium: Any, address: str, furnished: Callable[..., Database]) -> None:
    database = furnished()
    page = chromium.new_page()
    page.goto(f"{address}/?q=nobody+of+this+name")
    assert "in order" not in page.locator(".empty").inner_text(), (
        "a search that finds nothing says nothing of the rules"
    )
    page.locator(".empty a").click()
    page.wait_for_selector(".row")
    with database.begin() as conn:
        conn.execute(text("update alert set status = 'resolved', resolved_at = now()"))
    page.goto(address)
    assert "in order, or in somebody's hands." in page.locator(".empty").inner_text()
    with database.begin() as conn:
        conn.execute(text("truncate alert, record cascade"))
    page.goto(address)
    assert "watchtower import FILE" in page.locator(".empty").inner_text()
    page.close()
