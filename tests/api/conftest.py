"""What the tests of the HTTP interface share: a furnished scene and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_scene import Scene, furnish
from fastapi.testclient import TestClient
from sqlalchemy import text

from watchtower.api.app import create_app
from watchtower.store.database import Database, migrate, open_database
from watchtower.store.embedded import EmbeddedServer
from watchtower.store.schema import metadata


@pytest.fixture(scope="module")
def scene_database(server: EmbeddedServer) -> Iterator[Database]:
    """One database for a module's tests; each test finds it furnished anew."""
    admin = open_database(server.url)
    with admin.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn:
        conn.execute(text("drop database if exists scene with (force)"))
        conn.execute(text("create database scene"))
    opened = open_database(server.url.replace("@/watchtower?", "@/scene?"))
    migrate(opened)
    yield opened
    opened.close()
    admin.close()


@pytest.fixture
def scene(scene_database: Database) -> Scene:
    """An account, a lead and their alerts, and nothing else."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with scene_database.begin() as conn:
        conn.execute(text(f"truncate {names} restart identity cascade"))
    furnish(scene_database)
    return Scene(scene_database)


@pytest.fixture
def client(scene: Scene) -> Iterator[TestClient]:
    """A client of the scene; faults nobody foresaw come back as answers."""
    app = create_app(scene)
    app.state.feed.close()  # GET /changes would never end; over a real socket test_live.py follows it
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as opened:
        yield opened
