"""Mutated webhooks through the whole service, and over real HTTP: one plain refusal each.

`webhook_campaign.py --count 10000 --http` sends many more.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from faults.webhook_campaign import NOW, REFUSED, SYSTEMS, campaign, mutations, service
from webhook_samples import signed

from watchtower.api.app import create_app
from watchtower.api.server import serve
from watchtower.bootstrap import Tower
from watchtower.connectors.signatures import Arrived


@pytest.fixture(scope="module")
def tower(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tower]:
    with service(module_database_url, tmp_path_factory.mktemp("hooks")) as opened:
        yield opened


@pytest.mark.parametrize("scheme", (*SYSTEMS, "clickup"))
def test_no_mutated_webhook_is_taken_and_none_is_a_servers_error(tower: Tower, scheme: str) -> None:
    report = asyncio.run(campaign(create_app(tower), scheme, mutations(scheme, 80, seed=3, now=NOW)))
    assert report.wrong == []
    assert report.answers == Counter({401: 80})


@contextmanager
def serving(tower: Tower) -> Iterator[str]:
    stop, known, found = threading.Event(), threading.Event(), list[str]()

    def ready(url: str) -> None:
        found.append(url)
        known.set()

    thread = threading.Thread(target=serve, args=(tower, "127.0.0.1", 0), kwargs={"ready": ready, "stop": stop})
    thread.start()
    try:
        assert known.wait(30), "the server did not start within 30 s"
        yield found[0]
    finally:
        stop.set()
        thread.join(30)


def test_over_real_http_too_the_genuine_one_is_taken_and_no_mutation_is(tower: Tower) -> None:
    sent: Counter[tuple[int, bytes]] = Counter()
    with serving(tower) as url:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        for scheme in (*SYSTEMS, "clickup"):
            assert post(connection, scheme, signed(scheme, NOW))[0] == 200
            for _, arrived in mutations(scheme, 60, seed=4, now=NOW):
                if all(value == value.strip() and value.isascii() and value.decode().isprintable()
                       for _, value in arrived.headers):  # fmt: skip
                    sent[post(connection, scheme, arrived)] += 1
        connection.close()
    assert set(sent) == {(401, REFUSED)} and sent.total() > 100


def post(connection: http.client.HTTPConnection, scheme: str, arrived: Arrived) -> tuple[int, bytes]:
    connection.putrequest("POST", f"/hooks/{scheme}", skip_accept_encoding=True)
    connection.putheader("content-length", str(len(arrived.body)))
    for name, value in arrived.headers:
        connection.putheader(name.decode(), value)
    connection.endheaders(arrived.body)
    answer = connection.getresponse()
    return answer.status, answer.read()
