"""A fetched page is a document that came through the door: wanted, read, quoted, and accepted as the company's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from job_scene import START, Clock
from pydantic import SecretStr
from sqlalchemy import text

from enrichment import build_worker
from watchtower.bootstrap import Tower, build
from watchtower.contract import format_time
from watchtower.settings import Settings
from watchtower.workers import PagesRead

BOOK = """
name: pages
timezone: UTC
objects:
  account:
    value: arr
    fields:
      domain: {type: domain}
      arr: {type: money}
      city: {type: text, fill: enrichment}
      founded_year: {type: integer, min: 1600, max: 2100, fill: enrichment}
rules:
  - {id: old_in_rome, object: account, when: city = 'Rome' and founded_year < 1700 and domain <> 'x.com' and arr > 0}
acceptance:
  account.city: {accept_at: 0.9, review_at: 0.5}
  account.founded_year: {accept_at: 0.9, review_at: 0.5}
enrichment:
  web:
    account: {domain: domain, pages: [/, /about], again: 30 days}
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Tower]:
    (tmp_path / "book.yaml").write_text(BOOK)
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with build(settings, rulebook=tmp_path / "book.yaml", clock=clock) as built:
        for name, fields in (
            ("A", {"domain": "acme.com", "arr": 5}),
            ("B", {"domain": "beta.com", "arr": 900}),
            ("C", {"arr": 9}),
            ("D", {"domain": "delta.com", "arr": 1, "city": "Parma", "founded_year": 1950}),
        ):
            say(built, f"r{name}", "record.updated", f"account/{name}", {"fields": fields})
        yield built


def say(tower: Tower, number: str, what: str, subject: str, data: dict[str, Any]) -> None:
    common = {"specversion": "1.0", "id": number, "source": "crm", "time": format_time(START)}
    assert tower.take([common | {"type": what, "subject": subject, "data": data}])[0].status == "accepted"


def read(domain: str, paths: Sequence[str]) -> PagesRead:
    said = f"{domain.partition('.')[0].title()} was founded in 1901 and is headquartered in Turin, Italy."
    return PagesRead(
        [(path, f"https://{domain}{path}", said) for path in paths if path == "/about"], [("/", "HTTP 404")]
    )


def test_pages_of_records_that_starve_are_wanted_the_most_valuable_first(tower: Tower) -> None:
    assert [(one.record, one.domain, one.paths) for one in tower.wanted_pages()] == [
        ("B", "beta.com", ("/", "/about")), ("A", "acme.com", ("/", "/about")),
    ]  # fmt: skip
    assert [one.record for one in tower.wanted_pages(limit=1)] == ["B"]
    assert [one.record for one in tower.wanted_pages(only=frozenset({"account/D"}))] == ["D"]


def test_a_page_comes_in_by_an_event_of_its_own_source_and_is_not_read_again_soon(tower: Tower, clock: Clock) -> None:
    done = tower.fetch(tower.wanted_pages(), read=read)
    assert (done.records, done.pages, done.unread[0]) == (2, 2, ("beta.com/", "HTTP 404"))
    with tower.database.read() as conn:
        ask = "select source, type, layer, data ->> 'kind', data ->> 'url' from journal where source = 'web'"
        rows = [tuple(row) for row in conn.execute(text(ask + " order by seq"))]
    assert rows[0] == ("web", "document.added", "core", "web", "https://beta.com/about") and len(rows) == 2
    assert {one.paths for one in tower.wanted_pages()} == {("/",)}, "what was read is not read again; what was not, is"
    clock.now += timedelta(days=31)
    assert {one.paths for one in tower.wanted_pages()} == {("/", "/about")}


def test_what_an_own_page_says_is_accepted(tower: Tower) -> None:
    tower.fetch(tower.wanted_pages(), read=read)
    assert tower.enrich(build_worker()).decided.accepted == 4
    with tower.database.read() as conn:
        state = conn.execute(text("select state from record where id = 'A'")).scalar_one()
    assert (state["city"], state["founded_year"]) == ("Turin", 1901)


def test_a_domain_that_ai_filled_is_not_read(tower: Tower) -> None:
    with tower.database.begin() as conn:
        conn.execute(text("update record set provenance = jsonb_set(provenance, '{domain}', '{\"by\": \"ai\"}')"))
    assert tower.wanted_pages() == []


def test_a_domain_that_gives_no_page_rests_twice_as_long_after_each_failure(tower: Tower, clock: Clock) -> None:
    asked: list[str] = []

    def silent(domain: str, paths: Sequence[str]) -> PagesRead:
        asked.append(domain)
        return read(domain, paths) if domain == "acme.com" else PagesRead([], [(path, "timed out") for path in paths])

    def hours_until_asked() -> int:
        hours = 0
        while not any(one.record == "B" for one in tower.wanted_pages()):
            clock.now += timedelta(hours=1)
            hours += 1
        return hours

    say(tower, "rE", "record.updated", "account/E", {"fields": {"domain": "beta.com", "arr": 2}})
    done = tower.fetch(tower.wanted_pages(), read=silent)
    assert sorted(asked) == ["acme.com", "beta.com"], "two records of one domain: it is asked once"
    assert ("beta.com/", "its domain gave no page just now") in done.unread
    assert {one.domain for one in tower.wanted_pages()} == {"acme.com"}
    assert [one.record for one in tower.wanted_pages(only=frozenset({"account/B"}))] == ["B"], "by name, it is asked"
    rests = []
    for _ in range(4):
        rests.append(hours_until_asked())
        tower.fetch([one for one in tower.wanted_pages() if one.record == "B"], read=silent)
    assert rests == [1, 2, 4, 8]
    for _ in range(8):
        clock.now += timedelta(days=8)
        tower.fetch([one for one in tower.wanted_pages() if one.record == "B"], read=silent)
    assert hours_until_asked() == 7 * 24, "a week at most"
    tower.fetch([one for one in tower.wanted_pages() if one.record == "B"], read=read)
    assert any(one.record == "B" for one in tower.wanted_pages()), "what gave a page rests no more"


def test_a_spoilt_file_of_resting_domains_stops_nothing(tower: Tower) -> None:
    (tower.settings.data / "resting.json").write_text("{not json")
    assert {one.domain for one in tower.wanted_pages()} == {"acme.com", "beta.com"}
