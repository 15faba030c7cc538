"""Hostile text in every displayed field runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from api_scene import NOW, add_alert, add_event, add_proposal, add_record
from payloads import PAYLOADS
from sqlalchemy import insert

from watchtower.store import rulebooks, schema
from watchtower.store.database import Database
from watchtower.store.deadletters import DeadLetter, add_deadletters
from watchtower.store.silences import Silence, add_silence

pytestmark = pytest.mark.browser

DAY = timedelta(days=1)

FOREIGN = (
    "img, iframe, object, embed, video, math, base, meta[http-equiv], style, [onload], [onerror], [onfocus], "
    "[ontoggle], [hx-get], [style]:not(.drawing *), form[action^=javascript]"
)
"""What our own pages never have, but for the plots, which place their parts: what is here comes out of a payload. The
policy would keep it from running; it must not be there in the first place."""


def plant(database: Database) -> None:
    """Every payload in every displayed field of records, alerts, events, documents, proposals, signals."""
    with database.begin() as conn:
        for number, payload in enumerate(PAYLOADS):
            by = {"source": payload, "id": payload, "at": payload, "by": payload}
            subject = f"X-{number // 30}"
            if number % 30 == 0:
                mine = dict(enumerate(PAYLOADS[number : number + 30]))
                state = {f"f{key}": text for key, text in mine.items()}
                state |= {"name": payload, "website": payload, "city": payload, "segment": payload}
                add_record(conn, "account", subject, state, dict.fromkeys(state, by))
            conn.execute(
                insert(schema.document).values(
                    object="account", record=subject, id=f"d{number}", kind=payload, text=f"about {payload}.",
                    url=payload, added_at=NOW,
                )
            )  # fmt: skip
            add_event(
                conn, 1000 + number, "account", subject, type=payload, source=payload,
                data={"fields": {payload: payload}},
            )  # fmt: skip
            add_proposal(
                conn, 1000 + number, record=subject, value=payload, because=payload, method=payload,
                model=payload, prompt=payload, decided_by=payload, field=payload if number % 2 else "website",
                evidence=[{"document": f"d{number}", "quote": payload, "start": 6, "end": 6 + len(payload)}],
            )  # fmt: skip
            conn.execute(
                insert(schema.signal).values(
                    id=f"x{number}", name=payload, object="account", record=subject, raised_at=NOW,
                    data={
                        "explanation": payload, "detector": payload, "version": payload, "unit": payload,
                        "direction": payload, "cohort": payload, "p_value": payload, "strength": 2.0,
                        "contributors": [{"name": payload, "value": 3.0}, {"name": "b", "value": 1.0}],
                    },
                )
            )  # fmt: skip
            alert = add_alert(
                conn, 1000 + number, object="account", record=subject, because=payload, owner=payload,
                queue=payload, assignee=payload, causes=[{"source": payload, "id": f"e{1000 + number}"}],
                reads={payload: payload},
                rule=payload if number % 2 else "big_account_quiet",
                opened_at=NOW - timedelta(minutes=number),
            )  # fmt: skip
            conn.execute(insert(schema.action).values(alert=alert, at=NOW, actor=payload, verb=payload, note=payload))
            add_silence(
                conn,
                Silence(
                    f"si{number}", payload, "account", payload, payload, payload, None, NOW - DAY,
                    NOW + (DAY if number % 40 == 0 else -DAY / 2), payload, payload,
                ),
            )  # fmt: skip
            add_deadletters(conn, [DeadLetter(origin=payload, reason=payload, body={"id": payload})], NOW)

    with database.begin() as conn:
        for number, payload in enumerate(PAYLOADS[::20]):  # plots, each named by a payload
            for ago in (2, 1):
                add_event(
                    conn, 3000 + 2 * number + ago, "account", "A-1", type="usage.recorded", source="product",
                    data={"metric": payload, "value": ago}, time=NOW - ago * DAY,
                )  # fmt: skip
        parts = [
            {"path": f"rules.mql_uncontacted.{text}", "change": "changed", "old": text, "new": text}
            for text in PAYLOADS
        ]
        rulebooks.save(conn, PAYLOADS[1], PAYLOADS[2], {}, NOW)
        rulebooks.activate(conn, PAYLOADS[1], by=PAYLOADS[3], now=NOW, note=PAYLOADS[4], changes=parts)
        conn.execute(
            insert(schema.outbox).values(
                id="m1", receiver=PAYLOADS[0], event="e", type="alert.opened", ai_informed=False, rank=1, body="{}",
                state="pending", created_at=NOW, due_at=NOW, held=PAYLOADS[6],
            )
        )  # fmt: skip


def test_no_payload_in_any_field_opens_a_dialog(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    assert len(PAYLOADS) >= 200
    plant(furnished(name=PAYLOADS[5], text=f"a {PAYLOADS[3]} b"))
    dialogs: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    context.add_init_script("window.print = () => alert('print')")
    page = context.new_page()
    pages = [
        "/?status=open",
        "/review/rules",
        "/review/silences",
        f"/review/silences?rule={quote(PAYLOADS[9])}&record={quote(PAYLOADS[25])}&owner={quote(PAYLOADS[26])}",
        f"/review/alerts/a1000?person={quote(PAYLOADS[10])}&done=a1007",
        "/review/health",
        "/review/handoffs",
        "/review/metrics",
        "/review/proposals",
        "/review/account/A-1",
        "/review/lead/L-1",
    ]
    pages += [f"/review/account/X-{n}" for n in range(len(PAYLOADS) // 30 + 1)]
    pages += [f"/review/alerts/a{1000 + n}" for n in range(0, len(PAYLOADS), 7)]
    pages += [f"/?queue={quote(payload)}&rule={quote(payload)}" for payload in PAYLOADS[::9]]
    pages += [f"/review/why?rule={quote(p)}&record={quote(p)}&person={quote(p)}" for p in PAYLOADS[::21]]
    pages += [f"/review/{quote(PAYLOADS[0], safe='')}/{quote(payload, safe='')}" for payload in PAYLOADS[::11]]
    seen, links = set(), []
    while pages:
        path = pages.pop(0)
        if path in seen:
            continue
        seen.add(path)
        page.goto(address + path)
        plots = page.locator("figure.zoom").count()
        assert page.locator("script").count() == (4 if plots else 2), path
        assert page.locator(".drawing canvas").count() == plots, path
        assert page.eval_on_selector_all(FOREIGN, "all => all.map(one => one.outerHTML)") == [], path
        links += page.eval_on_selector_all("a[href]", "all => all.map(a => a.protocol)")
        following = page.query_selector("a[rel=next]")
        if following is not None:
            pages.append(str(following.get_attribute("href")))
    assert dialogs == []
    assert set(links) <= {"http:", "https:", "mailto:"}
    assert len(seen) > 60
    context.close()


def test_a_payload_that_comes_back_through_htmx_opens_no_dialog(
    chromium: Any, address: str, furnished: Callable[..., Database]
) -> None:
    plant(furnished())
    dialogs: list[str] = []
    page = chromium.new_page()
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{address}/?status=open")
    for _ in range(12):
        page.keyboard.press("j")
        with page.expect_response(lambda response: response.request.method == "POST") as answered:
            page.keyboard.press("a")
        assert answered.value.status == 200
    assert page.locator(".row.done").count() == 12
    assert dialogs == []
    page.close()
