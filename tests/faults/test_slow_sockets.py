"""Clients that never end a request take nothing from those that do: a small run of slow_sockets.py."""

from __future__ import annotations

from pathlib import Path

from slow_sockets import HEADS, campaign, serving, slow_sockets


def test_every_event_is_taken_beside_a_hundred_slow_sockets(own_folder: Path, database_url: str) -> None:
    """And what the slow ones leave behind when they go is no error of the service's, nor a page of its log."""
    found = campaign(own_folder, sockets=100, events=40, DATABASE_URL=database_url)
    assert found["events"] == 80


def test_a_client_that_never_ends_its_headers_is_let_go(own_folder: Path, database_url: str) -> None:
    with serving(own_folder, DATABASE_URL=database_url) as url:
        with slow_sockets(int(url.rpartition(":")[2]), len(HEADS)) as there:
            there[0].settimeout(60)
            assert there[0].recv(1000).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 408 Request Timeout")
