"""What a page weighs on the wire with all that it needs, and how soon there is something to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_scene import NOW, add_alert, add_event
from test_review import PAGES

from watchtower.store.database import Database

pytestmark = pytest.mark.browser

MOST = 150_000
SOON = 5_000.0
"""Milliseconds until the first text or picture is painted, with room for a machine that does other work."""
PAINTED = """() => new Promise((done) => new PerformanceObserver((list, watching) => {
  const found = list.getEntriesByName("first-contentful-paint")[0];
  if (found) { watching.disconnect(); done(found.startTime); }
}).observe({ type: "paint", buffered: true }))"""


@pytest.fixture
def full(furnished: Callable[..., Database]) -> Iterator[Database]:
    """A queue of two hundred, and a year of usage."""
    database = furnished()
    with database.begin() as conn:
        for number in range(1000, 1200):
            add_alert(conn, number, severity=("high", "medium")[number % 2])
        for number in range(1000, 1365):
            data = {"metric": "logins", "value": number % 37}
            add_event(conn, number, "account", "A-1", type="usage.recorded", source="product", data=data, time=NOW)
    yield database


def test_every_page_weighs_little_and_is_seen_soon_by_who_comes_for_the_first_time(
    chromium: Any, address: str, full: Database
) -> None:
    for path in PAGES:
        context = chromium.new_context()  # nothing is in its cache
        page = context.new_page()
        asked: list[Any] = []
        page.on("requestfinished", lambda request, into=asked: into.append(request))
        page.goto(address + path)
        assert page.evaluate(PAINTED) < SOON, path
        weights = [request.sizes()["responseBodySize"] for request in asked]
        assert 0 < sum(weights) < MOST, (path, weights)
        context.close()


def test_a_page_is_packed_for_who_takes_it_and_plain_for_who_does_not(
    chromium: Any, address: str, full: Database
) -> None:
    context = chromium.new_context()
    plain = context.request.get(address, headers={"accept-encoding": "identity"})
    packed = context.request.get(address, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) * 5 < int(plain.headers["content-length"])
    assert len(plain.body()) == len(packed.body())
    context.close()
