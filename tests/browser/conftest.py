"""A real browser and a real service for it: Chromium where it is installed, else the tests are skipped."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from api_scene import Scene, furnish

from watchtower.api.server import serve
from watchtower.store.database import Database, migrate, open_database
from watchtower.store.embedded import EmbeddedServer
from watchtower.store.schema import metadata


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A headless Chromium, which ends with its file: while it is open, nothing else here can run an event loop."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses its sandbox to root
        browser = running.chromium.launch(executable_path=path, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scene_database(server: EmbeddedServer) -> Iterator[Database]:
    admin = open_database(server.url)
    with admin.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        conn.execute(text("drop database if exists browser_scene with (force)"))
        conn.execute(text("create database browser_scene"))
    opened = open_database(server.url.replace("@/watchtower?", "@/browser_scene?"))
    migrate(opened)
    yield opened
    opened.close()
    admin.close()


@pytest.fixture(scope="session")
def address(scene_database: Database) -> Iterator[str]:
    """Where the service answers."""
    stop, known, found = threading.Event(), threading.Event(), []

    def ready(url: str) -> None:
        found.append(url)
        known.set()

    thread = threading.Thread(
        target=serve, args=(Scene(scene_database), "127.0.0.1", 0), kwargs={"ready": ready, "stop": stop}
    )
    thread.start()
    assert known.wait(30), "the server did not start within 30 s"
    yield found[0]
    stop.set()
    thread.join(30)


@pytest.fixture
def furnished(scene_database: Database) -> Callable[..., Database]:
    """A function that empties the database and furnishes it anew."""

    def anew(**words: str) -> Database:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        with scene_database.begin() as conn:
            conn.execute(text(f"truncate {names} restart identity cascade"))
        furnish(scene_database, **words)
        return scene_database

    return anew
